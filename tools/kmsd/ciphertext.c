/* Ciphertext blobs. See ciphertext.h; DESIGN.md, "Ciphertext blob", has the bytes. */
#include "ciphertext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "aead.h"
#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "ids.h"
#include "kms_json.h"
#include "secret.h"

#define HEAD_LEN     5
#define CHECK_LEN    16
#define CHECK_OFF    (HEAD_LEN + CIPHERTEXT_MATERIAL_LEN) /* of the byte 01 before the check */
#define DER_OFF	     (CHECK_OFF + 1 + CHECK_LEN + 4)
#define FRAME_LEN    11 /* version, time, length: what stands before the plaintext under the seal */
#define FRAME_VER    1
#define DER_MAX	     128
#define DER_HEAD_MIN 67 /* bytes of DER before the sealed ones, with lengths of one byte each */
#define DER_HEAD_MAX 79 /* and of three */

static const char check_label[] = "kmsd blob header 1";
static const char aad_label[] = "kmsd blob aad 1";

int ciphertext_material_id(const uint8_t key_uuid[16], uint8_t ret_id[CIPHERTEXT_MATERIAL_LEN],
			   struct err *err)
{
	memcpy(ret_id, key_uuid, 16);
	return ids_random(ret_id + 16, CIPHERTEXT_MATERIAL_LEN - 16, false, err);
}

struct pair {
	const char *name, *value;
	size_t name_len, value_len;
};

struct pairs {
	struct pair *at;
	size_t count, max, bytes;
	struct err *err;
};

static int take_pair(const char *name, struct kms_json *value, void *arg)
{
	struct pairs *pairs = arg;
	struct pair *p = &pairs->at[pairs->count];

	if (pairs->count == pairs->max)
		return fault_set(pairs->err, FAULT_VALIDATION,
				 "EncryptionContext has more than %zu pairs", pairs->max);
	if (kms_json_type(value) != KMS_JSON_STRING)
		return fault_set(pairs->err, FAULT_SERIALIZATION, NULL);
	p->name = name;
	p->name_len = strlen(name);
	p->value = kms_json_string_value(value);
	p->value_len = kms_json_string_len(value);
	pairs->bytes += p->name_len + p->value_len;
	pairs->count++;
	return 0;
}

