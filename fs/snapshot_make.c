/* Making a snapshot. See snapshot_make.h. */
#include "snapshot_make.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "disk.h"
#include "err.h"
#include "format.h"
#include "secret.h"
#include "store.h"
#include "voldir.h"
#include "volume_header.h"

#define NEW_NAME SNAPSHOT_NAME ".new"

void snapshot_stage_name(const char *snapshot_id, char ret_name[SNAPSHOT_STAGE_LEN])
{
	(void)snprintf(ret_name, SNAPSHOT_STAGE_LEN, "%s" VOLDIR_PARTIAL, snapshot_id); /* fits */
}

bool snapshot_is_stage_name(const char *name)
{
	size_t len = strlen(name), tail = strlen(VOLDIR_PARTIAL);
	char id[ID_LEN] = "";

	if (len <= tail || len - tail >= sizeof(id) || strcmp(name + len - tail, VOLDIR_PARTIAL))
		return false;
	memcpy(id, name, len - tail);
	return id_is(id, "snap-");
}

/* snapshot.json as @info says now, under this name. */
static int put_info(struct disk *stage, const char *name, const struct snapshot_info *info,
		    struct err *err)
{
	AUTO(freep) char *text = snapshot_text(info);

	if (!text)
		return err_set(err, ENOMEM, "%s: out of memory", name);
	return voldir_put(stage, name, text, err);
}

int snapshot_put(struct disk *stage, const struct snapshot_info *info, struct err *err)
{
	return put_info(stage, SNAPSHOT_NAME, info, err);
}

/* Instead of the one that is there. */
static int replace_info(struct disk *stage, const struct snapshot_info *info, struct err *err)
{
	int r = put_info(stage, NEW_NAME, info, err);

	if (r == 0 && (r = stage->ops->rename(stage, NEW_NAME, SNAPSHOT_NAME)) < 0)
		(void)err_set(err, -r, SNAPSHOT_NAME ": rename: %s", strerror(-r));
	return r;
}

int snapshot_complete(struct disk *stage, struct snapshot_info *info, struct err *err)
{
	int r = snapshot_roots_digest(stage, info->roots, err);

	if (r < 0)
		return r;
	info->completed = true;
	info->completion_time = (int64_t)time(NULL);
	return replace_info(stage, info, err);
}

int snapshot_begin(struct disk *volume, const struct snapshot_info *info, struct disk **ret_stage,
		   struct err *err)
{
	char name[SNAPSHOT_STAGE_LEN];
	struct disk *stage;
	int r;

	snapshot_stage_name(info->id, name);
	r = voldir_make(volume, name, &stage, err);
	if (r < 0)
		return r;
	r = snapshot_put(stage, info, err);
	if (r < 0) {
		disk_free(stage);
		return r;
	}
	*ret_stage = stage;
	return 0;
}

/* Does the newest root say that the log behind it counts? As far as can be told without its key. */
static enum snapshot_consistency peek(struct disk *volume)
{
	static const char *const names[] = {"root.0", "root.1"};
	struct format_root newest = {0}, root;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		uint8_t bytes[FORMAT_ROOT_FIXED_LEN];
		struct disk_file *file;

		if (volume->ops->open(volume, names[i], DISK_READ, &file) < 0)
			continue;
		if (disk_pread(file, bytes, sizeof(bytes), 0) == 0 &&
		    format_root_peek(bytes, &root) == 0 && root.checkpoint > newest.checkpoint)
			newest = root;
		disk_close(file);
	}
	return newest.replay ? SNAPSHOT_CRASH : SNAPSHOT_CLEAN;
}

/* All of a volume that nobody has open, as it is. */
static int fill_closed(struct disk *volume, struct disk *stage, struct snapshot_info *info,
		       struct err *err)
{
	static const char *const names[] = {"map", "root.0", "root.1", "flushed"};
	AUTO(freep) uint32_t *ids = NULL;
	size_t count = 0;
	int r = voldir_segments(volume, &ids, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = voldir_link(volume, stage, ids[i], true, NULL, &info->data_bytes, err);
	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(*names); i++) {
		r = voldir_copy(volume, stage, names[i], NULL, err);
		if (r == -ENOENT && strcmp(names[i], "flushed") == 0)
			r = 0; /* its absence is said when the snapshot is opened */
	}
	info->consistency = peek(volume);
	return r;
}

