/*
 * kmsvol export and kmsvol import: a volume's content as a raw image, out and in. Both open the volume
 * themselves, so it is not mounted meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blockcrypt.h"
#include "copy.h"
#include "copy_ends.h"
#include "err.h"
#include "kms.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_image.h"
#include "kmsvol_interrupt.h"
#include "kmsvol_progress.h"
#include "secret.h"
#include "store.h"
#include "volume_header.h"
#include "volume_open.h"

static const char export_help[] =
	"Write the content of the volume (or snapshot) VOL to FILE as a raw image; '-' is standard "
	"output.\n"
	"What VOL does not hold stays a hole. A file that exists is replaced, and only when all "
	"is written.\n"
	"VOL may not be mounted: export a snapshot of it, or read DIR/disk.";

static const char import_help[] =
	"Write the raw image FILE over the content of the volume VOL, which is not mounted; '-' is "
	"standard input.\n"
	"Zeros become holes. An image larger than the volume is refused; behind a smaller one the "
	"volume\n"
	"reads as zeros, as 'dd of=DIR/disk' leaves it.";

struct transfer {
	const char *vol, *file;
	struct kms_config kms;
	bool json;
	struct image image; /* of an import */
	struct copy_result result;
	uint64_t ms;
	bool begun; /* the copying */
};

/* Say with "in use" what helps. */
static int tell_in_use(int r, const char *help, struct err *err)
{
	char said[sizeof(err->msg)];

	if (r != -EBUSY)
		return r;
	memcpy(said, err->msg, sizeof(said));
	return err_set(err, EBUSY, "%.1800s; %s", said, help);
}

static int copy(struct transfer *t, const char *verb, uint64_t total,
		const struct copy_source *source, const struct copy_target *target,
		const atomic_bool *stop, struct err *err)
{
	struct progress progress;
	struct copy_options options = {.stop = stop, .progress = progress_show, .arg = &progress};
	int r;

	t->begun = true;
	progress_begin(&progress, verb, total);
	r = copy_run(source, target, &options, &t->result, err);
	t->ms = progress_end(&progress);
	return r;
}

static int do_export(struct transfer *t, struct volume *v, const atomic_bool *stop, struct err *err)
{
	uint64_t size = v->header->geometry.size_bytes;
	struct copy_store from = {.store = v->store, .size_bytes = size};
	struct copy_source source = copy_from_store(&from);
	struct copy_target target;
	struct image image;
	int r = image_create(t->file, size, &image, err);

	if (r < 0)
		return r;
	target = copy_to_fd(&image.end);
	r = copy(t, "export", size, &source, &target, stop, err);
	if (r < 0)
		(void)err_prefix(err, "export of '%s' to '%s'", t->vol, t->file);
	else
		r = image_finish(&image, err);
	image_close(&image);
	return r;
}

static int check_size(const struct image *image, const struct volume *v, struct err *err)
{
	uint64_t size = v->header->geometry.size_bytes;

	if (image->end.stream || image->end.size_bytes <= size)
		return 0;
	return err_set(err, EFBIG,
		       "volume '%s': the image '%s' has %" PRIu64
		       " bytes, and the volume only %" PRIu64 "; nothing was changed",
		       v->dir, image->name, image->end.size_bytes, size);
}

static int do_import(struct transfer *t, struct volume *v, const atomic_bool *stop, struct err *err)
{
	uint64_t size = v->header->geometry.size_bytes;
	struct copy_store to = {.store = v->store, .size_bytes = size};
	struct copy_target target = copy_to_store(&to);
	struct copy_source source;
	struct image *image = &t->image;
	int r = check_size(image, v, err);

	image->end.stop = stop;
	if (r == 0 && image_is_empty_stream(image))
		r = err_set(err, EINVAL,
			    "volume '%s': the image '%s' is empty; nothing was changed", v->dir,
			    image->name);
	if (r < 0)
		return r;
	source = copy_from_fd(&image->end);
	r = copy(t, "import", image->end.stream ? 0 : image->end.size_bytes, &source, &target, stop,
		 err);
	if (r == 0)
		r = store_discard(v->store, t->result.size_bytes, size - t->result.size_bytes, err);
	if (r == 0)
		r = store_flush(v->store, err);
	if (r < 0)
		(void)err_prefix(err, "import of '%s': the volume '%s' now has a part of it",
				 t->file, t->vol);
	return r;
}

