/*
 * kmsvol check: verify a volume or snapshot, print what is damaged, and save what is intact into a new
 * volume: the same one (its id, its wrapped key), laid out anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attachment.h"
#include "bytes.h"
#include "blockcrypt.h"
#include "check.h"
#include "copy.h"
#include "copy_ends.h"
#include "daemon.h"
#include "disk.h"
#include "err.h"
#include "keys.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_interrupt.h"
#include "kmsvol_progress.h"
#include "secret.h"
#include "snapshot.h"
#include "textfile.h"
#include "volume.h"
#include "volume_seal.h"

#define FINDINGS_MAX 100000 /* in the report; all are counted and printed */
#define REPORT_NAME  "repair-report.json"

static const char help[] =
	"Verify the volume (or snapshot) VOL, which is not mounted: its header and seal, both "
	"roots, "
	"each page\n"
	"of the map, each segment's header, each record, and the tag of each block that it holds. "
	"Prints\n"
	"what is damaged, in the files and in the volume, and ends with 4 if anything is. VOL is "
	"not changed.\n"
	"Without the key, or when KMS refuses it, only shapes and checksums are verified.";

struct check_args {
	const char *vol, *repair_to;
	bool no_key, dead, json;
	struct kms_config kms;
};

/* One check, from the header to the report. */
struct work {
	const struct check_args *args;
	struct interrupt in;
	struct volume_header *header;
	struct secret *key; /* NULL: without */
	struct err no_key_why;
	bool with_key; /* it was had */
	bool sealed;   /* the header is as it was sealed */
	struct progress progress;
	struct kms_json *findings;
	bool out_of_memory;
	uint64_t damages; /* beside those that check_run() counts */
	struct check_result result;
	struct copy_result copied;
};

static struct kms_json *finding_json(const struct check_finding *f, uint32_t block_size)
{
	struct kms_json *obj = kms_json_new_object();
	int r = obj ? 0 : -ENOMEM;

	if (r == 0)
		r = kms_json_set_str(obj, "weight", f->weight == CHECK_DAMAGE ? "damage" : "note") |
		    kms_json_set_str(obj, "file", f->file) | kms_json_set_str(obj, "what", f->what);
	if (r == 0 && f->len)
		r = kms_json_set_u64(obj, "offset", f->off) |
		    kms_json_set_u64(obj, "length", f->len);
	if (r == 0 && f->count)
		r = kms_json_set_u64(obj, "first_block", f->lba) |
		    kms_json_set_u64(obj, "blocks", f->count) |
		    kms_json_set_u64(obj, "volume_offset", f->lba * block_size) |
		    kms_json_set_u64(obj, "volume_length", f->count * block_size);
	if (r < 0)
		kms_json_freep(&obj);
	return obj;
}

static void print_finding(const struct check_finding *f, uint32_t block_size)
{
	printf("%s", f->file);
	if (f->len)
		printf(": bytes %" PRIu64 " to %" PRIu64, f->off, f->off + f->len - 1);
	else if (f->off)
		printf(": from byte %" PRIu64 " on", f->off);
	printf(": %s%s", f->weight == CHECK_NOTE ? "note: " : "", f->what);
	if (f->count)
		printf(": blocks %" PRIu64 " to %" PRIu64 ", bytes %" PRIu64 " to %" PRIu64
		       " of the volume",
		       f->lba, f->lba + f->count - 1, f->lba * block_size,
		       (f->lba + f->count) * block_size - 1);
	printf("\n");
}

static void report(void *arg, const struct check_finding *f)
{
	struct work *w = arg;
	uint32_t block_size = w->header ? w->header->geometry.block_size : 1;
	struct kms_json *obj = NULL;

	(void)progress_end(&w->progress);
	if (!w->args->json)
		print_finding(f, block_size);
	if (kms_json_count(w->findings) >= FINDINGS_MAX)
		return;
	obj = finding_json(f, block_size);
	if (!obj || kms_json_add(w->findings, obj) < 0)
		w->out_of_memory = true;
}

static void progress(void *arg, uint64_t bytes, uint64_t of_bytes)
{
	struct work *w = arg;

	w->progress.total_bytes = of_bytes;
	progress_show(&w->progress, bytes);
}

/* A damage of volume.json, or of snapshot.json. */
static void report_file(struct work *w, const char *file, const char *what)
{
	w->damages++;
	report(w, &(struct check_finding){.weight = CHECK_DAMAGE, .file = file, .what = what});
}

/* Is it what was made a snapshot? Its files may be whole and yet be of another, or of another time. */
static void check_snapshot(struct work *w)
{
	struct err err;

	if (!snapshot_is(w->args->vol) || snapshot_check(w->args->vol, w->header, NULL, &err) == 0)
		return;
	report_file(w, SNAPSHOT_NAME,
		    strncmp(err.msg, SNAPSHOT_NAME, strlen(SNAPSHOT_NAME)) == 0
			    ? err.msg + strcspn(err.msg, " ") + 1
			    : err.msg);
}

