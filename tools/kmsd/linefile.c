/* Files of lines that are turned over. See linefile.h. */
#include "linefile.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"

struct linefile {
	int dir_fd; /* borrowed; fixed at open */
	struct linefile_config config;
	char name[LINEFILE_NAME_MAX];
	pthread_rwlock_t lock; /* who appends shares it, who turns over has it alone */
	int fd;		       /* guarded by lock */
	int old;	       /* guarded by lock: full and not synced yet; -1: none */
	uint32_t number;       /* guarded by lock: what the file will be called when it is full */
	atomic_int_fast64_t size;
	atomic_bool dirty; /* something was appended that was not synced */
	atomic_bool torn;  /* the last line was cut short */
};

void linefile_name(const char *stem, uint32_t number, char ret[LINEFILE_NAME_MAX])
{
	if (number)
		(void)snprintf(ret, LINEFILE_NAME_MAX, "%s.%u.jsonl", stem, number); /* fits */
	else
		(void)snprintf(ret, LINEFILE_NAME_MAX, "%s.jsonl", stem); /* fits */
}

int linefile_numbers(int dir_fd, const char *stem, uint32_t *ret_first, uint32_t *ret_last,
		     struct err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t n = strlen(stem);
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			(void)close(fd); /* only a directory */
		return err_set(err, errno, "'%s.jsonl': %s", stem, strerror(errno));
	}
	*ret_first = *ret_last = 0;
	while ((e = readdir(dir))) {
		uint32_t number;
		int end = -1;

		if (strncmp(e->d_name, stem, n) != 0 ||
		    sscanf(e->d_name + n, ".%9u.jsonl%n", &number, &end) != 1 || end < 0 ||
		    e->d_name[n + (size_t)end] || number == 0)
			continue;
		if (*ret_first == 0 || number < *ret_first)
			*ret_first = number;
		if (number > *ret_last)
			*ret_last = number;
	}
	(void)closedir(dir); /* only read */
	return 0;
}

/* It may become full between the two tries, so the full one is tried again. */
int linefile_open_number(int dir_fd, const char *stem, uint32_t number)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW;
	char full[LINEFILE_NAME_MAX], now[LINEFILE_NAME_MAX];
	uint32_t first, last;
	struct err ignored;
	int fd;

	linefile_name(stem, number, full);
	linefile_name(stem, 0, now);
	for (int tries = 0; tries < 2; tries++) {
		fd = openat(dir_fd, full, flags);
		if (fd >= 0 || errno != ENOENT)
			return fd < 0 ? -errno : fd;
		fd = openat(dir_fd, now, flags);
		if (fd < 0)
			return -errno;
		if (linefile_numbers(dir_fd, stem, &first, &last, &ignored) == 0 &&
		    last + 1 == number)
			return fd;
		(void)close(fd); /* only read */
	}
	return -ENOENT;
}

static int end_torn_line(int fd, int64_t *ret_size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char last = '\n';

	if (end < 0 || (end > 0 && pread(fd, &last, 1, end - 1) != 1))
		return -EIO;
	*ret_size = end + (last != '\n');
	return last == '\n' || write(fd, "\n", 1) == 1 ? 0 : -errno;
}

static int open_current(struct linefile *f)
{
	int fd = openat(f->dir_fd, f->name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			0600);

	return fd < 0 ? -errno : fd;
}

/* Those that are too old, counted from @last down. */
static void drop_old(struct linefile *f, uint32_t first, uint32_t last)
{
	char name[LINEFILE_NAME_MAX];

	for (uint32_t n = first; n > 0 && n + f->config.keep <= last; n++) {
		linefile_name(f->config.stem, n, name);
		(void)unlinkat(f->dir_fd, name, 0); /* the next turn tries again */
	}
}

int linefile_open(int dir_fd, const struct linefile_config *config, struct linefile **ret_file,
		  struct err *err)
{
	struct linefile *f = calloc(1, sizeof(*f));
	uint32_t first = 0, last = 0;
	int64_t size = 0;
	int r;