static int show(const struct transfer *t, const char *id)
{
	struct kms_json *obj = kms_json_new_object();

	if (!obj ||
	    (kms_json_set_str(obj, "volume_id", id) | kms_json_set_str(obj, "file", t->file) |
	     kms_json_set_u64(obj, "size_bytes", t->result.size_bytes) |
	     kms_json_set_u64(obj, "data_bytes", t->result.data_bytes) |
	     kms_json_set_u64(obj, "milliseconds", t->ms)) < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, t->json);
}

static int run_opened(struct transfer *t, bool export, struct interrupt *in, struct kms *kms,
		      char id[32], struct err *err)
{
	struct volume *v = NULL;
	struct err close_err;
	int r = volume_open(t->vol, kms, export, &v, err), closed;

	if (r < 0)
		return tell_in_use(r,
				   export ? "export a snapshot of it, or read its file 'disk'"
					  : "unmount it, or write to its file 'disk'",
				   err);
	memcpy(id, v->header->geometry.volume_id, 32);
	r = export ? do_export(t, v, &in->stop, err) : do_import(t, v, &in->stop, err);
	closed = volume_close(v, &close_err);
	if (r == 0 && closed < 0) {
		*err = close_err;
		r = closed;
	}
	return r;
}

static int run(struct transfer *t, bool export, struct err *err)
{
	AUTO(kms_closep) struct kms *kms = NULL;
	struct interrupt in;
	char id[32] = "";
	int sig = 0, r = kms_open(&t->kms, &kms, err);

	if (r < 0)
		return err_prefix(err, "volume '%s'", t->vol);
	/* When a stream is cut off nothing is left to clean up, and its reader may never read on. */
	if (export && image_is_stream(t->file)) {
		atomic_init(&in.stop, false);
		r = run_opened(t, export, &in, kms, id, err);
	} else {
		interrupt_begin(&in, kms);
		r = run_opened(t, export, &in, kms, id, err);
		sig = interrupt_end(&in);
	}
	kms_closep(&kms); /* wipes what it holds: we may not come back */
	if (r < 0 && sig) {
		if (!export && t->begun)
			(void)cmd_fail(err); /* what is left in the volume is worth a word */
		image_close(&t->image);
		interrupt_die(sig);
	}
	if (r == 0 && !(export && strcmp(t->file, "-") == 0))
		r = show(t, id) == CMD_DONE ? 0 : err_set(err, ENOMEM, "out of memory");
	return r;
}

static int command(int argc, char **argv, bool export)
{
	struct transfer t = {.image.end.fd = -1};
	int provider = BLOCKCRYPT_AUTO;
	const struct cmd_option options[] = {
		CMD_PROVIDER_OPTION(provider),
		CMD_KMS_OPTIONS(t.kms),
		{"json", NULL, CMD_FLAG, &t.json, "print JSON", NULL},
	};
	const struct cmd cmd = {export ? "export" : "import",
				export ? "VOL FILE" : "FILE VOL",
				2,
				export ? export_help : import_help,
				options,
				sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (cmd_check_kms(&t.kms, &err) < 0) {
		(void)err_prefix(&err, "%s", cmd.name);
		return cmd_wrong(&err);
	}
	t.vol = argv[first + !export];
	t.file = argv[first + export];
	if (export && strcmp(t.file, "-") == 0 && isatty(STDOUT_FILENO)) {
		(void)err_set(&err, EINVAL, "export: standard output is a terminal");
		return cmd_wrong(&err);
	}
	if (cmd_choose_provider(provider, &err) < 0)
		return cmd_fail(&err);
	/* Before anything is locked or asked: opening a pipe may take for ever. */
	if (!export && image_open(t.file, &t.image, &err) < 0)
		return cmd_fail(&err);
	code = run(&t, export, &err) < 0 ? cmd_fail(&err) : CMD_DONE;
	image_close(&t.image);
	return code;
}

int cmd_export(int argc, char **argv)
{
	return command(argc, argv, true);
}

int cmd_import(int argc, char **argv)
{
	return command(argc, argv, false);
}