/* The data key, if it can be had. -EKEYREJECTED and others only when it must be. */
static int get_key(struct work *w, int dir_fd, struct err *err)
{
	AUTO(kms_closep) struct kms *kms = NULL;
	struct attachment *attachment = NULL;
	int sig, r;

	if (w->args->no_key) {
		(void)err_set(&w->no_key_why, 0, "--no-key");
		return 0;
	}
	r = kms_open(&w->args->kms, &kms, err);
	if (r == 0) {
		interrupt_begin(&w->in, kms);
		r = attachment_begin(w->header, dir_fd, kms, &attachment, &w->key, err);
		if (r == -EBADMSG) /* had, but the header is edited */
			r = volume_unwrap_unsealed(w->header, kms, &w->key, err);
		attachment_end(attachment);
		sig = interrupt_end(&w->in);
		if (sig) {
			kms_closep(&kms); /* wipes what it holds */
			interrupt_die(sig);
		}
	}
	if (r < 0 && !w->args->repair_to) {
		w->no_key_why = *err;
		return 0;
	}
	if (r < 0)
		return r;
	w->with_key = true;
	w->sealed = volume_seal_check(w->header, w->key, err) == 0;
	if (!w->sealed)
		report_file(w, VOLUME_HEADER_NAME,
			    "its seal is wrong: it was edited after it was sealed");
	return 0;
}

/* Into the new volume's store. */
struct repair {
	struct work *work;
	struct check *check;
};

static int fill(void *arg, struct store *store, struct err *err)
{
	struct repair *repair = arg;
	struct work *w = repair->work;
	uint64_t size = w->header->geometry.size_bytes;
	struct copy_store end = {.store = store, .size_bytes = size};
	struct copy_source source = check_source(repair->check);
	struct copy_target target = copy_to_store(&end);
	struct copy_options options = {
		.stop = &w->in.stop, .progress = progress_show, .arg = &w->progress};
	int r;

	progress_begin(&w->progress, "repair", size);
	r = copy_run(&source, &target, &options, &w->copied, err);
	(void)progress_end(&w->progress);
	return r;
}

static struct kms_json *result_json(struct work *w, bool with_findings)
{
	const struct check_result *r = &w->result;
	struct kms_json *obj = kms_json_new_object();
	bool damaged = r->findings + w->damages > 0;
	int n = obj ? 0 : -ENOMEM;

	if (n == 0)
		n = (w->header ? kms_json_set_str(obj, "volume_id", w->header->geometry.volume_id)
			       : 0) |
		    kms_json_set_str(obj, "state",
				     damaged	   ? "damaged"
				     : w->with_key ? "intact"
						   : "not verified") |
		    kms_json_set_bool(obj, "with_key", w->with_key) |
		    (w->with_key || !w->header
			     ? 0
			     : kms_json_set_str(obj, "not_verified",
						"seals of header, roots, map and segments; tags of "
						"blocks and records; the file flushed")) |
		    (*w->no_key_why.msg ? kms_json_set_str(obj, "no_key", w->no_key_why.msg) : 0) |
		    kms_json_set_u64(obj, "segments", r->segments) |
		    kms_json_set_u64(obj, "records", r->records) |
		    kms_json_set_u64(obj, "blocks", r->blocks) |
		    kms_json_set_u64(obj, "damaged_blocks", r->damaged_blocks) |
		    kms_json_set_u64(obj, "damaged_bytes",
				     r->damaged_blocks *
					     (w->header ? w->header->geometry.block_size : 0)) |
		    kms_json_set_u64(obj, "damages", r->findings + w->damages) |
		    kms_json_set_bool(obj, "map_rebuilt", r->rebuilt);
	if (n == 0 && w->args->dead)
		n = kms_json_set_u64(obj, "dead_blocks", r->dead_blocks);
	if (n == 0 && w->args->repair_to)
		n = kms_json_set_str(obj, "repaired_to", w->args->repair_to) |
		    kms_json_set_u64(obj, "saved_bytes", w->copied.data_bytes);
	if (n == 0 && with_findings) {
		struct kms_json *copy = kms_json_copy(w->findings);

		n = copy ? kms_json_set(obj, "findings", copy) : -ENOMEM;
	}
	if (n < 0 || w->out_of_memory)
		kms_json_freep(&obj);
	return obj;
}

