/* The operations against a scripted server: requests, answers, errors, retries, signatures. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "aws_env.h"
#include "check_sigv4.h"
#include "err.h"
#include "fake_http.h"
#include "kms.h"
#include "secret.h"

#define ARN    "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define GOOD_DECRYPT                                                                               \
	"{\"KeyId\":\"" ARN "\",\"Plaintext\":\"AAECAwQFBgc=\",\"EncryptionAlgorithm\":"           \
	"\"SYMMETRIC_DEFAULT\"}"

static struct fake_http *server;
static struct kms *kms;

static int set_up(void **state)
{
	struct kms_config config = {.backoff_ms = 1, .timeout_ms = 5000};
	struct err err = {0};

	(void)state;
	aws_env_clean();
	server = fake_http_start();
	setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	setenv("AWS_REGION", "eu-central-1", 1);
	config.endpoint = fake_http_url(server);
	if (kms_open(&config, &kms, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kms_closep(&kms);
	fake_http_stop(server);
	aws_env_remove();
	return 0;
}

static void reply(int status, const char *body)
{
	fake_http_add(server, &(struct fake_reply){.status = status, .body = body});
}

static void reply_how(int status, const char *body, enum fake_how how)
{
	fake_http_add(server, &(struct fake_reply){.status = status, .body = body, .how = how});
}

static int decrypt(struct secret **ret, struct err *err)
{
	return kms_decrypt(kms, (const uint8_t *)"blob", 4, NULL, ARN, ret, err);
}

static void decrypt_sends_blob_context_and_key_and_returns_the_plaintext(void **state)
{
	static const struct kms_pair pairs[] = {{"aws:ebs:id", "vol-1"}, {"b", "\"2\""}};
	static const struct kms_context context = {pairs, 2};
	struct secret *plain = NULL;
	struct err err = {0};
	char value[256];

	(void)state;
	reply(200, GOOD_DECRYPT);
	assert_int_equal(kms_decrypt(kms, (const uint8_t *)"blob", 4, &context, ARN, &plain, &err),
			 0);
	assert_int_equal(secret_len(plain), 8);
	assert_memory_equal(secret_cbytes(plain), "\0\1\2\3\4\5\6\7", 8);
	secret_free(plain);
	struct fake_request q = fake_http_request(server, 0);
	assert_string_equal(q.body, "{\"CiphertextBlob\":\"YmxvYg==\",\"KeyId\":\"" ARN
				    "\",\"EncryptionContext\":{\"aws:ebs:id\":\"vol-1\",\"b\":"
				    "\"\\\"2\\\"\"}}");
	assert_memory_equal(q.head, "POST / HTTP/1.1\r\n", 17);
	assert_true(fake_http_header(q.head, "X-Amz-Target", value, sizeof(value)));
	assert_string_equal(value, "TrentService.Decrypt");
	assert_true(fake_http_header(q.head, "Content-Type", value, sizeof(value)));
	assert_string_equal(value, "application/x-amz-json-1.1");
	assert_int_equal(err.num, 0);
}

static void requests_carry_a_right_signature(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	char value[512];
	const char *wrong;

	(void)state;
	reply(200, GOOD_DECRYPT);
	assert_int_equal(decrypt(&plain, &err), 0);
	secret_free(plain);
	struct fake_request q = fake_http_request(server, 0);
	wrong = check_sigv4(q.head, q.body, q.body_len, SECRET);
	if (wrong)
		fail_msg("%s:\n%s", wrong, q.head);
	assert_non_null(check_sigv4(q.head, q.body, q.body_len, "another"));
	assert_non_null(check_sigv4(q.head, q.body, q.body_len - 1, SECRET));
	assert_true(fake_http_header(q.head, "Authorization", value, sizeof(value)));
	assert_non_null(strstr(value, "/eu-central-1/kms/aws4_request"));
	assert_non_null(strstr(value, "Credential=AKIDEXAMPLE/"));
	assert_non_null(strstr(value, "SignedHeaders=content-type;host;x-amz-date;x-amz-target,"));
}

static void session_token_is_sent_and_signed(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	char value[4096], token[1501];
	const char *wrong;

	(void)state;
	memset(token, 'T', 1500);
	strcpy(token + 1497, "/+=");
	setenv("AWS_SESSION_TOKEN", token, 1);
	reply(200, GOOD_DECRYPT);
	assert_int_equal(decrypt(&plain, &err), 0);
	secret_free(plain);
	struct fake_request q = fake_http_request(server, 0);
	wrong = check_sigv4(q.head, q.body, q.body_len, SECRET);
	if (wrong)
		fail_msg("%s:\n%s", wrong, q.head);
	assert_true(fake_http_header(q.head, "X-Amz-Security-Token", value, sizeof(value)));
	assert_string_equal(value, token);
	assert_true(fake_http_header(q.head, "Authorization", value, sizeof(value)));
	assert_non_null(strstr(value, ";x-amz-security-token;x-amz-target,"));
}

static void endpoint_with_a_path_is_signed_right(void **state)
{
	struct kms_config config = {.backoff_ms = 1};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};
	char url[128];
	const char *wrong;

	(void)state;
	snprintf(url, sizeof(url), "%s/kms/v1/", fake_http_url(server));
	config.endpoint = url;
	assert_int_equal(kms_open(&config, &other, &err), 0);
	reply(200, GOOD_DECRYPT);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err), 0);
	secret_free(plain);
	kms_close(other);
	struct fake_request q = fake_http_request(server, 0);
	assert_memory_equal(q.head, "POST /kms/v1 HTTP/1.1\r\n", 23);
	wrong = check_sigv4(q.head, q.body, q.body_len, SECRET);
	if (wrong)
		fail_msg("%s:\n%s", wrong, q.head);
}

static void generate_data_key_returns_blob_and_arn(void **state)
{
	struct kms_blob blob = {0};
	char arn[KMS_KEY_ID_MAX + 1];
	struct err err = {0};

	(void)state;
	reply(200,
	      "{\"CiphertextBlob\":\"AQIDBA==\",\"KeyId\":\"" ARN "\",\"KeyMaterialId\":\"x\"}");
	assert_int_equal(kms_generate_data_key_without_plaintext(kms, "alias/demo", 64, NULL, &blob,
								 arn, &err),
			 0);
	assert_int_equal(blob.len, 4);
	assert_memory_equal(blob.bytes, "\1\2\3\4", 4);
	assert_string_equal(arn, ARN);
	kms_blob_free(&blob);
	assert_null(blob.bytes);
	assert_string_equal(fake_http_request(server, 0).body,
			    "{\"KeyId\":\"alias/demo\",\"NumberOfBytes\":64}");
}

static void describe_key_returns_metadata(void **state)
{
	struct kms_key_metadata m;
	struct err err = {0};

	(void)state;
	reply(200, "{\"KeyMetadata\":{\"Arn\":\"" ARN "\",\"KeyId\":\"1234\",\"KeyState\":"
		   "\"PendingDeletion\",\"Enabled\":false,\"DeletionDate\":1767225600.5,"
		   "\"KeyUsage\":\"ENCRYPT_DECRYPT\",\"KeySpec\":\"SYMMETRIC_DEFAULT\","
		   "\"KeyManager\":\"CUSTOMER\",\"Unknown\":[1]}}");
	assert_int_equal(kms_describe_key(kms, ARN, &m, &err), 0);
	assert_string_equal(m.arn, ARN);
	assert_string_equal(m.key_id, "1234");
	assert_string_equal(m.state, "PendingDeletion");
	assert_false(m.enabled);
	assert_true(m.deletion_date == 1767225600.5);
	assert_string_equal(m.usage, "ENCRYPT_DECRYPT");
	assert_string_equal(m.spec, "SYMMETRIC_DEFAULT");
	assert_string_equal(m.manager, "CUSTOMER");
}

static void grants_are_created_and_retired(void **state)
{
	static const struct kms_pair pairs[] = {{"aws:ebs:id", "vol-1"}};
	static const struct kms_context context = {pairs, 1};
	static const char *const operations[] = {"Decrypt", "RetireGrant", NULL};
	struct kms_grant_request request = {
		.key_id = ARN,
		.grantee_principal = "arn:aws:iam::111122223333:role/r",
		.operations = operations,
		.context_subset = &context,
		.name = "n",
	};
	struct kms_grant grant;
	struct err err = {0};

	(void)state;
	reply(200, "{\"GrantId\":\"id\",\"GrantToken\":\"token\"}");
	reply(200, NULL);
	assert_int_equal(kms_create_grant(kms, &request, &grant, &err), 0);
	assert_string_equal(grant.id, "id");
	assert_string_equal(grant.token, "token");
	assert_string_equal(fake_http_request(server, 0).body,
			    "{\"KeyId\":\"" ARN "\",\"GranteePrincipal\":"
			    "\"arn:aws:iam::111122223333:role/r\",\"Operations\":[\"Decrypt\","
			    "\"RetireGrant\"],\"Constraints\":{\"EncryptionContextSubset\":"
			    "{\"aws:ebs:id\":\"vol-1\"}},\"Name\":\"n\"}");
	assert_int_equal(kms_retire_grant(kms, grant.token, NULL, NULL, &err), 0);
	assert_int_equal(kms_retire_grant(kms, NULL, ARN, grant.id, &err), 0);
	assert_string_equal(fake_http_request(server, 1).body, "{\"GrantToken\":\"token\"}");
	assert_string_equal(fake_http_request(server, 2).body,
			    "{\"KeyId\":\"" ARN "\",\"GrantId\":\"id\"}");
}

static void re_encrypt_sends_both_contexts(void **state)
{
	static const struct kms_pair one[] = {{"a", "1"}}, two[] = {{"a", "2"}};
	static const struct kms_context from = {one, 1}, to = {two, 1};
	struct kms_re_encrypt_request request = {.blob = (const uint8_t *)"b",
						 .blob_len = 1,
						 .source_key_id = "s",
						 .destination_key_id = "d",
						 .source_context = &from,
						 .destination_context = &to};
	struct kms_blob blob = {0};
	struct err err = {0};

	(void)state;
	reply(200, "{\"CiphertextBlob\":\"AQ==\",\"KeyId\":\"" ARN "\",\"SourceKeyId\":\"x\"}");
	assert_int_equal(kms_re_encrypt(kms, &request, &blob, NULL, &err), 0);
	assert_int_equal(blob.len, 1);
	kms_blob_free(&blob);
	assert_string_equal(fake_http_request(server, 0).body,
			    "{\"CiphertextBlob\":\"Yg==\",\"SourceKeyId\":\"s\","
			    "\"DestinationKeyId\":\"d\",\"SourceEncryptionContext\":{\"a\":\"1\"},"
			    "\"DestinationEncryptionContext\":{\"a\":\"2\"}}");
}

static void requests_out_of_bounds_are_not_sent(void **state)
{
	static const struct kms_pair twice[] = {{"a", "1"}, {"a", "2"}};
	static const struct kms_context context = {twice, 2};
	static char big[KMS_CONTEXT_MAX + 1];
	struct kms_pair pair = {"n", big};
	struct kms_context large = {&pair, 1};
	static uint8_t bytes[KMS_BLOB_MAX + 1];
	struct secret *plain = NULL;
	struct kms_blob blob = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(kms_decrypt(kms, bytes, sizeof(bytes), NULL, ARN, &plain, &err), -EINVAL);
	assert_string_equal(err.msg, "KMS Decrypt: CiphertextBlob must be 1 to 6144 bytes long");
	assert_int_equal(kms_decrypt(kms, bytes, 0, NULL, ARN, &plain, &err), -EINVAL);
	assert_int_equal(kms_decrypt(kms, bytes, 1, &context, ARN, &plain, &err), -EINVAL);
	assert_string_equal(
		err.msg, "KMS Decrypt: EncryptionContext has a name that is empty or there twice");
	memset(big, 'x', KMS_CONTEXT_MAX); /* with its name one byte more than may be */
	assert_int_equal(kms_decrypt(kms, bytes, 1, &large, ARN, &plain, &err), -EINVAL);
	assert_string_equal(err.msg, "KMS Decrypt: EncryptionContext is larger than 8192 bytes");
	assert_int_equal(
		kms_generate_data_key_without_plaintext(kms, ARN, 1025, NULL, &blob, NULL, &err),
		-EINVAL);
	assert_int_equal(
		kms_generate_data_key_without_plaintext(kms, "", 64, NULL, &blob, NULL, &err),
		-EINVAL);
	assert_string_equal(err.msg, "KMS GenerateDataKeyWithoutPlaintext: KeyId is empty");
	assert_int_equal(kms_describe_key(kms, NULL, NULL, &err), -EINVAL);
	assert_int_equal(kms_fault(&err), KMS_FAULT_WRONG_CALL);
	assert_int_equal(fake_http_count(server), 0);
	assert_null(plain);
}

