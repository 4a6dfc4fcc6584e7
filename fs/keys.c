/* Keys from the data key. See keys.h. */
#include "keys.h"

#include <stdio.h>

#include <openssl/crypto.h>

#include "err.h"
#include "format.h"
#include "hkdf.h"
#include "secret.h"

#define LABEL_MAX 96

static int mac_of(const struct secret *data_key, const char *label, struct mac **ret_mac,
		  struct err *err)
{
	uint8_t key[MAC_KEY_LEN];
	int r = hkdf_sha256(data_key, NULL, 0, label, key, sizeof(key), err);

	if (r == 0)
		r = mac_new(key, ret_mac, err);
	OPENSSL_cleanse(key, sizeof(key));
	return r;
}

int keys_segment_header(const struct secret *data_key, struct mac **ret_mac, struct err *err)
{
	return mac_of(data_key, "kmsvol v1 segment header", ret_mac, err);
}

int keys_volume_file(const struct secret *data_key, const char *what, const char *volume_id,
		     struct mac **ret_mac, struct err *err)
{
	char label[LABEL_MAX];

	(void)snprintf(label, sizeof(label), "kmsvol v1 %s %.*s", what, FORMAT_VOLUME_ID_LEN,
		       volume_id); /* fits */
	return mac_of(data_key, label, ret_mac, err);
}

int keys_segment(const struct secret *data_key, enum blockcrypt_cipher cipher, const uint8_t *salt,
		 uint8_t *ret_keys, struct mac **ret_mac, struct err *err)
{
	char label[LABEL_MAX];
	int r;

	(void)snprintf(label, sizeof(label), "kmsvol v1 segment %s",
		       blockcrypt_name(cipher)); /* fits */
	r = hkdf_sha256(data_key, salt, FORMAT_SALT_LEN, label, ret_keys, KEYS_SEGMENT_LEN, err);
	return r < 0 ? r : mac_new(ret_keys + BLOCKCRYPT_KEY_LEN, ret_mac, err);
}
