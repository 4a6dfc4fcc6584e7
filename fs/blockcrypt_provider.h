/*
 * What computes the ciphers: a table of functions for each provider, shared by blockcrypt.c (the layout of
 * blocks), the providers, and who chooses and tests them; nobody else.
 */
#ifndef FS_BLOCKCRYPT_PROVIDER_H
#define FS_BLOCKCRYPT_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blockcrypt.h"

struct err;

#define BLOCKCRYPT_AEAD_IV_LEN	12
#define BLOCKCRYPT_AEAD_KEY_LEN 32
#define BLOCKCRYPT_XTS_IV_LEN	16

/* One message to be encrypted or decrypted. */
struct blockcrypt_message {
	const uint8_t *iv;  /* BLOCKCRYPT_AEAD_IV_LEN bytes, or BLOCKCRYPT_XTS_IV_LEN of tweak */
	const uint8_t *aad; /* not looked at by XTS, as the tag */
	size_t aad_len;
	const uint8_t *from;
	uint8_t *to; /* @from, or memory that does not overlap it */
	size_t len;
	uint8_t *tag; /* BLOCKCRYPT_TAG_LEN bytes, made or checked */
};

struct blockcrypt_provider {
	const char *name;
	const char *(*version)(void);
	/* -ENOTSUP: it cannot work here, and why. Any thread; the first call may take a millisecond. */
	int (*check)(struct err *err);
	bool (*is_faster)(void); /* than OpenSSL, on this processor */
	bool (*has)(enum blockcrypt_cipher cipher);
	/* A state for one direction, without a key. -ENOMEM, -EIO. */
	int (*open)(enum blockcrypt_cipher cipher, bool encrypt, void **ret_state);
	void (*close)(void *state); /* wipes the key; NULL is allowed */
	/* @key is BLOCKCRYPT_KEY_LEN bytes. -EIO. */
	int (*set_key)(void *state, const uint8_t *key);
	/* -EBADMSG: the tag is wrong, and @to has to be wiped; -EIO, also without a key. */
	int (*run)(void *state, const struct blockcrypt_message *message);
};

extern const struct blockcrypt_provider blockcrypt_openssl;

/* NULL where it was not there when this was built. */
extern const struct blockcrypt_provider *const blockcrypt_ipsec_mb;

/*
 * Test @tested: published answers; random messages of all sizes in use, in place and not, at any alignment,
 * against OpenSSL, there and back; wrong tags. Every cipher that it has. -EIO names what was wrong.
 */
int blockcrypt_self_test(const struct blockcrypt_provider *tested, struct err *err);

/*
 * The provider that @want means when @other (NULL is allowed) stands beside OpenSSL. Automatically: @other where
 * it works, is faster and passes its test; else OpenSSL, and a failed test is told in *@ret_notice, ""
 * else. -ENOTSUP, -EIO: it was asked for and does not work, or fails its test.
 */
int blockcrypt_pick(enum blockcrypt_want want, const struct blockcrypt_provider *other,
		    const struct blockcrypt_provider **ret_provider, struct err *ret_notice,
		    struct err *err);

/* The one chosen for @cipher; chooses automatically when that was not done yet. */
const struct blockcrypt_provider *blockcrypt_provider_for(enum blockcrypt_cipher cipher);

#endif
