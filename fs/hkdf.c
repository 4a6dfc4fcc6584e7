/* HKDF-SHA256 by OpenSSL's EVP_KDF. See hkdf.h. */
#include "hkdf.h"

#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "err.h"
#include "secret.h"

int hkdf_sha256(const struct secret *key, const uint8_t *salt, size_t salt_len, const char *label,
		uint8_t *ret, size_t ret_len, struct err *err)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[5], *p = params;
	int done = 0;

	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
	*p++ = OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret_cbytes(key), secret_len(key));
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)label,
						 strlen(label));
	if (salt_len)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
							 (void *)(uintptr_t)salt, salt_len);
	*p = OSSL_PARAM_construct_end();
	if (ctx)
		done = EVP_KDF_derive(ctx, ret, ret_len, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	secret_wipe_stack();
	if (!done) {
		OPENSSL_cleanse(ret, ret_len);
		return err_set(err, EIO, "cannot derive the key '%s': libcrypto failed", label);
	}
	return 0;
}
