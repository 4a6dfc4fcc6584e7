/* See volume_derive.h. */
#include "volume_derive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attachment.h"
#include "err.h"
#include "ids.h"
#include "kms.h"
#include "secret.h"
#include "volume.h"
#include "volume_seal.h"

int volume_derive(const struct volume_header *from, const char *parent_snapshot, const char *prefix,
		  struct volume_header **ret_header, struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *h = calloc(1, sizeof(*h));
	size_t bytes = 0;
	int r;

	if (!h)
		return err_set(err, ENOMEM, "out of memory");
	h->geometry = from->geometry;
	h->geometry.lineage_count = 0;
	h->geometry.previous_key = false;
	memset(h->geometry.volume_id, 0, sizeof(h->geometry.volume_id));
	strcpy(h->parent_snapshot, parent_snapshot);
	h->created = (int64_t)time(NULL);
	r = id_new(prefix, h->geometry.volume_id, err);
	if (r == 0)
		r = volume_header_add_pair(h, VOLUME_ID_CONTEXT, h->geometry.volume_id, err);
	for (size_t i = 0; r == 0 && i < from->pair_count; i++)
		if (strcmp(from->pairs[i].name, VOLUME_ID_CONTEXT) != 0)
			r = volume_header_add_pair(h, from->pairs[i].name, from->pairs[i].value,
						   err);
	for (size_t i = 0; r == 0 && i < h->pair_count; i++)
		bytes += strlen(h->pairs[i].name) + strlen(h->pairs[i].value);
	if (bytes > KMS_CONTEXT_MAX) /* the id of a snapshot is longer than a volume's */
		r = err_set(err, EINVAL, "its encryption context would be longer than %d bytes",
			    KMS_CONTEXT_MAX);
	if (r < 0)
		return r;
	*ret_header = h;
	h = NULL;
	return 0;
}

int volume_same_key(const struct volume_header *from, struct kms *kms, const char *key_id,
		    bool *ret_same, struct err *err)
{
	struct kms_key_metadata *key;
	int r;

	*ret_same = true;
	if (!key_id || strcmp(key_id, from->key_arn) == 0)
		return 0;
	key = calloc(1, sizeof(*key));
	if (!key)
		return err_set(err, ENOMEM, "out of memory");
	r = kms_describe_key(kms, key_id, key, err);
	if (r == 0)
		*ret_same = strcmp(key->arn, from->key_arn) == 0;
	free(key);
	return r < 0 ? err_prefix(err, "cannot find out about the key '%s'", key_id) : 0;
}

int volume_rewrap(const struct volume_header *from, struct volume_header *header, struct kms *kms,
		  struct secret **ret_data_key, struct err *err)
{
	struct kms_context old = {.pairs = from->pairs, .count = from->pair_count};
	struct kms_context new = {.pairs = header->pairs, .count = header->pair_count};
	const struct kms_re_encrypt_request request = {.blob = from->wrapped_key.bytes,
						       .blob_len = from->wrapped_key.len,
						       .source_key_id = from->key_arn,
						       .destination_key_id = from->key_arn,
						       .source_context = &old,
						       .destination_context = &new};
	AUTO(secret_freep) struct secret *data_key = NULL;
	struct attachment *attachment = NULL;
	int r = attachment_new(header, from->key_arn, kms, &attachment, err);

	if (r == 0) {
		r = kms_re_encrypt(kms, &request, &header->wrapped_key, header->key_arn, err);
		if (r < 0)
			(void)err_prefix(err, "cannot wrap its data key for the new volume");
	}
	if (r == 0)
		r = attachment_admit(attachment, err);
	if (r == 0)
		r = volume_unwrap_unsealed(header, kms, &data_key, err);
	if (r == 0)
		r = volume_seal_check(from, data_key, err);
	attachment_made(attachment, r);
	if (r < 0)
		return r;
	*ret_data_key = data_key;
	data_key = NULL;
	return 0;
}

int volume_ask_data_key(struct volume_header *header, const char *key_id, struct kms *kms,
			struct attachment *attachment, struct secret **ret_data_key,
			struct err *err)
{
	struct kms_context context = {.pairs = header->pairs, .count = header->pair_count};
	int r = kms_generate_data_key_without_plaintext(kms, key_id, STORE_DATA_KEY_LEN, &context,
							&header->wrapped_key, header->key_arn, err);

	if (r < 0)
		return err_prefix(err, "cannot get a data key");
	r = attachment_admit(attachment, err);
	return r < 0 ? r : volume_unwrap_unsealed(header, kms, ret_data_key, err);
}

int volume_new_key(struct volume_header *header, const char *key_id, struct kms *kms,
		   struct secret **ret_data_key, struct err *err)
{
	struct attachment *attachment = NULL;
	int r = attachment_new(header, key_id, kms, &attachment, err);

	if (r == 0)
		r = volume_ask_data_key(header, key_id, kms, attachment, ret_data_key, err);
	attachment_made(attachment, r);
	return r;
}
