/* kmsvol snapshot: the table of its commands, and what those show that make one. */
#include "kmsvol_snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "snapshot.h"
#include "units.h"
#include "utc.h"

struct row {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct row rows[] = {
	{"create", snapshot_create_cmd, "make a snapshot of a volume, mounted or not"},
	{"list", snapshot_list_cmd, "list the snapshots in a directory"},
	{"copy", snapshot_copy_cmd, "copy a snapshot under another KMS key"},
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

struct kms_json *snapshot_as_json(const struct snapshot_info *info, const char *dir, bool json)
{
	struct kms_json *obj = kms_json_new_object();
	char size[UNITS_TEXT_MAX], time[UTC_LEN] = "";

	units_format_size(info->size_bytes, size);
	(void)utc_format(info->start_time, time); /* our own clock's */
	if (!obj ||
	    (kms_json_set_str(obj, "snapshot_id", info->id) |
	     kms_json_set_str(obj, "snapshot_dir", dir) |
	     kms_json_set_str(obj, "volume_id", info->volume_id) |
	     (*info->source_id ? kms_json_set_str(obj, "source_snapshot_id", info->source_id) : 0) |
	     (json ? kms_json_set_u64(obj, "size_bytes", info->size_bytes)
		   : kms_json_set_str(obj, "size", size)) |
	     kms_json_set_str(obj, "state", "completed") |
	     kms_json_set_str(obj, "start_time", time) |
	     kms_json_set_str(obj, "description", info->description) |
	     kms_json_set_str(obj, "key_arn", info->key_arn) |
	     kms_json_set_str(obj, "consistency", snapshot_consistency_name(info->consistency))) <
		    0)
		kms_json_freep(&obj);
	return obj;
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
