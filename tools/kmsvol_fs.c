/* File systems on volumes. See kmsvol_fs.h. */
#include "kmsvol_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"

#define READ_BYTES    (1024 * 1024)
#define BLKID_NOTHING 2 /* exit code: nothing that it knows */
#define BLKID_SEVERAL 8 /* several things at once */
#define OUTPUT_MAX    1024
#define SBIN	      ":/usr/sbin:/sbin" /* mkfs and blkid are not in everybody's PATH */

const char *const fs_types[] = {"ext4", "xfs", "btrfs", NULL};

/*
 * Run a program to its end. With @ret_output (OUTPUT_MAX bytes) its standard output goes there,
 * else to our standard error. Returns its exit code, or -errno when it could not be run or died.
 */
static int run(const char *const argv[], char *ret_output, struct err *err)
{
	int pipefd[2] = {-1, -1}, status = 0;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (ret_output && pipe2(pipefd, O_CLOEXEC) < 0)
		return err_set(err, errno, "%s: %s", argv[0], strerror(errno));
	pid = fork();
	if (pid == 0) {
		const char *path = getenv("PATH");
		AUTO(freep) char *wider = NULL;
		sigset_t none;

		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		if (asprintf(&wider, "%s%s", path ? path : "/usr/bin:/bin", SBIN) < 0)
			_exit(126);
		(void)setenv("PATH", wider, 1);
		(void)dup2(ret_output ? pipefd[1] : 2, 1);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0) {
		int num = errno;

		if (ret_output) {
			(void)close(pipefd[0]); /* nothing was written */
			(void)close(pipefd[1]);
		}
		return err_set(err, num, "%s: cannot run it: %s", argv[0], strerror(num));
	}
	if (ret_output) {
		close(pipefd[1]);
		while (len < OUTPUT_MAX - 1 &&
		       (n = read(pipefd[0], ret_output + len, OUTPUT_MAX - 1 - len)) > 0)
			len += (size_t)n;
		ret_output[len] = '\0';
		close(pipefd[0]);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, errno, "%s: %s", argv[0], strerror(errno));
	if (WIFSIGNALED(status))
		return err_set(err, EINTR, "%s was ended by signal %d", argv[0], WTERMSIG(status));
	if (WEXITSTATUS(status) == 127)
		return err_set(err, ENOENT, "no program '%s' here", argv[0]);
	return WEXITSTATUS(status);
}

