/* The mount of a FUSE session in the tree of files, and how it is taken away. Knows no libfuse. */
#ifndef FS_FUSEMOUNT_H
#define FS_FUSEMOUNT_H

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct fusemount {
	const char *mountpoint; /* absolute */
	dev_t dev;		/* 0: not known yet */
	bool made;		/* else what is at that place is not ours */
};

/* What fusefs_unmount() promises. 0 also when it is not mounted any more. From any thread. */
int fusemount_end(const struct fusemount *mount, bool force, struct err *err);

#endif
