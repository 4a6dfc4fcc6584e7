/* A file system on a volume (mount --fs): what the volume holds, mkfs, mount(2). Needs root. */
#ifndef TOOLS_KMSVOL_FS_H
#define TOOLS_KMSVOL_FS_H

#include <stdbool.h>

struct err;

/* The types that --fs takes, NULL-terminated. */
extern const char *const fs_types[];

/*
 * Make sure that @device (the loop device of the file @disk) holds a file system of @type: make
 * one when the volume is blank, which is when it reads as zeros throughout. -EEXIST: it holds
 * something else, and nothing was changed; the sentence names it. @read_only: never make one.
 */
int fs_prepare(const char *device, const char *disk, const char *type, bool read_only,
	       struct err *err);

/* The file system of @type on @device, mounted at @dir, takes all of the device. -ENOTSUP: not known how. */
int fs_grow(const char *device, const char *dir, const char *type, struct err *err);

/*
 * mount(2). @frozen: of a snapshot, which cannot be written: the journal is not replayed, and its volume with
 * the same UUID may be mounted beside it. @frozen is @read_only, too.
 */
int fs_mount(const char *device, const char *dir, const char *type, bool read_only, bool frozen,
	     struct err *err);

/*
 * mount(2) what was mounted before, and may still be in use from another device: by its UUID the kernel would
 * take it for the same.
 */
int fs_mount_again(const char *device, const char *dir, const char *type, bool read_only,
		   struct err *err);

#endif
