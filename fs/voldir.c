/* A volume's directory as files. See voldir.h. */
#include "voldir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "disk.h"
#include "err.h"
#include "secret.h"

#define COPY_STEP (1u << 20)

static bool stopped(const struct voldir_job *job)
{
	return job && job->stop && atomic_load(job->stop);
}

static void segment_path(uint32_t id, char path[32])
{
	(void)snprintf(path, 32, "segments/%08" PRIx32, id); /* fits */
}

bool voldir_is_partial(const char *name)
{
	size_t len = strlen(name), tail = strlen(VOLDIR_PARTIAL);

	return len >= tail && strcmp(name + len - tail, VOLDIR_PARTIAL) == 0;
}

int voldir_sync(struct disk *disk, const char *name, struct err *err)
{
	struct disk_file *file;
	int r = disk_open(disk, name, DISK_READ, &file, err);

	if (r < 0)
		return r;
	r = disk->ops->sync(file);
	disk_close(file);
	return r < 0 ? err_set(err, -r, "%s: fsync: %s", name, strerror(-r)) : 0;
}

int voldir_put(struct disk *disk, const char *name, const char *text, struct err *err)
{
	struct disk_file *file;
	int r = disk_open(disk, name, DISK_CREATE, &file, err);

	if (r < 0)
		return r;
	r = disk_pwrite(file, text, strlen(text), 0);
	if (r == 0)
		r = disk->ops->sync(file);
	disk_close(file);
	return r < 0 ? err_set(err, -r, "%s: write: %s", name, strerror(-r)) : 0;
}

int voldir_make(struct disk *parent, const char *name, struct disk **ret_disk, struct err *err)
{
	struct disk *disk;
	int r = parent->ops->mkdir(parent, name);

	if (r < 0)
		return err_set(err, -r, "'%s': cannot make the directory: %s", name, strerror(-r));
	r = parent->ops->open_dir(parent, name, &disk);
	if (r < 0)
		return err_set(err, -r, "'%s': %s", name, strerror(-r));
	r = voldir_put(disk, VOLDIR_MARK, "", err);
	/* Before anything else is in there: what is left after a crash is marked, or empty. */
	if (r == 0 && (r = disk->ops->sync_dir(disk, ".")) < 0)
		(void)err_set(err, -r, "'%s': cannot sync it: %s", name, strerror(-r));
	if (r == 0 && (r = disk->ops->mkdir(disk, "segments")) < 0)
		(void)err_set(err, -r, "segments: cannot make the directory: %s", strerror(-r));
	if (r < 0) {
		disk_free(disk);
		return r;
	}
	*ret_disk = disk;
	return 0;
}

int voldir_finish(struct disk *disk, struct disk *from, const char *name, struct disk *to,
		  const char *new_name, struct err *err)
{
	int r = disk->ops->sync_dir(disk, "segments");

	if (r == 0)
		r = disk->ops->sync_dir(disk, ".");
	if (r < 0)
		return err_set(err, -r, "'%s': cannot make it durable: %s", name, strerror(-r));
	r = from->ops->move(from, name, to, new_name);
	if (r < 0)
		return err_set(err, -r, "cannot rename '%s' to '%s': %s", name, new_name,
			       strerror(-r));
	r = to->ops->sync_dir(to, ".");
	if (r == 0 && from != to)
		r = from->ops->sync_dir(from, ".");
	if (r < 0)
		return err_set(err, -r, "cannot sync the directory of '%s': %s", new_name,
			       strerror(-r));
	(void)disk->ops->unlink(disk, VOLDIR_MARK); /* under this name it means nothing any more */
	return 0;
}

int voldir_doom(struct disk *parent, const char *name, const char *partial, struct err *err)
{
	struct disk *disk;
	int r = parent->ops->open_dir(parent, name, &disk);

	if (r < 0)
		return err_set(err, -r, "'%s': %s", name, strerror(-r));
	r = voldir_put(disk, VOLDIR_MARK, "", err);
	if (r == -EEXIST)
		r = 0;
	if (r == 0 && (r = disk->ops->sync_dir(disk, ".")) < 0)
		(void)err_set(err, -r, "'%s': cannot sync it: %s", name, strerror(-r));
	disk_free(disk);
	if (r == 0 && (r = parent->ops->move(parent, name, parent, partial)) < 0)
		(void)err_set(err, -r, "cannot rename '%s' to '%s': %s", name, partial,
			      strerror(-r));
	if (r == 0 && (r = parent->ops->sync_dir(parent, ".")) < 0)
		(void)err_set(err, -r, "cannot sync the directory of '%s': %s", name, strerror(-r));
	return r;
}

