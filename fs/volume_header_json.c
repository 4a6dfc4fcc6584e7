/*
 * The text of volume.json: parse and check, write. All of it is public and comes from outside, so each
 * member is checked for type and range here, and the MAC (volume_seal.h) as soon as the data key is
 * known. See volume_header.h.
 */
#include "volume_header.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "ids.h"
#include "kms_json.h"
#include "secret.h"
#include "utc.h"

static int parse_format(const struct kms_json *obj, struct err *err)
{
	const char *format;
	uint64_t version;

	if (!kms_json_has(obj, "format") || kms_json_str(obj, "format", &format, NULL) < 0 ||
	    strcmp(format, VOLUME_HEADER_FORMAT) != 0)
		return err_set(err, EUCLEAN, "not the header of a volume: no \"format\": \"%s\"",
			       VOLUME_HEADER_FORMAT);
	int r = kms_json_u64(obj, "format_version", &version, err);
	if (r < 0)
		return r;
	if (version > VOLUME_FORMAT_VERSION)
		return err_set(err, ENOTSUP,
			       "written by a newer kmsvol (format %" PRIu64 "), this one reads %d",
			       version, VOLUME_FORMAT_VERSION);
	if (version < 1)
		return err_set(err, EUCLEAN, "member 'format_version' is 0");
	return 0;
}

/* A volume's id, or a copied snapshot's. */
static int parse_id(const struct kms_json *obj, const char *name, const char **ret_id,
		    struct err *err)
{
	int r = kms_json_str(obj, name, ret_id, err);

	if (r == 0 && !id_is(*ret_id, "vol-") && !id_is(*ret_id, "snap-"))
		r = err_set(err, EUCLEAN, "member '%s' is not 'vol-' or 'snap-' and %d hex digits",
			    name, ID_LEN_DIGITS);
	return r;
}

static int parse_geometry(const struct kms_json *obj, struct volume_header *h, struct err *err)
{
	struct store_geometry *g = &h->geometry;
	const char *cipher;
	uint64_t block_size;
	int r;

	if ((r = kms_json_u64(obj, "size_bytes", &g->size_bytes, err)) < 0 ||
	    (r = kms_json_u64(obj, "block_size", &block_size, err)) < 0 ||
	    (r = kms_json_u64(obj, "segment_size", &g->segment_size, err)) < 0 ||
	    (r = kms_json_str(obj, "cipher", &cipher, err)) < 0)
		return r;
	if (block_size < STORE_BLOCK_SIZE_MIN || block_size > STORE_BLOCK_SIZE_MAX)
		return err_set(err, EUCLEAN, "member 'block_size' is %" PRIu64 ", not in %d..%d",
			       block_size, STORE_BLOCK_SIZE_MIN, STORE_BLOCK_SIZE_MAX);
	g->block_size = (uint32_t)block_size;
	if (g->segment_size == 0) /* the store would take it for "choose one" */
		return err_set(err, EUCLEAN, "member 'segment_size' is 0");
	if (blockcrypt_by_name(cipher, &g->cipher) < 0)
		return err_set(err, EUCLEAN, "member 'cipher' names no cipher known here: '%.32s'",
			       cipher);
	if (store_geometry_check(g, err) < 0) {
		if (err)
			err->num = EUCLEAN; /* not the user's argument but the file is wrong */
		return -EUCLEAN;
	}
	return 0;
}

struct pairs_arg {
	struct volume_header *header;
	struct err *err;
	size_t bytes;
};

static int parse_pair(const char *name, struct kms_json *value, void *p)
{
	struct pairs_arg *arg = p;
	const char *text = kms_json_string_value(value);

	if (kms_json_type(value) != KMS_JSON_STRING || strlen(text) != kms_json_string_len(value))
		return err_set(arg->err, EUCLEAN, "the value of '%.128s' is not a string", name);
	arg->bytes += strlen(name) + strlen(text);
	if (!*name || !*text || arg->bytes > KMS_CONTEXT_MAX)
		return err_set(arg->err, EUCLEAN, "a pair is empty or too long (all: %d bytes)",
			       KMS_CONTEXT_MAX);
	if (strcmp(name, VOLUME_ID_CONTEXT) == 0) /* is first already */
		return 0;
	if (volume_header_add_pair(arg->header, name, text, arg->err) < 0)
		return err_set(arg->err, EUCLEAN, "more than %d pairs", VOLUME_PAIRS_MAX);
	return 0;
}

