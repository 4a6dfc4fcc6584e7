/* A snapshot at work for reading, without a mount: its key from KMS, its store; nobody deletes it meanwhile. */
#ifndef FS_SNAPSHOT_OPEN_H
#define FS_SNAPSHOT_OPEN_H

#include "snapshot.h"

struct err;
struct kms;
struct store;
struct volume_header;

/* All owned. */
struct snapshot {
	struct snapshot_info info;
	struct volume_header *header;
	struct store *store;
	int fd; /* of its directory, with a shared lock */
};

/*
 * Open the snapshot in @dir: checked (snapshot_check()), unwrapped, its store open for reading. It may be
 * mounted, too. -ENOENT no snapshot, -EBUSY being made or deleted; else as volume_unwrap() and
 * store_open(). Sentences begin with the snapshot.
 */
int snapshot_open(const char *dir, struct kms *kms, struct snapshot **ret_snapshot,
		  struct err *err);
void snapshot_close(struct snapshot *snapshot); /* NULL is allowed */

/* As far as that goes without KMS: @ret_snapshot's store is NULL. */
int snapshot_hold(const char *dir, struct snapshot **ret_snapshot, struct err *err);

#endif
