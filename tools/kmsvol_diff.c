/* kmsvol diff: what changed between two snapshots of a volume, as EBS's ListChangedBlocks says it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "daemon.h"
#include "err.h"
#include "kms.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "secret.h"
#include "snapshot_open.h"
#include "store.h"
#include "volume_header.h"

static const char help[] =
	"List the ranges, in blocks of 512 KiB, in which the snapshot SNAP2 differs from SNAP1, "
	"both of one volume:\n"
	"a line for each with offset and length in bytes. KMS is asked for their data key: what is "
	"compared is also\n"
	"checked. With --json, blocks by their index, and in which of the two there is data.";

struct found {
	bool json;
	struct kms_json *blocks;
	uint64_t off, len; /* the range so far; of len 0: none */
};

static void print_range(const struct found *f)
{
	if (f->len)
		printf("%" PRIu64 " %" PRIu64 "\n", f->off, f->len);
}

static int add(void *arg, const struct store_change *c)
{
	struct found *f = arg;
	struct kms_json *block;

	if (!f->json) {
		if (f->len && c->off == f->off + f->len) {
			f->len += c->len;
			return 0;
		}
		print_range(f);
		f->off = c->off;
		f->len = c->len;
		return 0;
	}
	block = kms_json_new_object();
	if (!block || (kms_json_set_u64(block, "block_index", c->off / STORE_DIFF_UNIT) |
		       kms_json_set_bool(block, "in_first", c->in_first) |
		       kms_json_set_bool(block, "in_second", c->in_second)) < 0) {
		kms_json_free(block);
		return -ENOMEM;
	}
	return kms_json_add(f->blocks, block);
}

static int compare(struct snapshot *a, struct snapshot *b, bool json, struct err *err)
{
	struct kms_json *obj = json ? kms_json_new_object() : NULL;
	struct found f = {.json = json, .blocks = json ? kms_json_new_array() : NULL};
	int r = json && (!obj || !f.blocks) ? -ENOMEM : 0;

	if (r == 0)
		r = store_diff(a->store, b->store, add, &f, err);
	if (r < 0 || !json) {
		if (r == -ENOMEM)
			(void)err_set(err, ENOMEM, "out of memory");
		if (r == 0)
			print_range(&f);
		kms_json_free(f.blocks);
		kms_json_free(obj);
		return r;
	}
	if ((kms_json_set_str(obj, "volume_id", b->info.volume_id) |
	     kms_json_set_str(obj, "first_snapshot_id", a->info.id) |
	     kms_json_set_str(obj, "second_snapshot_id", b->info.id) |
	     kms_json_set_u64(obj, "size_bytes", b->info.size_bytes) |
	     kms_json_set_u64(obj, "block_size", STORE_DIFF_UNIT) |
	     kms_json_set(obj, "changed_blocks", f.blocks)) < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, true) == CMD_DONE ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int run(const char *first, const char *second, const struct kms_config *config, bool json,
	       struct err *err)
{
	AUTO(kms_closep) struct kms *kms = NULL;
	struct snapshot *a = NULL, *b = NULL;
	int r;

	daemon_harden();
	daemon_raise_limits();
	/* Before KMS is asked. */
	r = snapshot_hold(first, &a, err);
	if (r == 0)
		r = snapshot_hold(second, &b, err);
	if (r == 0 && strcmp(a->header->geometry.volume_id, b->header->geometry.volume_id) != 0)
		r = err_set(err, EINVAL,
			    "diff: '%s' is of volume '%s', '%s' of '%s': snapshots of different "
			    "volumes%s have no changed blocks (ValidationException, "
			    "UNRELATED_SNAPSHOTS)",
			    first, a->info.volume_id, second, b->info.volume_id,
			    *a->info.source_id || *b->info.source_id ? ", and copies," : "");
	snapshot_close(b);
	snapshot_close(a);
	a = b = NULL;
	if (r == 0)
		r = kms_open(config, &kms, err);
	if (r == 0)
		r = snapshot_open(first, kms, &a, err);
	if (r == 0)
		r = snapshot_open(second, kms, &b, err);
	if (r == 0)
		r = compare(a, b, json, err);
	snapshot_close(b);
	snapshot_close(a);
	return r;
}

int cmd_diff(int argc, char **argv)
{
	struct kms_config kms = {0};
	bool json = false;
	const struct cmd_option options[] = {
		CMD_KMS_OPTIONS(kms),
		{"json", NULL, CMD_FLAG, &json, "print JSON", NULL},
	};
	const struct cmd cmd = {"diff", "SNAP1 SNAP2", 2,
				help,	options,       sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (cmd_check_kms(&kms, &err) < 0) {
		(void)err_prefix(&err, "diff");
		return cmd_wrong(&err);
	}
	return run(argv[first], argv[first + 1], &kms, json, &err) < 0 ? cmd_fail(&err) : CMD_DONE;
}
