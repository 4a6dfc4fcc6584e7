/* kmsvol snapshot copy: options in, snapshot_copy(), what was made out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "daemon.h"
#include "err.h"
#include "kms.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_interrupt.h"
#include "kmsvol_progress.h"
#include "kmsvol_snapshot.h"
#include "secret.h"
#include "snapshot_copy.h"

static const char help[] =
	"Copy the snapshot SNAP into the directory NEWSNAP, which must not exist or be empty, "
	"under "
	"another KMS key.\n"
	"The copy has a data key of its own, with which every block is encrypted anew; it shares "
	"nothing with SNAP\n"
	"and does not need SNAP's key. Interrupted, it leaves nothing behind.";

struct copy_args {
	const char *key_id, *description;
	struct kms_config kms;
	bool json;
	struct progress progress;
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct copy_args *a = arg;

	a->progress.total_bytes = total;
	progress_show(&a->progress, done);
}

static int show(const char *dir, const struct snapshot_info *info, uint64_t ms, bool json)
{
	AUTO(freep) char *path = realpath(dir, NULL);
	struct kms_json *obj = snapshot_as_json(info, path ? path : dir, json);

	if (obj && kms_json_set_u64(obj, "milliseconds", ms) < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, json);
}

static int run(const char *snap, const char *copy, struct copy_args *a)
{
	AUTO(kms_closep) struct kms *kms = NULL;
	struct snapshot_info info;
	struct interrupt in;
	struct err err;
	uint64_t ms;
	int r, sig;

	daemon_harden();
	daemon_raise_limits();
	if (kms_open(&a->kms, &kms, &err) < 0) {
		(void)err_prefix(&err, "snapshot '%s'", copy);
		return cmd_fail(&err);
	}
	interrupt_begin(&in, kms);
	progress_begin(&a->progress, "copy", 0);
	r = snapshot_copy(&(struct snapshot_copy_options){.snapshot_dir = snap,
							  .copy_dir = copy,
							  .key_id = a->key_id,
							  .description = a->description,
							  .stop = &in.stop,
							  .progress = show_progress,
							  .arg = a},
			  kms, &info, &err);
	ms = progress_end(&a->progress);
	sig = interrupt_end(&in);
	kms_closep(&kms); /* wipes what it holds: we may not come back */
	if (r < 0)
		interrupt_die(sig);
	if (r == -EINVAL && !*err.code)
		return cmd_wrong(&err);
	return r < 0 ? cmd_fail(&err) : show(copy, &info, ms, a->json);
}

int snapshot_copy_cmd(int argc, char **argv)
{
	struct copy_args a = {.description = ""};
	const struct cmd_option options[] = {
		{"key-id", "KEY-ID", CMD_TEXT, &a.key_id,
		 "the KMS key of the copy: id, ARN, alias/NAME; must be given", NULL},
		{"description", "TEXT", CMD_TEXT, &a.description, "words to keep with it", NULL},
		CMD_KMS_OPTIONS(a.kms),
		{"json", NULL, CMD_FLAG, &a.json, "print JSON", NULL},
	};
	const struct cmd cmd = {.name = "snapshot copy",
				.operands = "SNAP NEWSNAP",
				.operand_count = 2,
				.help = help,
				.options = options,
				.option_count = sizeof(options) / sizeof(*options)};
	struct err err;
	int first, r, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	r = a.key_id ? cmd_check_kms(&a.kms, &err)
		     : err_set(&err, EINVAL,
			       "--key-id is missing: under which KMS key shall the copy be?");
	if (r < 0) {
		(void)err_prefix(&err, "snapshot copy");
		return cmd_wrong(&err);
	}
	return run(argv[first], argv[first + 1], &a);
}
