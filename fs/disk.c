/*
 * The backing filesystem by system calls, and the loops above the table that make reads and writes
 * whole. See disk.h.
 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "err.h"

struct posix_disk {
	struct disk base;
	int dirfd;
};

struct posix_file {
	struct disk_file base;
	int fd;
};

static int dir_of(struct disk *disk)
{
	return ((struct posix_disk *)disk)->dirfd;
}

static int fd_of(struct disk_file *file)
{
	return ((struct posix_file *)file)->fd;
}

static int posix_open(struct disk *disk, const char *name, enum disk_open_mode mode,
		      struct disk_file **ret_file)
{
	static const int flags[] = {
		[DISK_READ] = O_RDONLY,
		[DISK_WRITE] = O_RDWR,
		[DISK_CREATE] = O_RDWR | O_CREAT | O_EXCL,
	};
	struct posix_file *f = calloc(1, sizeof(*f));
	struct stat st;

	if (!f)
		return -ENOMEM;
	f->base.disk = disk;
	f->fd = openat(dir_of(disk), name,
		       flags[mode] | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	if (f->fd < 0) {
		int num = errno;

		free(f);
		return -num;
	}
	if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(f->fd);
		free(f);
		return -EUCLEAN;
	}
	*ret_file = &f->base;
	return 0;
}

static void posix_close(struct disk_file *file)
{
	(void)close(fd_of(file)); /* what must be durable was synced before */
	free(file);
}

static int64_t posix_pread(struct disk_file *file, void *buf, size_t len, uint64_t off)
{
	ssize_t n = pread(fd_of(file), buf, len, (off_t)off);

	return n < 0 ? -errno : n;
}

static int64_t posix_pwrite(struct disk_file *file, const void *buf, size_t len, uint64_t off)
{
	ssize_t n = pwrite(fd_of(file), buf, len, (off_t)off);

	return n < 0 ? -errno : n;
}

static int posix_sync(struct disk_file *file)
{
	return fdatasync(fd_of(file)) < 0 ? -errno : 0;
}

static void posix_forget(struct disk_file *file)
{
	(void)posix_fadvise(fd_of(file), 0, 0, POSIX_FADV_DONTNEED); /* a hint, and all there is */
}

static int posix_allocate(struct disk_file *file, uint64_t off, uint64_t len)
{
	int num;

	do /* a signal may wake this thread at any time */
		num = posix_fallocate(fd_of(file), (off_t)off, (off_t)len);
	while (num == EINTR);
	return -num;
}

static int posix_truncate(struct disk_file *file, uint64_t len)
{
	return ftruncate(fd_of(file), (off_t)len) < 0 ? -errno : 0;
}

static int posix_size(struct disk_file *file, uint64_t *ret_len)
{
	struct stat st;

	if (fstat(fd_of(file), &st) < 0)
		return -errno;
	*ret_len = (uint64_t)st.st_size;
	return 0;
}

static int posix_links(struct disk_file *file, unsigned *ret_links)
{
	struct stat st;

	if (fstat(fd_of(file), &st) < 0)
		return -errno;
	*ret_links = (unsigned)st.st_nlink;
	return 0;
}

static int posix_space(struct disk *disk, uint64_t *ret_free, uint64_t *ret_all)
{
	struct statvfs st;

	if (fstatvfs(dir_of(disk), &st) < 0)
		return -errno;
	*ret_free = (uint64_t)st.f_bavail * st.f_frsize;
	*ret_all = (uint64_t)st.f_blocks * st.f_frsize;
	return 0;
}

static int posix_unlink(struct disk *disk, const char *name)
{
	return unlinkat(dir_of(disk), name, 0) < 0 ? -errno : 0;
}

static int posix_rename(struct disk *disk, const char *from, const char *to)
{
	return renameat(dir_of(disk), from, dir_of(disk), to) < 0 ? -errno : 0;
}

