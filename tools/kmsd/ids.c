/* Made-up names. See ids.h. */
#include "ids.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "bytes.h"
#include "err.h"

int ids_random(void *ret_bytes, size_t len, bool private, struct err *err)
{
	int ok = private ? RAND_priv_bytes(ret_bytes, (int)len) : RAND_bytes(ret_bytes, (int)len);

	if (ok != 1)
		return err_set(err, EIO, "libcrypto has no random bytes");
	return 0;
}

void ids_uuid_format(const uint8_t bytes[16], char ret_text[IDS_UUID_LEN + 1])
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	char hex[33];
	size_t n = 0;

	bytes_to_hex(bytes, 16, hex);
	for (size_t i = 0; i < IDS_UUID_LEN; i++)
		ret_text[i] = form[i] == 'x' ? hex[n++] : '-';
	ret_text[IDS_UUID_LEN] = '\0';
}

int ids_uuid_parse(const char *text, uint8_t ret_bytes[16])
{
	char hex[33];
	size_t n = 0;

	if (strlen(text) != IDS_UUID_LEN)
		return -EINVAL;
	for (size_t i = 0; i < IDS_UUID_LEN; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return -EINVAL;
		} else {
			hex[n++] = text[i];
		}
	}
	hex[n] = '\0';
	return bytes_from_hex(hex, ret_bytes, 16);
}

int ids_uuid(char ret_text[IDS_UUID_LEN + 1], struct err *err)
{
	uint8_t b[16];
	int r = ids_random(b, sizeof(b), false, err);

	if (r < 0)
		return r;
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	ids_uuid_format(b, ret_text);
	return 0;
}

/* @alphabet has a power of two characters, so that none is likelier than another. */
static int random_text(char *ret, size_t len, const char *alphabet, struct err *err)
{
	size_t mask = strlen(alphabet) - 1;
	uint8_t b[IDS_SECRET_KEY_LEN];
	int r = ids_random(b, len, true, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < len; i++)
		ret[i] = alphabet[b[i] & mask];
	ret[len] = '\0';
	OPENSSL_cleanse(b, sizeof(b));
	return 0;
}

#define NAME_ALPHABET "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

int ids_access_key(char ret_text[IDS_ACCESS_KEY_LEN + 1], struct err *err)
{
	memcpy(ret_text, "AKIA", 4);
	return random_text(ret_text + 4, IDS_ACCESS_KEY_LEN - 4, NAME_ALPHABET, err);
}

int ids_temporary_key(char ret_text[IDS_ACCESS_KEY_LEN + 1], struct err *err)
{
	memcpy(ret_text, "ASIA", 4);
	return random_text(ret_text + 4, IDS_ACCESS_KEY_LEN - 4, NAME_ALPHABET, err);
}

int ids_unique(const char *prefix, char ret_text[IDS_UNIQUE_LEN + 1], struct err *err)
{
	memcpy(ret_text, prefix, 4);
	return random_text(ret_text + 4, IDS_UNIQUE_LEN - 4, NAME_ALPHABET, err);
}

int ids_secret_key(char ret_text[IDS_SECRET_KEY_LEN + 1], struct err *err)
{
	return random_text(ret_text, IDS_SECRET_KEY_LEN,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", err);
}

bool ids_account_valid(const char *text)
{
	return strlen(text) == IDS_ACCOUNT_LEN && strspn(text, "0123456789") == IDS_ACCOUNT_LEN;
}

bool ids_instance_valid(const char *text)
{
	size_t n = strlen(text);

	return (n == 10 || n == 19) && strncmp(text, "i-", 2) == 0 &&
	       strspn(text + 2, "0123456789abcdef") == n - 2;
}

bool ids_region_valid(const char *text)
{
	size_t n = strlen(text);

	return n >= 2 && n < 32 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

bool ids_region_known(const char *text)
{
	/* "AWS General Reference, AWS KMS endpoints and quotas". */
	static const char *const names[] = {
		"af-south-1",	  "ap-east-1",	    "ap-east-2",      "ap-northeast-1",
		"ap-northeast-2", "ap-northeast-3", "ap-south-1",     "ap-south-2",
		"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
		"ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-central-1",
		"ca-west-1",	  "eu-central-1",   "eu-central-2",   "eu-north-1",
		"eu-south-1",	  "eu-south-2",	    "eu-west-1",      "eu-west-2",
		"eu-west-3",	  "il-central-1",   "me-central-1",   "me-south-1",
		"mx-central-1",	  "sa-east-1",	    "us-east-1",      "us-east-2",
		"us-west-1",	  "us-west-2",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], text) == 0)
			return true;
	return false;
}
