/* The header and the data key of a volume or snapshot that begins as another's snapshot. All calls of KMS for that. */
#ifndef FS_VOLUME_DERIVE_H
#define FS_VOLUME_DERIVE_H

#include <stdbool.h>

struct attachment;
struct err;
struct kms;
struct secret;
struct volume_header;

/*
 * A header like @from, of a new volume (@prefix "vol-") or of a copied snapshot ("snap-"): a new id, the
 * encryption context bound to it, created now. Its key is still missing, its lineage empty, its seal not set.
 * The caller owns *@ret_header.
 */
int volume_derive(const struct volume_header *from, const char *parent_snapshot, const char *prefix,
		  struct volume_header **ret_header, struct err *err);

/* Is @key_id (any form that DescribeKey takes; NULL: yes) the key that wraps @from's data key? */
int volume_same_key(const struct volume_header *from, struct kms *kms, const char *key_id,
		    bool *ret_same, struct err *err);

/*
 * Give @header the data key of @from, wrapped anew under the same KMS key for its own encryption context
 * (ReEncrypt), and unwrap it (Decrypt), as EBS does. *@ret_data_key is the caller's. -EBADMSG: the header
 * @from was edited.
 */
int volume_rewrap(const struct volume_header *from, struct volume_header *header, struct kms *kms,
		  struct secret **ret_data_key, struct err *err);

/*
 * Give @header a data key under @key_id (GenerateDataKeyWithoutPlaintext), and unwrap it. Between
 * attachment_new() and the attachment's end.
 */
int volume_ask_data_key(struct volume_header *header, const char *key_id, struct kms *kms,
			struct attachment *attachment, struct secret **ret_data_key,
			struct err *err);

/* All of that, for a volume that is made: a database's grant stays with it. */
int volume_new_key(struct volume_header *header, const char *key_id, struct kms *kms,
		   struct secret **ret_data_key, struct err *err);

#endif