/* What blkid finds, into @ret_found: "ext4", "dos partition table", "" for nothing. */
static int probe(const char *device, char *ret_found, size_t room, struct err *err)
{
	const char *const argv[] = {"blkid", "-p", "-o", "export", device, NULL};
	char out[OUTPUT_MAX], *save = NULL;
	int code = run(argv, out, err);

	if (code < 0)
		return code;
	*ret_found = '\0';
	if (code == BLKID_NOTHING)
		return 0;
	if (code == BLKID_SEVERAL)
		(void)snprintf(ret_found, room, "several things at once");
	else if (code != 0)
		return err_set(err, EIO, "blkid ended with %d", code);
	for (char *l = strtok_r(out, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (strncmp(l, "TYPE=", 5) == 0)
			(void)snprintf(ret_found, room, "%s", l + 5);
		else if (strncmp(l, "PTTYPE=", 7) == 0 && !*ret_found)
			(void)snprintf(ret_found, room, "a partition table (%s)", l + 7);
	}
	if (!*ret_found)
		(void)snprintf(ret_found, room, "something that blkid knows");
	return 0;
}

/* 1: [@from, @to) of @fd is zeros, 0: it is not. */
static int zeros(int fd, off_t from, off_t to, uint8_t *buf, struct err *err)
{
	while (from < to) {
		size_t want = to - from > READ_BYTES ? READ_BYTES : (size_t)(to - from);
		ssize_t n = pread(fd, buf, want, from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, errno, "cannot read at %lld: %s", (long long)from,
				       strerror(errno));
		if (n == 0)
			break;
		if (buf[0] || memcmp(buf, buf + 1, (size_t)n - 1) != 0)
			return 0;
		from += n;
	}
	return 1;
}

/* 1: the volume reads as zeros throughout (holes are skipped), 0: it does not. */
static int blank(const char *disk, struct err *err)
{
	int fd = open(disk, O_RDONLY | O_CLOEXEC), r = 1;
	AUTO(freep) uint8_t *buf = malloc(READ_BYTES);
	off_t end = 0;

	if (fd < 0 || !buf) {
		r = err_set(err, fd < 0 ? errno : ENOMEM, "'%s': %s", disk,
			    strerror(fd < 0 ? errno : ENOMEM));
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 1) {
		off_t start = lseek(fd, end, SEEK_DATA);

		if (start < 0 && errno == ENXIO)
			break; /* no data from here on */
		if (start >= 0)
			end = lseek(fd, start, SEEK_HOLE);
		if (start < 0 || end < 0)
			r = err_set(err, errno, "'%s': cannot look for data: %s", disk,
				    strerror(errno));
		else
			r = zeros(fd, start, end, buf, err);
	}
	close(fd);
	return r;
}

static int make(const char *device, const char *type, struct err *err)
{
	static const char *const makers[][6] = {
		/* A blank volume has nothing to discard. */
		{"mkfs.ext4", "-q", "-E", "nodiscard", NULL},
		{"mkfs.xfs", "-q", "-K", NULL},
		{"mkfs.btrfs", "-q", "-K", NULL},
	};
	const char *argv[8] = {NULL};
	size_t t = 0, n = 0;
	int code;

	while (fs_types[t] && strcmp(fs_types[t], type) != 0)
		t++;
	if (!fs_types[t])
		return err_set(err, EINVAL, "no file system '%s' is known here", type);
	for (; makers[t][n]; n++)
		argv[n] = makers[t][n];
	argv[n] = device;
	code = run(argv, NULL, err);
	if (code < 0)
		return code;
	if (code > 0)
		return err_set(err, EIO, "%s ended with %d", argv[0], code);
	return 0;
}

int fs_prepare(const char *device, const char *disk, const char *type, bool read_only,
	       struct err *err)
{
	char found[128];
	int r = probe(device, found, sizeof(found), err);

	if (r < 0)
		return r;
	if (strcmp(found, type) == 0)
		return 0;
	if (*found)
		return err_set(err, EEXIST, "the volume holds %s, not %s", found, type);
	r = blank(disk, err);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(err, EEXIST,
			       "the volume holds data that is no file system known here, so none "
			       "is made on it");
	if (read_only)
		return err_set(err, EROFS, "the volume is blank, and read-only: no %s can be made",
			       type);
	return make(device, type, err);
}

/* Options that leave the journal alone. */
static const char *without_journal(const char *type)
{
	if (strcmp(type, "ext4") == 0)
		return "noload";
	if (strcmp(type, "xfs") == 0)
		return "norecovery,nouuid";
	return "rescue=nologreplay";
}

static int mount_with(const char *device, const char *dir, const char *type, bool read_only,
		      const char *options, struct err *err)
{
	if (mount(device, dir, type, read_only ? MS_RDONLY : 0, options) < 0)
		return err_set(
			err, errno, "cannot mount %s at '%s': %s%s", type, dir, strerror(errno),
			errno == ENODEV ? " (the kernel does not know this file system)" : "");
	return 0;
}

int fs_mount(const char *device, const char *dir, const char *type, bool read_only, bool frozen,
	     struct err *err)
{
	return mount_with(device, dir, type, read_only || frozen,
			  frozen ? without_journal(type) : NULL, err);
}

int fs_mount_again(const char *device, const char *dir, const char *type, bool read_only,
		   struct err *err)
{
	/* btrfs gives such a one an id of its own; ext4 does not mind. */
	return mount_with(device, dir, type, read_only, strcmp(type, "xfs") == 0 ? "nouuid" : NULL,
			  err);
}

int fs_grow(const char *device, const char *dir, const char *type, struct err *err)
{
	const char *const ext4[] = {"resize2fs", device, NULL};
	const char *const xfs[] = {"xfs_growfs", dir, NULL};
	const char *const btrfs[] = {"btrfs", "filesystem", "resize", "max", dir, NULL};
	const char *const *argv = strcmp(type, "ext4") == 0    ? ext4
				  : strcmp(type, "xfs") == 0   ? xfs
				  : strcmp(type, "btrfs") == 0 ? btrfs
							       : NULL;
	char said[OUTPUT_MAX];
	int code;

	if (!argv)
		return err_set(err, ENOTSUP, "'%s': how to grow %s is not known", dir, type);
	code = run(argv, said, err);
	if (code < 0)
		return code;
	if (code > 0)
		return err_set(err, EIO, "'%s': %s failed with exit code %d%s", dir, argv[0], code,
			       argv == ext4
				       ? "; growing ext4 in use needs CAP_SYS_RESOURCE: without "
					 "it, mount without --fs, and run e2fsck -f and "
					 "resize2fs on the file disk"
				       : "");
	return 0;
}
