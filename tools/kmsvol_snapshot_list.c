/* kmsvol snapshot list and kmsvol snapshot delete. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_snapshot.h"
#include "secret.h"
#include "snapshot_list.h"
#include "units.h"
#include "utc.h"

static const char list_help[] =
	"List the snapshots in the directory DIR, without DIR in the working directory, and those "
	"that are being\n"
	"made of volumes there. OWN is the space that deleting one gives back: data that nothing "
	"else shares.";

static const char delete_help[] =
	"Delete the snapshot SNAP, which is not mounted. Data that its volume or other snapshots "
	"need stays.\n"
	"Also what a snapshot that was cut off has left (SNAP.partial).";

static const char *const states[] = {"completed", "pending", "error"};

static int put_entry(struct kms_json *list, const struct snapshot_entry *e)
{
	struct kms_json *obj = kms_json_new_object();
	char started[UTC_LEN] = "", ended[UTC_LEN] = "", progress[8];
	int r;

	(void)snprintf(progress, sizeof(progress), "%u%%", e->progress);
	(void)utc_format(e->info.start_time, started);
	(void)utc_format(e->info.completion_time, ended);
	if (!obj)
		return -ENOMEM;
	r = kms_json_set_str(obj, "snapshot_id", e->info.id) |
	    kms_json_set_str(obj, "snapshot_dir", e->dir) |
	    kms_json_set_str(obj, "volume_id", e->info.volume_id) |
	    (*e->info.source_id ? kms_json_set_str(obj, "source_snapshot_id", e->info.source_id)
				: 0) |
	    kms_json_set_u64(obj, "size_bytes", e->info.size_bytes) |
	    kms_json_set_u64(obj, "own_bytes", e->own_bytes) |
	    kms_json_set_str(obj, "key_arn", e->info.key_arn) |
	    kms_json_set_str(obj, "state", states[e->state]) |
	    kms_json_set_str(obj, "progress", progress) |
	    kms_json_set_str(obj, "description", e->info.description) |
	    kms_json_set_str(obj, "consistency", snapshot_consistency_name(e->info.consistency)) |
	    kms_json_set_str(obj, "start_time", started) |
	    (e->info.completed ? kms_json_set_str(obj, "completion_time", ended)
			       : kms_json_set_null(obj, "completion_time")) |
	    (*e->why ? kms_json_set_str(obj, "reason", e->why) : 0);
	if (r < 0) {
		kms_json_free(obj);
		return r;
	}
	return kms_json_add(list, obj);
}

static int show_json(const struct snapshot_entry *entries, size_t count)
{
	struct kms_json *obj = kms_json_new_object(), *list = kms_json_new_array();
	int r = obj && list ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = put_entry(list, &entries[i]);
	if (r < 0)
		kms_json_free(list);
	else
		r = kms_json_set(obj, "snapshots", list);
	if (r < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, true);
}

static int show_text(const struct snapshot_entry *entries, size_t count)
{
	printf("%-22s  %-21s  %8s  %11s  %-9s  %8s  %-20s  %s\n", "SNAPSHOT", "VOLUME", "SIZE",
	       "OWN", "STATE", "PROGRESS", "STARTED", "DIRECTORY, KEY, DESCRIPTION");
	for (size_t i = 0; i < count; i++) {
		const struct snapshot_entry *e = &entries[i];
		char size[UNITS_TEXT_MAX], own[UNITS_TEXT_MAX], started[UTC_LEN] = "-";

		units_format_size(e->info.size_bytes, size);
		units_format_size(e->own_bytes, own);
		if (e->info.start_time)
			(void)utc_format(e->info.start_time, started);
		printf("%-22s  %-21s  %8s  %11s  %-9s  %7u%%  %-20s  %s  %s  %s%s%s\n",
		       *e->info.id ? e->info.id : "-", *e->info.volume_id ? e->info.volume_id : "-",
		       size, own, states[e->state], e->progress, started, e->dir,
		       *e->info.key_arn ? e->info.key_arn : "-", e->info.description,
		       *e->why ? "  " : "", e->why);
	}
	return CMD_DONE;
}

int snapshot_list_cmd(int argc, char **argv)
{
	bool json = false;
	const struct cmd_option options[] = {
		{"json", NULL, CMD_FLAG, &json, "print JSON", NULL},
	};
	const struct cmd cmd = {.name = "snapshot list",
				.operands = "[DIR]",
				.help = list_help,
				.options = options,
				.option_count = 1};
	struct snapshot_entry *entries;
	size_t count;
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (snapshot_list(argv[first] ? argv[first] : ".", &entries, &count, &err) < 0)
		return cmd_fail(&err);
	code = json ? show_json(entries, count) : show_text(entries, count);
	snapshot_list_free(entries, count);
	return code;
}

int snapshot_delete_cmd(int argc, char **argv)
{
	const struct cmd cmd = {.name = "snapshot delete",
				.operands = "SNAP",
				.operand_count = 1,
				.help = delete_help};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	return snapshot_delete(argv[first], &err) < 0 ? cmd_fail(&err) : CMD_DONE;
}
