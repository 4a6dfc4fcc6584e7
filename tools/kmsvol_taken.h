/*
 * What earlier mounts left: is a mount alive, has its daemon died, was its file system unmounted
 * under it? `mount` refuses to stack on any of these, `status` says which it is.
 */
#ifndef TOOLS_KMSVOL_TAKEN_H
#define TOOLS_KMSVOL_TAKEN_H

#include <stddef.h>

#include "kmsvol_place.h"

struct err;

enum taken {
	TAKEN_NOT,     /* nothing of it is mounted */
	TAKEN_LIVE,    /* its daemon runs, or is about to */
	TAKEN_DEAD,    /* its daemon has ended, but not its mount, or not its record */
	TAKEN_FS_GONE, /* --fs: the daemon runs, but the file system was unmounted without it */
};

/* Asks the daemon, or else the kernel whether it has one. */
enum taken taken_by(const struct place *place);

/* What there is to say about TAKEN_DEAD and TAKEN_FS_GONE, with the command that helps; else "". */
void taken_words(const struct place *place, enum taken taken, char *ret_text, size_t room);

/*
 * May @volume_dir be mounted at @dir (absolute paths)? -EBUSY: something of kmsvol is in the way. A
 * volume that is mounted and well is not refused for itself: its lock does that, and knows the process.
 */
int taken_check(const char *volume_dir, const char *dir, struct err *err);

#endif