static int parse_context(const struct kms_json *obj, struct volume_header *h, struct err *err)
{
	struct pairs_arg arg = {.header = h, .err = err};
	struct kms_json *context;
	const char *id;
	int r = kms_json_object(obj, "encryption_context", &context, err);

	if (r < 0)
		return r;
	if (kms_json_str(context, VOLUME_ID_CONTEXT, &id, NULL) < 0 ||
	    strcmp(id, h->geometry.volume_id) != 0)
		return err_set(err, EUCLEAN,
			       "member 'encryption_context' does not bind '%s' to the volume's id",
			       VOLUME_ID_CONTEXT);
	r = volume_header_add_pair(h, VOLUME_ID_CONTEXT, id, err);
	if (r < 0)
		return r;
	r = kms_json_each(context, parse_pair, &arg);
	if (r < 0)
		return err_prefix(err, "member 'encryption_context'");
	return 0;
}

static int parse_wrapped(const struct kms_json *obj, struct kms_blob *ret, struct err *err)
{
	int r = kms_json_base64(obj, "wrapped_data_key", &ret->bytes, &ret->len, err);

	if (r < 0)
		return r;
	if (ret->len < 1 || ret->len > KMS_BLOB_MAX)
		return err_set(err, EUCLEAN, "member 'wrapped_data_key' has %zu bytes, not 1 to %d",
			       ret->len, KMS_BLOB_MAX);
	return 0;
}

static int parse_key(const struct kms_json *obj, struct volume_header *h, struct err *err)
{
	const char *arn;
	int r = kms_json_str(obj, "key_arn", &arn, err);

	if (r < 0)
		return r;
	if (strncmp(arn, "arn:", 4) != 0 || strlen(arn) > KMS_KEY_ID_MAX)
		return err_set(err, EUCLEAN, "member 'key_arn' is no ARN");
	strcpy(h->key_arn, arn);
	return parse_wrapped(obj, &h->wrapped_key, err);
}

/* Volumes that were made before there was such a thing do not have the member. */
static int parse_previous(const struct kms_json *obj, struct volume_header *h, struct err *err)
{
	struct kms_json *previous;
	int r;

	if (!kms_json_get(obj, "previous_data_key"))
		return 0;
	r = kms_json_object(obj, "previous_data_key", &previous, err);
	if (r < 0)
		return r;
	r = parse_wrapped(previous, &h->previous_key, err);
	if (r < 0)
		return err_prefix(err, "member 'previous_data_key'");
	h->geometry.previous_key = true;
	return 0;
}

static int parse_origin(const struct kms_json *obj, struct volume_header *h, struct err *err)
{
	const char *created, *parent = "";
	int r;

	if (!kms_json_has(obj, "parent_snapshot"))
		return err_set(err, EUCLEAN, "member 'parent_snapshot' is missing");
	if (kms_json_get(obj, "parent_snapshot") &&
	    (r = kms_json_str(obj, "parent_snapshot", &parent, err)) < 0)
		return r;
	if (*parent && !id_is(parent, "snap-"))
		return err_set(err, EUCLEAN,
			       "member 'parent_snapshot' is neither null nor 'snap-' and %d hex "
			       "digits",
			       ID_LEN_DIGITS);
	strcpy(h->parent_snapshot, parent);
	r = kms_json_str(obj, "created", &created, err);
	if (r < 0)
		return r;
	if (utc_parse(created, &h->created) < 0)
		return err_set(err, EUCLEAN, "member 'created' is no time like '%s'", UTC_EXAMPLE);
	return 0;
}

/* One origin; they rise, and each covers at least one segment. */
static int parse_origin_of(const struct kms_json *obj, struct volume_header *h, struct err *err)
{
	struct store_geometry *g = &h->geometry;
	struct store_origin *o = &g->lineage[g->lineage_count];
	uint32_t before = g->lineage_count ? o[-1].below : 1;
	const char *id;
	uint64_t below;
	int r;

	if (kms_json_type(obj) != KMS_JSON_OBJECT)
		return err_set(err, EUCLEAN, "an element is not an object");
	if ((r = parse_id(obj, "volume_id", &id, err)) < 0 ||
	    (r = kms_json_u64(obj, "below", &below, err)) < 0)
		return r;
	if (below <= before || below >= UINT32_MAX)
		return err_set(err, EUCLEAN, "member 'below' is %" PRIu64 ", not above %" PRIu32,
			       below, before);
	strcpy(o->volume_id, id); /* its length is known now */
	o->below = (uint32_t)below;
	g->lineage_count++;
	return 0;
}

static int parse_lineage(const struct kms_json *obj, struct volume_header *h, struct err *err)
{
	struct kms_json *list;
	int r = kms_json_array(obj, "lineage", &list, err);

	if (r == 0 && kms_json_count(list) > STORE_LINEAGE_MAX)
		r = err_set(err, EUCLEAN, "member 'lineage' has more than %d elements",
			    STORE_LINEAGE_MAX);
	for (size_t i = 0; r == 0 && i < kms_json_count(list); i++) {
		r = parse_origin_of(kms_json_at(list, i), h, err);
		if (r < 0)
			(void)err_prefix(err, "member 'lineage'");
	}
	return r;
}

