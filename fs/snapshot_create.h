/* A snapshot of the volume in a directory, mounted or not, as a command makes it. */
#ifndef FS_SNAPSHOT_CREATE_H
#define FS_SNAPSHOT_CREATE_H

#include <stdint.h>

#include "snapshot.h"

struct err;
struct voldir_job;

struct snapshot_create_options {
	const char *volume_dir;
	const char *snapshot_dir; /* NULL: beside the volume, named after its id */
	const char *description;
	const struct voldir_job *job; /* for copies to another filesystem; NULL */
	/* Called before the moment, and when it has passed, or on the way out of a failure. NULL. */
	int (*before)(void *arg, struct err *err);
	void (*taken)(void *arg);
	void *arg;
};

struct snapshot_created {
	struct snapshot_info info;
	char *dir;	  /* where it is, absolute; the caller frees */
	uint64_t held_ms; /* how long writes were held; 0 when it was not mounted */
	bool key_lost;	  /* mounted, but closed for want of its key: what waits is not in it */
};

/*
 * Make it. Needs no key and no KMS. What a snapshot of this volume that was cut off has left goes first.
 * -EEXIST: @snapshot_dir is there; -EINVAL: no place or volume for a snapshot; -EBUSY: another command
 * has the volume; -ENOSPC, -EIO, ... On failure nothing is left.
 */
int snapshot_create(const struct snapshot_create_options *options,
		    struct snapshot_created *ret_created, struct err *err);

#endif
