/*
 * What a file system can be told while it is mounted: freeze, shut down, be read-only. The only file with these
 * ioctls and calls. @dir is an open directory of it, from fsctl_open(). Needs root. All may block on I/O.
 */
#ifndef TOOLS_KMSVOL_FSCTL_H
#define TOOLS_KMSVOL_FSCTL_H

#include <stdbool.h>

struct err;

/*
 * Open the root of what is mounted at @mountpoint, through a mount of our own that is nowhere in the tree: so
 * it does not keep the user's mount in use, and holds the file system when that one goes. Close to give up both.
 */
int fsctl_open(const char *mountpoint, int *ret_dir, struct err *err);

/* All that is dirty is written and durable. */
int fsctl_write(int dir, struct err *err);

/* Hold all that would change something, everything written and clean on the disk. -EBUSY: another has frozen it */
int fsctl_freeze(int dir, struct err *err);
int fsctl_thaw(int dir, struct err *err); /* 0 also when it is not frozen */

/*
 * Make it fail with EIO until it is mounted anew, clean on the disk if it can be written. -ENOTTY: this file
 * system, or kernel, cannot be told.
 */
int fsctl_shut_down(int dir, struct err *err);

/* Have one that cannot be told find out that its disk refuses: it fails by itself. 0: it has failed. */
int fsctl_fail(int dir, struct err *err);

/* -EBUSY: files are open for writing. */
int fsctl_read_only(int dir, bool read_only, struct err *err);

/* Is it mounted read-only? */
bool fsctl_is_read_only(int dir);

#endif
