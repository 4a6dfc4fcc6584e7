/* The commands of `kmsvol snapshot`, each in a file of its own. */
#ifndef TOOLS_KMSVOL_SNAPSHOT_H
#define TOOLS_KMSVOL_SNAPSHOT_H

/* @argv: the command's word first. The exit code. */
int snapshot_create_cmd(int argc, char **argv);
int snapshot_list_cmd(int argc, char **argv);
int snapshot_delete_cmd(int argc, char **argv);

#endif
