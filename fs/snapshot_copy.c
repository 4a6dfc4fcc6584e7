/*
 * Copies of snapshots. newdir makes the directory; snapshot.json stands in it from the beginning, pending, so
 * that `snapshot list` shows it, and is completed last. See snapshot_copy.h.
 */
#include "snapshot_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms.h"
#include "newdir.h"
#include "reencrypt.h"
#include "secret.h"
#include "snapshot_make.h"
#include "snapshot_open.h"
#include "snapshot_tell.h"
#include "store.h"
#include "voldir.h"
#include "volume_derive.h"
#include "volume_header.h"
#include "volume_seal.h"

struct copying {
	const struct snapshot_copy_options *options;
	struct snapshot *source; /* open; owned, as is all below */
	struct newdir *place;
	struct volume_header *header;
	struct secret *data_key;
	char *text; /* volume.json */
};

int snapshot_copy_fill(const struct snapshot_copy_parts *parts, struct disk *to,
		       struct snapshot_info *info, const struct reencrypt_job *job, struct err *err)
{
	int r = snapshot_put(to, info, err);

	if (r == 0)
		r = reencrypt_store(parts->from, to, parts->geometry, parts->data_key, job, err);
	if (r == 0)
		r = voldir_put(to, VOLUME_HEADER_NAME, parts->header_text, err);
	if (r == 0)
		r = voldir_bytes(to, &info->data_bytes, err);
	if (r == 0) /* a store leaves it unsynced; the digest is of what will be there */
		r = voldir_sync(to, "flushed", err);
	return r < 0 ? r : snapshot_complete(to, info, err);
}

/* As CopySnapshot refuses a key at once. What else is wrong with it KMS says when it is used. */
static int check_key(struct kms *kms, const char *key_id, struct err *err)
{
	struct kms_key_metadata *key = calloc(1, sizeof(*key));
	int r;

	if (!key)
		return err_set(err, ENOMEM, "out of memory");
	r = kms_describe_key(kms, key_id, key, err);
	if (r == -ENOKEY || (r < 0 && (strcmp(err->code, "ValidationException") == 0 ||
				       strcmp(err->code, "InvalidArnException") == 0)))
		r = err_set(err, ENOKEY, "InvalidParameterValue: The specified keyId %s is invalid",
			    key_id);
	else if (r < 0)
		(void)err_prefix(err, "cannot find out about the key '%s'", key_id);
	else if (strcmp(key->state, "Disabled") == 0)
		r = err_set(err, EKEYREJECTED,
			    "InvalidParameterValue: The specified keyId %s is disabled", key->arn);
	free(key);
	return r;
}

/* Header and data key: all calls of KMS, before anything is made. */
static int get_key(struct copying *c, struct kms *kms, struct err *err)
{
	const char *key_id = c->options->key_id;
	int r = volume_derive(c->source->header, c->source->info.id, "snap-", &c->header, err);

	if (r == 0)
		r = check_key(kms, key_id, err);
	if (r == 0)
		r = volume_new_key(c->header, key_id, kms, &c->data_key, err);
	if (r == 0)
		r = volume_seal_set(c->header, c->data_key, err);
	if (r < 0)
		return r;
	c->text = volume_header_text(c->header);
	return c->text ? 0 : err_set(err, ENOMEM, "%s: out of memory", VOLUME_HEADER_NAME);
}

static void block_copied(void *arg, uint64_t off)
{
	struct copying *c = arg;

	if (c->options->progress)
		c->options->progress(c->options->arg, off, c->source->info.size_bytes);
}

static int fill(struct copying *c, struct snapshot_info *info, struct err *err)
{
	const struct reencrypt_job job = {
		.stop = c->options->stop, .progress = block_copied, .arg = c};
	const struct snapshot_copy_parts parts = {.from = c->source->store,
						  .geometry = &c->header->geometry,
						  .data_key = c->data_key,
						  .header_text = c->text};
	struct disk *disk;
	int r = newdir_begin(c->place, &disk, err);

	if (r == 0)
		r = snapshot_copy_fill(&parts, disk, info, &job, err);
	return r < 0 ? r : newdir_finish(c->place, err);
}

static int copy(struct copying *c, struct kms *kms, struct snapshot_info *ret_info, struct err *err)
{
	const char *words = c->options->description ? c->options->description : "";
	struct snapshot_info info;
	int r = get_key(c, kms, err);

	if (r == 0)
		r = snapshot_info_new_copy(&c->source->info, c->header, words, &info, err);
	if (r < 0)
		return r;
	r = fill(c, &info, err);
	snapshot_tell(c->options->snapshot_dir, &info, r < 0 ? err->msg : NULL);
	if (r == 0)
		*ret_info = info;
	return r;
}

int snapshot_copy(const struct snapshot_copy_options *options, struct kms *kms,
		  struct snapshot_info *ret_info, struct err *err)
{
	struct copying c = {.options = options};
	AUTO(freep) char *source_dir = realpath(options->snapshot_dir, NULL);
	int r;

	if (!source_dir)
		return err_set(err, errno, "snapshot '%s': %s", options->snapshot_dir,
			       strerror(errno));
	r = newdir_new(options->copy_dir, source_dir, &c.place, err);
	if (r < 0)
		return err_prefix(err, "snapshot '%s'", options->copy_dir);
	r = snapshot_open(options->snapshot_dir, kms, &c.source, err); /* says which one */
	if (r == 0) {
		r = copy(&c, kms, ret_info, err);
		if (r < 0)
			(void)err_prefix(err, "snapshot '%s'", options->copy_dir);
	}
	newdir_free(c.place);
	snapshot_close(c.source);
	volume_header_free(c.header);
	secret_free(c.data_key);
	free(c.text);
	return r;
}
