/* kmsvol snapshot create: options in, snapshot_create(), what was made out. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_freeze.h"
#include "kmsvol_interrupt.h"
#include "kmsvol_progress.h"
#include "kmsvol_snapshot.h"
#include "secret.h"
#include "snapshot_create.h"
#include "voldir.h"

static const char help[] =
	"Make a snapshot of the volume VOL in the directory SNAP, which must not exist; without "
	"SNAP, "
	"beside VOL.\n"
	"It holds what VOL holds at one moment and shares VOL's data: it costs no space until VOL "
	"changes. KMS is\n"
	"not asked. VOL may be mounted: then what was written until that moment is in it, as after "
	"a power cut\n"
	"at that moment, and what waits for a lost key is not. --freeze makes the file system on "
	"it "
	"a clean one.";

struct create_args {
	const char *description;
	bool freeze, json;
	struct progress progress;
	atomic_uint_least64_t copied;
};

static const char *notice(const struct snapshot_created *c)
{
	if (c->key_lost)
		return "the volume's key is lost: what waits to be written is not in the snapshot";
	if (c->info.consistency == SNAPSHOT_CRASH)
		return "the volume was not unmounted cleanly: the snapshot has all that was "
		       "flushed, as the volume itself";
	return NULL;
}

static int show(const struct snapshot_created *c, bool json)
{
	struct kms_json *obj = snapshot_as_json(&c->info, c->dir, json);
	const char *words = notice(c);

	if (obj && (kms_json_set_u64(obj, "writes_held_ms", c->held_ms) |
		    (words ? kms_json_set_str(obj, "notice", words) : 0)) < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, json);
}

static void copied(void *arg, uint64_t bytes)
{
	struct create_args *a = arg;

	progress_show(&a->progress, atomic_fetch_add(&a->copied, bytes) + bytes);
}

static int run(const char *vol, const char *snap, struct create_args *a)
{
	struct interrupt in;
	struct voldir_job job = {.stop = &in.stop, .progress = copied, .arg = a};
	struct freeze freeze = {.volume_dir = vol};
	struct snapshot_create_options options = {.volume_dir = vol,
						  .snapshot_dir = snap,
						  .description = a->description,
						  .job = &job,
						  .before = a->freeze ? freeze_begin : NULL,
						  .taken = freeze_end,
						  .arg = &freeze};
	struct snapshot_created created = {0};
	struct err err;
	int r, sig, code;

	interrupt_begin(&in, NULL);
	progress_begin(&a->progress, "copy", 0);
	r = snapshot_create(&options, &created, &err);
	(void)progress_end(&a->progress);
	sig = interrupt_end(&in);
	if (r < 0)
		interrupt_die(sig);
	code = r == -EINVAL ? cmd_wrong(&err) : r < 0 ? cmd_fail(&err) : show(&created, a->json);
	free(created.dir);
	return code;
}

int snapshot_create_cmd(int argc, char **argv)
{
	struct create_args a = {.description = ""};
	const struct cmd_option options[] = {
		{"description", "TEXT", CMD_TEXT, &a.description, "words to keep with it", NULL},
		{"freeze", NULL, CMD_FLAG, &a.freeze,
		 "freeze the file system of mount --fs for the moment; needs root", NULL},
		{"json", NULL, CMD_FLAG, &a.json, "print JSON", NULL},
	};
	const struct cmd cmd = {.name = "snapshot create",
				.operands = "VOL [SNAP]",
				.operand_count = 1,
				.help = help,
				.options = options,
				.option_count = sizeof(options) / sizeof(*options)};
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	return code != CMD_GO ? code : run(argv[first], argv[first + 1], &a);
}
