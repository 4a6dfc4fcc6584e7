/*
 * The ciphertext blob: what Encrypt makes and Decrypt takes. Pure but for the random nonce. Laid
 * out as the blobs of AWS KMS are; DESIGN.md has it byte by byte.
 */
#ifndef KMSD_CIPHERTEXT_H
#define KMSD_CIPHERTEXT_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct kms_json;

#define CIPHERTEXT_MATERIAL_LEN	 32   /* bytes of a material id */
#define CIPHERTEXT_PLAIN_MAX	 4096 /* bytes that can be encrypted */
#define CIPHERTEXT_BLOB_MAX	 6144
#define CIPHERTEXT_CONTEXT_MAX	 8192 /* bytes of all names and values of an encryption context */
#define CIPHERTEXT_CONTEXT_PAIRS 1024

/* What made the blob: AWS marks it in the third byte. */
enum ciphertext_kind {
	CIPHERTEXT_ENCRYPTED = 2, /* Encrypt, ReEncrypt: base64 begins "AQICAH" */
	CIPHERTEXT_DATA_KEY = 3,  /* GenerateDataKey...: "AQIDAH" */
};

/* A blob's parts: pointers into it. */
struct ciphertext {
	const uint8_t *blob; /* its header is authenticated */
	const uint8_t *material_id;
	const uint8_t *nonce;
	const uint8_t *sealed; /* frame, plaintext, tag */
	size_t sealed_len;
};

/* The key that a blob is made under. */
struct ciphertext_key {
	const char *arn;
	const uint8_t *material_id;
	const uint8_t *material; /* 32 bytes, secret */
};

/*
 * A new material id for a key: the key's UUID and 16 random bytes, so that a blob, which carries
 * it, names key and material.
 */
int ciphertext_material_id(const uint8_t key_uuid[16], uint8_t ret_id[CIPHERTEXT_MATERIAL_LEN],
			   struct err *err);

/*
 * Check @context (NULL: none): an object of strings with at most CIPHERTEXT_CONTEXT_MAX bytes.
 * ValidationException or SerializationException.
 */
int ciphertext_check_context(const struct kms_json *context, struct err *err);

/*
 * Append the additional authenticated data: the context's pairs sorted and each with its length, the
 * ARN, the material id and the blob's first bytes. {} and NULL are equal.
 */
int ciphertext_aad(const struct kms_json *context, const char *arn, const uint8_t *header,
		   struct buf *ret, struct err *err);

/* Make a blob of @plain (1 to CIPHERTEXT_PLAIN_MAX bytes); appended to @ret. @now_ms is framed in. */
int ciphertext_seal(const struct ciphertext_key *key, enum ciphertext_kind kind,
		    const struct kms_json *context, const void *plain, size_t plain_len,
		    int64_t now_ms, struct buf *ret, struct err *err);

/* Take a blob apart. InvalidCiphertextException (without text): not one, or damaged. */
int ciphertext_parse(const uint8_t *blob, size_t len, struct ciphertext *ret, struct err *err);

/*
 * Decrypt; the plaintext is appended to @ret, which the caller wipes. InvalidCiphertextException:
 * not made under this key with this context.
 */
int ciphertext_open(const struct ciphertext *ct, const struct ciphertext_key *key,
		    const struct kms_json *context, struct buf *ret, struct err *err);

#endif