static int compare_pairs(const void *a, const void *b)
{
	return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

/* The pairs of @context, sorted; the caller frees ret->at. */
static int sorted_pairs(const struct kms_json *context, struct pairs *ret, struct err *err)
{
	size_t count = context ? kms_json_count(context) : 0;
	int r;

	*ret = (struct pairs){.max = CIPHERTEXT_CONTEXT_PAIRS, .err = err};
	if (count == 0)
		return 0;
	if (count > ret->max)
		return fault_set(err, FAULT_VALIDATION, "EncryptionContext has more than %zu pairs",
				 ret->max);
	ret->at = calloc(count, sizeof(*ret->at));
	if (!ret->at)
		return err_set(err, ENOMEM, "encryption context");
	r = kms_json_each(context, take_pair, ret);
	if (r == 0 && ret->bytes > CIPHERTEXT_CONTEXT_MAX)
		r = fault_set(err, FAULT_VALIDATION, "EncryptionContext is larger than %d bytes",
			      CIPHERTEXT_CONTEXT_MAX);
	if (r < 0) {
		free(ret->at);
		ret->at = NULL;
		return r;
	}
	qsort(ret->at, ret->count, sizeof(*ret->at), compare_pairs);
	return 0;
}

int ciphertext_check_context(const struct kms_json *context, struct err *err)
{
	struct pairs pairs;
	int r = sorted_pairs(context, &pairs, err);

	if (r == 0)
		free(pairs.at);
	return r;
}

static int append_framed(struct buf *out, const void *bytes, size_t len)
{
	uint8_t be[4];
	int r;

	put_be32(be, (uint32_t)len);
	r = buf_append(out, be, sizeof(be));
	return r ? r : buf_append(out, bytes, len);
}

int ciphertext_aad(const struct kms_json *context, const char *arn, const uint8_t *header,
		   struct buf *ret, struct err *err)
{
	struct pairs pairs;
	uint8_t be[4];
	int r = sorted_pairs(context, &pairs, err);

	if (r < 0)
		return r;
	r = append_framed(ret, aad_label, sizeof(aad_label) - 1);
	put_be32(be, (uint32_t)pairs.count);
	r = r ? r : buf_append(ret, be, sizeof(be));
	for (size_t i = 0; i < pairs.count && r == 0; i++) {
		r = append_framed(ret, pairs.at[i].name, pairs.at[i].name_len);
		r = r ? r : append_framed(ret, pairs.at[i].value, pairs.at[i].value_len);
	}
	free(pairs.at);
	r = r ? r : append_framed(ret, arn, strlen(arn));
	r = r ? r : append_framed(ret, header, CHECK_OFF + 1 + CHECK_LEN);
	return r < 0 ? err_set(err, -r, "additional authenticated data") : 0;
}

/*
 * A check sum over the header and the material id. It is no protection (the tag is): it tells a
 * damaged blob, which is InvalidCiphertext, from a sound one of a key that is not here.
 */
static int header_check(const uint8_t *blob, uint8_t ret_check[CHECK_LEN], struct err *err)
{
	uint8_t in[sizeof(check_label) + CHECK_OFF], digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	memcpy(in, check_label, sizeof(check_label));
	memcpy(in + sizeof(check_label), blob, CHECK_OFF);
	if (EVP_Digest(in, sizeof(in), digest, &n, EVP_sha256(), NULL) != 1)
		return err_set(err, EIO, "SHA-256 failed");
	memcpy(ret_check, digest, CHECK_LEN);
	return 0;
}

/* DER, written from the back: everything before what is already there is its content. */
struct der {
	uint8_t bytes[DER_MAX];
	size_t at;     /* where what is written begins */
	size_t behind; /* bytes that follow bytes[] */
};

static void der_put(struct der *der, const void *bytes, size_t len)
{
	der->at -= len;
	memcpy(der->bytes + der->at, bytes, len);
}

static void der_head(struct der *der, uint8_t tag, size_t len)
{
	uint8_t head[4] = {tag};
	size_t n = 2;

	if (len < 128) {
		head[1] = (uint8_t)len;
	} else if (len < 256) {
		head[1] = 0x81;
		head[2] = (uint8_t)len;
		n = 3;
	} else {
		head[1] = 0x82;
		put_be16(head + 2, (uint16_t)len);
		n = 4;
	}
	der_put(der, head, n);
}

static size_t der_len(const struct der *der)
{
	return DER_MAX - der->at + der->behind;
}

/*
 * PKCS#7 EncryptedData (RFC 2315 section 13) with the AES-256-GCM parameters of RFC 5084, up to the
 * sealed bytes. *@ret_nonce: where the nonce stands, counted from bytes + at.
 */
static void der_build(struct der *der, const uint8_t nonce[AEAD_NONCE_LEN], size_t sealed_len,
		      size_t *ret_nonce)
{
	static const uint8_t tag_len[] = {0x02, 0x01, AEAD_TAG_LEN};
	static const uint8_t gcm[] = {0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
				      0x65, 0x03, 0x04, 0x01, 0x2e};
	static const uint8_t data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
				       0xf7, 0x0d, 0x01, 0x07, 0x01};
	static const uint8_t encrypted[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
					    0xf7, 0x0d, 0x01, 0x07, 0x06};
	static const uint8_t version[] = {0x02, 0x01, 0x00};
	size_t end;

	*der = (struct der){.at = DER_MAX, .behind = sealed_len};
	der_head(der, 0x80, sealed_len);
	end = der->at;
	der_put(der, tag_len, sizeof(tag_len));
	der_put(der, nonce, AEAD_NONCE_LEN);
	*ret_nonce = der->at;
	der_head(der, 0x04, AEAD_NONCE_LEN);
	der_head(der, 0x30, end - der->at);
	der_put(der, gcm, sizeof(gcm));
	der_head(der, 0x30, end - der->at);
	der_put(der, data, sizeof(data));
	der_head(der, 0x30, der_len(der));
	der_put(der, version, sizeof(version));
	der_head(der, 0x30, der_len(der));
	der_head(der, 0xa0, der_len(der));
	der_put(der, encrypted, sizeof(encrypted));
	der_head(der, 0x30, der_len(der));
	*ret_nonce -= der->at;
}

