/* A new data key for a volume. See volume_rotate.h. */
#include "volume_rotate.h"

#include <errno.h>
#include <string.h>

#include "attachment.h"
#include "err.h"
#include "keys.h"
#include "secret.h"
#include "store.h"
#include "volume_derive.h"
#include "volume_header.h"
#include "volume_seal.h"

int volume_rotate_ask(const struct volume_header *header, struct kms *user,
		      struct volume_new_data_key *ret_new, struct err *err)
{
	struct volume_header fresh = *header; /* what it points to is borrowed */
	struct volume_new_data_key new = {0};
	struct attachment *attachment = NULL;
	int r;

	fresh.wrapped_key = fresh.previous_key = (struct kms_blob){0};
	fresh.geometry.previous_key = false;
	r = attachment_new(&fresh, header->key_arn, user, &attachment, err);
	if (r == 0)
		r = volume_ask_data_key(&fresh, header->key_arn, user, attachment, &new.key, err);
	attachment_end(attachment); /* the volume has its own, if it is a database's */
	new.wrapped = fresh.wrapped_key;
	if (r < 0) {
		volume_new_data_key_free(&new);
		return r;
	}
	*ret_new = new;
	return 0;
}

void volume_new_data_key_free(struct volume_new_data_key *new)
{
	kms_blob_free(&new->wrapped);
	secret_freep(&new->key);
}

/* All else of a header stays, and may be read by others meanwhile. */
static void take_keys(struct volume_header *header, const struct volume_header *from)
{
	header->wrapped_key = from->wrapped_key;
	header->previous_key = from->previous_key;
	header->geometry.previous_key = from->geometry.previous_key;
	memcpy(header->mac, from->mac, sizeof(header->mac));
}

int volume_rotate_begin(const char *dir, struct volume_header *header,
			struct volume_new_data_key *new, struct secret **data_keys, struct err *err)
{
	struct volume_header begun = *header;
	struct secret *both;
	int r = keys_join(new->key, *data_keys, &both, err);

	if (r < 0)
		return r;
	begun.wrapped_key = new->wrapped;
	begun.previous_key = header->wrapped_key;
	begun.geometry.previous_key = true;
	r = volume_seal_set(&begun, both, err);
	if (r == 0)
		r = volume_header_save(&begun, dir, err);
	if (r <
	    0) { /* were the new header there all the same, it would fit what the old key writes, too */
		secret_free(both);
		return r;
	}
	new->wrapped = (struct kms_blob){0};
	volume_new_data_key_free(new);
	take_keys(header, &begun);
	secret_free(*data_keys);
	*data_keys = both;
	return 0;
}

/* Does the store open by the newest data key alone? */
static int check_alone(const char *dir, const struct volume_header *header,
		       const struct secret *newest, struct err *err)
{
	struct store_stats stats;
	struct store *store;
	int r = store_open(dir, &header->geometry, newest, true, &store, err);

	if (r == 0) {
		store_stats(store, &stats);
		r = store_close(store, err);
		if (r == 0 && *stats.notice)
			r = err_set(err, EBADMSG, "%s", stats.notice);
	}
	return r < 0 ? err_prefix(err, "by the new data key alone it does not open") : 0;
}

int volume_rotate_end(const char *dir, struct volume_header *header, struct secret **data_keys,
		      struct err *err)
{
	struct volume_header ended = *header;
	struct secret *newest;
	int r = keys_pick(*data_keys, KEYS_NEWEST, &newest, err);

	if (r < 0)
		return r;
	ended.previous_key = (struct kms_blob){0};
	ended.geometry.previous_key = false;
	r = check_alone(dir, &ended, newest, err);
	if (r == 0)
		r = volume_seal_set(&ended, newest, err);
	if (r == 0)
		r = volume_header_save(&ended, dir, err);
	if (r < 0) {
		secret_free(newest);
		return r;
	}
	kms_blob_free(&header->previous_key);
	take_keys(header, &ended);
	secret_free(*data_keys);
	*data_keys = newest;
	return 0;
}
