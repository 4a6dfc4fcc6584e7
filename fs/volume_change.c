/* Changes of a volume's header. See volume_change.h. */
#include "volume_change.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "attachment.h"
#include "err.h"
#include "kms.h"
#include "secret.h"
#include "units.h"
#include "volume.h"
#include "volume_seal.h"

int volume_check_size(const struct volume_header *header, uint64_t size_bytes, struct err *err)
{
	struct store_geometry g = header->geometry;
	char has[UNITS_TEXT_MAX];

	units_format_size(g.size_bytes, has);
	if (size_bytes < g.size_bytes)
		return err_set(err, EINVAL,
			       "the new size cannot be smaller than the existing size (%s)", has);
	g.size_bytes = size_bytes;
	return store_geometry_check(&g, err);
}

/* Seal @header as it is now and put it into @dir. */
static int save(const char *dir, struct volume_header *header, const struct secret *data_key,
		struct err *err)
{
	int r = volume_seal_set(header, data_key, err);

	return r < 0 ? r : volume_header_save(header, dir, err);
}

int volume_grow(const char *dir, struct volume_header *header, const struct secret *data_key,
		uint64_t size_bytes, struct err *err)
{
	struct store_geometry grown = header->geometry;
	struct volume_header old = *header;
	int r = volume_check_size(header, size_bytes, err);

	if (r < 0)
		return r;
	/* A larger volume has larger segments, so that it never has too many of them. */
	grown.size_bytes = size_bytes;
	grown.segment_size = 0;
	r = store_geometry_check(&grown, err);
	if (r < 0)
		return r;
	if (grown.segment_size > old.geometry.segment_size)
		header->geometry.segment_size = grown.segment_size;
	/* The status reads it at any time. */
	__atomic_store_n(&header->geometry.size_bytes, size_bytes, __ATOMIC_RELAXED);
	r = save(dir, header, data_key, err);
	if (r < 0) {
		header->geometry.segment_size = old.geometry.segment_size;
		__atomic_store_n(&header->geometry.size_bytes, old.geometry.size_bytes,
				 __ATOMIC_RELAXED);
		memcpy(header->mac, old.mac, sizeof(header->mac));
	}
	return r;
}

/* The data key, wrapped anew in @header, is the one that it was: it opens the seal of before. */
static int check_same(struct volume_header *header, struct kms *kms, struct secret **ret_data_key,
		      const struct kms_blob *old, struct err *err)
{
	struct kms_blob new = header->wrapped_key;
	int r = volume_unwrap_unsealed(header, kms, ret_data_key, err);

	if (r < 0)
		return r;
	header->wrapped_key = *old;
	r = volume_seal_check(header, *ret_data_key, err);
	header->wrapped_key = new;
	return r < 0 ? err_prefix(err, "KMS gave another data key back") : 0;
}

/* As the user, or as EBS or RDS for the user, where @user leads to a kmsd. */
static int wrap_anew(const struct volume_header *header, struct kms *user, struct kms_blob *ret_new,
		     struct err *err)
{
	struct kms_context context = {.pairs = header->pairs, .count = header->pair_count};
	const struct kms_re_encrypt_request request = {
		.blob = header->wrapped_key.bytes,
		.blob_len = header->wrapped_key.len,
		.source_key_id = header->key_arn,
		.destination_key_id = header->key_arn,
		.source_context = &context,
		.destination_context = &context,
	};
	struct attachment *attachment = NULL;
	int r = attachment_new(header, header->key_arn, user, &attachment, err);

	if (r == 0)
		r = kms_re_encrypt(user, &request, ret_new, NULL, err);
	attachment_end(attachment);
	return r < 0 ? err_prefix(err, "cannot rewrap data key") : 0;
}

int volume_wrap_anew(const char *dir, struct volume_header *header, struct kms *user,
		     struct kms *kms, struct err *err)
{
	AUTO(secret_freep) struct secret *data_key = NULL;
	struct kms_blob old = header->wrapped_key, new = {0};
	uint8_t mac[VOLUME_MAC_LEN];
	int r = wrap_anew(header, user, &new, err);

	if (r < 0)
		return r;
	memcpy(mac, header->mac, sizeof(mac));
	header->wrapped_key = new;
	r = check_same(header, kms, &data_key, &old, err);
	if (r == 0)
		r = save(dir, header, data_key, err);
	if (r < 0) {
		memcpy(header->mac, mac, sizeof(mac));
		header->wrapped_key = old;
		kms_blob_free(&new);
		return r;
	}
	kms_blob_free(&old);
	return 0;
}
