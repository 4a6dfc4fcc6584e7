/* Dropping cached data. See kmsvol_drop.h. */
#include "kmsvol_drop.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "clock.h"
#include "mountinfo.h"

#define DEPTH_MAX 200 /* directories in each other, an open file each */

static bool drop_below(int dir, uint64_t until_ms, unsigned depth);

/* One entry; true: dropped, or there is nothing to drop. */
static bool drop_entry(int dir, const struct dirent *e, uint64_t until_ms, unsigned depth)
{
	struct stat st = {0};
	int fd;
	bool good = true;

	if (e->d_type != DT_REG && e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)
		return true;
	if (e->d_name[0] == '.' && (!e->d_name[1] || (e->d_name[1] == '.' && !e->d_name[2])))
		return true;
	fd = openat(dir, e->d_name, O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return true; /* a link, or gone */
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
		return drop_below(fd, until_ms, depth + 1);
	good = !S_ISDIR(st.st_mode) && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
	(void)close(fd); /* only read */
	return good;
}

/* Takes over @dir. */
static bool drop_below(int dir, uint64_t until_ms, unsigned depth)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;
	bool good = true;

	if (!d) {
		(void)close(dir); /* only read */
		return false;
	}
	while (good && (e = readdir(d)))
		good = clock_monotonic_ms() < until_ms && drop_entry(dir, e, until_ms, depth);
	(void)closedir(d);
	return good;
}

bool drop_tree(int dir, uint64_t until_ms)
{
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);

	return own >= 0 && drop_below(own, until_ms, 0);
}

/* The files of one process. Its own open file is taken, since to open it anew could wait at a fence. */
static void drop_of_process(const char *pid, const char *dir)
{
	char path[64], target[PATH_MAX];
	int process = pidfd_open((pid_t)atoi(pid), 0), fd;
	struct dirent *e;
	ssize_t n;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	d = process >= 0 ? opendir(path) : NULL;
	while (d && (e = readdir(d))) {
		n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (!mountinfo_is_within(target, dir))
			continue;
		fd = pidfd_getfd(process, atoi(e->d_name), 0);
		if (fd < 0)
			continue;
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* as far as it goes */
		(void)close(fd);
	}
	if (d)
		(void)closedir(d);
	if (process >= 0)
		(void)close(process);
}

void drop_open(const char *dir)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (isdigit((unsigned char)*e->d_name))
			drop_of_process(e->d_name, dir);
	if (d)
		(void)closedir(d);
}

void drop_device(const char *device)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)ioctl(fd, BLKFLSBUF, 0); /* as far as it goes */
	(void)close(fd);
}
