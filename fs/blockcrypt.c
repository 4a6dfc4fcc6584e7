/*
 * The ciphers by OpenSSL's EVP. Two families: AEAD (GCM, ChaCha20-Poly1305), whose tag fills the
 * trailer, and unauthenticated (XTS, none), whose trailer is a CRC-32C of lba, seq and ciphertext
 * and twelve zero bytes, so that damage and torn writes are noticed all the same.
 */
#include "blockcrypt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "bytes.h"
#include "crc32c.h"
#include "err.h"

#define AAD_LEN	    16
#define AEAD_IV_LEN 12
#define XTS_IV_LEN  16

struct cipher_row {
	enum blockcrypt_cipher cipher;
	const char *name;
	const char *evp_name; /* NULL: plaintext */
	bool aead;
};

static const struct cipher_row ciphers[] = {
	{BLOCKCRYPT_AES_256_GCM, "aes-256-gcm", "AES-256-GCM", true},
	{BLOCKCRYPT_AES_256_XTS, "aes-256-xts", "AES-256-XTS", false},
	{BLOCKCRYPT_CHACHA20_POLY1305, "chacha20-poly1305", "ChaCha20-Poly1305", true},
	{BLOCKCRYPT_NONE, "none", NULL, false},
};

struct blockcrypt {
	const struct cipher_row *row;
	EVP_CIPHER *evp; /* fetched once: a look-up per block would cost more than the block */
	EVP_CIPHER_CTX *ctx;
	uint32_t block_size;
	int encrypt;
};

static const struct cipher_row *row_of(enum blockcrypt_cipher cipher)
{
	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++)
		if (ciphers[i].cipher == cipher)
			return &ciphers[i];
	return NULL;
}

const char *blockcrypt_name(enum blockcrypt_cipher cipher)
{
	const struct cipher_row *row = row_of(cipher);

	return row ? row->name : NULL;
}

int blockcrypt_by_name(const char *name, enum blockcrypt_cipher *ret_cipher)
{
	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
		if (strcmp(ciphers[i].name, name) == 0) {
			*ret_cipher = ciphers[i].cipher;
			return 0;
		}
	}
	return -ENOENT;
}

int blockcrypt_new(enum blockcrypt_cipher cipher, enum blockcrypt_direction direction,
		   uint32_t block_size, struct blockcrypt **ret_crypt, struct err *err)
{
	const struct cipher_row *row = row_of(cipher);
	struct blockcrypt *c;

	if (!row)
		return err_set(err, EINVAL, "cipher %d is unknown", (int)cipher);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "cipher %s: out of memory", row->name);
	c->row = row;
	c->block_size = block_size;
	c->encrypt = direction == BLOCKCRYPT_ENCRYPT;
	if (row->evp_name) {
		c->evp = EVP_CIPHER_fetch(NULL, row->evp_name, NULL);
		c->ctx = EVP_CIPHER_CTX_new();
		if (!c->evp || !c->ctx) {
			blockcrypt_free(c);
			return err_set(err, EIO, "cipher %s: libcrypto has it not", row->name);
		}
	}
	*ret_crypt = c;
	return 0;
}

void blockcrypt_free(struct blockcrypt *crypt)
{
	if (!crypt)
		return;
	EVP_CIPHER_CTX_free(crypt->ctx); /* wipes the key schedule */
	EVP_CIPHER_free(crypt->evp);
	free(crypt);
}

int blockcrypt_set_key(struct blockcrypt *crypt, const uint8_t *key)
{
	if (!crypt->evp)
		return 0;
	if (EVP_CipherInit_ex2(crypt->ctx, crypt->evp, key, NULL, crypt->encrypt, NULL) != 1)
		return -EIO;
	return 0;
}

static void make_aad(uint8_t aad[AAD_LEN], uint64_t lba, uint64_t seq)
{
	put_be64(aad, lba);
	put_be64(aad + 8, seq);
}

