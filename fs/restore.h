/* Volumes from snapshots. */
#ifndef FS_RESTORE_H
#define FS_RESTORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ids.h"

struct err;
struct kms;

struct restore_options {
	const char *snapshot_dir;
	const char *volume_dir;	 /* must not exist or be empty */
	const char *key_id;	 /* NULL: the snapshot's */
	const atomic_bool *stop; /* becomes true: end with -EINTR */
	void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
	void *arg;
};

struct restored {
	char volume_id[ID_LEN];
	bool re_encrypted; /* under another data key; else its segments are shared, or copied as they are */
};

/*
 * Make a volume that holds what a snapshot holds. Under the same KMS key its data key is wrapped for the new
 * volume (ReEncrypt) and its segments get second names: ready at once, whatever the size; on
 * another filesystem they are copied. Under another key every block is encrypted anew. On failure nothing is
 * left; what a restore to the same place that was cut off has left goes first.
 * -EEXIST: @volume_dir is there; -EINVAL; errors of KMS as kms_re_encrypt() has them, of the
 * snapshot as store_open().
 */
int restore_volume(const struct restore_options *options, struct kms *kms,
		   struct restored *ret_restored, struct err *err);

#endif
