/* The operations against a scripted server: requests, answers, signatures. */
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

static void decrypt_sends_blob_context_and_key_and_returns_the_plaintext(void **state)
{
	static const struct kms_pair pairs[] = {{"aws:ebs:id", "vol-1"}, {"b", "\"2\""}};
	static const struct kms_context context = {pairs, 2};
	struct secret *plain = NULL;
	struct err err = {0};
	char value[256];

	(void)state;
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_decrypt(kms_fixture_kms, (const uint8_t *)"blob", 4, &context,
				     KMS_FIXTURE_ARN, &plain, &err),
			 0);
	assert_int_equal(secret_len(plain), 8);
	assert_memory_equal(secret_cbytes(plain), "\0\1\2\3\4\5\6\7", 8);
	secret_free(plain);
	struct fake_request q = fake_http_request(kms_fixture_server, 0);
	assert_string_equal(q.body, "{\"CiphertextBlob\":\"YmxvYg==\",\"KeyId\":\"" KMS_FIXTURE_ARN
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
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
	secret_free(plain);
	struct fake_request q = fake_http_request(kms_fixture_server, 0);
	wrong = check_sigv4(q.head, q.body, q.body_len, KMS_FIXTURE_SECRET);
	if (wrong)
		fail_msg("%s:\n%s", wrong, q.head);
	assert_non_null(check_sigv4(q.head, q.body, q.body_len, "another"));
	assert_non_null(check_sigv4(q.head, q.body, q.body_len - 1, KMS_FIXTURE_SECRET));
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
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
	secret_free(plain);
	struct fake_request q = fake_http_request(kms_fixture_server, 0);
	wrong = check_sigv4(q.head, q.body, q.body_len, KMS_FIXTURE_SECRET);
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
	snprintf(url, sizeof(url), "%s/kms/v1/", fake_http_url(kms_fixture_server));
	config.endpoint = url;
	assert_int_equal(kms_open(&config, &other, &err), 0);
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(kms_decrypt(other, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err), 0);
	secret_free(plain);
	kms_close(other);
	struct fake_request q = fake_http_request(kms_fixture_server, 0);
	assert_memory_equal(q.head, "POST /kms/v1 HTTP/1.1\r\n", 23);
	wrong = check_sigv4(q.head, q.body, q.body_len, KMS_FIXTURE_SECRET);
	if (wrong)
		fail_msg("%s:\n%s", wrong, q.head);
}

static void generate_data_key_returns_blob_and_arn(void **state)
{
	struct kms_blob blob = {0};
	char arn[KMS_KEY_ID_MAX + 1];
	struct err err = {0};

	(void)state;
	kms_fixture_reply(200, "{\"CiphertextBlob\":\"AQIDBA==\",\"KeyId\":\"" KMS_FIXTURE_ARN
			       "\",\"KeyMaterialId\":\"x\"}");
	assert_int_equal(kms_generate_data_key_without_plaintext(kms_fixture_kms, "alias/demo", 64,
								 NULL, &blob, arn, &err),
			 0);
	assert_int_equal(blob.len, 4);
	assert_memory_equal(blob.bytes, "\1\2\3\4", 4);
	assert_string_equal(arn, KMS_FIXTURE_ARN);
	kms_blob_free(&blob);
	assert_null(blob.bytes);
	assert_string_equal(fake_http_request(kms_fixture_server, 0).body,
			    "{\"KeyId\":\"alias/demo\",\"NumberOfBytes\":64}");
}

