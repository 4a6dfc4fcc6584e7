/* The callbacks of fusefs.c, for the session in fuseloop.c. Their userdata is a struct fuseio. */
#ifndef FS_FUSEFS_OPS_H
#define FS_FUSEFS_OPS_H

#include <fuse_lowlevel.h>

#define FUSEFS_INO_DISK 2

extern const struct fuse_lowlevel_ops fusefs_ops;

#endif
