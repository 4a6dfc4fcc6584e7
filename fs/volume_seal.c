/* The MAC over a volume's header. See volume_seal.h for the bytes. */
#include "volume_seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "hkdf.h"
#include "keys.h"
#include "mac.h"
#include "secret.h"
#include "volume_header.h"

#define FIELDS	  13	/* and one more with a previous data key */
#define INPUT_MAX 65536 /* bytes; a header of the largest members stays far below */

static int put_bytes(struct buf *in, const void *bytes, size_t len)
{
	uint8_t be[4];
	int r;

	put_be32(be, (uint32_t)len);
	r = buf_append(in, be, sizeof(be));
	return r < 0 ? r : buf_append(in, bytes, len);
}

static int put_str(struct buf *in, const char *text)
{
	return put_bytes(in, text, strlen(text));
}

static int put_text(struct buf *in, const char *name, const char *value)
{
	int r = put_str(in, name);

	return r < 0 ? r : put_str(in, value);
}

static int put_number(struct buf *in, const char *name, uint64_t value)
{
	uint8_t be[8];
	int r = put_str(in, name);

	put_be64(be, value);
	return r < 0 ? r : put_bytes(in, be, sizeof(be));
}

static int by_name(const void *a, const void *b)
{
	const struct kms_pair *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int put_context(struct buf *in, const struct volume_header *h)
{
	struct buf value = {.max = INPUT_MAX};
	struct kms_pair sorted[VOLUME_PAIRS_MAX];
	uint8_t be[4];
	int r;

	if (h->pair_count > VOLUME_PAIRS_MAX)
		return -E2BIG;
	memcpy(sorted, h->pairs, h->pair_count * sizeof(*sorted));
	qsort(sorted, h->pair_count, sizeof(*sorted), by_name);
	put_be32(be, (uint32_t)h->pair_count);
	r = buf_append(&value, be, sizeof(be));
	for (size_t i = 0; r == 0 && i < h->pair_count; i++)
		r = put_text(&value, sorted[i].name, sorted[i].value);
	if (r == 0)
		r = put_str(in, "encryption_context");
	if (r == 0)
		r = put_bytes(in, value.bytes, value.len);
	buf_free(&value);
	return r;
}

static int put_lineage(struct buf *in, const struct store_geometry *g)
{
	struct buf value = {.max = INPUT_MAX};
	uint8_t be[8];
	int r;

	put_be32(be, (uint32_t)g->lineage_count);
	r = buf_append(&value, be, 4);
	for (size_t i = 0; r == 0 && i < g->lineage_count; i++) {
		r = put_str(&value, g->lineage[i].volume_id);
		put_be64(be, g->lineage[i].below);
		if (r == 0)
			r = buf_append(&value, be, 8);
	}
	if (r == 0)
		r = put_str(in, "lineage");
	if (r == 0)
		r = put_bytes(in, value.bytes, value.len);
	buf_free(&value);
	return r;
}

static int put_previous(struct buf *in, const struct volume_header *h)
{
	int r = put_str(in, "previous_data_key");

	return r < 0 ? r : put_bytes(in, h->previous_key.bytes, h->previous_key.len);
}

static int put_header(struct buf *in, const struct volume_header *h)
{
	const struct store_geometry *g = &h->geometry;
	uint8_t be[4];
	int r;

	put_be32(be, FIELDS + g->previous_key);
	if ((r = buf_append(in, be, sizeof(be))) < 0 ||
	    (r = put_text(in, "format", VOLUME_HEADER_FORMAT)) < 0 ||
	    (r = put_number(in, "format_version", VOLUME_FORMAT_VERSION)) < 0 ||
	    (r = put_text(in, "id", g->volume_id)) < 0 ||
	    (r = put_number(in, "size_bytes", g->size_bytes)) < 0 ||
	    (r = put_number(in, "block_size", g->block_size)) < 0 ||
	    (r = put_number(in, "segment_size", g->segment_size)) < 0 ||
	    (r = put_text(in, "cipher", blockcrypt_name(g->cipher))) < 0 ||
	    (r = put_text(in, "key_arn", h->key_arn)) < 0 || (r = put_context(in, h)) < 0 ||
	    (r = put_str(in, "wrapped_data_key")) < 0 ||
	    (r = put_bytes(in, h->wrapped_key.bytes, h->wrapped_key.len)) < 0 ||
	    (r = put_text(in, "parent_snapshot", h->parent_snapshot)) < 0 ||
	    (r = put_number(in, "created", (uint64_t)h->created)) < 0)
		return r;
	r = put_lineage(in, g);
	return r < 0 || !g->previous_key ? r : put_previous(in, h);
}

/* The bytes that are sealed, and the key's object that seals them; the caller frees both. */
static int prepare(const struct volume_header *header, const struct secret *data_keys,
		   struct buf *in, struct mac **ret_mac, struct err *err)
{
	AUTO(secret_freep) struct secret *mac_key = NULL, *newest = NULL;
	int r = secret_new(MAC_KEY_LEN, &mac_key, err);

	if (r == 0)
		r = keys_pick(data_keys, KEYS_NEWEST, &newest, err);
	if (r < 0)
		return r;
	r = hkdf_sha256(newest, NULL, 0, VOLUME_SEAL_LABEL, secret_bytes(mac_key),
			secret_len(mac_key), err);
	if (r < 0)
		return r;
	r = put_header(in, header);
	if (r < 0)
		return err_set(err, -r, "%s: cannot make the input of its MAC: %s",
			       VOLUME_HEADER_NAME, strerror(-r));
	return mac_new(secret_cbytes(mac_key), ret_mac, err);
}

int volume_seal_set(struct volume_header *header, const struct secret *data_keys, struct err *err)
{
	struct buf in = {.max = INPUT_MAX};
	uint8_t tag[VOLUME_MAC_LEN];
	struct mac *mac = NULL;
	int r = prepare(header, data_keys, &in, &mac, err);

	if (r == 0 && mac_sign(mac, in.bytes, in.len, tag) < 0)
		r = err_set(err, EIO, "%s: HMAC-SHA256 failed", VOLUME_HEADER_NAME);
	if (r == 0)
		memcpy(header->mac, tag, sizeof(tag));
	mac_free(mac);
	buf_free(&in);
	return r;
}

int volume_seal_check(const struct volume_header *header, const struct secret *data_keys,
		      struct err *err)
{
	struct buf in = {.max = INPUT_MAX};
	struct mac *mac = NULL;
	int r = prepare(header, data_keys, &in, &mac, err);

	if (r == 0) {
		r = mac_check(mac, in.bytes, in.len, header->mac, sizeof(header->mac));
		if (r == -EBADMSG)
			(void)err_set(err, EBADMSG,
				      "%s: its MAC is wrong: it was edited after it was sealed",
				      VOLUME_HEADER_NAME);
		else if (r < 0)
			(void)err_set(err, -r, "%s: HMAC-SHA256 failed", VOLUME_HEADER_NAME);
	}
	mac_free(mac);
	buf_free(&in);
	return r;
}
