/*
 * kmsvol resize: make a volume larger, mounted or not; with mount --fs, the loop device and the file system on
 * it too. Each step can be done again, so that what was cut off is completed by the same command.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "kms.h"
#include "kms_json.h"
#include "kmsvol_change.h"
#include "kmsvol_cmd.h"
#include "kmsvol_fs.h"
#include "kmsvol_loop.h"
#include "kmsvol_place.h"
#include "bytes.h"
#include "secret.h"
#include "units.h"
#include "volume.h"
#include "volume_change.h"

static const char help[] =
	"Make the volume VOL larger. It may be mounted: its I/O waits for a moment, and goes on. "
	"With\n"
	"'mount --fs' the file system on it grows too, while it is in use. A volume never becomes "
	"smaller.\n"
	"VOL is its directory, or where it is mounted. Needs its KMS key.";

struct resize {
	uint64_t size_bytes;
	struct kms_config kms;
	bool json, mounted, fs;
};

static int grow_here(const struct change_volume *v, void *arg, struct err *err)
{
	const struct resize *resize = arg;

	return volume_grow(v->dir, v->header, v->data_keys, resize->size_bytes, err);
}

/* The volume itself. Does nothing when it has the size already. */
static int grow_volume(const char *dir, struct resize *resize, struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *header = NULL;
	AUTO(kms_json_freep) struct kms_json *request = kms_json_new_object();
	int r = volume_header_load(dir, &header, err);

	if (r == 0)
		r = volume_check_size(header, resize->size_bytes, err);
	if (r < 0)
		return err_prefix(err, "volume '%s'", dir);
	if (header->geometry.size_bytes == resize->size_bytes)
		return 0;
	if (!request || (kms_json_set_str(request, "op", "resize") |
			 kms_json_set_u64(request, "size_bytes", resize->size_bytes)) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return change_run(dir, &resize->kms, request, grow_here, resize, &resize->mounted, err);
}

/* The loop device and the file system of mount --fs. */
static int grow_fs(const struct place *place, struct resize *resize, struct err *err)
{
	AUTO(freep) char *disk = NULL;
	AUTO(freep) char *type = NULL;
	AUTO(freep) char *source = NULL;
	int r;

	if (!place->loop || !place->mountpoint || !place->fuse_mounted)
		return 0;
	if (asprintf(&disk, "%s/disk", place->fuse_dir) < 0) {
		disk = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	r = loop_grow(place->loop, disk, err);
	if (r == 0 && place_mounted(place->mountpoint, &type, &source) && type && source &&
	    strcmp(source, place->loop) == 0) {
		r = fs_grow(place->loop, place->mountpoint, type, err);
		resize->fs = r == 0;
	}
	if (r < 0)
		(void)err_prefix(err, "the volume has its new size, but not yet what is on it; try "
				      "again");
	return r;
}

static int show(const char *dir, const struct resize *resize)
{
	AUTO(volume_header_freep) struct volume_header *h = NULL;
	struct kms_json *obj = kms_json_new_object();
	char size[UNITS_TEXT_MAX];
	struct err err;

	if (volume_header_load(dir, &h, &err) < 0) {
		kms_json_free(obj);
		return cmd_fail(&err);
	}
	units_format_size(h->geometry.size_bytes, size);
	if (!obj || (kms_json_set_str(obj, "volume_id", h->geometry.volume_id) |
		     (resize->json ? kms_json_set_u64(obj, "size_bytes", h->geometry.size_bytes)
				   : kms_json_set_str(obj, "size", size)) |
		     kms_json_set_bool(obj, "filesystem_grown", resize->fs)) < 0)
		kms_json_freep(&obj);
	return cmd_print(obj, resize->json);
}

static int run(const char *vol, struct resize *resize)
{
	struct place place;
	struct err err;
	int code;

	if (place_find(vol, &place, &err) < 0)
		return cmd_fail(&err);
	if (grow_volume(place.volume_dir, resize, &err) < 0 || grow_fs(&place, resize, &err) < 0)
		code = cmd_fail(&err);
	else
		code = show(place.volume_dir, resize);
	place_free(&place);
	return code;
}

int cmd_resize(int argc, char **argv)
{
	struct resize r = {0};
	const char *size = NULL;
	const struct cmd_option options[] = {
		{"size", "SIZE", CMD_TEXT, &size, "the new size: 512M, 2G, 1T (needed)", NULL},
		CMD_KMS_OPTIONS(r.kms),
		{"json", NULL, CMD_FLAG, &r.json, "print JSON", NULL},
	};
	const struct cmd cmd = {"resize", "VOL",   1,
				help,	  options, sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (!size) {
		(void)err_set(&err, EINVAL, "resize: --size is needed; see '%s resize --help'",
			      CMD_PROGRAM);
		return cmd_wrong(&err);
	}
	if (units_parse_size(size, &r.size_bytes, &err) < 0) {
		(void)err_prefix(&err, "resize: --size");
		return cmd_wrong(&err);
	}
	if (cmd_check_kms(&r.kms, &err) < 0) {
		(void)err_prefix(&err, "resize");
		return cmd_wrong(&err);
	}
	return run(argv[first], &r);
}
