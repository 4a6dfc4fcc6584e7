/*
 * The sentences that AWS was recorded to answer with, each brought about by a request. Those of key states are in
 * test_kmsd_states.c, of the model's limits in test_kmsd_limits.c, of policies that do not allow in
 * test_kmsd_policy_decide.c and test_kmsd_policy_matrix.c, of signatures in test_kmsd_server.c, of rotation's limit in
 * test_kmsd_rotation.c.
 */
#include "kmsd_rig.h"

#define NOBODY "00000000-0000-4000-8000-000000000000"
#define KEY_OF "arn:aws:kms:us-east-1:111122223333:key/"

static void keys_and_aliases_that_are_not_there(void **state)
{
	static const char *const rows[][2] = {
		{"{\"KeyId\":\"fake-key-id\"}", "NotFoundException: Invalid keyId 'fake-key-id'"},
		{"{\"KeyId\":\"" NOBODY "\"}",
		 "NotFoundException: Key '" KEY_OF NOBODY "' does not exist"},
		{"{\"KeyId\":\"" KEY_OF NOBODY "\"}",
		 "NotFoundException: Key '" KEY_OF NOBODY "' does not exist"},
		{"{\"KeyId\":\"alias/x\"}",
		 "NotFoundException: Alias arn:aws:kms:us-east-1:111122223333:alias/x is not "
		 "found."},
		{"{\"KeyId\":\"arn:aws:kms:eu-west-1:111122223333:key/" NOBODY "\"}",
		 "NotFoundException: Invalid arn eu-west-1"},
	};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rig_refused(f, f->root, rows[i][1], "DescribeKey", "%s", rows[i][0]);
	rig_key(f, arn);
	rig_refused(f, f->root,
		    "ValidationException: Alias must start with the prefix \"alias/\". Please see "
		    "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
		    "CreateAlias", "{\"AliasName\":\"x\",\"TargetKeyId\":\"%s\"}", arn);
}

static void named_keys_that_are_not_the_blobs(void **state)
{
	static const char text[] =
		"IncorrectKeyException: The key ID in the request does not identify a "
		"CMK that can perform this operation.";
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], other[KEYREF_ARN_MAX], blob[1024];

	rig_key(f, arn);
	rig_key(f, other);
	rig_encrypt(f, arn, "{}", blob);
	rig_refused(f, f->root, text, "Decrypt", "{\"CiphertextBlob\":\"%s\",\"KeyId\":\"%s\"}",
		    blob, other);
	rig_refused(
		f, f->root, text, "ReEncrypt",
		"{\"CiphertextBlob\":\"%s\",\"SourceKeyId\":\"%s\",\"DestinationKeyId\":\"%s\"}",
		blob, other, arn);
}

/* Each has no text at all. */
static void blobs_that_are_none(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024], bent[1024];

	rig_key(f, arn);
	rig_encrypt(f, arn, "{\"a\":\"b\"}", blob);
	rig_refused(f, f->root, "InvalidCiphertextException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"a\":\"B\"}}", blob);
	rig_refused(f, f->root, "InvalidCiphertextException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\"}", blob);
	strcpy(bent, blob);
	bent[strlen(bent) - 8] = bent[strlen(bent) - 8] == 'A' ? 'B' : 'A'; /* in the tag */
	rig_refused(f, f->root, "InvalidCiphertextException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"a\":\"b\"}}", bent);
	blob[strlen(blob) / 8 * 4] = '\0';
	rig_refused(f, f->root, "InvalidCiphertextException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"a\":\"b\"}}", blob);
	rig_refused(f, f->root, "InvalidCiphertextException", "Decrypt",
		    "{\"CiphertextBlob\":\"bm90IGEgYmxvYiBhdCBhbGw=\"}");
}

