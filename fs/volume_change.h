/*
 * Changes of a volume's header after it was made: a larger size, the data key wrapped anew. Each is one
 * durable replacement of volume.json; a crash leaves the old one or the new one, and both are right.
 */
#ifndef FS_VOLUME_CHANGE_H
#define FS_VOLUME_CHANGE_H

#include <stdint.h>

struct err;
struct kms;
struct secret;
struct volume_header;

/*
 * Can the volume get this size? -EINVAL with a sentence: smaller than it is, no multiple of the block
 * size, too large. 0 also when it has that size.
 */
int volume_check_size(const struct volume_header *header, uint64_t size_bytes, struct err *err);

/*
 * Write the new size into volume.json in @dir and into @header, sealed with @data_key (borrowed). The
 * store must not be open: it takes the size from the header when it is opened next. On failure
 * @header is as it was.
 */
int volume_grow(const char *dir, struct volume_header *header, const struct secret *data_key,
		uint64_t size_bytes, struct err *err);

/*
 * Have KMS wrap the data key anew under the KMS key's newest material (ReEncrypt by @user, same key, same
 * context), check that it unwraps (Decrypt by @kms, which may be a service's) to the same data key, and
 * write volume.json and @header. The store may be open. Errors of KMS as kms_decrypt(); on failure @header
 * is as it was.
 */
int volume_wrap_anew(const char *dir, struct volume_header *header, struct kms *user,
		     struct kms *kms, struct err *err);

#endif