static int posix_link(struct disk *from, const char *name, struct disk *to, const char *new_name)
{
	return linkat(dir_of(from), name, dir_of(to), new_name, 0) < 0 ? -errno : 0;
}

static int posix_move(struct disk *from, const char *name, struct disk *to, const char *new_name)
{
	return renameat(dir_of(from), name, dir_of(to), new_name) < 0 ? -errno : 0;
}

static int posix_mkdir(struct disk *disk, const char *name)
{
	return mkdirat(dir_of(disk), name, 0700) < 0 ? -errno : 0;
}

static int posix_rmdir(struct disk *disk, const char *name)
{
	return unlinkat(dir_of(disk), name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int posix_sync_dir(struct disk *disk, const char *name)
{
	int fd = openat(dir_of(disk), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd); /* only read */
	return r;
}

static int posix_list(struct disk *disk, const char *name, int (*fn)(const char *entry, void *arg),
		      void *arg)
{
	int fd = openat(dir_of(disk), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd); /* only read */
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = fn(e->d_name, arg);
	if (r == 0 && errno)
		r = -errno;
	(void)closedir(d); /* only read */
	return r;
}

static void posix_free(struct disk *disk)
{
	(void)close(dir_of(disk)); /* only read */
	free(disk);
}

static int posix_open_dir(struct disk *disk, const char *name, struct disk **ret_disk)
{
	struct posix_disk *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->base.ops = disk->ops;
	d->dirfd = openat(dir_of(disk), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (d->dirfd < 0) {
		int num = errno;

		free(d);
		return -num;
	}
	*ret_disk = &d->base;
	return 0;
}

static const struct disk_ops posix_ops = {
	.open = posix_open,
	.close = posix_close,
	.pread = posix_pread,
	.pwrite = posix_pwrite,
	.sync = posix_sync,
	.forget = posix_forget,
	.allocate = posix_allocate,
	.truncate = posix_truncate,
	.size = posix_size,
	.links = posix_links,
	.space = posix_space,
	.unlink = posix_unlink,
	.rename = posix_rename,
	.link = posix_link,
	.move = posix_move,
	.mkdir = posix_mkdir,
	.rmdir = posix_rmdir,
	.open_dir = posix_open_dir,
	.sync_dir = posix_sync_dir,
	.list = posix_list,
	.free = posix_free,
};

int disk_open_dir(const char *dir, struct disk **ret_disk, struct err *err)
{
	struct posix_disk *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, ENOMEM, "'%s': out of memory", dir);
	d->base.ops = &posix_ops;
	d->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dirfd < 0) {
		int num = errno;

		free(d);
		return err_set(err, num, "directory '%s': %s", dir, strerror(num));
	}
	*ret_disk = &d->base;
	return 0;
}

void disk_free(struct disk *disk)
{
	if (disk)
		disk->ops->free(disk);
}

int disk_open(struct disk *disk, const char *name, enum disk_open_mode mode,
	      struct disk_file **ret_file, struct err *err)
{
	int r = disk->ops->open(disk, name, mode, ret_file);

	if (r < 0)
		return err_set(err, -r, "%s: cannot %s: %s", name,
			       mode == DISK_CREATE ? "create" : "open",
			       r == -EUCLEAN ? "not a regular file" : strerror(-r));
	return 0;
}

void disk_close(struct disk_file *file)
{
	if (file)
		file->disk->ops->close(file);
}

int64_t disk_pread_some(struct disk_file *file, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		int64_t n =
			file->disk->ops->pread(file, (char *)buf + done, len - done, off + done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

int disk_pread(struct disk_file *file, void *buf, size_t len, uint64_t off)
{
	int64_t n = disk_pread_some(file, buf, len, off);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -ENODATA;
}

int disk_pwrite(struct disk_file *file, const void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		int64_t n = file->disk->ops->pwrite(file, (const char *)buf + done, len - done,
						    off + done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO; /* no progress and no reason: not to be tried for ever */
		done += (size_t)n;
	}
	return 0;
}
