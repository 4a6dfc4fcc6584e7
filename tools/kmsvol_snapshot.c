/* kmsvol snapshot: the table of its commands. */
#include "kmsvol_snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "kmsvol_cmd.h"

struct row {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct row rows[] = {
	{"create", snapshot_create_cmd, "make a snapshot of a volume, mounted or not"},
	{"list", snapshot_list_cmd, "list the snapshots in a directory"},
	{"delete", snapshot_delete_cmd, "delete a snapshot"},
};

static int usage(void)
{
	printf("usage: %s snapshot COMMAND [ARGUMENT]...\n\n"
	       "Snapshots: what a volume held at one moment, in a directory of its own that shares "
	       "its data.\n\ncommands:\n",
	       CMD_PROGRAM);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		printf("  %-10s  %s\n", rows[i].name, rows[i].help);
	printf("\noptions:\n  %-33s %s\n", "--help", "show this; after a command: how to use that");
	return CMD_DONE;
}

int cmd_snapshot(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	struct err err;

	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return usage();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(word, rows[i].name) == 0)
			return rows[i].run(argc - 1, argv + 1);
	if (!*word)
		(void)err_set(&err, EINVAL, "snapshot: no command; see '%s snapshot --help'",
			      CMD_PROGRAM);
	else
		(void)err_set(&err, EINVAL, "snapshot: unknown %s '%s'; see '%s snapshot --help'",
			      *word == '-' ? "option" : "command", word, CMD_PROGRAM);
	return cmd_wrong(&err);
}
