/* See snapshot_list.h. */
#include "snapshot_list.h"

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
#include "disk.h"
#include "err.h"
#include "secret.h"
#include "snapshot_make.h"
#include "voldir.h"
#include "volume.h"

struct listing {
	struct snapshot_entry *entries;
	size_t count, room;
};

void snapshot_list_free(struct snapshot_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(entries[i].dir);
	free(entries);
}

/* Is somebody at work on the directory? */
static bool is_locked(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;

	if (fd >= 0)
		(void)close(fd); /* only read */
	return locked;
}

/* Space of the files in @dir: of all, and of those without another name. */
static void measure(const char *dir, uint64_t *all, uint64_t *own)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d))) {
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		*all += (uint64_t)st.st_size;
		*own += st.st_nlink == 1 ? (uint64_t)st.st_blocks * 512 : 0;
	}
	if (d)
		(void)closedir(d);
}

static int fill(struct snapshot_entry *e, struct err *err)
{
	AUTO(freep) char *segments = NULL;
	uint64_t there = 0, ignored = 0;
	struct err why;

	if (asprintf(&segments, "%s/segments", e->dir) < 0) {
		segments = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	measure(segments, &there, &e->own_bytes);
	measure(e->dir, &ignored, &e->own_bytes);
	if (snapshot_load(e->dir, &e->info, &why) < 0) {
		e->state = SNAPSHOT_STATE_ERROR;
		(void)snprintf(e->why, sizeof(e->why), "%.255s", why.msg); /* cut on purpose */
	} else if (voldir_is_partial(e->dir) || !e->info.completed) {
		e->state = is_locked(e->dir) ? SNAPSHOT_STATE_PENDING : SNAPSHOT_STATE_ERROR;
		if (e->state == SNAPSHOT_STATE_ERROR)
			(void)snprintf(e->why, sizeof(e->why),
				       "its making or deleting was cut off: delete it");
	}
	if (e->state == SNAPSHOT_STATE_COMPLETED)
		e->progress = 100;
	else if (e->info.data_bytes)
		e->progress =
			(unsigned)(there < e->info.data_bytes ? there * 100 / e->info.data_bytes
							      : 99);
	return 0;
}

static int add(struct listing *l, const char *dir, const char *name, struct err *err)
{
	struct snapshot_entry *e;

	if (l->count == l->room) {
		size_t room = l->room ? l->room * 2 : 32;
		struct snapshot_entry *p = realloc(l->entries, room * sizeof(*p));

		if (!p)
			return err_set(err, ENOMEM, "out of memory");
		l->entries = p;
		l->room = room;
	}
	e = &l->entries[l->count];
	memset(e, 0, sizeof(*e));
	if (asprintf(&e->dir, "%s/%s", strcmp(dir, "/") ? dir : "", name) < 0) {
		e->dir = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	l->count++;
	return fill(e, err);
}

/* Snapshots in @dir, and @deeper those that are being made inside the volumes there. */
static int scan(struct listing *l, const char *dir, bool deeper, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return err_set(err, errno, "'%s': %s", dir, strerror(errno));
	while (r == 0 && (errno = 0, e = readdir(d))) {
		AUTO(freep) char *path = NULL;

		if (e->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s", dir, e->d_name) < 0) {
			path = NULL;
			r = err_set(err, ENOMEM, "out of memory");
		} else if (snapshot_is(path)) {
			r = add(l, dir, e->d_name, err);
		} else if (deeper && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) &&
			   volume_is(path)) {
			r = scan(l, path, false, err);
			if (r == -EACCES)
				r = 0; /* somebody else's volume */
		}
	}
	if (r == 0 && errno)
		r = err_set(err, errno, "'%s': %s", dir, strerror(errno));
	(void)closedir(d);
	return r;
}

static int by_time(const void *a, const void *b)
{
	const struct snapshot_entry *x = a, *y = b;

	if (x->info.start_time != y->info.start_time)
		return x->info.start_time < y->info.start_time ? -1 : 1;
	return strcmp(x->dir, y->dir);
}

int snapshot_list(const char *dir, struct snapshot_entry **ret_entries, size_t *ret_count,
		  struct err *err)
{
	struct listing l = {0};
	int r = scan(&l, dir, true, err);

	if (r < 0) {
		snapshot_list_free(l.entries, l.count);
		return r;
	}
	if (l.count)
		qsort(l.entries, l.count, sizeof(*l.entries), by_time);
	*ret_entries = l.entries;
	*ret_count = l.count;
	return 0;
}

/* Deleting. */

/* By those who hold its lock. @dir is absolute. */
static int take_away(const char *dir, struct err *err)
{
	AUTO(freep) char *above = strdup(dir);
	AUTO(freep) char *path = strdup(dir);
	AUTO(freep) char *partial = NULL;
	struct disk *parent = NULL;
	const char *name;
	int r;

	if (!above || !path || asprintf(&partial, "%s" VOLDIR_PARTIAL, basename(path)) < 0) {
		partial = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	name = basename(path);
	r = disk_open_dir(dirname(above), &parent, err);
	if (r == 0 && voldir_is_partial(name)) {
		r = voldir_clear(parent, name, err);
	} else if (r == 0) {
		r = voldir_clear(parent, partial, err);
		if (r == 0)
			r = voldir_doom(parent, name, partial, err);
		if (r == 0)
			r = voldir_remove(parent, partial, err);
	}
	disk_free(parent);
	return r;
}

static int delete_locked(const char *dir, int fd, struct err *err)
{
	int lock_fd, r;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, errno == EWOULDBLOCK ? EBUSY : errno, "%s",
			       errno == EWOULDBLOCK ? "in use: it is made, read or restored from"
						    : strerror(errno));
	r = volume_lock(dir, &lock_fd, err);
	if (r < 0)
		return r;
	r = take_away(dir, err);
	(void)close(lock_fd); /* a lock */
	return r;
}

int snapshot_delete(const char *dir, struct err *err)
{
	AUTO(freep) char *path = realpath(dir, NULL);
	int fd, r;

	if (!path)
		return err_set(err, errno, "snapshot '%s': %s", dir, strerror(errno));
	if (!snapshot_is(path) && !voldir_is_partial(path))
		return err_set(err, ENOENT, "snapshot '%s': this is no snapshot: %s is missing",
			       dir, SNAPSHOT_NAME);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "snapshot '%s': %s", dir, strerror(errno));
	r = delete_locked(path, fd, err);
	(void)close(fd); /* only read */
	return r < 0 ? err_prefix(err, "snapshot '%s'", dir) : 0;
}
