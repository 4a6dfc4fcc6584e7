/* What answers mean, as tables: no server, no clock. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "kms.h"
#include "kms_fault.h"
#include "kms_http.h"

#define NOW 1767225600

static struct err err;
static struct kms_fault_cure cure;

static int answer_at(int status, const char *body, const char *type, int64_t date)
{
	struct kms_fault_call call = {"Decrypt", "K", "http://e", NOW};
	struct kms_http_answer answer = {.status = status, .date = date};

	if (body) {
		answer.body.bytes = (uint8_t *)(uintptr_t)body;
		answer.body.len = strlen(body);
	}
	snprintf(answer.error_type, sizeof(answer.error_type), "%s", type ? type : "");
	snprintf(answer.request_id, sizeof(answer.request_id), "req-1");
	err_clear(&err);
	return kms_fault_answer(&call, &answer, &cure, &err);
}

static int answer(int status, const char *body)
{
	return answer_at(status, body, NULL, -1);
}

static void every_exception_has_its_meaning(void **state)
{
	static const struct {
		const char *code;
		int status;
		int num;
		enum kms_fault fault;
		bool retry;
	} cases[] = {
		{"DisabledException", 400, EKEYREJECTED, KMS_FAULT_REFUSED, false},
		{"KMSInvalidStateException", 400, EKEYREJECTED, KMS_FAULT_REFUSED, false},
		{"AccessDeniedException", 400, EKEYREJECTED, KMS_FAULT_REFUSED, false},
		{"NotFoundException", 400, ENOKEY, KMS_FAULT_REFUSED, false},
		{"IncorrectKeyException", 400, EKEYREJECTED, KMS_FAULT_REFUSED, false},
		{"InvalidCiphertextException", 400, EKEYREJECTED, KMS_FAULT_REFUSED, false},
		{"InvalidGrantTokenException", 400, EKEYREJECTED, KMS_FAULT_REFUSED, false},
		{"InvalidKeyUsageException", 400, EKEYREJECTED, KMS_FAULT_REFUSED, false},
		{"ThrottlingException", 400, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"SlowDown", 400, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"RequestTimeout", 400, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"KeyUnavailableException", 500, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"KMSInternalException", 500, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"DependencyTimeoutException", 503, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"InternalFailure", 500, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"NeverHeardOfException", 503, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"NeverHeardOfException", 501, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"NeverHeardOfException", 429, ETIMEDOUT, KMS_FAULT_TRANSIENT, true},
		{"NeverHeardOfException", 400, EINVAL, KMS_FAULT_WRONG_CALL, false},
		{"ValidationException", 400, EINVAL, KMS_FAULT_WRONG_CALL, false},
		{"InvalidArnException", 400, EINVAL, KMS_FAULT_WRONG_CALL, false},
		{"SerializationException", 400, EINVAL, KMS_FAULT_WRONG_CALL, false},
		{"UnrecognizedClientException", 400, EACCES, KMS_FAULT_WRONG_CALL, false},
		{"ExpiredTokenException", 400, EACCES, KMS_FAULT_WRONG_CALL, false},
		{"InvalidSignatureException", 400, EINVAL, KMS_FAULT_WRONG_CALL, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[200];

		snprintf(body, sizeof(body), "{\"__type\":\"%s\",\"message\":\"m\"}",
			 cases[i].code);
		if (answer(cases[i].status, body) != -cases[i].num)
			fail_msg("%s: %s", cases[i].code, err.msg);
		assert_int_equal(err.num, cases[i].num);
		assert_int_equal(kms_fault(&err), cases[i].fault);
		if (cure.retry != cases[i].retry)
			fail_msg("%s: retry %d", cases[i].code, cure.retry);
		assert_int_equal(cure.renew_creds, cases[i].num == EACCES);
		assert_string_equal(err.code, cases[i].code);
		assert_string_equal(err.aws_message, "m");
		assert_string_equal(err.request_id, "req-1");
		assert_int_equal(err.http_status, cases[i].status);
	}
}

static void the_name_is_found_in_all_its_forms(void **state)
{
	(void)state;
	answer(400, "{\"__type\":\"com.amazonaws.kms#DisabledException\",\"Message\":\"M\"}");
	assert_string_equal(err.code, "DisabledException");
	assert_string_equal(err.aws_message, "M");
	answer_at(400, "", "DisabledException:http://internal.amazon.com/x", -1);
	assert_string_equal(err.code, "DisabledException");
	assert_string_equal(err.msg, "KMS refused Decrypt with key K: DisabledException");
	answer_at(400, "{\"message\":\"only text\"}", "DisabledException", -1);
	assert_string_equal(err.msg,
			    "KMS refused Decrypt with key K: DisabledException: only text");
	answer(400, "{\"code\":\"NotFoundException\"}");
	assert_string_equal(err.code, "NotFoundException");
}

static void answers_without_a_name_are_not_from_kms(void **state)
{
	static const char *const bodies[] = {"",
					     "<html>",
					     "{}",
					     "[]",
					     "{\"__type\":7}",
					     "{\"__type\":\"\"}",
					     "{\"__type\":\"a b\"}",
					     "{\"__type\":\"<script>\"}",
					     "{\"message\":\"Not found\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(answer(404, bodies[i]), -ETIMEDOUT);
		assert_string_equal(err.msg, "http://e answered Decrypt with key K with HTTP "
					     "status 404 and no KMS exception: is it KMS, or a "
					     "proxy?");
		assert_string_equal(err.code, "");
		assert_false(cure.retry);
		assert_int_equal(answer(502, bodies[i]), -ETIMEDOUT);
		assert_true(cure.retry);
	}
}

static void a_silent_invalid_ciphertext_is_explained(void **state)
{
	(void)state;
	answer(400, "{\"__type\":\"InvalidCiphertextException\"}");
	assert_string_equal(err.msg, "KMS refused Decrypt with key K: InvalidCiphertextException: "
				     "the ciphertext is damaged, or was made with another "
				     "encryption context");
	assert_string_equal(err.aws_message, "");
}

static void a_wrong_clock_is_named(void **state)
{
	static const char expired[] = "{\"__type\":\"InvalidSignatureException\",\"message\":"
				      "\"Signature expired: 1 is now earlier than 2\"}";

	(void)state;
	answer_at(400, expired, NULL, NOW + 900);
	assert_non_null(
		strstr(err.msg, "; the clock of this machine is 900 s behind that of KMS: set it"));
	answer_at(400,
		  "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature not yet "
		  "current: 1\"}",
		  NULL, NOW - 901);
	assert_non_null(strstr(
		err.msg, "; the clock of this machine is 901 s ahead of that of KMS: set it"));
	answer_at(400, expired, NULL, -1);
	assert_non_null(strstr(err.msg, "; the clock of this machine may be wrong"));
	answer_at(400, "{\"__type\":\"RequestExpired\"}", NULL, -1);
	assert_non_null(strstr(err.msg, "clock"));
	answer_at(400,
		  "{\"__type\":\"InvalidSignatureException\",\"message\":\"The request "
		  "signature we calculated does not match\\n\\nThe Canonical String is\\nPOST\"}",
		  NULL, NOW + 1);
	assert_null(strstr(err.msg, "clock"));
	assert_null(strstr(err.msg, "Canonical"));
	assert_non_null(strstr(err.aws_message, "Canonical"));
	assert_non_null(strstr(err.msg, "match; is the secret access key the right one?"));
}

static void a_text_from_outside_cannot_break_the_sentence(void **state)
{
	char body[5000], text[4001];

	(void)state;
	memset(text, 'x', 4000);
	text[4000] = '\0';
	memcpy(text, "a\\nb\\u0007c", 11);
	snprintf(body, sizeof(body), "{\"__type\":\"DisabledException\",\"message\":\"%s\"}", text);
	answer(400, body);
	assert_non_null(strstr(err.msg, ": a b cxx"));
	assert_true(strlen(err.msg) < 800);
	assert_string_equal(err.msg + strlen(err.msg) - 4, "x...");
	assert_memory_equal(err.aws_message, "a\nb\ac", 5);
	assert_int_equal(strlen(err.aws_message), ERR_MSG_MAX - 1);
}

static void numbers_alone_sort_errors(void **state)
{
	(void)state;
	err_clear(&err);
	assert_int_equal(kms_fault(&err), KMS_FAULT_NONE);
	err_set(&err, ENOMEM, "x");
	assert_int_equal(kms_fault(&err), KMS_FAULT_TRANSIENT);
	err_set(&err, EACCES, "x");
	assert_int_equal(kms_fault(&err), KMS_FAULT_WRONG_CALL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_exception_has_its_meaning),
		cmocka_unit_test(the_name_is_found_in_all_its_forms),
		cmocka_unit_test(answers_without_a_name_are_not_from_kms),
		cmocka_unit_test(a_silent_invalid_ciphertext_is_explained),
		cmocka_unit_test(a_wrong_clock_is_named),
		cmocka_unit_test(a_text_from_outside_cannot_break_the_sentence),
		cmocka_unit_test(numbers_alone_sort_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
