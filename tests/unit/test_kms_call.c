/* The path of a call against a scripted server: errors, retries, time limits, credentials, cancel. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "check_sigv4.h"
#include "err.h"
#include "fake_http.h"
#include "kms.h"
#include "kms_fixture.h"
#include "secret.h"

static void refusals_keep_all_that_aws_said(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	fake_http_add(
		kms_fixture_server,
		&(struct fake_reply){
			.status = 400,
			.headers = "x-amzn-RequestId: 1b2c-3d\r\n",
			.body = "{\"__type\":\"DisabledException\",\"message\":\"" KMS_FIXTURE_ARN
				" is disabled.\"}"});
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -EKEYREJECTED);
	assert_string_equal(err.msg, "KMS refused Decrypt with key " KMS_FIXTURE_ARN
				     ": DisabledException: " KMS_FIXTURE_ARN " is disabled.");
	assert_string_equal(err.code, "DisabledException");
	assert_string_equal(err.aws_message, KMS_FIXTURE_ARN " is disabled.");
	assert_string_equal(err.request_id, "1b2c-3d");
	assert_int_equal(err.http_status, 400);
	assert_int_equal(kms_fault(&err), KMS_FAULT_REFUSED);
	assert_int_equal(fake_http_count(kms_fixture_server), 1);
	assert_null(plain);
}

static void throttling_is_tried_again_and_then_goes_well(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	kms_fixture_reply(400, "{\"__type\":\"ThrottlingException\",\"message\":\"slow down\"}");
	kms_fixture_reply(503, "");
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
	assert_int_equal(fake_http_count(kms_fixture_server), 3);
	assert_int_equal(err.num, 0);
	secret_free(plain);
}

static void tries_end_after_three(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	kms_fixture_reply(500, "{\"__type\":\"KMSInternalException\",\"message\":\"oops\"}");
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(kms_fixture_server), 3);
	assert_string_equal(err.msg, "KMS failed to do Decrypt with key " KMS_FIXTURE_ARN
				     ": KMSInternalException: oops (3 tries)");
	assert_string_equal(err.code, "KMSInternalException");
	assert_int_equal(kms_fault(&err), KMS_FAULT_TRANSIENT);
}

static void quota_of_retries_runs_out_and_comes_back(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	kms_fixture_reply(500, "{}");
	for (int i = 0; i < 50; i++) /* two retries of 5 each: 500 tokens in 50 calls */
		assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(kms_fixture_server), 150);
	fake_http_reset(kms_fixture_server);
	kms_fixture_reply(500, "{}");
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(kms_fixture_server), 1);
	assert_non_null(strstr(err.msg, "(the quota of retries is used up)"));
	fake_http_reset(kms_fixture_server);
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
		secret_free(plain);
	}
	fake_http_reset(kms_fixture_server);
	kms_fixture_reply(500, "{}");
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(kms_fixture_server), 2);
}

static void dropped_connections_are_transient(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	char begin[128];

	(void)state;
	kms_fixture_reply_how(0, NULL, FAKE_DROP);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	snprintf(begin, sizeof(begin),
		 "KMS at %s cannot be reached: Decrypt with key " KMS_FIXTURE_ARN ": ",
		 fake_http_url(kms_fixture_server));
	assert_memory_equal(err.msg, begin, strlen(begin));
	assert_non_null(strstr(err.msg, "(3 tries)"));
	assert_int_equal(fake_http_count(kms_fixture_server), 3);
	assert_int_equal(kms_fault(&err), KMS_FAULT_TRANSIENT);
}

static void truncated_answers_are_tried_again(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	kms_fixture_reply_how(200, KMS_FIXTURE_GOOD, FAKE_CUT);
	kms_fixture_reply_how(200, KMS_FIXTURE_GOOD, FAKE_CUT);
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
	assert_int_equal(fake_http_count(kms_fixture_server), 3);
	secret_free(plain);
}

static void answers_that_make_no_sense_are_transient(void **state)
{
	static const char *const bad[] = {
		"",
		"<html>",
		"{\"KeyId\":\"x\"",
		"[]",
		"{}",
		"{\"Plaintext\":7}",
		"{\"Plaintext\":\"\"}",
		"{\"Plaintext\":\"AAE\"}",
		"{\"Plaintext\":\"A*==\"}",
	};
	struct secret *plain = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};

		fake_http_reset(kms_fixture_server);
		kms_fixture_reply(200, bad[i]);
		assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
		assert_non_null(strstr(err.msg, "makes no sense"));
		assert_int_equal(kms_fault(&err), KMS_FAULT_TRANSIENT);
	}
	assert_null(plain);
}

static void oversized_answers_are_refused(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	fake_http_add(
		kms_fixture_server,
		&(struct fake_reply){.status = 200, .body_len = 1024 * 1024 + 1, .how = FAKE_FILL});
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "the answer is larger than 1048576 bytes"));
}

