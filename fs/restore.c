/*
 * Volumes from snapshots: newdir makes the directory, volume.json comes last. See restore.h.
 */
#include "attachment.h"
#include "restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms.h"
#include "newdir.h"
#include "reencrypt.h"
#include "secret.h"
#include "snapshot_open.h"
#include "store.h"
#include "voldir.h"
#include "volume.h"
#include "volume_derive.h"
#include "volume_seal.h"

struct restoring {
	const struct restore_options *options;
	struct kms *kms;
	char *snapshot_dir; /* absolute; owned, as is all below */
	struct newdir *place;
	struct snapshot *snapshot; /* held; without a store */
	struct volume_header *header;
	struct secret *data_key, *old_key; /* old_key: of the snapshot; NULL: the same */
	struct store *store;		   /* the snapshot's */
	struct disk *disk;		   /* what is being made; borrowed of place */
	uint64_t copied;
};

/* Shared segments. */

static void linked(void *arg, uint64_t bytes)
{
	struct restoring *rs = arg;

	rs->copied += bytes;
	if (rs->options->progress)
		rs->options->progress(rs->options->arg, rs->copied, rs->snapshot->info.data_bytes);
}

static int fill_shared(struct restoring *rs, struct err *err)
{
	const struct voldir_job job = {.stop = rs->options->stop, .progress = linked, .arg = rs};

	return store_restore(rs->store, rs->disk, rs->header->geometry.volume_id, rs->data_key,
			     &job, &rs->header->geometry, err);
}

/* Every block anew. */

static void block_copied(void *arg, uint64_t off)
{
	struct restoring *rs = arg;

	if (rs->options->progress)
		rs->options->progress(rs->options->arg, off, rs->snapshot->info.size_bytes);
}

static int fill_anew(struct restoring *rs, struct err *err)
{
	const struct reencrypt_job job = {
		.stop = rs->options->stop, .progress = block_copied, .arg = rs};

	return reencrypt_store(rs->store, rs->disk, &rs->header->geometry, rs->data_key, &job, err);
}

/* The header and the key, and how to fill it: asked of KMS before anything is made. */
static int get_key(struct restoring *rs, bool same, struct err *err)
{
	int r = volume_derive(rs->snapshot->header, rs->snapshot->info.id, "vol-", &rs->header,
			      err);

	if (r == 0 && same)
		r = volume_rewrap(rs->snapshot->header, rs->header, rs->kms, &rs->data_key, err);
	else if (r == 0)
		r = volume_new_key(rs->header,
				   rs->options->key_id ? rs->options->key_id
						       : rs->snapshot->header->key_arn,
				   rs->kms, &rs->data_key, err);
	if (r == 0 && !same) {
		struct attachment *attachment = NULL;

		r = attachment_begin(rs->snapshot->header, -1, rs->kms, &attachment, &rs->old_key,
				     err);
		attachment_end(attachment); /* for a moment: nobody asks for the key again */
		if (r < 0)
			(void)err_prefix(err, "snapshot '%s'", rs->options->snapshot_dir);
	}
	return r;
}

static int write_header(struct restoring *rs, struct err *err)
{
	AUTO(freep) char *text = NULL;
	int r = volume_seal_set(rs->header, rs->data_key, err);

	if (r < 0)
		return r;
	text = volume_header_text(rs->header);
	if (!text)
		return err_set(err, ENOMEM, "%s: out of memory", VOLUME_HEADER_NAME);
	return voldir_put(rs->disk, VOLUME_HEADER_NAME, text, err);
}

static void forget_key(struct restoring *rs)
{
	(void)store_close(rs->store, NULL); /* open for reading only: nothing can fail */
	rs->store = NULL;
	volume_header_freep(&rs->header);
	secret_freep(&rs->data_key);
	secret_freep(&rs->old_key);
}

/* Open the snapshot and make the volume, with its data key (@same) or with a new one. */
static int fill(struct restoring *rs, bool same, struct err *err)
{
	int r = get_key(rs, same, err);

	if (r == 0) {
		r = store_open(rs->snapshot_dir, &rs->snapshot->header->geometry,
			       same ? rs->data_key : rs->old_key, true, &rs->store, err);
		if (r < 0)
			(void)err_prefix(err, "snapshot '%s'", rs->options->snapshot_dir);
	}
	if (r == 0)
		r = newdir_begin(rs->place, &rs->disk, err);
	if (r == 0)
		r = same ? fill_shared(rs, err) : fill_anew(rs, err);
	return r;
}

static int restore(struct restoring *rs, struct restored *ret_restored, struct err *err)
{
	bool same;
	int r = newdir_new(rs->options->volume_dir, rs->snapshot_dir, &rs->place, err);

	if (r == 0)
		r = volume_same_key(rs->snapshot->header, rs->kms, rs->options->key_id, &same, err);
	if (r < 0)
		return r;
	same = same && !rs->snapshot->header->geometry.previous_key; /* else it has two */
	r = fill(rs, same, err);
	if (r == -E2BIG && same) { /* too many writers: a data key of its own, then */
		newdir_undo(rs->place);
		forget_key(rs);
		same = false;
		r = fill(rs, same, err);
	}
	if (r == 0)
		r = write_header(rs, err);
	if (r == 0)
		r = newdir_finish(rs->place, err);
	if (r < 0)
		return r;
	strcpy(ret_restored->volume_id, rs->header->geometry.volume_id);
	ret_restored->re_encrypted = !same;
	return 0;
}

int restore_volume(const struct restore_options *options, struct kms *kms,
		   struct restored *ret_restored, struct err *err)
{
	struct restoring rs = {.options = options, .kms = kms};
	int r = snapshot_hold(options->snapshot_dir, &rs.snapshot, err);

	if (r < 0)
		return r;
	rs.snapshot_dir = realpath(options->snapshot_dir, NULL);
	if (rs.snapshot_dir)
		r = restore(&rs, ret_restored, err);
	else
		r = err_set(err, errno, "'%s': %s", options->snapshot_dir, strerror(errno));
	if (r < 0)
		(void)err_prefix(err, "volume '%s'", options->volume_dir);
	forget_key(&rs);
	newdir_free(rs.place);
	snapshot_close(rs.snapshot);
	free(rs.snapshot_dir);
	return r;
}
