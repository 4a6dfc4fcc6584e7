/*
 * A volume: the directory with its public header (volume.json), its lock, its wrapped data key.
 * Between KMS, which unwraps the key, and the store, which uses it.
 */
#ifndef FS_VOLUME_H
#define FS_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "kms.h"
#include "store.h"
#include "volume_header.h" /* struct volume_header, volume_header_load() and _free() */

struct err;
struct secret;

struct volume_create_options {
	uint64_t size_bytes;
	uint32_t block_size; /* 0: 4096 */
	enum blockcrypt_cipher cipher;
	const char *key_id;		   /* any form that GenerateDataKey takes */
	const struct kms_context *context; /* the user's pairs; NULL: none */
	bool rds;			   /* a database's volume, see attachment.h */
};

/*
 * Make a volume in @dir, which must not exist or be empty: asks KMS for a wrapped data key,
 * unwraps it once to seal the header, lays out the store. On failure nothing is left behind.
 * -EEXIST: @dir is not empty. Errors of KMS as kms_decrypt() gives them.
 */
int volume_create(const char *dir, const struct volume_create_options *options, struct kms *kms,
		  struct err *err);

/*
 * Ask KMS to unwrap the data key, and the previous one where there is one, and check the header's MAC with it
 * (-EBADMSG: the header was edited). The caller owns *@ret_data_keys (keys.h). Errors of KMS as kms_decrypt()
 * gives them.
 */
int volume_unwrap(const struct volume_header *header, struct kms *kms,
		  struct secret **ret_data_keys, struct err *err);

/* Can the data key be had? As volume_unwrap(), with one call of KMS always; it is wiped at once. */
int volume_check_key(const struct volume_header *header, struct kms *kms, struct err *err);

/* Is there a volume.json in @dir? */
bool volume_is(const char *dir);

/* As volume_unwrap(), but the header's MAC is not looked at: for who wants to know more of a damaged one. */
int volume_unwrap_unsealed(const struct volume_header *header, struct kms *kms,
			   struct secret **ret_data_keys, struct err *err);

/* What fills a new volume before there is a header, so that a crash leaves no half of it. */
struct volume_filler {
	int (*fill)(void *arg, struct store *store, struct err *err);
	void *arg;
};

/*
 * Lay a volume with this header, which gets its seal, into @dir, which must not exist or be empty.
 * @filler NULL: an empty one. On failure nothing is left behind. -EEXIST, -EBUSY.
 */
int volume_lay_out(const char *dir, struct volume_header *header, const struct secret *data_key,
		   const struct volume_filler *filler, struct err *err);

/*
 * Take the volume's lock. *@ret_fd is the caller's; closing it (in every process that inherited
 * it) gives the lock back. The calling process's id goes into the file, so a daemon takes the lock
 * after its last fork. -EBUSY: mounted elsewhere, the sentence names the process (and not the
 * volume: the caller does).
 */
int volume_lock(const char *dir, int *ret_fd, struct err *err);

#endif