static void html_of_a_proxy_is_not_taken_for_kms(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	char want[512];

	(void)state;
	fake_http_add(kms_fixture_server,
		      &(struct fake_reply){.status = 404,
					   .headers = "Content-Type: text/html\r\n",
					   .body = "<html><h1>Not Found</h1></html>"});
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	snprintf(want, sizeof(want),
		 "%s answered Decrypt with key " KMS_FIXTURE_ARN
		 " with HTTP status 404 and no KMS exception "
		 "(text/html): is it KMS, or a proxy?",
		 fake_http_url(kms_fixture_server));
	assert_string_equal(err.msg, want);
	assert_int_equal(err.http_status, 404);
	assert_int_equal(fake_http_count(kms_fixture_server), 1);
}

static void redirects_are_not_followed(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	char headers[128];

	(void)state;
	snprintf(headers, sizeof(headers), "Location: %s/x\r\n", fake_http_url(kms_fixture_server));
	fake_http_add(kms_fixture_server, &(struct fake_reply){.status = 307, .headers = headers});
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(kms_fixture_server), 1);
}

static void kms_that_is_not_there_is_said_with_its_address(void **state)
{
	struct kms_config config = {.endpoint = "http://127.0.0.1:1", .backoff_ms = 1};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};

	(void)state;
	assert_int_equal(kms_open(&config, &other, &err), 0);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err),
			 -ETIMEDOUT);
	assert_string_equal(err.msg, "KMS at http://127.0.0.1:1 cannot be reached: Decrypt: "
				     "Connection refused (3 tries)");
	kms_close(other);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void slow_server_runs_into_the_time_limit(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(kms_fixture_server),
				    .timeout_ms = 200,
				    .tries = 2,
				    .backoff_ms = 1};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};
	double begin = seconds();

	(void)state;
	kms_fixture_reply_how(0, NULL, FAKE_STALL);
	assert_int_equal(kms_open(&config, &other, &err), 0);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err),
			 -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "timed out"));
	assert_non_null(strstr(err.msg, "(2 tries)"));
	assert_int_equal(fake_http_count(kms_fixture_server), 2);
	assert_true(seconds() - begin >= 0.4);
	kms_close(other);
}

static void *cancel_when_asked(void *arg)
{
	(void)arg;
	if (!fake_http_wait(kms_fixture_server, 1))
		abort();
	kms_cancel(kms_fixture_kms);
	return NULL;
}

static void cancel_ends_a_waiting_call_at_once(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	pthread_t thread;
	double begin = seconds();

	(void)state;
	kms_fixture_reply_how(0, NULL, FAKE_STALL);
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, NULL), 0);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	assert_true(seconds() - begin < 4); /* the limit is 5 s */
	pthread_join(thread, NULL);
	assert_non_null(strstr(err.msg, "was canceled"));
	assert_int_equal(kms_fault(&err), KMS_FAULT_TRANSIENT);
	assert_int_equal(kms_fixture_decrypt(&plain, &err),
			 -ETIMEDOUT); /* and so is the next one */
	assert_int_equal(fake_http_count(kms_fixture_server), 1);
	kms_uncancel(kms_fixture_kms);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
	secret_free(plain);
}

static void cancel_ends_the_pause_between_tries(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(kms_fixture_server),
				    .backoff_ms = 3600000};
	struct secret *plain = NULL;
	struct kms *first = kms_fixture_kms;
	struct err err = {0};
	double begin = seconds();
	pthread_t thread;

	(void)state;
	kms_fixture_reply(500, "{}");
	assert_int_equal(kms_open(&config, &kms_fixture_kms, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, NULL), 0);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -ETIMEDOUT);
	pthread_join(thread, NULL);
	assert_int_equal(fake_http_count(kms_fixture_server), 1);
	assert_true(seconds() - begin < 3); /* the pause is 10 s in the mean */
	kms_close(kms_fixture_kms);
	kms_fixture_kms = first;
}

static void connections_are_kept_until_forgotten(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	for (int i = 0; i < 4; i++) {
		if (i == 3)
			kms_forget(kms_fixture_kms);
		assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
		secret_free(plain);
	}
	assert_int_equal(fake_http_request(kms_fixture_server, 0).connection, 0);
	assert_int_equal(fake_http_request(kms_fixture_server, 2).connection, 0);
	assert_int_equal(fake_http_request(kms_fixture_server, 3).connection, 1);
}

static void connection_closed_while_idle_costs_no_try(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(kms_fixture_server), .tries = 1};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};

	(void)state;
	kms_fixture_reply_how(200, KMS_FIXTURE_GOOD, FAKE_CLOSE);
	assert_int_equal(kms_open(&config, &other, &err), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err), 0);
		secret_free(plain);
	}
	kms_close(other);
}