/* The report into the repaired volume's directory. */
static int save_report(struct work *w, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *obj = result_json(w, true);
	AUTO(freep) char *text = obj ? kms_json_text_pretty(obj) : NULL;
	int fd, r;

	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	fd = open(w->args->repair_to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : textfile_replace(fd, REPORT_NAME, text, 0600);
	if (fd >= 0)
		(void)close(fd); /* only used to name the file */
	return r < 0 ? err_set(err, -r, REPORT_NAME ": %s", strerror(-r)) : 0;
}

/*
 * The same volume, laid out anew: its id and wrapped key stay, so the same policies let it be
 * mounted. All its segments are new, with salts and so keys of their own; none is another's.
 */
static int repair(struct work *w, struct check *check, struct err *err)
{
	struct repair arg = {.work = w, .check = check};
	struct volume_filler filler = {.fill = fill, .arg = &arg};
	AUTO(secret_freep) struct secret *newest = NULL;
	int r;

	if (!w->sealed)
		return err_set(err, EBADMSG,
			       "%s is not what was sealed, and nothing can be saved without it: "
			       "put a copy of it back",
			       VOLUME_HEADER_NAME);
	w->header->geometry.lineage_count = 0;
	w->header->geometry.previous_key = false; /* all is written anew, under the newest */
	r = keys_pick(w->key, KEYS_NEWEST, &newest, err);
	if (r == 0)
		r = volume_lay_out(w->args->repair_to, w->header, newest, &filler, err);
	if (r == 0)
		r = save_report(w, err);
	return r < 0 ? err_prefix(err, "'%s'", w->args->repair_to) : 0;
}

static int check_opened(struct work *w, struct err *err)
{
	const struct check_options options = {.dead = w->args->dead,
					      .stop = &w->in.stop,
					      .report = report,
					      .progress = progress,
					      .arg = w};
	struct check *check = NULL;
	struct disk *disk;
	int r = disk_open_dir(w->args->vol, &disk, err);

	if (r < 0)
		return r;
	progress_begin(&w->progress, "check", 0);
	r = check_run(disk, &w->header->geometry, w->key, &options, &check, &w->result, err);
	(void)progress_end(&w->progress);
	if (r == 0 && w->args->repair_to)
		r = repair(w, check, err);
	check_free(check);
	disk_free(disk);
	return r;
}

/* The header, the lock, the key, then all the rest. */
static int work(struct work *w, struct err *err)
{
	int lock_fd = -1, dir_fd, sig;
	int r = volume_header_load(w->args->vol, &w->header, err);

	if (r == -EUCLEAN || r == -ENOTSUP) {
		report_file(w, VOLUME_HEADER_NAME, err->msg);
		return w->args->repair_to
			       ? err_set(err, EUCLEAN, "nothing can be saved without its header")
			       : 0;
	}
	if (r == 0)
		r = volume_lock(w->args->vol, &lock_fd, err);
	if (r < 0)
		return r;
	check_snapshot(w);
	daemon_harden();
	daemon_raise_limits();
	dir_fd = open(w->args->vol, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = get_key(w, dir_fd, err);
	if (r == 0) {
		interrupt_begin(&w->in, NULL);
		r = check_opened(w, err);
		sig = interrupt_end(&w->in);
		if (r < 0) {
			secret_freep(&w->key);
			interrupt_die(sig);
		}
	}
	if (dir_fd >= 0)
		(void)close(dir_fd); /* only a directory */
	(void)close(lock_fd);	     /* nothing was written through it */
	return r;
}

static int run(const struct check_args *args)
{
	struct work w = {.args = args, .findings = kms_json_new_array()};
	struct err err;
	int code, r;

	if (!w.findings) {
		(void)err_set(&err, ENOMEM, "out of memory");
		return cmd_fail(&err);
	}
	r = work(&w, &err);
	secret_freep(&w.key);
	if (r < 0) {
		(void)err_prefix(&err, "volume '%s'", args->vol);
		code = cmd_fail(&err);
	} else {
		code = cmd_print(result_json(&w, args->json), args->json);
		if (code == CMD_DONE && w.result.findings + w.damages)
			code = CMD_DAMAGED;
		else if (code == CMD_DONE && w.no_key_why.num)
			code = cmd_fail(&w.no_key_why);
	}
	volume_header_free(w.header);
	kms_json_free(w.findings);
	return code;
}

int cmd_check(int argc, char **argv)
{
	struct check_args a = {0};
	int provider = BLOCKCRYPT_AUTO;
	const struct cmd_option options[] = {
		{"repair-to", "DIR", CMD_TEXT, &a.repair_to,
		 "save what is intact into a new volume; damaged blocks read as zeros", NULL},
		{"dead", NULL, CMD_FLAG, &a.dead, "verify blocks that are not needed any more, too",
		 NULL},
		{"no-key", NULL, CMD_FLAG, &a.no_key, "do not ask KMS for the key", NULL},
		CMD_PROVIDER_OPTION(provider),
		CMD_KMS_OPTIONS(a.kms),
		{"json", NULL, CMD_FLAG, &a.json, "print JSON", NULL},
	};
	const struct cmd cmd = {"check", "VOL",	  1,
				help,	 options, sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (a.repair_to && a.no_key) {
		(void)err_set(&err, EINVAL, "check: --repair-to needs the key");
		return cmd_wrong(&err);
	}
	if (cmd_check_kms(&a.kms, &err) < 0) {
		(void)err_prefix(&err, "check");
		return cmd_wrong(&err);
	}
	if (cmd_choose_provider(provider, &err) < 0)
		return cmd_fail(&err);
	a.vol = argv[first];
	return run(&a);
}