static void blobs_of_keys_that_are_gone(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024];
	struct err err = {0};

	rig_key(f, arn);
	rig_encrypt(f, arn, "{}", blob);
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", arn);
	f->now_ms += 8 * RIG_DAY_MS;
	rig_refused(f, f->root,
		    "AccessDeniedException: The ciphertext refers to a customer master key that "
		    "does not "
		    "exist, does not exist in this region, or you are not allowed to access.",
		    "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob);
	assert_true(keyring_expire(f->kmsd.ring, f->now_ms, &err) >= 0);
	rig_refused(f, f->root,
		    "AccessDeniedException: The ciphertext refers to a customer master key that "
		    "does not "
		    "exist, does not exist in this region, or you are not allowed to access.",
		    "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob);
}

static void dry_runs_say_that_they_would_have(void **state)
{
	static const char text[] =
		"DryRunOperationException: The request would have succeeded, but the "
		"DryRun option is set.";
	static const char *const rows[][2] = {
		{"Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\",\"DryRun\":true}"},
		{"GenerateDataKey", "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"DryRun\":true}"},
		{"GenerateDataKeyWithoutPlaintext",
		 "{\"KeyId\":\"%s\",\"NumberOfBytes\":64,\"DryRun\":true}"},
		{"CreateGrant", "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" RIG_ROOT
				"\",\"Operations\":[\"Decrypt\"],\"DryRun\":true}"},
		{"Decrypt", "{\"KeyId\":\"%s\",\"DryRun\":true,\"DryRunModifiers\":["
			    "\"IGNORE_CIPHERTEXT\"]}"},
	};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024];

	rig_key(f, arn);
	rig_encrypt(f, arn, "{}", blob);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char body[1024];

		sprintf(body, rows[i][1], arn);
		rig_refused(f, f->root, text, rows[i][0], "%s", body);
	}
	rig_refused(f, f->root, text, "Decrypt", "{\"CiphertextBlob\":\"%s\",\"DryRun\":true}",
		    blob);
	rig_refused(f, f->root, text, "ReEncrypt",
		    "{\"CiphertextBlob\":\"%s\",\"DestinationKeyId\":\"%s\",\"DryRun\":true}", blob,
		    arn);
	rig_refused(f, f->root, text, "ReEncrypt",
		    "{\"SourceKeyId\":\"%s\",\"DestinationKeyId\":\"%s\",\"DryRun\":true,"
		    "\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]}",
		    arn, arn);
	rig_refused(
		f, f->root,
		"ValidationException: 1 validation error detected: Value null at 'ciphertextBlob' "
		"failed to satisfy constraint: Member must not be null",
		"Decrypt", "{\"KeyId\":\"%s\",\"DryRun\":true}", arn);
	rig_refused(
		f, f->root,
		"ValidationException: 1 validation error detected: Value null at 'ciphertextBlob' "
		"failed to satisfy constraint: Member must not be null",
		"Decrypt", "{\"KeyId\":\"%s\",\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]}", arn);
	rig_do(f, "DisableKey", "{\"KeyId\":\"%s\"}", arn); /* it would not have succeeded */
	rig_refused(f, f->root, "DisabledException", "Encrypt",
		    "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\",\"DryRun\":true}", arn);
	rig_refused(
		f, f->root, "DisabledException", "Decrypt",
		"{\"KeyId\":\"%s\",\"DryRun\":true,\"DryRunModifiers\":[\"IGNORE_CIPHERTEXT\"]}",
		arn);
}

static void sizes_and_specs_that_do_not_fit(void **state)
{
	static const char *const rows[][3] = {
		{"GenerateRandom", "{}", "ValidationException: NumberOfBytes is required."},
		{"CreateKey", "{\"KeySpec\":\"RSA_2048\"}",
		 "ValidationException: You must specify a KeyUsage value for all KMS keys except "
		 "for "
		 "symmetric encryption keys."},
		{"CreateKey", "{\"KeySpec\":\"RSA_2048\",\"KeyUsage\":\"SIGN_VERIFY\"}",
		 "UnsupportedOperationException: kmsd does not support KeySpec RSA_2048."},
	};
	static const char *const data_keys[] = {"",
						",\"KeySpec\":\"AES_256\",\"NumberOfBytes\":32"};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rig_refused(f, f->root, rows[i][2], rows[i][0], "%s", rows[i][1]);
	rig_key(f, arn);
	for (size_t i = 0; i < 2; i++)
		rig_refused(
			f, f->root,
			"ValidationException: Please specify either number of bytes or key spec.",
			"GenerateDataKey", "{\"KeyId\":\"%s\"%s}", arn, data_keys[i]);
	for (int days = 1; days <= 365; days += days == 6 ? 25 : days == 31 ? 334 : 5)
		rig_refused(f, f->root,
			    "ValidationException: PendingWindowInDays must be between 7 and 30",
			    "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":%d}",
			    arn, days);
}

static void grants_that_cannot_be(void **state)
{
#define GRANTEE "\"GranteePrincipal\":\"arn:aws:iam::111122223333:root\""
	static const char *const rows[][2] = {
		{GRANTEE
		 ",\"Operations\":[\"Decrypt\"],\"Constraints\":{\"EncryptionContextSubset\":"
		 "{\"a\":\"b\"},\"EncryptionContextEquals\":{\"a\":\"b\"}}",
		 "ValidationException: More than one constraint supplied"},
		{GRANTEE ",\"Operations\":[\"Sign\"]",
		 "ValidationException: Operations [Sign] are not supported when creating a grant "
		 "for a "
		 "symmetric KMS key with key usage ENCRYPT_DECRYPT. Valid operations are [Decrypt, "
		 "Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, ReEncryptFrom, "
		 "ReEncryptTo, CreateGrant, RetireGrant, DescribeKey, GenerateDataKeyPair, "
		 "GenerateDataKeyPairWithoutPlaintext]"},
		{"\"GranteePrincipal\":\"arn:aws:sts::111122223333\",\"Operations\":[\"Decrypt\"]",
		 "InvalidArnException: ARN is not valid: arn:aws:sts::111122223333"},
		{"\"GranteePrincipal\":\"arn:aws:sts::111122223333:assumed-role/none/"
		 "s\",\"Operations\":"
		 "[\"Decrypt\"]",
		 "InvalidArnException: ARN does not refer to a valid principal: "
		 "arn:aws:sts::111122223333:assumed-role/none/s"},
		{"\"GranteePrincipal\":\"AROAABCDEFGHIJKLMNOPQ:s\",\"Operations\":[\"Decrypt\"]",
		 "InvalidArnException: GranteePrincipal does not refer to a valid principal."},
	};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rig_refused(f, f->root, rows[i][1], "CreateGrant", "{\"KeyId\":\"%s\",%s}", arn,
			    rows[i][0]);
	rig_refused(f, f->root, "InvalidArnException: Input does not refer to a valid principal",
		    "ListGrants",
		    "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"AROAABCDEFGHIJKLMNOPQ:s\"}", arn);
	rig_refused(
		f, f->root,
		"NotFoundException: Retiring principal AROAABCDEFGHIJKLMNOPQ:future could not be "
		"found",
		"ListRetirableGrants", "{\"RetiringPrincipal\":\"AROAABCDEFGHIJKLMNOPQ:future\"}");
}