static void expired_credentials_are_looked_for_anew_once(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(kms_fixture_server), .backoff_ms = 1};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};
	char value[512];

	(void)state;
	assert_int_equal(kms_open(&config, &other, &err), 0);
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	kms_fixture_reply(400,
			  "{\"__type\":\"ExpiredTokenException\",\"message\":\"The security token "
			  "included in the request is expired\"}");
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err), 0);
	secret_free(plain);
	setenv("AWS_ACCESS_KEY_ID", "AKIDNEWER", 1);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err), 0);
	secret_free(plain);
	assert_int_equal(fake_http_count(kms_fixture_server), 3);
	assert_true(fake_http_header(fake_http_request(kms_fixture_server, 2).head, "Authorization",
				     value, sizeof(value)));
	assert_non_null(strstr(value, "AKIDNEWER"));
	kms_close(other);
}

static void credentials_that_kms_does_not_know_are_a_wrong_call(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	kms_fixture_reply(
		400, "{\"__type\":\"UnrecognizedClientException\",\"message\":\"The security token "
		     "included in the request is invalid.\"}");
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -EACCES);
	assert_int_equal(kms_fault(&err), KMS_FAULT_WRONG_CALL);
	assert_int_equal(fake_http_count(kms_fixture_server),
			 1); /* the same credentials: no second try */
	assert_string_equal(
		err.msg, "KMS did not accept the credentials of Decrypt with key " KMS_FIXTURE_ARN
			 ": UnrecognizedClientException: The security token included in "
			 "the request is invalid. (access key AKIDEXAMPLE from AWS "
			 "credentials in the environment)");
	assert_string_equal(err.code, "UnrecognizedClientException");
}

static void region_comes_from_the_key_arn_when_from_nowhere_else(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(kms_fixture_server)};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};
	char value[512];

	(void)state;
	unsetenv("AWS_REGION");
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_open(&config, &other, &err), 0);
	assert_string_equal(kms_region(other), "");
	assert_int_equal(
		kms_decrypt(other, (const uint8_t *)"b", 1, NULL, "alias/demo", &plain, &err),
		-EINVAL);
	assert_non_null(strstr(err.msg, "no AWS region: neither AWS_REGION nor"));
	assert_int_equal(fake_http_count(kms_fixture_server), 0);
	assert_int_equal(
		kms_decrypt(other, (const uint8_t *)"b", 1, NULL, KMS_FIXTURE_ARN, &plain, &err),
		0);
	secret_free(plain);
	assert_string_equal(kms_region(other), "eu-central-1");
	assert_true(fake_http_header(fake_http_request(kms_fixture_server, 0).head, "Authorization",
				     value, sizeof(value)));
	assert_non_null(strstr(value, "/eu-central-1/kms/"));
	kms_close(other);
	config.endpoint = NULL;
	assert_int_equal(kms_open(&config, &other, &err), 0);
	assert_string_equal(kms_endpoint(other), "");
	kms_close(other);
}

static void no_credentials_is_said_before_anything_is_sent(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	assert_int_equal(kms_fixture_decrypt(&plain, &err), -EACCES);
	assert_int_equal(kms_fault(&err), KMS_FAULT_WRONG_CALL);
	assert_memory_equal(err.msg, "no AWS credentials found; looked at AWS_ACCESS_KEY_ID", 53);
	assert_int_equal(fake_http_count(kms_fixture_server), 0);
}

static void errors_may_be_ignored(void **state)
{
	struct secret *plain = NULL;

	(void)state;
	kms_fixture_reply(400, "{\"__type\":\"NotFoundException\"}");
	assert_int_equal(kms_fixture_decrypt(&plain, NULL), -ENOKEY);
	assert_int_equal(kms_describe_key(kms_fixture_kms, NULL, NULL, NULL), -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kms_fixture_set_up, kms_fixture_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(refusals_keep_all_that_aws_said),
		TEST(throttling_is_tried_again_and_then_goes_well),
		TEST(tries_end_after_three),
		TEST(quota_of_retries_runs_out_and_comes_back),
		TEST(dropped_connections_are_transient),
		TEST(truncated_answers_are_tried_again),
		TEST(answers_that_make_no_sense_are_transient),
		TEST(oversized_answers_are_refused),
		TEST(html_of_a_proxy_is_not_taken_for_kms),
		TEST(redirects_are_not_followed),
		TEST(kms_that_is_not_there_is_said_with_its_address),
		TEST(slow_server_runs_into_the_time_limit),
		TEST(cancel_ends_a_waiting_call_at_once),
		TEST(cancel_ends_the_pause_between_tries),
		TEST(connections_are_kept_until_forgotten),
		TEST(connection_closed_while_idle_costs_no_try),
		TEST(expired_credentials_are_looked_for_anew_once),
		TEST(credentials_that_kms_does_not_know_are_a_wrong_call),
		TEST(region_comes_from_the_key_arn_when_from_nowhere_else),
		TEST(no_credentials_is_said_before_anything_is_sent),
		TEST(errors_may_be_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