static void refusals_keep_all_that_aws_said(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	fake_http_add(server, &(struct fake_reply){
				      .status = 400,
				      .headers = "x-amzn-RequestId: 1b2c-3d\r\n",
				      .body = "{\"__type\":\"DisabledException\",\"message\":\"" ARN
					      " is disabled.\"}"});
	assert_int_equal(decrypt(&plain, &err), -EKEYREJECTED);
	assert_string_equal(err.msg, "KMS refused Decrypt with key " ARN ": DisabledException: " ARN
				     " is disabled.");
	assert_string_equal(err.code, "DisabledException");
	assert_string_equal(err.aws_message, ARN " is disabled.");
	assert_string_equal(err.request_id, "1b2c-3d");
	assert_int_equal(err.http_status, 400);
	assert_int_equal(kms_fault(&err), KMS_FAULT_REFUSED);
	assert_int_equal(fake_http_count(server), 1);
	assert_null(plain);
}

static void throttling_is_tried_again_and_then_goes_well(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	reply(400, "{\"__type\":\"ThrottlingException\",\"message\":\"slow down\"}");
	reply(503, "");
	reply(200, GOOD_DECRYPT);
	assert_int_equal(decrypt(&plain, &err), 0);
	assert_int_equal(fake_http_count(server), 3);
	assert_int_equal(err.num, 0);
	secret_free(plain);
}