static int fill_open(struct store *store, struct disk *stage, struct snapshot_info *info,
		     void (*taken)(void *arg), void *arg, uint64_t *ret_held_ms, struct err *err)
{
	struct store_snapshot snapshot;
	int r = store_snapshot(store, stage, taken, arg, &snapshot, err);

	if (r < 0)
		return r;
	info->consistency = SNAPSHOT_MOUNTED;
	info->data_bytes = snapshot.bytes;
	*ret_held_ms = snapshot.held_ms;
	return 0;
}

int snapshot_fill(struct disk *volume, struct disk *stage, struct store *store,
		  struct snapshot_info *info, void (*taken)(void *arg), void *arg,
		  uint64_t *ret_held_ms, struct err *err)
{
	int r = voldir_copy(volume, stage, VOLUME_HEADER_NAME, NULL, err);

	*ret_held_ms = 0;
	if (r == 0 && store && !store_is_read_only(store))
		r = fill_open(store, stage, info, taken, arg, ret_held_ms, err);
	else if (r == 0)
		r = fill_closed(volume, stage, info, err);
	return r < 0 ? r : snapshot_complete(stage, info, err);
}

/* Copy the snapshot to another filesystem: pending there until all is there. */
static int copy_to(struct disk *stage, struct disk *to, const char *name,
		   const struct snapshot_info *info, const struct voldir_job *job, struct err *err)
{
	static const char *const names[] = {VOLUME_HEADER_NAME, "map", "root.0", "root.1",
					    "flushed"};
	struct snapshot_info pending = *info;
	AUTO(freep) uint32_t *ids = NULL;
	struct disk *copy;
	size_t count = 0;
	int r = voldir_make(to, name, &copy, err);

	if (r < 0)
		return r;
	pending.completed = false;
	r = snapshot_put(copy, &pending, err);
	if (r == 0)
		r = voldir_segments(stage, &ids, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = voldir_link(stage, copy, ids[i], true, job, NULL, err);
	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(*names); i++) {
		r = voldir_copy(stage, copy, names[i], NULL, err);
		if (r == -ENOENT && strcmp(names[i], "flushed") == 0)
			r = 0;
	}
	if (r == 0)
		r = replace_info(copy, info, err);
	if (r == 0 && ((r = copy->ops->sync_dir(copy, "segments")) < 0 ||
		       (r = copy->ops->sync_dir(copy, ".")) < 0))
		(void)err_set(err, -r, "'%s': fsync: %s", name, strerror(-r));
	disk_free(copy);
	return r;
}

/* By way of a copy under NAME.partial; the stage goes afterwards. */
static int publish_copy(struct disk *volume, struct disk *stage, const struct snapshot_info *info,
			struct disk *to, const char *name, const struct voldir_job *job,
			struct err *err)
{
	AUTO(freep) char *partial = NULL;
	char stage_name[SNAPSHOT_STAGE_LEN];
	struct disk *copy;
	struct err second;
	int r;

	if (asprintf(&partial, "%s" VOLDIR_PARTIAL, name) < 0) {
		partial = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	r = voldir_clear(to, partial, err);
	if (r == 0)
		r = copy_to(stage, to, partial, info, job, err);
	if (r == 0 && (r = to->ops->open_dir(to, partial, &copy)) < 0)
		(void)err_set(err, -r, "'%s': %s", partial, strerror(-r));
	if (r == 0) {
		r = voldir_finish(copy, to, partial, to, name, err);
		disk_free(copy);
	}
	if (r < 0) {
		(void)voldir_remove(to, partial, &second); /* the first error is the one to tell */
		return r;
	}
	snapshot_stage_name(info->id, stage_name);
	(void)voldir_remove(volume, stage_name, &second); /* the next snapshot removes it, else */
	return 0;
}

int snapshot_publish(struct disk *volume, struct disk *stage, const struct snapshot_info *info,
		     struct disk *to, const char *name, const struct voldir_job *job,
		     struct err *err)
{
	char stage_name[SNAPSHOT_STAGE_LEN];
	int r;

	snapshot_stage_name(info->id, stage_name);
	r = voldir_finish(stage, volume, stage_name, to, name, err);
	return r == -EXDEV ? publish_copy(volume, stage, info, to, name, job, err) : r;
}
