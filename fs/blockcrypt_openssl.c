/* The ciphers by OpenSSL's EVP: always there. Its contexts wipe their keys when they are freed. */
#include <errno.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "blockcrypt_provider.h"

struct state {
	EVP_CIPHER *evp; /* fetched once: a look-up per block would cost more than the block */
	EVP_CIPHER_CTX *ctx;
	int encrypt;
	bool aead;
	bool keyed;
};

static const char *name_of(enum blockcrypt_cipher cipher)
{
	switch (cipher) {
	case BLOCKCRYPT_AES_256_GCM:
		return "AES-256-GCM";
	case BLOCKCRYPT_AES_256_XTS:
		return "AES-256-XTS";
	case BLOCKCRYPT_CHACHA20_POLY1305:
		return "ChaCha20-Poly1305";
	case BLOCKCRYPT_NONE:
		break;
	}
	return NULL;
}

static const char *version(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}

static int check(struct err *err)
{
	(void)err; /* it is linked, so it is there */
	return 0;
}

static bool is_faster(void)
{
	return false;
}

static bool has(enum blockcrypt_cipher cipher)
{
	return name_of(cipher) != NULL;
}

static void state_close(void *arg)
{
	struct state *s = arg;

	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->ctx); /* wipes the key schedule */
	EVP_CIPHER_free(s->evp);
	free(s);
}

static int state_open(enum blockcrypt_cipher cipher, bool encrypt, void **ret_state)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->encrypt = encrypt;
	s->aead = cipher != BLOCKCRYPT_AES_256_XTS;
	s->evp = EVP_CIPHER_fetch(NULL, name_of(cipher), NULL);
	s->ctx = EVP_CIPHER_CTX_new();
	if (!s->evp || !s->ctx) {
		state_close(s);
		return -EIO;
	}
	*ret_state = s;
	return 0;
}

static int state_set_key(void *arg, const uint8_t *key)
{
	struct state *s = arg;

	s->keyed = EVP_CipherInit_ex2(s->ctx, s->evp, key, NULL, s->encrypt, NULL) == 1;
	return s->keyed ? 0 : -EIO;
}

static int finish_aead(struct state *s, const struct blockcrypt_message *m)
{
	int n;

	if (EVP_CipherFinal_ex(s->ctx, m->to + m->len, &n) != 1)
		return s->encrypt ? -EIO : -EBADMSG;
	if (s->encrypt &&
	    EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, BLOCKCRYPT_TAG_LEN, m->tag) != 1)
		return -EIO;
	return 0;
}

static int state_run(void *arg, const struct blockcrypt_message *m)
{
	struct state *s = arg;
	int n;

	if (!s->keyed || EVP_CipherInit_ex2(s->ctx, NULL, NULL, m->iv, s->encrypt, NULL) != 1)
		return -EIO;
	if (s->aead && !s->encrypt &&
	    EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_SET_TAG, BLOCKCRYPT_TAG_LEN, m->tag) != 1)
		return -EIO;
	if (s->aead && m->aad_len &&
	    EVP_CipherUpdate(s->ctx, NULL, &n, m->aad, (int)m->aad_len) != 1)
		return -EIO;
	if (m->len &&
	    (EVP_CipherUpdate(s->ctx, m->to, &n, m->from, (int)m->len) != 1 || n != (int)m->len))
		return -EIO;
	return s->aead ? finish_aead(s, m) : 0;
}

const struct blockcrypt_provider blockcrypt_openssl = {
	.name = "openssl",
	.version = version,
	.check = check,
	.is_faster = is_faster,
	.has = has,
	.open = state_open,
	.close = state_close,
	.set_key = state_set_key,
	.run = state_run,
};