static void tags_that_cannot_be(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], body[8192] = "";
	int n = 0;

	rig_key(f, arn);
	rig_refused(f, f->root, "TagException: Duplicate tag keys", "TagResource",
		    "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"\"},{\"TagKey\":"
		    "\"a\","
		    "\"TagValue\":\"b\"}]}",
		    arn);
	rig_refused(f, f->root, "TagException: Tags beginning with aws: are reserved", "CreateKey",
		    "{\"Tags\":[{\"TagKey\":\"aws:a\",\"TagValue\":\"\"}]}");
	for (int i = 0; i < 51; i++)
		n += sprintf(body + n, "%s{\"TagKey\":\"%d\",\"TagValue\":\"\"}", i ? "," : "", i);
	rig_refused(f, f->root, "TagException: Too many tags", "TagResource",
		    "{\"KeyId\":\"%s\",\"Tags\":[%s]}", arn, body);
}

/* Documents that PutKeyPolicy and CreateKey refuse; inside, ' is a quote. */
static void policies_that_cannot_be(void **state)
{
#define STATEMENT(principal, action)                                                               \
	"{'Version':'2012-10-17','Statement':{'Effect':'Allow'" principal ",'Action':'" action     \
	"','Resource':'*'}}"
	static const char *const rows[][2] = {
		{STATEMENT(",'Principal':{'AWS':'arn:aws:iam::111122223333:root'}", "kms:Get*"),
		 "MalformedPolicyDocumentException: The new key policy will not allow you to "
		 "update the "
		 "key policy in the future."},
		{STATEMENT(",'Principal':{'AWS':'arn:aws:iam::111122223333:user/nobody'}", "kms:*"),
		 "MalformedPolicyDocumentException: Policy contains a statement with one or more "
		 "invalid principals."},
		{STATEMENT(",'Principal':{'AWS':'arn:aws:iam::111122223333:user/*'}", "kms:*"),
		 "MalformedPolicyDocumentException: Policy contains a statement with one or more "
		 "invalid principals."},
		{STATEMENT(",'Principal':{'AWS':'AIDAABCDEFGHIJKLMNOPQ'}", "kms:*"),
		 "MalformedPolicyDocumentException: Policy contains a statement with one or more "
		 "invalid principals."},
		{STATEMENT("", "kms:*"),
		 "MalformedPolicyDocumentException: Policy contains a statement with no principal"},
	};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], quoted[2048];

	rig_key(f, arn);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *to = quoted;

		for (const char *at = rows[i][0]; *at; at++)
			to += sprintf(to, *at == '\'' ? "\\\"" : "%c", *at);
		rig_refused(f, f->root, rows[i][1], "PutKeyPolicy",
			    "{\"KeyId\":\"%s\",\"Policy\":\"%s\"}", arn, quoted);
		rig_refused(f, f->root, rows[i][1], "CreateKey", "{\"Policy\":\"%s\"}", quoted);
	}
}

static void operations_that_are_not_there(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	rig_refused(f, f->root,
		    "UnsupportedOperationException: kmsd does not support GenerateDataKeyPair yet.",
		    "GenerateDataKeyPair", "{\"KeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, "UnknownOperationException", "Foo", "{}");
	rig_refused(f, f->root, "SerializationException", "ListKeys", "{");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_and_aliases_that_are_not_there),
		TEST(named_keys_that_are_not_the_blobs),
		TEST(blobs_that_are_none),
		TEST(blobs_of_keys_that_are_gone),
		TEST(dry_runs_say_that_they_would_have),
		TEST(sizes_and_specs_that_do_not_fit),
		TEST(grants_that_cannot_be),
		TEST(tags_that_cannot_be),
		TEST(policies_that_cannot_be),
		TEST(operations_that_are_not_there),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