static void tries_end_after_three(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	reply(500, "{\"__type\":\"KMSInternalException\",\"message\":\"oops\"}");
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(server), 3);
	assert_string_equal(err.msg, "KMS failed to do Decrypt with key " ARN
				     ": KMSInternalException: oops (3 tries)");
	assert_string_equal(err.code, "KMSInternalException");
	assert_int_equal(kms_fault(&err), KMS_FAULT_TRANSIENT);
}

static void quota_of_retries_runs_out_and_comes_back(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	reply(500, "{}");
	for (int i = 0; i < 50; i++) /* two retries of 5 each: 500 tokens in 50 calls */
		assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(server), 150);
	fake_http_reset(server);
	reply(500, "{}");
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(server), 1);
	assert_non_null(strstr(err.msg, "(the quota of retries is used up)"));
	fake_http_reset(server);
	reply(200, GOOD_DECRYPT);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(decrypt(&plain, &err), 0);
		secret_free(plain);
	}
	fake_http_reset(server);
	reply(500, "{}");
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(server), 2);
}

static void dropped_connections_are_transient(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	char begin[128];

	(void)state;
	reply_how(0, NULL, FAKE_DROP);
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	snprintf(begin, sizeof(begin), "KMS at %s cannot be reached: Decrypt with key " ARN ": ",
		 fake_http_url(server));
	assert_memory_equal(err.msg, begin, strlen(begin));
	assert_non_null(strstr(err.msg, "(3 tries)"));
	assert_int_equal(fake_http_count(server), 3);
	assert_int_equal(kms_fault(&err), KMS_FAULT_TRANSIENT);
}