static int seal_frame(const struct ciphertext_key *key, const struct buf *aad, const uint8_t *nonce,
		      const struct aead_text *framed, struct buf *ret, struct err *err)
{
	uint8_t sealed[FRAME_LEN + CIPHERTEXT_PLAIN_MAX + AEAD_TAG_LEN];
	struct aead_text ad = {aad->bytes, aad->len};
	int r = aead_seal(key->material, nonce, &ad, framed, sealed, err);

	if (r < 0)
		return r;
	r = buf_append(ret, sealed, framed->len + AEAD_TAG_LEN);
	return r < 0 ? err_set(err, -r, "ciphertext blob") : 0;
}

/* The blob up to the DER: header, material id, check, length of the DER. */
static int put_header(const struct ciphertext_key *key, enum ciphertext_kind kind, size_t der_bytes,
		      uint8_t ret_header[DER_OFF], struct err *err)
{
	const uint8_t head[HEAD_LEN] = {0x01, 0x02, (uint8_t)kind, 0x00, 0x78};

	memcpy(ret_header, head, HEAD_LEN);
	memcpy(ret_header + HEAD_LEN, key->material_id, CIPHERTEXT_MATERIAL_LEN);
	ret_header[CHECK_OFF] = 0x01;
	put_be32(ret_header + DER_OFF - 4, (uint32_t)der_bytes);
	return header_check(ret_header, ret_header + CHECK_OFF + 1, err);
}

int ciphertext_seal(const struct ciphertext_key *key, enum ciphertext_kind kind,
		    const struct kms_json *context, const void *plain, size_t plain_len,
		    int64_t now_ms, struct buf *ret, struct err *err)
{
	uint8_t header[DER_OFF], nonce[AEAD_NONCE_LEN], frame[FRAME_LEN + CIPHERTEXT_PLAIN_MAX];
	AUTO(buf_free) struct buf aad = {.max = 4 * CIPHERTEXT_CONTEXT_MAX};
	struct aead_text framed = {frame, FRAME_LEN + plain_len};
	struct der der;
	size_t nonce_at;
	int r;

	if (plain_len == 0 || plain_len > CIPHERTEXT_PLAIN_MAX)
		return err_set(err, EINVAL, "plaintext of %zu bytes", plain_len);
	r = ids_random(nonce, sizeof(nonce), false, err);
	if (r < 0)
		return r;
	der_build(&der, nonce, framed.len + AEAD_TAG_LEN, &nonce_at);
	r = put_header(key, kind, der_len(&der), header, err);
	if (r < 0)
		return r;
	r = ciphertext_aad(context, key->arn, header, &aad, err);
	if (r < 0)
		return r;
	r = buf_append(ret, header, sizeof(header));
	r = r ? r : buf_append(ret, der.bytes + der.at, DER_MAX - der.at);
	if (r < 0)
		return err_set(err, -r, "ciphertext blob");
	frame[0] = FRAME_VER;
	put_be64(frame + 1, (uint64_t)now_ms);
	put_be16(frame + 9, (uint16_t)plain_len);
	memcpy(frame + FRAME_LEN, plain, plain_len);
	r = seal_frame(key, &aad, nonce, &framed, ret, err);
	OPENSSL_cleanse(frame, sizeof(frame));
	return r;
}