static int parse_mac(const struct kms_json *obj, struct volume_header *h, struct err *err)
{
	const char *mac;
	int r = kms_json_str(obj, "mac", &mac, err);

	if (r < 0)
		return r;
	if (bytes_from_hex(mac, h->mac, sizeof(h->mac)) < 0)
		return err_set(err, EUCLEAN, "member 'mac' is not %d hex digits",
			       2 * VOLUME_MAC_LEN);
	return 0;
}

int volume_header_parse(const char *text, size_t len, struct volume_header **ret_header,
			struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *h = calloc(1, sizeof(*h));
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	const char *id;
	int r;

	if (!h)
		return err_set(err, ENOMEM, "out of memory");
	if ((r = kms_json_parse(text, len, &obj, err)) < 0 || (r = parse_format(obj, err)) < 0 ||
	    (r = parse_id(obj, "id", &id, err)) < 0)
		return r;
	strcpy(h->geometry.volume_id, id); /* its length is known now */
	if ((r = parse_geometry(obj, h, err)) < 0 || (r = parse_key(obj, h, err)) < 0 ||
	    (r = parse_context(obj, h, err)) < 0 || (r = parse_origin(obj, h, err)) < 0 ||
	    (r = parse_lineage(obj, h, err)) < 0 || (r = parse_previous(obj, h, err)) < 0 ||
	    (r = parse_mac(obj, h, err)) < 0)
		return r;
	*ret_header = h;
	h = NULL;
	return 0;
}

/* NULL: out of memory. */
static struct kms_json *lineage_json(const struct store_geometry *g)
{
	struct kms_json *list = kms_json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < g->lineage_count; i++) {
		struct kms_json *one = kms_json_new_object();

		if (one)
			r = kms_json_set_str(one, "volume_id", g->lineage[i].volume_id) |
			    kms_json_set_u64(one, "below", g->lineage[i].below);
		else
			r = -ENOMEM;
		if (r < 0)
			kms_json_free(one);
		else
			r = kms_json_add(list, one);
	}
	if (r < 0)
		kms_json_freep(&list);
	return list;
}

static int set_previous(struct kms_json *obj, const struct volume_header *h)
{
	struct kms_json *previous;

	if (!h->geometry.previous_key)
		return kms_json_set_null(obj, "previous_data_key");
	previous = kms_json_new_object();
	if (previous && kms_json_set_base64(previous, "wrapped_data_key", h->previous_key.bytes,
					    h->previous_key.len) < 0)
		kms_json_freep(&previous);
	return kms_json_set(obj, "previous_data_key", previous);
}

/* The header as a JSON object; NULL: out of memory. */
static struct kms_json *to_json(const struct volume_header *h)
{
	const struct store_geometry *g = &h->geometry;
	struct kms_json *obj = kms_json_new_object(), *context = kms_json_new_object();
	char created[UTC_LEN], mac[2 * VOLUME_MAC_LEN + 1];
	int r;

	if (!obj || !context || utc_format(h->created, created) < 0) {
		kms_json_free(obj);
		kms_json_free(context);
		return NULL;
	}
	bytes_to_hex(h->mac, sizeof(h->mac), mac);
	r = kms_json_set_str(obj, "format", VOLUME_HEADER_FORMAT) |
	    kms_json_set_u64(obj, "format_version", VOLUME_FORMAT_VERSION) |
	    kms_json_set_str(obj, "id", g->volume_id) |
	    kms_json_set_u64(obj, "size_bytes", g->size_bytes) |
	    kms_json_set_u64(obj, "block_size", g->block_size) |
	    kms_json_set_u64(obj, "segment_size", g->segment_size) |
	    kms_json_set_str(obj, "cipher", blockcrypt_name(g->cipher)) |
	    kms_json_set_str(obj, "key_arn", h->key_arn);
	for (size_t i = 0; i < h->pair_count; i++)
		r |= kms_json_set_str(context, h->pairs[i].name, h->pairs[i].value);
	r |= kms_json_set(obj, "encryption_context", context) |
	     kms_json_set_base64(obj, "wrapped_data_key", h->wrapped_key.bytes,
				 h->wrapped_key.len) |
	     (*h->parent_snapshot ? kms_json_set_str(obj, "parent_snapshot", h->parent_snapshot)
				  : kms_json_set_null(obj, "parent_snapshot")) |
	     kms_json_set_str(obj, "created", created) |
	     kms_json_set(obj, "lineage", lineage_json(g)) | set_previous(obj, h) |
	     kms_json_set_str(obj, "mac", mac);
	if (r < 0)
		kms_json_freep(&obj);
	return obj;
}

char *volume_header_text(const struct volume_header *header)
{
	AUTO(kms_json_freep) struct kms_json *obj = to_json(header);
	AUTO(freep) char *pretty = obj ? kms_json_text_pretty(obj) : NULL;
	char *text;

	return pretty && asprintf(&text, "%s\n", pretty) >= 0 ? text : NULL;
}
