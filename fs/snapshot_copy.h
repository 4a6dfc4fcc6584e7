/* A snapshot copied under another KMS key: complete in itself, with a data key of its own. */
#ifndef FS_SNAPSHOT_COPY_H
#define FS_SNAPSHOT_COPY_H

#include <stdatomic.h>
#include <stdint.h>

#include "snapshot.h"

struct disk;
struct err;
struct kms;
struct reencrypt_job;
struct secret;
struct store;
struct store_geometry;

struct snapshot_copy_options {
	const char *snapshot_dir;
	const char *copy_dir; /* must not exist or be empty */
	const char *key_id;   /* any form that DescribeKey takes; may be the snapshot's own key */
	const char *description;
	const atomic_bool *stop; /* becomes true: end with -EINTR */
	void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
	void *arg;
};

/*
 * Make it. Every block is decrypted, checked and encrypted anew under a data key that KMS makes under
 * @key_id for the copy (GenerateDataKeyWithoutPlaintext, context aws:ebs:id = the copy's id). A key
 * that is unknown or disabled is refused at once, in the words of EC2's CopySnapshot. On failure nothing is left; what
 * a copy to the same place that was cut off has left goes first. -EEXIST: @copy_dir is there; -EINVAL;
 * errors of KMS as kms_decrypt() has them, of the snapshot as snapshot_open(), of the new store.
 */
int snapshot_copy(const struct snapshot_copy_options *options, struct kms *kms,
		  struct snapshot_info *ret_info, struct err *err);

/* What goes into the directory of a copy; all borrowed. */
struct snapshot_copy_parts {
	struct store *from;		       /* the source's, open */
	const struct store_geometry *geometry; /* the copy's, as are the rest */
	const struct secret *data_key;
	const char *header_text; /* volume.json */
};

/*
 * Fill @to, a directory as voldir_make() leaves it, and complete *@info, which is pending. Its names are not
 * durable yet.
 */
int snapshot_copy_fill(const struct snapshot_copy_parts *parts, struct disk *to,
		       struct snapshot_info *info, const struct reencrypt_job *job,
		       struct err *err);

#endif
