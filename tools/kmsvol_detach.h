/* Taking mounts away: umount with a reason when it cannot be, and the wait for the daemon's end. */
#ifndef TOOLS_KMSVOL_DETACH_H
#define TOOLS_KMSVOL_DETACH_H

#include <stdbool.h>

#include "kmsvol_place.h"

struct err;

/*
 * Unmount from @dir what has @source in the mount table (a device, a volume's directory): umount2(2) as
 * root, else fusermount3. @lazy also takes one that is in use or dead. -EBUSY: in use, and the sentence
 * names processes that use it; or something else is mounted over it, and nothing was done. 0 also when it
 * is not mounted there.
 */
int detach_mount(const char *dir, const char *source, bool lazy, struct err *err);

/*
 * Undo everything that is mounted of @place, from the top to the bottom, as far as it is there:
 * file system, loop device, FUSE mount, daemon, private directory, record. What is undone stays so
 * when a later step fails. Ends when the daemon has ended, and so has written everything;
 * -ETIMEDOUT when that takes minutes. @lazy as above for the FUSE mount of a daemon that is dead.
 */
int detach_all(const struct place *place, bool lazy, struct err *err);

#endif
