/* AES-256-GCM by libcrypto. See aead.h. */
#include "aead.h"

#include <errno.h>
#include <stdbool.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "err.h"

static struct {
	CRYPTO_ONCE once;
	EVP_CIPHER *gcm; /* looked up once; lives as long as the program */
} alg = {.once = CRYPTO_ONCE_STATIC_INIT};

static void alg_fetch(void)
{
	alg.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static int alg_ready(struct err *err)
{
	if (CRYPTO_THREAD_run_once(&alg.once, alg_fetch) != 1 || !alg.gcm)
		return err_set(err, EIO, "libcrypto has no AES-256-GCM");
	return 0;
}

int aead_seal(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[AEAD_NONCE_LEN],
	      const struct aead_text *aad, const struct aead_text *plain, uint8_t *ret_sealed,
	      struct err *err)
{
	EVP_CIPHER_CTX *ctx;
	bool ok;
	int n = 0, r = alg_ready(err);

	if (r < 0)
		return r;
	ctx = EVP_CIPHER_CTX_new();
	ok = ctx && EVP_EncryptInit_ex2(ctx, alg.gcm, key, nonce, NULL) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, aad->bytes, (int)aad->len) == 1 &&
	     EVP_EncryptUpdate(ctx, ret_sealed, &n, plain->bytes, (int)plain->len) == 1 &&
	     EVP_EncryptFinal_ex(ctx, ret_sealed + plain->len, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN,
				 ret_sealed + plain->len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok) {
		OPENSSL_cleanse(ret_sealed, plain->len + AEAD_TAG_LEN);
		return err_set(err, EIO, "AES-256-GCM failed");
	}
	return 0;
}

int aead_open(const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[AEAD_NONCE_LEN],
	      const struct aead_text *aad, const struct aead_text *sealed, uint8_t *ret_plain,
	      struct err *err)
{
	size_t len = sealed->len - AEAD_TAG_LEN;
	const uint8_t *in = sealed->bytes;
	EVP_CIPHER_CTX *ctx;
	bool ok, good = false;
	int n = 0, r = alg_ready(err);

	if (r < 0)
		return r;
	ctx = EVP_CIPHER_CTX_new();
	ok = ctx && EVP_DecryptInit_ex2(ctx, alg.gcm, key, nonce, NULL) == 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &n, aad->bytes, (int)aad->len) == 1 &&
	     EVP_DecryptUpdate(ctx, ret_plain, &n, in, (int)len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN,
				 (void *)(uintptr_t)(in + len)) == 1;
	if (ok)
		good = EVP_DecryptFinal_ex(ctx, ret_plain + len, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (good)
		return 0;
	OPENSSL_cleanse(ret_plain, len);
	return ok ? err_set(err, EBADMSG, "AES-256-GCM tag is wrong")
		  : err_set(err, EIO, "AES-256-GCM failed");
}