	if (!f)
		return err_set(err, ENOMEM, "'%s.jsonl'", config->stem);
	*f = (struct linefile){.dir_fd = dir_fd, .config = *config, .fd = -1, .old = -1};
	(void)pthread_rwlock_init(&f->lock, NULL); /* cannot fail with these attributes */
	linefile_name(config->stem, 0, f->name);
	r = linefile_numbers(dir_fd, config->stem, &first, &last, err);
	if (r == 0) {
		f->number = last + 1;
		f->fd = open_current(f);
		r = f->fd < 0 ? f->fd : end_torn_line(f->fd, &size);
		if (r < 0)
			r = err_set(err, -r, "'%s': %s", f->name, strerror(-r));
	}
	if (r < 0) {
		linefile_close(f);
		return r;
	}
	atomic_init(&f->size, size);
	drop_old(f, first, last);
	*ret_file = f;
	return 0;
}

void linefile_close(struct linefile *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		(void)close(file->fd); /* each line was checked when it was written */
	if (file->old >= 0)
		(void)close(file->old);		   /* as above */
	(void)pthread_rwlock_destroy(&file->lock); /* nobody holds it */
	free(file);
}

/*
 * Rename first, then make the new one: a crash between the two leaves no current file, which is made
 * when it is opened. What fails leaves the file as it is, a little longer.
 */
static int turn_over_locked(struct linefile *f)
{
	char full[LINEFILE_NAME_MAX];
	int fd;

	linefile_name(f->config.stem, f->number, full);
	if (renameat(f->dir_fd, f->name, f->dir_fd, full) < 0)
		return -errno;
	fd = open_current(f);
	if (fd < 0) {
		(void)renameat(f->dir_fd, full, f->dir_fd, f->name); /* the first failure is told */
		return fd;
	}
	if (f->old >= 0) {		 /* nobody syncs, or not so fast */
		(void)fdatasync(f->old); /* what linefile_sync() said is what was */
		(void)close(f->old);	 /* as above */
	}
	f->old = f->fd;
	f->fd = fd;
	drop_old(f, f->number > f->config.keep ? f->number - f->config.keep : 0, f->number);
	f->number++;
	atomic_store(&f->size, 0);
	return 0;
}

static int turn_over(struct linefile *f, struct err *err)
{
	int r = 0;

	pthread_rwlock_wrlock(&f->lock);
	if (atomic_load(&f->size) >= f->config.max_bytes) /* or another thread was faster */
		r = turn_over_locked(f);
	pthread_rwlock_unlock(&f->lock);
	return r < 0 ? err_set(err, -r, "'%s': cannot be turned over: %s", f->name, strerror(-r))
		     : 0;
}

int linefile_append(struct linefile *file, const char *text, size_t len, struct err *err)
{
	int64_t size;
	ssize_t n;
	int num;

	pthread_rwlock_rdlock(&file->lock);
	if (atomic_load(&file->torn) && write(file->fd, "\n", 1) == 1)
		atomic_store(&file->torn, false);
	n = write(file->fd, text, len);
	num = errno;
	size = atomic_fetch_add(&file->size, n > 0 ? n : 0) + n;
	atomic_store(&file->dirty, true);
	pthread_rwlock_unlock(&file->lock);
	if (n < 0)
		return err_set(err, num, "'%s': %s", file->name, strerror(num));
	if ((size_t)n != len)
		atomic_store(&file->torn, true);
	if ((size_t)n != len)
		return err_set(err, ENOSPC, "'%s': line cut short", file->name);
	return size >= file->config.max_bytes ? turn_over(file, err) : 0;
}

int linefile_sync(struct linefile *file, struct err *err)
{
	int fd, old, num = 0;

	if (!atomic_exchange(&file->dirty, false))
		return 0;
	pthread_rwlock_wrlock(&file->lock);
	old = file->old;
	file->old = -1;
	fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	num = fd < 0 ? errno : 0;
	pthread_rwlock_unlock(&file->lock);
	if (old >= 0) {
		num = fdatasync(old) < 0 || fsync(file->dir_fd) < 0 ? errno : num;
		(void)close(old); /* synced */
	}
	if (fd >= 0) {
		num = fdatasync(fd) < 0 ? errno : num;
		(void)close(fd); /* synced */
	}
	return num ? err_set(err, num, "'%s': cannot be synced: %s", file->name, strerror(num)) : 0;
}
