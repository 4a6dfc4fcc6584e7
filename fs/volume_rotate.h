/*
 * A new data key for a volume that has one already, under the same KMS key. Nothing is encrypted twice at once:
 *
 *   step     | volume.json                                 | what is under which key
 *   before   | the data key                                | all under it
 *   begin    | the new one, and the one before it          | what is written from now on under the new one
 *   (a while)| the same                                    | the store's cleaner writes the rest anew
 *   end      | the new one                                 | all under it; the one before is gone
 *
 * Each step is one durable replacement of volume.json while the store is closed. A crash leaves the old header or
 * the new one, and with either the store opens and goes on: it tells by the seals of segments, map and roots
 * which key they are under. Snapshots keep the header, and so the keys, of their time.
 */
#ifndef FS_VOLUME_ROTATE_H
#define FS_VOLUME_ROTATE_H

#include <stdbool.h>

#include "kms.h"

struct err;
struct secret;
struct volume_header;

/* A new data key, wrapped and not. All zero: none. */
struct volume_new_data_key {
	struct kms_blob wrapped;
	struct secret *key;
};

/*
 * Ask KMS for one for the volume: GenerateDataKeyWithoutPlaintext, and Decrypt, by @user, or by EBS or RDS
 * for the user (attachment.h). Errors of KMS as kms_decrypt(). The caller ends it with
 * volume_new_data_key_free().
 */
int volume_rotate_ask(const struct volume_header *header, struct kms *user,
		      struct volume_new_data_key *ret_new, struct err *err);
void volume_new_data_key_free(struct volume_new_data_key *new); /* wipes; what is in it */

/*
 * Begin: @new (taken, and left empty) is the volume's data key from now on. The store is closed;
 * *@data_keys (keys.h), a single key, becomes both. On failure @header and *@data_keys are as they were.
 */
int volume_rotate_begin(const char *dir, struct volume_header *header,
			struct volume_new_data_key *new, struct secret **data_keys,
			struct err *err);

/*
 * End, when the store had nothing under the previous data key any more, and is closed: it is opened for
 * reading by the newest alone first. -EBADMSG: something is under the previous one still, and nothing was
 * changed.
 */
int volume_rotate_end(const char *dir, struct volume_header *header, struct secret **data_keys,
		      struct err *err);

#endif
