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

static const struct cmd_row rows[] = {
	{"create", snapshot_create_cmd, "make a snapshot of a volume, mounted or not"},
	{"list", snapshot_list_cmd, "list the snapshots in a directory"},
	{"copy", snapshot_copy_cmd, "copy a snapshot under another KMS key"},
	{"delete", snapshot_delete_cmd, "delete a snapshot"},
};

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
	static const struct cmd_group group = {"snapshot",
					       "Snapshots: what a volume held at one moment, in a "
					       "directory of its own that shares "
					       "its data.",
					       rows, sizeof(rows) / sizeof(*rows)};

	return cmd_group(&group, argc, argv);
}
