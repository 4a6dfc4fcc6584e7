/*
 * The layout of an encrypted block: IV, AAD and trailer; the ciphers themselves are a provider's. Two
 * families: AEAD (GCM, ChaCha20-Poly1305), whose tag fills the trailer, and unauthenticated (XTS, none),
 * whose trailer is a CRC-32C of lba, seq and ciphertext and twelve zero bytes, so that damage and torn
 * writes are noticed all the same.
 */
#include "blockcrypt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "blockcrypt_provider.h"
#include "bytes.h"
#include "crc32c.h"
#include "err.h"

#define AAD_LEN 16

struct cipher_row {
	enum blockcrypt_cipher cipher;
	const char *name;
	bool aead;
};

static const struct cipher_row ciphers[] = {
	{BLOCKCRYPT_AES_256_GCM, "aes-256-gcm", true},
	{BLOCKCRYPT_AES_256_XTS, "aes-256-xts", false},
	{BLOCKCRYPT_CHACHA20_POLY1305, "chacha20-poly1305", true},
	{BLOCKCRYPT_NONE, "none", false},
};

struct blockcrypt {
	const struct cipher_row *row;
	const struct blockcrypt_provider *provider; /* NULL: plaintext */
	void *state;				    /* the provider's */
	uint32_t block_size;
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

int blockcrypt_new_by(const struct blockcrypt_provider *provider, enum blockcrypt_cipher cipher,
		      enum blockcrypt_direction direction, uint32_t block_size,
		      struct blockcrypt **ret_crypt, struct err *err)
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
	if (cipher != BLOCKCRYPT_NONE) {
		int r = provider->open(cipher, direction == BLOCKCRYPT_ENCRYPT, &c->state);

		if (r < 0) {
			free(c);
			return err_set(err, -r, "cipher %s: %s", row->name,
				       r == -EIO ? "the library has it not" : strerror(-r));
		}
		c->provider = provider;
	}
	*ret_crypt = c;
	return 0;
}

int blockcrypt_new(enum blockcrypt_cipher cipher, enum blockcrypt_direction direction,
		   uint32_t block_size, struct blockcrypt **ret_crypt, struct err *err)
{
	return blockcrypt_new_by(blockcrypt_provider_for(cipher), cipher, direction, block_size,
				 ret_crypt, err);
}

void blockcrypt_free(struct blockcrypt *crypt)
{
	if (!crypt)
		return;
	if (crypt->provider)
		crypt->provider->close(crypt->state);
	free(crypt);
}

int blockcrypt_set_key(struct blockcrypt *crypt, const uint8_t *key)
{
	return crypt->provider ? crypt->provider->set_key(crypt->state, key) : 0;
}

static void make_aad(uint8_t aad[AAD_LEN], uint64_t lba, uint64_t seq)
{
	put_be64(aad, lba);
	put_be64(aad + 8, seq);
}

/* The IV is the seq, the AAD lba and seq. @tag: where it is put, or what it must be. */
static int aead_crypt(struct blockcrypt *c, uint64_t lba, uint64_t seq, const uint8_t *from,
		      uint8_t *to, uint8_t *tag)
{
	uint8_t iv[BLOCKCRYPT_AEAD_IV_LEN] = {0};
	uint8_t aad[AAD_LEN];
	struct blockcrypt_message m = {.iv = iv,
				       .aad = aad,
				       .aad_len = AAD_LEN,
				       .from = from,
				       .to = to,
				       .len = c->block_size,
				       .tag = tag};

	put_be64(iv + BLOCKCRYPT_AEAD_IV_LEN - 8, seq);
	make_aad(aad, lba, seq);
	return c->provider->run(c->state, &m);
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
	uint8_t iv[BLOCKCRYPT_XTS_IV_LEN] = {0};
	struct blockcrypt_message m = {.iv = iv, .from = from, .to = to, .len = c->block_size};

	if (!c->provider) {
		memcpy(to, from, c->block_size);
		return 0;
	}
	put_be64(iv + BLOCKCRYPT_XTS_IV_LEN - 8, seq);
	return c->provider->run(c->state, &m);
}

int blockcrypt_encrypt(struct blockcrypt *crypt, uint64_t lba, uint64_t seq, const uint8_t *plain,
		       uint8_t *ret_slot)
{
	int r;

	if (crypt->row->aead) {
		r = aead_crypt(crypt, lba, seq, plain, ret_slot, ret_slot + crypt->block_size);
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
	uint8_t trailer[BLOCKCRYPT_TAG_LEN];
	int r;

	if (crypt->row->aead) {
		memcpy(trailer, slot + crypt->block_size, sizeof(trailer));
		r = aead_crypt(crypt, lba, seq, slot, ret_plain, trailer);
	} else {
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
