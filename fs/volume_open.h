/*
 * A whole volume at work without a mount: its lock, its data key from KMS, its store. For commands that
 * read or write its blocks themselves.
 */
#ifndef FS_VOLUME_OPEN_H
#define FS_VOLUME_OPEN_H

#include <stdbool.h>

struct err;
struct kms;
struct store;
struct volume_header;

/* All owned. */
struct volume {
	char *dir;
	int lock_fd, dir_fd;
	struct volume_header *header;
	struct store *store;
};

/*
 * Lock the volume in @dir, have @kms (borrowed for the call) unwrap its key, for which it is attached
 * for a moment (attachment.h), open its store. The process is made safe for keys (daemon_harden()).
 * -EBUSY: it is mounted, or another command is at work on it; the sentence names the process. Else as volume_unwrap() and store_open(). Sentences begin with the volume.
 */
int volume_open(const char *dir, struct kms *kms, bool read_only, struct volume **ret_volume,
		struct err *err);

/* Make all durable, wipe the keys, give the lock back, free. As store_close(). NULL is allowed. */
int volume_close(struct volume *volume, struct err *err);

#endif
