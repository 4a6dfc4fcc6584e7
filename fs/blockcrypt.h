/*
 * The ciphers: one block in, one record slot (ciphertext and a trailer) out, and back. Who computes them, a
 * provider, is chosen once for the process: OpenSSL, or Intel's libipsec-mb where it is there and faster.
 */
#ifndef FS_BLOCKCRYPT_H
#define FS_BLOCKCRYPT_H

#include <stddef.h>
#include <stdint.h>

struct blockcrypt;
struct blockcrypt_provider;
struct err;

#define BLOCKCRYPT_KEY_LEN 64 /* bytes given; a cipher uses as many from the front as it needs */
#define BLOCKCRYPT_TAG_LEN 16 /* bytes behind the ciphertext, with every cipher */

/* The values stand in segment headers: never change one. */
enum blockcrypt_cipher {
	BLOCKCRYPT_AES_256_GCM = 1,	  /* NIST SP 800-38D, 96-bit IV, 16-byte tag */
	BLOCKCRYPT_AES_256_XTS = 2,	  /* IEEE 1619; no tag: the trailer holds a CRC-32C */
	BLOCKCRYPT_CHACHA20_POLY1305 = 3, /* RFC 8439 */
	BLOCKCRYPT_NONE = 4,		  /* plaintext and a CRC-32C; for measuring only */
};

enum blockcrypt_direction {
	BLOCKCRYPT_ENCRYPT,
	BLOCKCRYPT_DECRYPT,
};

/* "aes-256-gcm", "aes-256-xts", ...; NULL for a value that is no cipher. */
const char *blockcrypt_name(enum blockcrypt_cipher cipher);

/* The cipher of that name; -ENOENT. */
int blockcrypt_by_name(const char *name, enum blockcrypt_cipher *ret_cipher);

/* Which provider is wanted. Automatically: libipsec-mb where it is faster and passes its self-test. */
enum blockcrypt_want {
	BLOCKCRYPT_AUTO,
	BLOCKCRYPT_OPENSSL,
	BLOCKCRYPT_IPSEC_MB,
};

extern const char *const blockcrypt_wants[]; /* their names, by number; then NULL */

/*
 * Choose the provider of all contexts that are made from now on, and test it (some ms); for the
 * beginning of a program. BLOCKCRYPT_AUTO is what happens without this call. -ENOTSUP, -EIO: the wanted one
 * does not work here, or not rightly; what was chosen before stays.
 */
int blockcrypt_choose(enum blockcrypt_want want, struct err *err);

/* Who computes @cipher: name ("none" for no cipher at all), and version. */
const char *blockcrypt_provider_name(enum blockcrypt_cipher cipher);
const char *blockcrypt_provider_version(enum blockcrypt_cipher cipher);

/* What people should know of the choice: that a self-test failed; "": nothing. */
const char *blockcrypt_notice(void);

/*
 * A context for one direction, for one thread at a time; without a key yet. The caller owns
 * *@ret_crypt. -ENOMEM, -EIO (the provider).
 */
int blockcrypt_new(enum blockcrypt_cipher cipher, enum blockcrypt_direction direction,
		   uint32_t block_size, struct blockcrypt **ret_crypt, struct err *err);

/* The same by a provider of one's own choice that has the cipher. */
int blockcrypt_new_by(const struct blockcrypt_provider *provider, enum blockcrypt_cipher cipher,
		      enum blockcrypt_direction direction, uint32_t block_size,
		      struct blockcrypt **ret_crypt, struct err *err);

/* Wipe the key and free. NULL is allowed. */
void blockcrypt_free(struct blockcrypt *crypt);

/* Use @key (BLOCKCRYPT_KEY_LEN bytes, borrowed) from now on. -EIO (the provider). */
int blockcrypt_set_key(struct blockcrypt *crypt, const uint8_t *key);

/*
 * Encrypt one block. @plain is block_size bytes; @ret_slot has room for BLOCKCRYPT_TAG_LEN more and
 * must not overlap it. @seq makes the IV and, with @lba, the AAD: never use one seq twice under a key
 * (DESIGN.md, invariant 2). On failure -EIO, and @ret_slot is wiped.
 */
int blockcrypt_encrypt(struct blockcrypt *crypt, uint64_t lba, uint64_t seq, const uint8_t *plain,
		       uint8_t *ret_slot);

/*
 * The way back. -EBADMSG when @slot is not what blockcrypt_encrypt() made of this @lba and @seq under
 * this key (the CRC-32C ciphers notice accidents only); -EIO (the provider). @ret_plain is then wiped.
 */
int blockcrypt_decrypt(struct blockcrypt *crypt, uint64_t lba, uint64_t seq, const uint8_t *slot,
		       uint8_t *ret_plain);

#endif