static void truncated_answers_are_tried_again(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	reply_how(200, GOOD_DECRYPT, FAKE_CUT);
	reply_how(200, GOOD_DECRYPT, FAKE_CUT);
	reply(200, GOOD_DECRYPT);
	assert_int_equal(decrypt(&plain, &err), 0);
	assert_int_equal(fake_http_count(server), 3);
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

		fake_http_reset(server);
		reply(200, bad[i]);
		assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
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
		server,
		&(struct fake_reply){.status = 200, .body_len = 1024 * 1024 + 1, .how = FAKE_FILL});
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "the answer is larger than 1048576 bytes"));
}

static void html_of_a_proxy_is_not_taken_for_kms(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	char want[512];

	(void)state;
	fake_http_add(server, &(struct fake_reply){.status = 404,
						   .headers = "Content-Type: text/html\r\n",
						   .body = "<html><h1>Not Found</h1></html>"});
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	snprintf(want, sizeof(want),
		 "%s answered Decrypt with key " ARN " with HTTP status 404 and no KMS exception "
		 "(text/html): is it KMS, or a proxy?",
		 fake_http_url(server));
	assert_string_equal(err.msg, want);
	assert_int_equal(err.http_status, 404);
	assert_int_equal(fake_http_count(server), 1);
}

