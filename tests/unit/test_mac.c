/* HMAC-SHA256 with the vectors of RFC 4231 whose keys fit into MAC_KEY_LEN (a shorter key is the same as one filled up with zeros, RFC 2104 section 2). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "mac.h"

static void check(const char *key_hex, const char *data_hex, const char *tag_hex, size_t tag_len)
{
	uint8_t key[MAC_KEY_LEN] = {0}, data[128], want[MAC_LEN], got[MAC_LEN];
	size_t len = strlen(data_hex) / 2;
	struct mac *mac;
	struct err err;

	assert_true(strlen(key_hex) / 2 <= MAC_KEY_LEN);
	assert_int_equal(bytes_from_hex(key_hex, key, strlen(key_hex) / 2), 0);
	assert_int_equal(bytes_from_hex(data_hex, data, len), 0);
	assert_int_equal(bytes_from_hex(tag_hex, want, tag_len), 0);
	assert_int_equal(mac_new(key, &mac, &err), 0);
	for (int i = 0; i < 2; i++) { /* keyed once, used often */
		assert_int_equal(mac_sign(mac, data, len, got), 0);
		assert_memory_equal(got, want, tag_len);
	}
	assert_int_equal(mac_check(mac, data, len, want, tag_len), 0);
	for (size_t bit = 0; bit < tag_len * 8; bit++) {
		want[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(mac_check(mac, data, len, want, tag_len), -EBADMSG);
		want[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	data[len / 2] ^= 1;
	assert_int_equal(mac_check(mac, data, len, want, tag_len), -EBADMSG);
	mac_free(mac);
}

static void rfc_4231_case_1(void **state)
{
	(void)state;
	check("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", 32);
}

static void rfc_4231_case_2(void **state)
{
	(void)state;
	check("4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", 32);
}

static void rfc_4231_case_3(void **state)
{
	(void)state;
	check("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	      "dddddddddddddddddddddddddddddddddddddddddddddddddddd"
	      "dddddddddddddddddddddddddddddddddddddddddddddddd",
	      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe", 32);
}

static void rfc_4231_case_4(void **state)
{
	(void)state;
	check("0102030405060708090a0b0c0d0e0f10111213141516171819",
	      "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
	      "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
	      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b", 32);
}

static void rfc_4231_case_5_truncated(void **state)
{
	(void)state;
	check("0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
	      "546573742057697468205472756e636174696f6e", "a3b6167473100ee06e0c796c2955552b", 16);
}

static void *sign_often(void *arg)
{
	uint8_t first[MAC_LEN], again[MAC_LEN];

	(void)mac_sign(arg, "kmsvol", 6, first);
	for (int i = 0; i < 300; i++) {
		if (mac_sign(arg, "kmsvol", 6, again) < 0 || memcmp(first, again, MAC_LEN) != 0)
			return "differs";
	}
	return NULL;
}

static void one_mac_serves_many_threads(void **state)
{
	uint8_t key[MAC_KEY_LEN] = {7};
	pthread_t threads[4];
	struct mac *mac;
	struct err err;
	void *wrong;

	(void)state;
	assert_int_equal(mac_new(key, &mac, &err), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_often, mac), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	mac_free(mac);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_4231_case_1),
		cmocka_unit_test(rfc_4231_case_2),
		cmocka_unit_test(rfc_4231_case_3),
		cmocka_unit_test(rfc_4231_case_4),
		cmocka_unit_test(rfc_4231_case_5_truncated),
		cmocka_unit_test(one_mac_serves_many_threads),
	};

	return cmocka_run_group_tests_name("mac", tests, NULL, NULL);
}