int ciphertext_parse(const uint8_t *blob, size_t len, struct ciphertext *ret, struct err *err)
{
	uint8_t check[CHECK_LEN], zero[AEAD_NONCE_LEN] = {0};
	size_t overhead, sealed_len, nonce_at;
	struct der der;
	int r;

	/* How long the DER's head is depends on what follows it, by the size of its lengths. */
	for (overhead = DER_OFF + DER_HEAD_MIN; overhead <= DER_OFF + DER_HEAD_MAX; overhead++) {
		if (len < overhead + FRAME_LEN + 1 + AEAD_TAG_LEN)
			return fault_set(err, FAULT_INVALID_CIPHERTEXT, NULL);
		der_build(&der, zero, len - overhead, &nonce_at);
		if (DER_OFF + der_len(&der) == len)
			break;
	}
	if (overhead > DER_OFF + DER_HEAD_MAX || len > CIPHERTEXT_BLOB_MAX)
		return fault_set(err, FAULT_INVALID_CIPHERTEXT, NULL);
	sealed_len = len - overhead;
	memcpy(der.bytes + der.at + nonce_at, blob + DER_OFF + nonce_at, AEAD_NONCE_LEN);
	r = header_check(blob, check, err);
	if (r < 0)
		return r;
	if (blob[0] != 0x01 || blob[1] != 0x02 || blob[3] != 0x00 || blob[4] != 0x78 ||
	    (blob[2] != CIPHERTEXT_ENCRYPTED && blob[2] != CIPHERTEXT_DATA_KEY) ||
	    blob[CHECK_OFF] != 0x01 || memcmp(blob + CHECK_OFF + 1, check, CHECK_LEN) != 0 ||
	    get_be32(blob + DER_OFF - 4) != len - DER_OFF ||
	    memcmp(blob + DER_OFF, der.bytes + der.at, DER_MAX - der.at) != 0 ||
	    sealed_len > FRAME_LEN + CIPHERTEXT_PLAIN_MAX + AEAD_TAG_LEN)
		return fault_set(err, FAULT_INVALID_CIPHERTEXT, NULL);
	*ret = (struct ciphertext){
		.blob = blob,
		.material_id = blob + HEAD_LEN,
		.nonce = blob + DER_OFF + nonce_at,
		.sealed = blob + overhead,
		.sealed_len = sealed_len,
	};
	return 0;
}

int ciphertext_open(const struct ciphertext *ct, const struct ciphertext_key *key,
		    const struct kms_json *context, struct buf *ret, struct err *err)
{
	AUTO(buf_free) struct buf aad = {.max = 4 * CIPHERTEXT_CONTEXT_MAX};
	uint8_t frame[FRAME_LEN + CIPHERTEXT_PLAIN_MAX];
	struct aead_text sealed = {ct->sealed, ct->sealed_len}, ad;
	size_t plain_len = ct->sealed_len - FRAME_LEN - AEAD_TAG_LEN;
	int r = ciphertext_aad(context, key->arn, ct->blob, &aad, err);

	if (r < 0)
		return r;
	ad = (struct aead_text){aad.bytes, aad.len};
	r = aead_open(key->material, ct->nonce, &ad, &sealed, frame, err);
	if (r == -EBADMSG)
		return fault_set(err, FAULT_INVALID_CIPHERTEXT, NULL);
	if (r < 0)
		return r;
	if (frame[0] != FRAME_VER || get_be16(frame + 9) != plain_len)
		r = fault_set(err, FAULT_INVALID_CIPHERTEXT, NULL);
	else if (buf_append(ret, frame + FRAME_LEN, plain_len) < 0)
		r = err_set(err, ENOMEM, "plaintext");
	OPENSSL_cleanse(frame, sizeof(frame));
	return r;
}
