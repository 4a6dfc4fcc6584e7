/*
 * Volumes from snapshots. The new directory is made as NAME.partial beside its place, volume.json last,
 * and renamed. See restore.h.
 */
#include "attachment.h"
#include "restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "copy.h"
#include "copy_ends.h"
#include "disk.h"
#include "err.h"
#include "kms.h"
#include "mountinfo.h"
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
	char *parent_dir, *name, *partial;
	int partial_fd;		   /* a lock */
	struct snapshot *snapshot; /* held; without a store */
	struct volume_header *header;
	struct secret *data_key, *old_key; /* old_key: of the snapshot; NULL: the same */
	struct store *store;		   /* the snapshot's */
	struct disk *parent, *disk;
	uint64_t copied;
	bool begun;
};

static bool is_empty_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = d != NULL;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			empty = false;
	if (d)
		(void)closedir(d); /* only read */
	return empty;
}

static int set_place(struct restoring *rs, struct err *err)
{
	const char *dir = rs->options->volume_dir;
	AUTO(freep) char *path = strdup(dir);
	AUTO(freep) char *above = strdup(dir);
	struct stat st;

	if (!path || !above)
		return err_set(err, ENOMEM, "out of memory");
	rs->name = strdup(basename(path));
	rs->parent_dir = realpath(dirname(above), NULL);
	if (!rs->parent_dir)
		return err_set(err, errno, "'%s': %s", above, strerror(errno));
	if (!rs->name || asprintf(&rs->partial, "%s" VOLDIR_PARTIAL, rs->name) < 0) {
		rs->partial = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (voldir_is_partial(rs->name))
		return err_set(err, EINVAL,
			       "names in '" VOLDIR_PARTIAL "' are those of unfinished ones");
	if (mountinfo_is_within(rs->parent_dir, rs->snapshot_dir))
		return err_set(err, EINVAL, "it may not be inside the snapshot");
	if (lstat(dir, &st) == 0 && !(S_ISDIR(st.st_mode) && is_empty_dir(dir)))
		return err_set(err, EEXIST, "it exists and is not an empty directory");
	return disk_open_dir(rs->parent_dir, &rs->parent, err);
}

/* The directory, ours as long as we live. */
static int begin(struct restoring *rs, struct err *err)
{
	AUTO(freep) char *path = NULL;
	int fd, r;

	if (asprintf(&path, "%s/%s", rs->parent_dir, rs->partial) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		bool free_of_others = flock(fd, LOCK_EX | LOCK_NB) == 0;

		(void)close(fd); /* only read */
		if (!free_of_others)
			return err_set(err, EBUSY, "another process is making it");
	}
	r = voldir_clear(rs->parent, rs->partial, err);
	rs->begun = r == 0; /* in part, perhaps, from here on */
	if (r == 0)
		r = voldir_make(rs->parent, rs->partial, &rs->disk, err);
	if (r == -EEXIST)
		rs->begun = false; /* another was faster */
	if (r < 0)
		return r;
	rs->partial_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rs->partial_fd < 0 || flock(rs->partial_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, errno, "'%s': %s", rs->partial, strerror(errno));
	return 0;
}

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
	uint64_t size = rs->header->geometry.size_bytes;
	struct copy_store from = {.store = rs->store, .size_bytes = size};
	struct copy_store to = {.size_bytes = size};
	struct copy_source source = copy_from_store(&from);
	struct copy_target target = copy_to_store(&to);
	const struct copy_options options = {
		.stop = rs->options->stop, .progress = block_copied, .arg = rs};
	struct copy_result result;
	struct err close_err;
	int closed, r = rs->disk->ops->rmdir(rs->disk, "segments"); /* store_create_on() makes it */

	if (r < 0)
		return err_set(err, -r, "segments: %s", strerror(-r));
	r = store_create_on(rs->disk, &rs->header->geometry, rs->data_key, err);
	if (r == 0)
		r = store_open_on(rs->disk, &rs->header->geometry, rs->data_key, false, &to.store,
				  err);
	if (r < 0)
		return r;
	r = copy_run(&source, &target, &options, &result, err);
	closed = store_close(to.store, &close_err);
	if (r == 0 && closed < 0) {
		*err = close_err;
		r = closed;
	}
	return r;
}

/* The header and the key, and how to fill it: asked of KMS before anything is made. */
static int get_key(struct restoring *rs, bool same, struct err *err)
{
	int r = volume_derive(rs->snapshot->header, rs->snapshot->info.id, &rs->header, err);

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
		r = begin(rs, err);
	if (r == 0)
		r = same ? fill_shared(rs, err) : fill_anew(rs, err);
	return r;
}

static void clear(struct restoring *rs)
{
	struct err ignored; /* the first error is the one to tell */

	disk_free(rs->disk);
	rs->disk = NULL;
	if (rs->begun)
		(void)voldir_remove(rs->parent, rs->partial, &ignored);
	rs->begun = false;
	if (rs->partial_fd >= 0)
		(void)close(rs->partial_fd); /* a lock */
	rs->partial_fd = -1;
}

static int restore(struct restoring *rs, struct restored *ret_restored, struct err *err)
{
	bool same;
	int r = set_place(rs, err);

	if (r == 0)
		r = volume_same_key(rs->snapshot->header, rs->kms, rs->options->key_id, &same, err);
	if (r < 0)
		return r;
	r = fill(rs, same, err);
	if (r == -E2BIG && same) { /* too many writers: a data key of its own, then */
		clear(rs);
		forget_key(rs);
		same = false;
		r = fill(rs, same, err);
	}
	if (r == 0)
		r = write_header(rs, err);
	if (r == 0)
		r = voldir_finish(rs->disk, rs->parent, rs->partial, rs->parent, rs->name, err);
	if (r < 0) {
		clear(rs);
		return r;
	}
	strcpy(ret_restored->volume_id, rs->header->geometry.volume_id);
	ret_restored->re_encrypted = !same;
	return 0;
}

int restore_volume(const struct restore_options *options, struct kms *kms,
		   struct restored *ret_restored, struct err *err)
{
	struct restoring rs = {.options = options, .kms = kms, .partial_fd = -1};
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
	disk_free(rs.disk);
	disk_free(rs.parent);
	snapshot_close(rs.snapshot);
	if (rs.partial_fd >= 0)
		(void)close(rs.partial_fd); /* a lock */
	free(rs.snapshot_dir);
	free(rs.parent_dir);
	free(rs.name);
	free(rs.partial);
	return r;
}
