/* Freeze, shut down, remount. See kmsvol_fsctl.h. */
#include "kmsvol_fsctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <linux/fs.h>

#include "err.h"

/*
 * One number for all file systems: EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN, FS_IOC_SHUTDOWN of newer headers.
 * The default freezes first, so that all is written and clean; without log flush it fails at once.
 */
#ifndef FS_IOC_SHUTDOWN
#define FS_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#endif
#define SHUT_DEFAULT 0
#define SHUT_NO_LOG  2

int fsctl_open(const char *mountpoint, int *ret_dir, struct err *err)
{
	int tree = open_tree(AT_FDCWD, mountpoint, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int dir = tree < 0 ? -1 : openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int num = errno;

	if (tree >= 0)
		(void)close(tree); /* the directory holds the mount */
	if (dir < 0)
		return err_set(err, num, "'%s': %s", mountpoint, strerror(num));
	*ret_dir = dir;
	return 0;
}

int fsctl_write(int dir, struct err *err)
{
	if (syncfs(dir) < 0)
		return err_set(err, errno, "cannot write what is dirty: %s", strerror(errno));
	return 0;
}

int fsctl_freeze(int dir, struct err *err)
{
	if (ioctl(dir, FIFREEZE, 0) < 0)
		return err_set(err, errno, "cannot freeze it: %s", strerror(errno));
	return 0;
}

int fsctl_thaw(int dir, struct err *err)
{
	if (ioctl(dir, FITHAW, 0) < 0 && errno != EINVAL) /* EINVAL: it is not frozen */
		return err_set(err, errno, "cannot thaw it: %s", strerror(errno));
	return 0;
}

int fsctl_shut_down(int dir, struct err *err)
{
	uint32_t how = SHUT_DEFAULT;

	if (ioctl(dir, FS_IOC_SHUTDOWN, &how) == 0)
		return 0;
	how = SHUT_NO_LOG;
	if (errno != ENOTTY && ioctl(dir, FS_IOC_SHUTDOWN, &how) == 0)
		return 0;
	return err_set(err, errno, "cannot shut it down: %s", strerror(errno));
}

int fsctl_fail(int dir, struct err *err)
{
	/* A change that has to be committed, which does not reach the disk. */
	if (futimens(dir, NULL) == 0 && syncfs(dir) == 0)
		return err_set(err, EIO, "its disk refuses, and it has not noticed");
	return 0;
}

int fsctl_read_only(int dir, bool read_only, struct err *err)
{
	int fs = fspick(dir, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	int r = 0;

	/* Only this flag: the user's own options stay. */
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, read_only ? "ro" : "rw", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		r = err_set(err, errno, "cannot make it %s: %s",
			    read_only ? "read-only" : "writable", strerror(errno));
	if (fs >= 0)
		(void)close(fs); /* nothing is written through it */
	return r;
}

bool fsctl_is_read_only(int dir)
{
	struct statvfs v;

	return fstatvfs(dir, &v) == 0 && (v.f_flag & ST_RDONLY);
}