static void redirects_are_not_followed(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	char headers[128];

	(void)state;
	snprintf(headers, sizeof(headers), "Location: %s/x\r\n", fake_http_url(server));
	fake_http_add(server, &(struct fake_reply){.status = 307, .headers = headers});
	reply(200, GOOD_DECRYPT);
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	assert_int_equal(fake_http_count(server), 1);
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
	struct kms_config config = {
		.endpoint = fake_http_url(server), .timeout_ms = 200, .tries = 2, .backoff_ms = 1};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};
	double begin = seconds();

	(void)state;
	reply_how(0, NULL, FAKE_STALL);
	assert_int_equal(kms_open(&config, &other, &err), 0);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err),
			 -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "timed out"));
	assert_non_null(strstr(err.msg, "(2 tries)"));
	assert_int_equal(fake_http_count(server), 2);
	assert_true(seconds() - begin >= 0.4);
	kms_close(other);
}

static void *cancel_when_asked(void *arg)
{
	(void)arg;
	if (!fake_http_wait(server, 1))
		abort();
	kms_cancel(kms);
	return NULL;
}

static void cancel_ends_a_waiting_call_at_once(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};
	pthread_t thread;
	double begin = seconds();

	(void)state;
	reply_how(0, NULL, FAKE_STALL);
	reply(200, GOOD_DECRYPT);
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, NULL), 0);
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	assert_true(seconds() - begin < 4); /* the limit is 5 s */
	pthread_join(thread, NULL);
	assert_non_null(strstr(err.msg, "was canceled"));
	assert_int_equal(kms_fault(&err), KMS_FAULT_TRANSIENT);
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT); /* and so is the next one */
	assert_int_equal(fake_http_count(server), 1);
	kms_uncancel(kms);
	assert_int_equal(decrypt(&plain, &err), 0);
	secret_free(plain);
}

static void cancel_ends_the_pause_between_tries(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(server), .backoff_ms = 3600000};
	struct secret *plain = NULL;
	struct kms *first = kms;
	struct err err = {0};
	double begin = seconds();
	pthread_t thread;

	(void)state;
	reply(500, "{}");
	assert_int_equal(kms_open(&config, &kms, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, NULL), 0);
	assert_int_equal(decrypt(&plain, &err), -ETIMEDOUT);
	pthread_join(thread, NULL);
	assert_int_equal(fake_http_count(server), 1);
	assert_true(seconds() - begin < 3); /* the pause is 10 s in the mean */
	kms_close(kms);
	kms = first;
}

static void connections_are_kept_until_forgotten(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	reply(200, GOOD_DECRYPT);
	for (int i = 0; i < 4; i++) {
		if (i == 3)
			kms_forget(kms);
		assert_int_equal(decrypt(&plain, &err), 0);
		secret_free(plain);
	}
	assert_int_equal(fake_http_request(server, 0).connection, 0);
	assert_int_equal(fake_http_request(server, 2).connection, 0);
	assert_int_equal(fake_http_request(server, 3).connection, 1);
}

