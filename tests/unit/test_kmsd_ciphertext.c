/* Ciphertext blobs: layout, every bit, every length, contexts. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "ciphertext.h"
#include "err.h"
#include "fault.h"
#include "kms_json.h"

#define ARN "arn:aws:kms:us-east-1:111122223333:key/00112233-4455-6677-8899-aabbccddeeff"

static const uint8_t material[32] = {1, 2, 3};
static uint8_t material_id[CIPHERTEXT_MATERIAL_LEN];
static const struct ciphertext_key key = {ARN, material_id, material};

static struct kms_json *json(const char *text)
{
	struct kms_json *v = NULL;
	struct err err = {0};

	assert_int_equal(kms_json_parse(text, strlen(text), &v, &err), 0);
	return v;
}

static struct buf seal(const char *context, size_t plain_len)
{
	struct buf blob = {.max = CIPHERTEXT_BLOB_MAX};
	struct kms_json *c = context ? json(context) : NULL;
	uint8_t *plain = calloc(1, plain_len);
	struct err err = {0};

	assert_int_equal(
		ciphertext_seal(&key, CIPHERTEXT_DATA_KEY, c, plain, plain_len, 77, &blob, &err),
		0);
	free(plain);
	kms_json_free(c);
	return blob;
}

/* 0, or the failure of the first step that refuses. */
static int open_with(const uint8_t *blob, size_t len, const struct ciphertext_key *k,
		     const char *context, struct err *err)
{
	struct buf plain = {.max = CIPHERTEXT_PLAIN_MAX};
	struct kms_json *c = context ? json(context) : NULL;
	struct ciphertext ct;
	int r = ciphertext_parse(blob, len, &ct, err);

	r = r ? r : ciphertext_open(&ct, k, c, &plain, err);
	kms_json_free(c);
	buf_free(&plain);
	return r;
}

static void refused(const uint8_t *blob, size_t len, const struct ciphertext_key *k,
		    const char *context)
{
	struct err err = {0};

	assert_true(open_with(blob, len, k, context, &err) < 0);
	assert_true(fault_is(&err, FAULT_INVALID_CIPHERTEXT));
	assert_string_equal(err.aws_message, "");
}

static void blob_of_32_bytes_has_184_as_aws_has(void **state)
{
	struct buf blob = seal(NULL, 32);
	char *text = bytes_to_base64(blob.bytes, blob.len);

	(void)state;
	assert_int_equal(blob.len, 184);
	assert_true(strncmp(text, "AQIDAH", 6) == 0);
	assert_memory_equal(blob.bytes + 5, material_id, CIPHERTEXT_MATERIAL_LEN);
	free(text);
	buf_free(&blob);
}

static void every_length_opens_again(void **state)
{
	static const size_t lens[] = {1, 16, 32, 33, 64, 100, 128, 200, 255, 256, 1024, 4095, 4096};

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct buf blob = seal("{\"a\":\"b\"}", lens[i]), plain = {.max = 4096};
		struct kms_json *c = json("{\"a\":\"b\"}");
		struct ciphertext ct;
		struct err err = {0};

		assert_int_equal(ciphertext_parse(blob.bytes, blob.len, &ct, &err), 0);
		assert_int_equal(ciphertext_open(&ct, &key, c, &plain, &err), 0);
		assert_int_equal(plain.len, lens[i]);
		kms_json_free(c);
		buf_free(&plain);
		buf_free(&blob);
	}
}

static void every_flipped_bit_is_refused(void **state)
{
	static const size_t lens[] = {32, 200};

	(void)state;
	for (size_t l = 0; l < 2; l++) {
		struct buf blob = seal("{\"a\":\"b\"}", lens[l]);

		for (size_t bit = 0; bit < 8 * blob.len; bit++) {
			blob.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refused(blob.bytes, blob.len, &key, "{\"a\":\"b\"}");
			blob.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		buf_free(&blob);
	}
}

static void every_truncation_and_any_tail_is_refused(void **state)
{
	struct buf blob = seal(NULL, 32);

	(void)state;
	for (size_t n = 0; n < blob.len; n++)
		refused(blob.bytes, n, &key, NULL);
	assert_int_equal(buf_append(&blob, "", 1), 0);
	refused(blob.bytes, blob.len, &key, NULL);
	buf_free(&blob);
}

static void other_key_arn_material_and_context_are_refused(void **state)
{
	static const uint8_t other[32] = {9};
	struct ciphertext_key k = key;
	struct buf blob = seal("{\"a\":\"b\",\"c\":\"d\"}", 32);
	struct err err = {0};

	(void)state;
	assert_int_equal(open_with(blob.bytes, blob.len, &key, "{\"c\":\"d\",\"a\":\"b\"}", &err),
			 0);
	refused(blob.bytes, blob.len, &key, NULL);
	refused(blob.bytes, blob.len, &key, "{\"a\":\"b\"}");
	refused(blob.bytes, blob.len, &key, "{\"a\":\"b\",\"c\":\"D\"}");
	refused(blob.bytes, blob.len, &key, "{\"a\":\"b\",\"c\":\"d\",\"e\":\"\"}");
	k.arn = ARN "0";
	refused(blob.bytes, blob.len, &k, "{\"a\":\"b\",\"c\":\"d\"}");
	k = key;
	k.material = other;
	refused(blob.bytes, blob.len, &k, "{\"a\":\"b\",\"c\":\"d\"}");
	buf_free(&blob);
}

/* Plain concatenation would take the second for the first. */
static void context_pairs_are_framed(void **state)
{
	struct buf blob = seal("{\"aws:ebs:id\":\"vol-1\"}", 32);

	(void)state;
	refused(blob.bytes, blob.len, &key, "{\"aws:ebs:i\":\"dvol-1\"}");
	refused(blob.bytes, blob.len, &key, "{\"aws:ebs:id\":\"vol-1\",\"\":\"\"}");
	buf_free(&blob);
}

static void empty_context_equals_none(void **state)
{
	struct buf blob = seal("{}", 32);
	struct err err = {0};

	(void)state;
	assert_int_equal(open_with(blob.bytes, blob.len, &key, NULL, &err), 0);
	buf_free(&blob);
}

static void context_with_other_than_strings_or_too_large_is_refused(void **state)
{
	char big[CIPHERTEXT_CONTEXT_MAX + 64];
	struct kms_json *c = json("{\"a\":1}");
	struct err err = {0};

	(void)state;
	assert_true(ciphertext_check_context(c, &err) < 0);
	assert_true(fault_is(&err, FAULT_SERIALIZATION));
	kms_json_free(c);
	memset(big, 'x', sizeof(big));
	memcpy(big, "{\"k\":\"", 6);
	memcpy(big + 6 + CIPHERTEXT_CONTEXT_MAX, "\"}", 3);
	c = json(big);
	assert_true(ciphertext_check_context(c, &err) < 0);
	assert_true(fault_is(&err, FAULT_VALIDATION));
	kms_json_free(c);
}

static int make_id(void **state)
{
	static const uint8_t uuid[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
					 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
	struct err err = {0};

	(void)state;
	return ciphertext_material_id(uuid, material_id, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blob_of_32_bytes_has_184_as_aws_has),
		cmocka_unit_test(every_length_opens_again),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(every_truncation_and_any_tail_is_refused),
		cmocka_unit_test(other_key_arn_material_and_context_are_refused),
		cmocka_unit_test(context_pairs_are_framed),
		cmocka_unit_test(empty_context_equals_none),
		cmocka_unit_test(context_with_other_than_strings_or_too_large_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_id, NULL);
}
