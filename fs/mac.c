/* HMAC-SHA256 by OpenSSL's EVP_MAC: keyed once, duplicated for each use. See mac.h. */
#include "mac.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "err.h"
#include "secret.h"

struct mac {
	EVP_MAC_CTX *keyed; /* fixed at mac_new() */
};

int mac_new(const uint8_t *key, struct mac **ret_mac, struct err *err)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	struct mac *m = calloc(1, sizeof(*m));
	EVP_MAC *hmac;

	if (!m)
		return err_set(err, ENOMEM, "HMAC key: out of memory");
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	m->keyed = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	if (!m->keyed || EVP_MAC_init(m->keyed, key, MAC_KEY_LEN, params) != 1) {
		mac_free(m);
		return err_set(err, EIO, "HMAC key: libcrypto failed");
	}
	secret_wipe_stack();
	*ret_mac = m;
	return 0;
}

void mac_free(struct mac *mac)
{
	if (!mac)
		return;
	EVP_MAC_CTX_free(mac->keyed); /* wipes the key */
	free(mac);
}

int mac_sign(const struct mac *mac, const void *bytes, size_t len, uint8_t *ret_tag)
{
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(mac->keyed);
	size_t n = 0;
	int done = ctx && EVP_MAC_update(ctx, bytes, len) == 1 &&
		   EVP_MAC_final(ctx, ret_tag, &n, MAC_LEN) == 1 && n == MAC_LEN;

	EVP_MAC_CTX_free(ctx);
	return done ? 0 : -EIO;
}

int mac_check(const struct mac *mac, const void *bytes, size_t len, const uint8_t *tag,
	      size_t tag_len)
{
	uint8_t want[MAC_LEN];
	int r = mac_sign(mac, bytes, len, want);

	if (r < 0)
		return r;
	return CRYPTO_memcmp(want, tag, tag_len) == 0 ? 0 : -EBADMSG;
}
