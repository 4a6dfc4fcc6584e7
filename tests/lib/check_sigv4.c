/* AWS Signature Version 4, "Create a signed AWS API request". See check_sigv4.h. */
#include "check_sigv4.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "bytes.h"
#include "fake_http.h"

static void sha256_hex(const void *bytes, size_t len, char ret[65])
{
	uint8_t hash[32];

	EVP_Digest(bytes, len, hash, NULL, EVP_sha256(), NULL);
	bytes_to_hex(hash, sizeof(hash), ret);
}

static void hmac(const uint8_t *key, int key_len, const char *text, uint8_t ret[32])
{
	uint8_t mac[32]; /* @ret may be @key */
	unsigned len = sizeof(mac);

	HMAC(EVP_sha256(), key, key_len, (const uint8_t *)text, strlen(text), mac, &len);
	memcpy(ret, mac, 32);
}

const char *check_sigv4(const char *head, const char *body, size_t body_len, const char *secret_key)
{
	char auth[1024], date[64], value[20000], method[16], path[256], hash[65], got[65];
	char akid[129], day[16], region[64], service[64], names[256], signature[65], name[64];
	static char canonical[32768], to_sign[1024];
	uint8_t key[512];
	size_t n;
	int k;

	if (!fake_http_header(head, "Authorization", auth, sizeof(auth)))
		return "no Authorization";
	if (!fake_http_header(head, "X-Amz-Date", date, sizeof(date)) || strlen(date) != 16)
		return "no X-Amz-Date";
	if (sscanf(auth,
		   "AWS4-HMAC-SHA256 Credential=%128[^/]/%15[^/]/%63[^/]/%63[^/]/aws4_request, "
		   "SignedHeaders=%255[^,], Signature=%64s",
		   akid, day, region, service, names, signature) != 6)
		return "Authorization has another form";
	if (strncmp(date, day, 8) != 0)
		return "two dates";
	if (sscanf(head, "%15s %255s", method, path) != 2)
		return "no request line";
	n = (size_t)snprintf(canonical, sizeof(canonical), "%s\n%s\n\n", method, path);
	for (const char *p = names; *p; p += strlen(name) + (p[strlen(name)] == ';')) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, ";"), p);
		if (!fake_http_header(head, name, value, sizeof(value)))
			return "a signed header is not there";
		n += (size_t)snprintf(canonical + n, sizeof(canonical) - n, "%s:%s\n", name, value);
	}
	sha256_hex(body, body_len, hash);
	snprintf(canonical + n, sizeof(canonical) - n, "\n%s\n%s", names, hash);
	sha256_hex(canonical, strlen(canonical), hash);
	snprintf(to_sign, sizeof(to_sign), "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s", date,
		 day, region, service, hash);
	k = snprintf((char *)key, sizeof(key), "AWS4%s", secret_key);
	hmac(key, k, day, key);
	hmac(key, 32, region, key);
	hmac(key, 32, service, key);
	hmac(key, 32, "aws4_request", key);
	hmac(key, 32, to_sign, key);
	bytes_to_hex(key, 32, got);
	return strcmp(got, signature) == 0 ? NULL : "the signature is wrong";
}
