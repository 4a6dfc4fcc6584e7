/* Keys from the data key. See keys.h. */
#include "keys.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "format.h"
#include "hkdf.h"
#include "secret.h"
#include "store.h"

#define LABEL_MAX 96

bool keys_has_previous(const struct secret *data_keys)
{
	return secret_len(data_keys) > STORE_DATA_KEY_LEN;
}

int keys_pick(const struct secret *data_keys, enum keys_age age, struct secret **ret_key,
	      struct err *err)
{
	if (age == KEYS_PREVIOUS && !keys_has_previous(data_keys)) {
		*ret_key = NULL;
		return 0;
	}
	return secret_from(secret_cbytes(data_keys) + (size_t)age * STORE_DATA_KEY_LEN,
			   STORE_DATA_KEY_LEN, ret_key, err);
}

int keys_join(const struct secret *newest, const struct secret *previous,
	      struct secret **ret_data_keys, struct err *err)
{
	struct secret *both;
	int r = secret_new(KEYS_AGES * STORE_DATA_KEY_LEN, &both, err);

	if (r < 0)
		return r;
	memcpy(secret_bytes(both), secret_cbytes(newest), STORE_DATA_KEY_LEN);
	memcpy(secret_bytes(both) + STORE_DATA_KEY_LEN, secret_cbytes(previous),
	       STORE_DATA_KEY_LEN);
	*ret_data_keys = both;
	return 0;
}

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

void keys_free_macs(struct mac *macs[KEYS_AGES])
{
	for (int age = 0; age < KEYS_AGES; age++) {
		mac_free(macs[age]);
		macs[age] = NULL;
	}
}

static int macs_of(const struct secret *data_keys, const char *label,
		   struct mac *ret_macs[KEYS_AGES], struct err *err)
{
	struct mac *macs[KEYS_AGES] = {NULL};
	int r = 0;

	for (int age = 0; r == 0 && age < KEYS_AGES; age++) {
		AUTO(secret_freep) struct secret *key = NULL;

		r = keys_pick(data_keys, (enum keys_age)age, &key, err);
		if (r == 0 && key)
			r = mac_of(key, label, &macs[age], err);
	}
	if (r < 0) {
		keys_free_macs(macs);
		return r;
	}
	memcpy(ret_macs, macs, sizeof(macs));
	return 0;
}

int keys_segment_header(const struct secret *data_keys, struct mac *ret_macs[KEYS_AGES],
			struct err *err)
{
	return macs_of(data_keys, "kmsvol v1 segment header", ret_macs, err);
}

int keys_volume_file(const struct secret *data_keys, const char *what, const char *volume_id,
		     struct mac *ret_macs[KEYS_AGES], struct err *err)
{
	char label[LABEL_MAX];

	(void)snprintf(label, sizeof(label), "kmsvol v1 %s %.*s", what, FORMAT_VOLUME_ID_LEN,
		       volume_id); /* fits */
	return macs_of(data_keys, label, ret_macs, err);
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
