/* kmsvol restore: options in, restore_volume(), the new volume out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "clock.h"
#include "daemon.h"
#include "err.h"
#include "kms.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_interrupt.h"
#include "kmsvol_progress.h"
#include "restore.h"
#include "secret.h"

static const char help[] =
	"Make the volume NEWVOL, which must not exist or be empty, of what the snapshot SNAP "
	"holds.\n"
	"Under SNAP's KMS key it is ready at once and shares SNAP's data; its data key is wrapped "
	"for it by KMS\n"
	"(ReEncrypt). Under another key every block is encrypted anew with a new data key.";

struct restore_args {
	const char *key_id;
	struct kms_config kms;
	bool json;
	struct progress progress;
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct restore_args *a = arg;

	a->progress.total_bytes = total;
	progress_show(&a->progress, done);
}

static int show(const char *dir, const struct restored *v, uint64_t ms, bool json)
{
	struct kms_json *obj = kms_json_new_object();

	if (!obj || (kms_json_set_str(obj, "volume_id", v->volume_id) |
		     kms_json_set_str(obj, "volume_dir", dir) |
		     kms_json_set_bool(obj, "re_encrypted", v->re_encrypted) |
		     kms_json_set_u64(obj, "milliseconds", ms)) < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, json);
}

static int run(const char *snap, const char *vol, struct restore_args *a)
{
	AUTO(kms_closep) struct kms *kms = NULL;
	struct restored restored;
	struct interrupt in;
	struct err err;
	uint64_t ms;
	int r, sig;

	daemon_harden();
	daemon_raise_limits();
	if (kms_open(&a->kms, &kms, &err) < 0) {
		(void)err_prefix(&err, "volume '%s'", vol);
		return cmd_fail(&err);
	}
	interrupt_begin(&in, kms);
	progress_begin(&a->progress, "restore", 0);
	r = restore_volume(&(struct restore_options){.snapshot_dir = snap,
						     .volume_dir = vol,
						     .key_id = a->key_id,
						     .stop = &in.stop,
						     .progress = show_progress,
						     .arg = a},
			   kms, &restored, &err);
	ms = progress_end(&a->progress);
	sig = interrupt_end(&in);
	kms_closep(&kms); /* wipes what it holds: we may not come back */
	if (r < 0)
		interrupt_die(sig);
	if (r == -EINVAL && !*err.code)
		return cmd_wrong(&err);
	return r < 0 ? cmd_fail(&err) : show(vol, &restored, ms, a->json);
}

int cmd_restore(int argc, char **argv)
{
	struct restore_args a = {0};
	const struct cmd_option options[] = {
		{"key-id", "KEY-ID", CMD_TEXT, &a.key_id,
		 "the KMS key of the new volume: id, ARN, alias/NAME; SNAP's", NULL},
		CMD_KMS_OPTIONS(a.kms),
		{"json", NULL, CMD_FLAG, &a.json, "print JSON", NULL},
	};
	const struct cmd cmd = {"restore", "SNAP NEWVOL", 2,
				help,	   options,	  sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (cmd_check_kms(&a.kms, &err) < 0) {
		(void)err_prefix(&err, "restore");
		return cmd_wrong(&err);
	}
	return run(argv[first], argv[first + 1], &a);
}