/* Copying. */

/* The bytes of one file from its beginning on; zeros are left out, and its length is set at the end. */
static int copy_bytes(struct disk_file *from, struct disk_file *to, const struct voldir_job *job)
{
	AUTO(freep) uint8_t *bytes = malloc(COPY_STEP);
	uint64_t off = 0;
	int64_t n = 0;
	int r = bytes ? 0 : -ENOMEM;

	while (r == 0) {
		n = stopped(job) ? -EINTR : disk_pread_some(from, bytes, COPY_STEP, off);
		if (n <= 0)
			break;
		if (bytes[0] || memcmp(bytes, bytes + 1, (size_t)n - 1) != 0)
			r = disk_pwrite(to, bytes, (size_t)n, off);
		off += (uint64_t)n;
		if (job && job->progress)
			job->progress(job->arg, (uint64_t)n);
	}
	if (r == 0 && n < 0)
		r = (int)n;
	if (r == 0)
		r = to->disk->ops->truncate(to, off);
	return r < 0 ? r : to->disk->ops->sync(to);
}

int voldir_copy(struct disk *from, struct disk *to, const char *name, const struct voldir_job *job,
		struct err *err)
{
	struct disk_file *a, *b;
	int r = disk_open(from, name, DISK_READ, &a, err);

	if (r < 0)
		return r;
	r = disk_open(to, name, DISK_CREATE, &b, err);
	if (r == 0) {
		r = copy_bytes(a, b, job);
		disk_close(b);
		if (r < 0)
			(void)err_set(err, -r, "%s: copy: %s", name,
				      r == -EINTR ? "interrupted" : strerror(-r));
	}
	disk_close(a);
	return r;
}

static int add_length(struct disk *disk, const char *name, uint64_t *ret_bytes, struct err *err)
{
	struct disk_file *file;
	uint64_t len;
	int r = disk_open(disk, name, DISK_READ, &file, err);

	if (r < 0)
		return r;
	r = disk->ops->size(file, &len);
	disk_close(file);
	if (r < 0)
		return err_set(err, -r, "%s: %s", name, strerror(-r));
	*ret_bytes += len;
	return 0;
}

int voldir_link(struct disk *from, struct disk *to, uint32_t id, bool may_copy,
		const struct voldir_job *job, uint64_t *ret_bytes, struct err *err)
{
	char name[32];
	int r;

	segment_path(id, name);
	if (stopped(job))
		return err_set(err, EINTR, "interrupted");
	r = from->ops->link(from, name, to, name);
	if (may_copy && (r == -EXDEV || r == -EPERM || r == -EMLINK || r == -EOPNOTSUPP))
		r = voldir_copy(from, to, name, job, err);
	else if (r == -EPERM || r == -EOPNOTSUPP)
		r = err_set(err, -r, "%s: the filesystem has no hard links: %s", name,
			    strerror(-r));
	else if (r < 0)
		r = err_set(err, -r, "%s: %s: %s", name,
			    r == -ENOENT ? "the file is missing" : "cannot link it", strerror(-r));
	return r == 0 && ret_bytes ? add_length(to, name, ret_bytes, err) : r;
}

/* Names. */

struct id_list {
	uint32_t *ids;
	size_t count, room;
};

