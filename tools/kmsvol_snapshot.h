/* The commands of `kmsvol snapshot`, each in a file of its own. */
#ifndef TOOLS_KMSVOL_SNAPSHOT_H
#define TOOLS_KMSVOL_SNAPSHOT_H

#include <stdbool.h>

struct kms_json;
struct snapshot_info;

/* @argv: the command's word first. The exit code. */
int snapshot_create_cmd(int argc, char **argv);
int snapshot_copy_cmd(int argc, char **argv);
int snapshot_list_cmd(int argc, char **argv);
int snapshot_delete_cmd(int argc, char **argv);

/* A new snapshot in @dir, for cmd_print(), which may be for people (@json false). NULL: out of memory. */
struct kms_json *snapshot_as_json(const struct snapshot_info *info, const char *dir, bool json);

#endif