static void connection_closed_while_idle_costs_no_try(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(server), .tries = 1};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};

	(void)state;
	reply_how(200, GOOD_DECRYPT, FAKE_CLOSE);
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
	struct kms_config config = {.endpoint = fake_http_url(server), .backoff_ms = 1};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};
	char value[512];

	(void)state;
	assert_int_equal(kms_open(&config, &other, &err), 0);
	reply(200, GOOD_DECRYPT);
	reply(400, "{\"__type\":\"ExpiredTokenException\",\"message\":\"The security token "
		   "included in the request is expired\"}");
	reply(200, GOOD_DECRYPT);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err), 0);
	secret_free(plain);
	setenv("AWS_ACCESS_KEY_ID", "AKIDNEWER", 1);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err), 0);
	secret_free(plain);
	assert_int_equal(fake_http_count(server), 3);
	assert_true(fake_http_header(fake_http_request(server, 2).head, "Authorization", value,
				     sizeof(value)));
	assert_non_null(strstr(value, "AKIDNEWER"));
	kms_close(other);
}

static void credentials_that_kms_does_not_know_are_a_wrong_call(void **state)
{
	struct secret *plain = NULL;
	struct err err = {0};

	(void)state;
	reply(400, "{\"__type\":\"UnrecognizedClientException\",\"message\":\"The security token "
		   "included in the request is invalid.\"}");
	assert_int_equal(decrypt(&plain, &err), -EACCES);
	assert_int_equal(kms_fault(&err), KMS_FAULT_WRONG_CALL);
	assert_int_equal(fake_http_count(server), 1); /* the same credentials: no second try */
	assert_string_equal(err.msg,
			    "KMS did not accept the credentials of Decrypt with key " ARN
			    ": UnrecognizedClientException: The security token included in "
			    "the request is invalid. (access key AKIDEXAMPLE from AWS "
			    "credentials in the environment)");
	assert_string_equal(err.code, "UnrecognizedClientException");
}

static void region_comes_from_the_key_arn_when_from_nowhere_else(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(server)};
	struct secret *plain = NULL;
	struct kms *other;
	struct err err = {0};
	char value[512];

	(void)state;
	unsetenv("AWS_REGION");
	reply(200, GOOD_DECRYPT);
	assert_int_equal(kms_open(&config, &other, &err), 0);
	assert_string_equal(kms_region(other), "");
	assert_int_equal(
		kms_decrypt(other, (const uint8_t *)"b", 1, NULL, "alias/demo", &plain, &err),
		-EINVAL);
	assert_non_null(strstr(err.msg, "no AWS region: neither AWS_REGION nor"));
	assert_int_equal(fake_http_count(server), 0);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, ARN, &plain, &err), 0);
	secret_free(plain);
	assert_string_equal(kms_region(other), "eu-central-1");
	assert_true(fake_http_header(fake_http_request(server, 0).head, "Authorization", value,
				     sizeof(value)));
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
	assert_int_equal(decrypt(&plain, &err), -EACCES);
	assert_int_equal(kms_fault(&err), KMS_FAULT_WRONG_CALL);
	assert_memory_equal(err.msg, "no AWS credentials found; looked at AWS_ACCESS_KEY_ID", 53);
	assert_int_equal(fake_http_count(server), 0);
}

static void errors_may_be_ignored(void **state)
{
	struct secret *plain = NULL;

	(void)state;
	reply(400, "{\"__type\":\"NotFoundException\"}");
	assert_int_equal(decrypt(&plain, NULL), -ENOKEY);
	assert_int_equal(kms_describe_key(kms, NULL, NULL, NULL), -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(decrypt_sends_blob_context_and_key_and_returns_the_plaintext),
		TEST(requests_carry_a_right_signature),
		TEST(session_token_is_sent_and_signed),
		TEST(endpoint_with_a_path_is_signed_right),
		TEST(generate_data_key_returns_blob_and_arn),
		TEST(describe_key_returns_metadata),
		TEST(grants_are_created_and_retired),
		TEST(re_encrypt_sends_both_contexts),
		TEST(requests_out_of_bounds_are_not_sent),
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
