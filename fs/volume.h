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

struct err;
struct secret;

#define VOLUME_FORMAT_VERSION 1
#define VOLUME_PAIRS_MAX      32

/* volume.json, checked. */
struct volume_header {
	struct store_geometry geometry;
	char key_arn[KMS_KEY_ID_MAX + 1];
	struct kms_blob wrapped_key; /* owned */
	struct kms_pair *pairs;	     /* encryption context, owned; aws:ebs:id first */
	size_t pair_count;
	char parent_snapshot[32]; /* "" for none */
	int64_t created;	  /* seconds since 1970 */
	uint8_t mac[32];
};

struct volume_create_options {
	uint64_t size_bytes;
	uint32_t block_size; /* 0: 4096 */
	enum blockcrypt_cipher cipher;
	const char *key_id;		   /* any form that GenerateDataKey takes */
	const struct kms_context *context; /* the user's pairs; NULL: none */
};

/*
 * Make a volume in @dir, which must not exist or be empty: asks KMS for a wrapped data key, unwraps it
 * once to seal the header, lays out the store. On failure nothing is left behind.
 */
int volume_create(const char *dir, const struct volume_create_options *options, struct kms *kms,
		  struct err *err);

/* Read and check volume.json. -ENOENT no volume there, -EUCLEAN makes no sense, -ENOTSUP newer. */
int volume_header_load(const char *dir, struct volume_header **ret_header, struct err *err);
void volume_header_free(struct volume_header *header);
void volume_header_freep(struct volume_header **header);

/*
 * Ask KMS to unwrap the data key and check the header's MAC with it (-EBADMSG: the header was edited).
 * The caller owns *@ret_data_key. Errors of KMS as kms_decrypt() gives them.
 */
int volume_unwrap(const struct volume_header *header, struct kms *kms, struct secret **ret_data_key,
		  struct err *err);

/* Take the volume's lock. *@ret_fd is the caller's; closing it gives the lock back. -EBUSY: mounted
 * elsewhere, the sentence names the process. */
int volume_lock(const char *dir, int *ret_fd, struct err *err);

#endif
