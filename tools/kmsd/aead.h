/* AES-256-GCM (NIST SP 800-38D, 96-bit nonce, 128-bit tag), for wrapping and for ciphertext blobs. */
#ifndef KMSD_AEAD_H
#define KMSD_AEAD_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define AEAD_KEY_LEN   32
#define AEAD_NONCE_LEN 12
#define AEAD_TAG_LEN   16

/* Bytes that are read but not owned. */
struct aead_text {
	const void *bytes;
	size_t len;
};

/*
 * Encrypt @plain; @ret_sealed has room for @plain.len + AEAD_TAG_LEN. A nonce is used once under a
 * key: give random ones.
 */
int aead_seal(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[AEAD_NONCE_LEN],
	      const struct aead_text *aad, const struct aead_text *plain, uint8_t *ret_sealed,
	      struct err *err);

/*
 * Check and decrypt @sealed (at least AEAD_TAG_LEN bytes); @ret_plain has room for @sealed.len -
 * AEAD_TAG_LEN and is wiped on failure. -EBADMSG: not sealed under this key, nonce and AAD.
 */
int aead_open(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[AEAD_NONCE_LEN],
	      const struct aead_text *aad, const struct aead_text *sealed, uint8_t *ret_plain,
	      struct err *err);

#endif
