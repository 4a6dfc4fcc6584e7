/* HKDF-SHA256 with the vectors of RFC 5869, appendix A.1 to A.3. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "hkdf.h"
#include "secret.h"

/* The info of A.1 and A.2 has bytes above 0x7f, which a text may have too, but none that is 0. */
static void check(const char *ikm, const char *salt, const char *info, const char *okm)
{
	uint8_t key[128], salt_bytes[128], got[128], want[128];
	char label[129] = "";
	size_t key_len = strlen(ikm) / 2, salt_len = strlen(salt) / 2, len = strlen(okm) / 2;
	struct secret *secret;
	struct err err;

	assert_int_equal(bytes_from_hex(ikm, key, key_len), 0);
	assert_int_equal(bytes_from_hex(salt, salt_bytes, salt_len), 0);
	assert_int_equal(bytes_from_hex(info, (uint8_t *)label, strlen(info) / 2), 0);
	assert_int_equal(bytes_from_hex(okm, want, len), 0);
	assert_int_equal(secret_from(key, key_len, &secret, &err), 0);
	assert_int_equal(
		hkdf_sha256(secret, salt_len ? salt_bytes : NULL, salt_len, label, got, len, &err),
		0);
	assert_memory_equal(got, want, len);
	secret_free(secret);
}

static void rfc_5869_a1_basic(void **state)
{
	(void)state;
	check("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
	      "f0f1f2f3f4f5f6f7f8f9",
	      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
	      "34007208d5b887185865");
}

static void rfc_5869_a2_long(void **state)
{
	(void)state;
	check("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	      "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
	      "404142434445464748494a4b4c4d4e4f",
	      "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
	      "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
	      "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
	      "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
	      "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
	      "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
	      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
	      "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
	      "cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

static void rfc_5869_a3_without_salt_and_info(void **state)
{
	(void)state;
	check("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
	      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
	      "9d201395faa4b61a96c8");
}

static void too_much_is_refused_and_wiped(void **state)
{
	static uint8_t much[8161];
	struct secret *secret;
	struct err err;

	(void)state;
	memset(much, 1, sizeof(much));
	assert_int_equal(secret_from("0123456789abcdef", 16, &secret, &err), 0);
	assert_int_equal(hkdf_sha256(secret, NULL, 0, "label", much, sizeof(much), &err), -EIO);
	assert_non_null(strstr(err.msg, "label"));
	for (size_t i = 0; i < sizeof(much); i++)
		assert_int_equal(much[i], 0);
	assert_int_equal(hkdf_sha256(secret, NULL, 0, "label", much, 8160, &err), 0);
	secret_free(secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_5869_a1_basic),
		cmocka_unit_test(rfc_5869_a2_long),
		cmocka_unit_test(rfc_5869_a3_without_salt_and_info),
		cmocka_unit_test(too_much_is_refused_and_wiped),
	};

	return cmocka_run_group_tests_name("hkdf", tests, NULL, NULL);
}