static int collect(const char *entry, void *arg)
{
	struct id_list *list = arg;
	unsigned long id = strtoul(entry, NULL, 16);
	char name[32];

	if (id == 0 || id >= UINT32_MAX)
		return 0;
	segment_path((uint32_t)id, name);
	if (strcmp(strchr(name, '/') + 1, entry) != 0)
		return 0; /* a stranger's file */
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 256;
		uint32_t *p = realloc(list->ids, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		list->ids = p;
		list->room = room;
	}
	list->ids[list->count++] = (uint32_t)id;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int voldir_segments(struct disk *disk, uint32_t **ret_ids, size_t *ret_count, struct err *err)
{
	struct id_list list = {0};
	int r = disk->ops->list(disk, "segments", collect, &list);

	if (r < 0) {
		free(list.ids);
		return err_set(err, -r, "segments: cannot list them: %s", strerror(-r));
	}
	if (list.count)
		qsort(list.ids, list.count, sizeof(*list.ids), by_value);
	*ret_ids = list.ids;
	*ret_count = list.count;
	return 0;
}

int voldir_bytes(struct disk *disk, uint64_t *ret_bytes, struct err *err)
{
	AUTO(freep) uint32_t *ids = NULL;
	size_t count = 0;
	uint64_t bytes = 0;
	int r = voldir_segments(disk, &ids, &count, err);

	for (size_t i = 0; r == 0 && i < count; i++) {
		char name[32];

		segment_path(ids[i], name);
		r = add_length(disk, name, &bytes, err);
	}
	if (r == 0)
		*ret_bytes = bytes;
	return r;
}

/* Unlink @name of @disk; what is not there is gone. */
static int unlink_one(struct disk *disk, const char *name, struct err *err)
{
	int r = disk->ops->unlink(disk, name);

	if (r == 0 || r == -ENOENT)
		return 0;
	return err_set(err, -r, "%s: cannot unlink: %s", name, strerror(-r));
}

/* All files of a volume's directory; the mark goes last, durably so, that what is left is still known. */
static int empty(struct disk *disk, struct err *err)
{
	static const char *const names[] = {
		"volume.json", "volume.json.new", "snapshot.json", "snapshot.json.new",
		"map",	       "root.0",	  "root.1",	   "flushed",
		"lock",	       "control",	  "events.jsonl",  "events.jsonl.1",
		"outage.json", "outage.json.new", "grant.json",	   "grant.json.new"};
	uint32_t *ids = NULL;
	size_t count = 0;
	char name[32];
	int r = voldir_segments(disk, &ids, &count, err);

	if (r == -ENOENT)
		r = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		segment_path(ids[i], name);
		r = unlink_one(disk, name, err);
	}
	free(ids);
	if (r == 0) {
		r = disk->ops->rmdir(disk, "segments");
		if (r == -ENOENT)
			r = 0;
		else if (r < 0)
			(void)err_set(err, -r, "segments: cannot remove: %s", strerror(-r));
	}
	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(*names); i++)
		r = unlink_one(disk, names[i], err);
	if (r == 0 && (r = disk->ops->sync_dir(disk, ".")) < 0)
		(void)err_set(err, -r, "cannot sync the directory: %s", strerror(-r));
	return r < 0 ? r : unlink_one(disk, VOLDIR_MARK, err);
}

int voldir_remove(struct disk *parent, const char *name, struct err *err)
{
	struct disk *disk;
	int r = parent->ops->open_dir(parent, name, &disk);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, -r, "'%s': %s", name, strerror(-r));
	r = empty(disk, err);
	disk_free(disk);
	if (r == 0 && (r = parent->ops->rmdir(parent, name)) < 0)
		(void)err_set(err, -r, "'%s': cannot remove: %s", name, strerror(-r));
	if (r == 0 && (r = parent->ops->sync_dir(parent, ".")) < 0)
		(void)err_set(err, -r, "cannot sync the directory of '%s': %s", name, strerror(-r));
	return r;
}

static int any(const char *entry, void *arg)
{
	(void)entry;
	*(bool *)arg = true;
	return 0;
}

int voldir_clear(struct disk *parent, const char *name, struct err *err)
{
	struct disk_file *mark;
	struct disk *disk;
	bool found = false;
	int r = parent->ops->open_dir(parent, name, &disk);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, -r, "'%s': %s", name, strerror(-r));
	if (disk->ops->open(disk, VOLDIR_MARK, DISK_READ, &mark) == 0)
		disk_close(mark);
	else if (disk->ops->list(disk, ".", any, &found) < 0 || found)
		r = err_set(err, EEXIST, "'%s' exists, and is not what an interrupted command left",
			    name);
	disk_free(disk);
	return r < 0 ? r : voldir_remove(parent, name, err);
}
