/*
 * volume.json, the public header of a volume: what it says, how it is checked, written and sealed.
 *
 * Members (an unknown one is ignored, and nothing reads it; a missing one is an error):
 *   format              "kmsvol-volume"
 *   format_version      1
 *   id                  "vol-" and 17 lower-case hex digits, as EBS has them; "snap-" in a copied snapshot
 *   size_bytes, block_size, segment_size, cipher    the geometry of the store
 *   key_arn             the KMS key that wraps the data key
 *   encryption_context  object of strings; "aws:ebs:id" is always there and equals id
 *   wrapped_data_key    base64 of KMS's CiphertextBlob
 *   parent_snapshot     null, or "snap-" and 17 lower-case hex digits
 *   created             UTC, "2026-01-31T23:59:59Z"
 *   lineage             array of {"volume_id", "below"}, at most STORE_LINEAGE_MAX: the segments with ids
 *                       below "below" (and not below the one before) were written for that volume
 *   previous_data_key   null, or while the volume is written anew under a new data key
 *                       {"wrapped_data_key"}: the one before; may be missing
 *   mac                 64 hex digits, see volume_seal.h
 */
#ifndef FS_VOLUME_HEADER_H
#define FS_VOLUME_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "kms.h"
#include "mac.h"
#include "store.h"

struct err;
struct secret;

#define VOLUME_HEADER_NAME     "volume.json"
#define VOLUME_HEADER_FORMAT   "kmsvol-volume"
#define VOLUME_HEADER_SIZE_MAX 65536 /* bytes of volume.json */
#define VOLUME_ID_CONTEXT      "aws:ebs:id"
#define VOLUME_FORMAT_VERSION  1
#define VOLUME_PAIRS_MAX       32
#define VOLUME_MAC_LEN	       MAC_LEN /* bytes */

/* volume.json, checked. */
struct volume_header {
	struct store_geometry geometry;
	char key_arn[KMS_KEY_ID_MAX + 1];
	struct kms_blob wrapped_key;  /* owned */
	struct kms_blob previous_key; /* owned; none unless geometry.previous_key */
	struct kms_pair *pairs; /* encryption context, owned with its strings; aws:ebs:id first */
	size_t pair_count;
	char parent_snapshot[32]; /* "" for none */
	int64_t created;	  /* seconds since 1970 */
	uint8_t mac[VOLUME_MAC_LEN];
};

/*
 * Read and check volume.json in @dir; not the MAC, which needs the data key. -ENOENT no volume
 * there, -EUCLEAN makes no sense (the sentence names the member), -ENOTSUP a newer format. The
 * sentence does not name the volume: the caller does.
 */
int volume_header_load(const char *dir, struct volume_header **ret_header, struct err *err);
void volume_header_free(struct volume_header *header);
void volume_header_freep(struct volume_header **header);

/* As volume_header_load(), from text. */
int volume_header_parse(const char *text, size_t len, struct volume_header **ret_header,
			struct err *err);

/* The text of volume.json; the caller frees. NULL: out of memory. */
char *volume_header_text(const struct volume_header *header);

/* Write volume.json into @dir, durably and at once (temporary file, rename). */
int volume_header_save(const struct volume_header *header, const char *dir, struct err *err);

/* Append a pair to the encryption context; both strings are copied. -E2BIG: VOLUME_PAIRS_MAX. */
int volume_header_add_pair(struct volume_header *header, const char *name, const char *value,
			   struct err *err);

#endif
