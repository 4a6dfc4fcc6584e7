/*
 * snapshot.json, what a snapshot's directory says about itself: for `snapshot list`, without any key.
 *
 * Members (an unknown one is ignored; a missing one is an error):
 *   format            "kmsvol-snapshot"
 *   format_version    1
 *   snapshot_id       "snap-" and 17 lower-case hex digits
 *   volume_id         of the volume that it was made of; a copy: that its source was made of
 *   source_snapshot_id   only in a copy under a data key of its own: of what. volume.json and the segments
 *                     name the copy itself then, where those of other snapshots name the volume
 *   size_bytes        of the volume
 *   key_arn           the KMS key that wraps its data key
 *   description       the user's words
 *   state             "pending" while it is made, then "completed"
 *   start_time, completion_time    UTC; completion_time null while pending
 *   consistency       "clean": the volume had been unmounted; "mounted": at one moment of a mounted volume;
 *                     "crash": the volume's daemon had died, and the log behind the last checkpoint counts
 *   data_bytes        of the segments that it needs; while pending 0, or what is expected
 *   roots_sha256      64 hex digits: SHA-256 of root.0, root.1 and flushed, one behind the other; null
 *                     while pending. An older or newer map mixed in is found by it, also without the key.
 */
#ifndef FS_SNAPSHOT_H
#define FS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ids.h"
#include "kms.h"

struct disk;
struct err;
struct kms_json;
struct volume_header;

#define SNAPSHOT_NAME		 "snapshot.json"
#define SNAPSHOT_FORMAT		 "kmsvol-snapshot"
#define SNAPSHOT_FORMAT_VERSION	 1
#define SNAPSHOT_SIZE_MAX	 65536 /* bytes of snapshot.json */
#define SNAPSHOT_DESCRIPTION_MAX 255   /* characters, as EBS has it */
#define SNAPSHOT_DIGEST_LEN	 32

enum snapshot_consistency {
	SNAPSHOT_CLEAN,
	SNAPSHOT_MOUNTED,
	SNAPSHOT_CRASH,
};

struct snapshot_info {
	char id[ID_LEN];
	char volume_id[ID_LEN];
	char source_id[ID_LEN]; /* "": it is no copy */
	uint64_t size_bytes;
	char key_arn[KMS_KEY_ID_MAX + 1];
	char description[4 * SNAPSHOT_DESCRIPTION_MAX + 1];
	bool completed;
	int64_t start_time, completion_time; /* seconds since 1970 */
	enum snapshot_consistency consistency;
	uint64_t data_bytes;
	uint8_t roots[SNAPSHOT_DIGEST_LEN];
};

/* A new one, pending, of the volume with that header. -EINVAL: the description is too long. */
int snapshot_info_new(const struct volume_header *header, const char *description,
		      struct snapshot_info *ret_info, struct err *err);

/* A new one, pending, a copy of @of with the id and the key of @header. -EINVAL: as above. */
int snapshot_info_new_copy(const struct snapshot_info *of, const struct volume_header *header,
			   const char *description, struct snapshot_info *ret_info,
			   struct err *err);

const char *snapshot_consistency_name(enum snapshot_consistency consistency);

/* Is there a snapshot.json in @dir? */
bool snapshot_is(const char *dir);

/* Read it. -ENOENT this is no snapshot; -EUCLEAN makes no sense, the sentence names the member. */
int snapshot_load(const char *dir, struct snapshot_info *ret_info, struct err *err);

/* As text; the caller frees. NULL: out of memory. And from text. */
char *snapshot_text(const struct snapshot_info *info);
int snapshot_parse(const char *text, size_t len, struct snapshot_info *ret_info, struct err *err);

/* SHA-256 of the roots and of `flushed` in @disk, where it is. */
int snapshot_roots_digest(struct disk *disk, uint8_t ret_digest[SNAPSHOT_DIGEST_LEN],
			  struct err *err);

/*
 * Is the snapshot in @dir whole, as far as can be told without its key: completed, with the id that its
 * volume.json, @header, has, and with the roots that it was made with? Before a snapshot is opened.
 * @ret_info may be NULL. -EBUSY pending, -EUCLEAN, -EBADMSG other roots.
 */
int snapshot_check(const char *dir, const struct volume_header *header,
		   struct snapshot_info *ret_info, struct err *err);

#endif