/* Start an AEAD message: the IV is the seq, the AAD lba and seq. */
static bool aead_start(struct blockcrypt *c, uint64_t lba, uint64_t seq)
{
	uint8_t iv[AEAD_IV_LEN] = {0};
	uint8_t aad[AAD_LEN];
	int n;

	put_be64(iv + AEAD_IV_LEN - 8, seq);
	make_aad(aad, lba, seq);
	return EVP_CipherInit_ex2(c->ctx, NULL, NULL, iv, c->encrypt, NULL) == 1 &&
	       EVP_CipherUpdate(c->ctx, NULL, &n, aad, AAD_LEN) == 1;
}

static int aead_encrypt(struct blockcrypt *c, const uint8_t *plain, uint8_t *ret_slot)
{
	int n;

	if (EVP_CipherUpdate(c->ctx, ret_slot, &n, plain, (int)c->block_size) != 1 ||
	    n != (int)c->block_size || EVP_CipherFinal_ex(c->ctx, ret_slot + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, BLOCKCRYPT_TAG_LEN,
				ret_slot + c->block_size) != 1)
		return -EIO;
	return 0;
}

static int aead_decrypt(struct blockcrypt *c, const uint8_t *slot, uint8_t *ret_plain)
{
	uint8_t tag[BLOCKCRYPT_TAG_LEN];
	int n;

	memcpy(tag, slot + c->block_size, sizeof(tag));
	if (EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1 ||
	    EVP_CipherUpdate(c->ctx, ret_plain, &n, slot, (int)c->block_size) != 1)
		return -EIO;
	return EVP_CipherFinal_ex(c->ctx, ret_plain + n, &n) == 1 ? 0 : -EBADMSG;
}

static void make_trailer(const struct blockcrypt *c, uint64_t lba, uint64_t seq,
			 const uint8_t *slot, uint8_t trailer[BLOCKCRYPT_TAG_LEN])
{
	uint8_t aad[AAD_LEN];

	make_aad(aad, lba, seq);
	memset(trailer, 0, BLOCKCRYPT_TAG_LEN);
	put_be32(trailer, crc32c(crc32c(0, aad, AAD_LEN), slot, c->block_size));
}

/* XTS or a copy: the tweak is the seq, a position in the log that is never used again. */
static int plain_crypt(struct blockcrypt *c, uint64_t seq, const uint8_t *from, uint8_t *to)
{
	uint8_t iv[XTS_IV_LEN] = {0};
	int n;

	if (!c->evp) {
		memcpy(to, from, c->block_size);
		return 0;
	}
	put_be64(iv + XTS_IV_LEN - 8, seq);
	if (EVP_CipherInit_ex2(c->ctx, NULL, NULL, iv, c->encrypt, NULL) != 1 ||
	    EVP_CipherUpdate(c->ctx, to, &n, from, (int)c->block_size) != 1 ||
	    n != (int)c->block_size)
		return -EIO;
	return 0;
}

int blockcrypt_encrypt(struct blockcrypt *crypt, uint64_t lba, uint64_t seq, const uint8_t *plain,
		       uint8_t *ret_slot)
{
	int r;

	if (crypt->row->aead) {
		r = aead_start(crypt, lba, seq) ? aead_encrypt(crypt, plain, ret_slot) : -EIO;
	} else {
		r = plain_crypt(crypt, seq, plain, ret_slot);
		if (r == 0)
			make_trailer(crypt, lba, seq, ret_slot, ret_slot + crypt->block_size);
	}
	if (r < 0)
		OPENSSL_cleanse(ret_slot, crypt->block_size + BLOCKCRYPT_TAG_LEN);
	return r;
}

int blockcrypt_decrypt(struct blockcrypt *crypt, uint64_t lba, uint64_t seq, const uint8_t *slot,
		       uint8_t *ret_plain)
{
	int r;

	if (crypt->row->aead) {
		r = aead_start(crypt, lba, seq) ? aead_decrypt(crypt, slot, ret_plain) : -EIO;
	} else {
		uint8_t trailer[BLOCKCRYPT_TAG_LEN];

		make_trailer(crypt, lba, seq, slot, trailer);
		r = memcmp(trailer, slot + crypt->block_size, BLOCKCRYPT_TAG_LEN) == 0 ? 0
										       : -EBADMSG;
		if (r == 0)
			r = plain_crypt(crypt, seq, slot, ret_plain);
	}
	if (r < 0)
		OPENSSL_cleanse(ret_plain, crypt->block_size);
	return r;
}