static void describe_key_returns_metadata(void **state)
{
	struct kms_key_metadata m;
	struct err err = {0};

	(void)state;
	kms_fixture_reply(200,
			  "{\"KeyMetadata\":{\"Arn\":\"" KMS_FIXTURE_ARN
			  "\",\"KeyId\":\"1234\",\"KeyState\":"
			  "\"PendingDeletion\",\"Enabled\":false,\"DeletionDate\":1767225600.5,"
			  "\"KeyUsage\":\"ENCRYPT_DECRYPT\",\"KeySpec\":\"SYMMETRIC_DEFAULT\","
			  "\"KeyManager\":\"CUSTOMER\",\"Unknown\":[1]}}");
	assert_int_equal(kms_describe_key(kms_fixture_kms, KMS_FIXTURE_ARN, &m, &err), 0);
	assert_string_equal(m.arn, KMS_FIXTURE_ARN);
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
		.key_id = KMS_FIXTURE_ARN,
		.grantee_principal = "arn:aws:iam::111122223333:role/r",
		.operations = operations,
		.context_subset = &context,
		.name = "n",
	};
	struct kms_grant grant;
	struct err err = {0};

	(void)state;
	kms_fixture_reply(200, "{\"GrantId\":\"id\",\"GrantToken\":\"token\"}");
	kms_fixture_reply(200, NULL);
	assert_int_equal(kms_create_grant(kms_fixture_kms, &request, &grant, &err), 0);
	assert_string_equal(grant.id, "id");
	assert_string_equal(grant.token, "token");
	assert_string_equal(fake_http_request(kms_fixture_server, 0).body,
			    "{\"KeyId\":\"" KMS_FIXTURE_ARN "\",\"GranteePrincipal\":"
			    "\"arn:aws:iam::111122223333:role/r\",\"Operations\":[\"Decrypt\","
			    "\"RetireGrant\"],\"Constraints\":{\"EncryptionContextSubset\":"
			    "{\"aws:ebs:id\":\"vol-1\"}},\"Name\":\"n\"}");
	assert_int_equal(kms_retire_grant(kms_fixture_kms, grant.token, NULL, NULL, &err), 0);
	assert_int_equal(kms_retire_grant(kms_fixture_kms, NULL, KMS_FIXTURE_ARN, grant.id, &err),
			 0);
	assert_string_equal(fake_http_request(kms_fixture_server, 1).body,
			    "{\"GrantToken\":\"token\"}");
	assert_string_equal(fake_http_request(kms_fixture_server, 2).body,
			    "{\"KeyId\":\"" KMS_FIXTURE_ARN "\",\"GrantId\":\"id\"}");
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
	kms_fixture_reply(200, "{\"CiphertextBlob\":\"AQ==\",\"KeyId\":\"" KMS_FIXTURE_ARN
			       "\",\"SourceKeyId\":\"x\"}");
	assert_int_equal(kms_re_encrypt(kms_fixture_kms, &request, &blob, NULL, &err), 0);
	assert_int_equal(blob.len, 1);
	kms_blob_free(&blob);
	assert_string_equal(fake_http_request(kms_fixture_server, 0).body,
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
	assert_int_equal(kms_decrypt(kms_fixture_kms, bytes, sizeof(bytes), NULL, KMS_FIXTURE_ARN,
				     &plain, &err),
			 -EINVAL);
	assert_string_equal(err.msg, "KMS Decrypt: CiphertextBlob must be 1 to 6144 bytes long");
	assert_int_equal(
		kms_decrypt(kms_fixture_kms, bytes, 0, NULL, KMS_FIXTURE_ARN, &plain, &err),
		-EINVAL);
	assert_int_equal(
		kms_decrypt(kms_fixture_kms, bytes, 1, &context, KMS_FIXTURE_ARN, &plain, &err),
		-EINVAL);
	assert_string_equal(
		err.msg, "KMS Decrypt: EncryptionContext has a name that is empty or there twice");
	memset(big, 'x', KMS_CONTEXT_MAX); /* with its name one byte more than may be */
	assert_int_equal(
		kms_decrypt(kms_fixture_kms, bytes, 1, &large, KMS_FIXTURE_ARN, &plain, &err),
		-EINVAL);
	assert_string_equal(err.msg, "KMS Decrypt: EncryptionContext is larger than 8192 bytes");
	assert_int_equal(kms_generate_data_key_without_plaintext(kms_fixture_kms, KMS_FIXTURE_ARN,
								 1025, NULL, &blob, NULL, &err),
			 -EINVAL);
	assert_int_equal(kms_generate_data_key_without_plaintext(kms_fixture_kms, "", 64, NULL,
								 &blob, NULL, &err),
			 -EINVAL);
	assert_string_equal(err.msg, "KMS GenerateDataKeyWithoutPlaintext: KeyId is empty");
	assert_int_equal(kms_describe_key(kms_fixture_kms, NULL, NULL, &err), -EINVAL);
	assert_int_equal(kms_fault(&err), KMS_FAULT_WRONG_CALL);
	assert_int_equal(fake_http_count(kms_fixture_server), 0);
	assert_null(plain);
}

static void *decrypt_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		struct secret *plain = NULL;

		if (kms_fixture_decrypt(&plain, NULL) < 0)
			return "failed";
		secret_free(plain);
		kms_forget(kms_fixture_kms);
	}
	return NULL;
}

static void threads_may_share_a_client(void **state)
{
	pthread_t threads[4];
	void *result;

	(void)state;
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, decrypt_often, NULL), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	assert_int_equal(fake_http_count(kms_fixture_server), 80);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kms_fixture_set_up, kms_fixture_tear_down)

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
		TEST(threads_may_share_a_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
