/* The operations on grants, and the calls that grants allow, through the request flow. */
#include "kmsd_rig.h"

#include <errno.h>

#define DENIED "AccessDeniedException"

static void a_grant_alone_opens_and_its_end_closes(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024], id[GRANT_ID_LEN + 1];
	static const char decrypt[] =
		"{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"a\":\"1\","
		"\"b\":\"2\"}}";

	rig_key(f, arn);
	rig_encrypt(f, arn, "{\"a\":\"1\",\"b\":\"2\"}", blob);
	rig_refused(f, f->other, DENIED, "Decrypt", decrypt, blob);
	rig_grant(f, arn, "\"Decrypt\"",
		  ",\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"1\"}}", id, NULL);
	kms_json_free(rig_call(f, f->other, "Decrypt", decrypt, blob));
	rig_refused(f, f->other, DENIED, "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"b\":\"2\"}}", blob);
	rig_refused(f, f->other, DENIED, "DescribeKey", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "DisableKey", "{\"KeyId\":\"%s\"}", arn);
	rig_refused(f, f->other, "DisabledException", "Decrypt", decrypt, blob);
	rig_do(f, "EnableKey", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn, id);
	rig_refused(f, f->other, DENIED, "Decrypt", decrypt, blob);
	rig_refused(f, f->root, "NotFoundException", "RevokeGrant",
		    "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn, id);
}

static void re_encrypt_wants_a_grant_at_both_ends(void **state)
{
	struct rig *f = *state;
	char from[KEYREF_ARN_MAX], to[KEYREF_ARN_MAX], blob[1024];
	static const char body[] = "{\"CiphertextBlob\":\"%s\",\"SourceEncryptionContext\":{\"a\":"
				   "\"1\"},\"DestinationKeyId\":\"%s\"}";

	rig_key(f, from);
	rig_key(f, to);
	rig_encrypt(f, from, "{\"a\":\"1\"}", blob);
	rig_grant(f, from, "\"ReEncryptFrom\"",
		  ",\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"1\"}}", NULL, NULL);
	rig_refused(f, f->other, DENIED, "ReEncrypt", body, blob, to);
	rig_grant(f, to, "\"ReEncryptTo\"", "", NULL, NULL);
	kms_json_free(rig_call(f, f->other, "ReEncrypt", body, blob, to));
}

static void name_makes_create_grant_idempotent(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], id[3][GRANT_ID_LEN + 1], token[2][1024];
	struct kms_json *v;

	rig_key(f, arn);
	rig_grant(f, arn, "\"Decrypt\"", ",\"Name\":\"n\"", id[0], token[0]);
	rig_grant(f, arn, "\"Decrypt\"", ",\"Name\":\"n\"", id[1], token[1]);
	assert_string_equal(id[0], id[1]);
	assert_string_not_equal(token[0], token[1]);
	rig_grant(f, arn, "\"Encrypt\"", ",\"Name\":\"n\"", id[2], NULL);
	assert_string_not_equal(id[0], id[2]);
	rig_grant(f, arn, "\"Decrypt\"", "", id[1], NULL);
	rig_grant(f, arn, "\"Decrypt\"", "", id[2], NULL);
	assert_string_not_equal(id[1], id[2]);
	v = rig_call(f, f->root, "ListGrants", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Grants")), 4);
	kms_json_free(v);
	/* Both tokens are of the one grant. */
	rig_do(f, "RetireGrant", "{\"GrantToken\":\"%s\"}", token[1]);
	rig_refused(f, f->root, "NotFoundException", "RetireGrant", "{\"GrantToken\":\"%s\"}",
		    token[0]);
}

static void requests_that_make_no_grant_are_told_why(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], long_value[400], text[2048];
	static const char body[] =
		"{\"KeyId\":\"%s\",\"GranteePrincipal\":\"%s\",\"Operations\":[%s]%s}";

	rig_key(f, arn);
	memset(long_value, 'x', 385);
	long_value[385] = '\0';
	rig_refused(
		f, f->root,
		"ValidationException: Operations [Sign] are not supported when creating a grant "
		"for a symmetric KMS key with key usage ENCRYPT_DECRYPT. Valid operations are "
		"[Decrypt, Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, "
		"ReEncryptFrom, ReEncryptTo, CreateGrant, RetireGrant, DescribeKey, "
		"GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext]",
		"CreateGrant", body, arn, RIG_OTHER, "\"Decrypt\",\"Sign\"", "");
	rig_refused(f, f->root,
		    "ValidationException: Grants must not contain only the CreateGrant operation.",
		    "CreateGrant", body, arn, RIG_OTHER, "\"CreateGrant\"", "");
	rig_refused(f, f->root, "ValidationException: More than one constraint supplied",
		    "CreateGrant", body, arn, RIG_OTHER, "\"Decrypt\"",
		    ",\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"b\"},"
		    "\"EncryptionContextSubset\":{\"a\":\"b\"}}");
	sprintf(text, ",\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"%s\"}}", long_value);
	rig_refused(f, f->root, "ValidationException", "CreateGrant", body, arn, RIG_OTHER,
		    "\"Decrypt\"", text);
	rig_refused(
		f, f->root, "ValidationException", "CreateGrant", body, arn, RIG_OTHER,
		"\"Decrypt\"",
		",\"Constraints\":{\"EncryptionContextSubset\":{\"1\":\"\",\"2\":\"\",\"3\":\"\","
		"\"4\":\"\",\"5\":\"\",\"6\":\"\",\"7\":\"\",\"8\":\"\",\"9\":\"\"}}");
	rig_refused(f, f->root,
		    "ValidationException: 1 validation error detected: Value '[]' at 'operations' "
		    "failed "
		    "to satisfy constraint: Member must have length greater than or equal to 1",
		    "CreateGrant", body, arn, RIG_OTHER, "", "");
	rig_refused(f, f->root, "InvalidArnException: ARN is not valid: arn:aws:sts::x",
		    "CreateGrant", body, arn, "arn:aws:sts::x", "\"Decrypt\"", "");
	rig_refused(f, f->root, "InvalidArnException: ARN is not valid: nobody", "CreateGrant",
		    body, arn, RIG_OTHER, "\"Decrypt\"", ",\"RetiringPrincipal\":\"nobody\"");
	rig_refused(f, f->root, "InvalidGrantTokenException", "CreateGrant", body, arn, RIG_OTHER,
		    "\"Decrypt\"", ",\"GrantTokens\":[\"x\"]");
	rig_refused(f, f->root,
		    "DryRunOperationException: The request would have succeeded, but the DryRun "
		    "option is set.",
		    "CreateGrant", body, arn, RIG_OTHER, "\"Decrypt\"", ",\"DryRun\":true");
	rig_do(f, "DisableKey", "{\"KeyId\":\"%s\"}", arn);
	sprintf(text, "DisabledException: %s is disabled.", arn);
	rig_refused(f, f->root, text, "CreateGrant", body, arn, RIG_OTHER, "\"Decrypt\"", "");
	rig_refused(f, f->other, DENIED, "CreateGrant", body, arn, RIG_OTHER, "\"Decrypt\"", "");
}

static void delegation_needs_one_parent_that_covers_all(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];
	static const char body[] =
		"{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" RIG_OTHER "\",\"Operations\":[%s]}";

	rig_key(f, arn);
	rig_grant(f, arn, "\"CreateGrant\",\"Decrypt\"", "", NULL, NULL);
	rig_grant(f, arn, "\"CreateGrant\",\"Encrypt\"", "", NULL, NULL);
	kms_json_free(rig_call(f, f->other, "CreateGrant", body, arn, "\"Decrypt\""));
	kms_json_free(rig_call(f, f->other, "CreateGrant", body, arn, "\"Encrypt\""));
	rig_refused(f, f->other, DENIED, "CreateGrant", body, arn, "\"Decrypt\",\"Encrypt\"");
}

static void lists_show_what_was_asked_for_page_by_page(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], id[GRANT_ID_LEN + 1], marker[256] = "";
	static const char *const members[] = {
		"KeyId",	  "GrantId",	      "Name",
		"CreationDate",	  "GranteePrincipal", "RetiringPrincipal",
		"IssuingAccount", "Operations",	      "Constraints"};
	struct kms_json *v, *entry;
	size_t seen = 0;

	rig_key(f, arn);
	for (int i = 0; i < 5; i++)
		rig_grant(f, arn, "\"Decrypt\"", ",\"RetiringPrincipal\":\"" RIG_OTHER "\"", NULL,
			  NULL);
	rig_grant(f, arn, "\"RetireGrant\",\"Decrypt\"",
		  ",\"Name\":\"x\",\"RetiringPrincipal\":\"" RIG_ROOT
		  "\",\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"1\"}}",
		  id, NULL);
	do {
		v = rig_call(f, f->root, "ListGrants", "{\"KeyId\":\"%s\",\"Limit\":2%s%s%s}", arn,
			     *marker ? ",\"Marker\":\"" : "", marker, *marker ? "\"" : "");
		seen += kms_json_count(kms_json_get(v, "Grants"));
		strcpy(marker, kms_json_get(v, "NextMarker") ? rig_text(v, "NextMarker") : "");
		kms_json_free(v);
	} while (*marker);
	assert_int_equal(seen, 6);
	v = rig_call(f, f->root, "ListGrants", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn, id);
	assert_int_equal(kms_json_count(kms_json_get(v, "Grants")), 1);
	entry = kms_json_at(kms_json_get(v, "Grants"), 0);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		assert_true(kms_json_has(entry, members[i]));
	assert_string_equal(rig_text(entry, "KeyId"), arn);
	assert_string_equal(rig_text(entry, "IssuingAccount"), RIG_ROOT);
	assert_string_equal(rig_text(kms_json_get(kms_json_get(entry, "Constraints"),
						  "EncryptionContextEquals"),
				     "a"),
			    "1");
	kms_json_free(v);
	v = rig_call(f, f->root, "ListGrants",
		     "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" RIG_ROOT "\"}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Grants")), 0);
	kms_json_free(v);
	v = rig_call(f, f->other, "ListRetirableGrants",
		     "{\"RetiringPrincipal\":\"" RIG_OTHER "\",\"Limit\":3}");
	assert_int_equal(kms_json_count(kms_json_get(v, "Grants")), 3);
	strcpy(marker, rig_text(v, "NextMarker"));
	kms_json_free(v);
	v = rig_call(f, f->other, "ListRetirableGrants",
		     "{\"RetiringPrincipal\":\"" RIG_OTHER "\",\"Marker\":\"%s\"}", marker);
	assert_int_equal(kms_json_count(kms_json_get(v, "Grants")), 2);
	assert_false(kms_json_bool_value(kms_json_get(v, "Truncated")));
	kms_json_free(v);
	rig_refused(f, f->root, "InvalidMarkerException", "ListGrants",
		    "{\"KeyId\":\"%s\",\"Marker\":\"x\"}", arn);
	rig_refused(f, f->root, "InvalidGrantIdException", "ListGrants",
		    "{\"KeyId\":\"%s\",\"GrantId\":\"x\"}", arn);
}

static void retiring_is_by_token_or_by_key_and_id(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], id[GRANT_ID_LEN + 1], token[1024];

	rig_key(f, arn);
	rig_grant(f, arn, "\"Decrypt\"", "", id, token);
	rig_refused(f, f->other, DENIED, "RetireGrant", "{\"GrantToken\":\"%s\"}", token);
	rig_refused(f, f->root, "DryRunOperationException", "RetireGrant",
		    "{\"GrantToken\":\"%s\",\"DryRun\":true}", token);
	rig_refused(f, f->root, "DryRunOperationException", "RevokeGrant",
		    "{\"KeyId\":\"%s\",\"GrantId\":\"%s\",\"DryRun\":true}", arn, id);
	rig_refused(f, f->root, "ValidationException", "RetireGrant", "{}");
	rig_refused(f, f->root, "ValidationException", "RetireGrant", "{\"KeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, "ValidationException", "RetireGrant",
		    "{\"GrantToken\":\"%s\",\"KeyId\":\"%s\"}", token, arn);
	rig_refused(f, f->root, "InvalidGrantTokenException", "RetireGrant",
		    "{\"GrantToken\":\"%c%s\"}", token[0] == 'A' ? 'B' : 'A', token + 1);
	rig_refused(f, f->root, "InvalidGrantIdException", "RetireGrant",
		    "{\"KeyId\":\"%s\",\"GrantId\":\"x\"}", arn);
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "RetireGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn, id);
	rig_do(f, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "EnableKey", "{\"KeyId\":\"%s\"}", arn);
	rig_grant(f, arn, "\"Decrypt\",\"RetireGrant\"", "", NULL, token);
	kms_json_free(rig_call(f, f->other, "RetireGrant", "{\"GrantToken\":\"%s\"}", token));
}

static void tokens_are_taken_by_all_who_take_them(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024], token[1024];

	rig_key(f, arn);
	rig_encrypt(f, arn, "{}", blob);
	rig_grant(f, arn, "\"Decrypt\",\"DescribeKey\",\"GenerateDataKey\"", "", NULL, token);
	kms_json_free(rig_call(f, f->other, "Decrypt",
			       "{\"CiphertextBlob\":\"%s\",\"GrantTokens\":[\"%s\"]}", blob,
			       token));
	kms_json_free(rig_call(f, f->other, "DescribeKey",
			       "{\"KeyId\":\"%s\",\"GrantTokens\":[\"%s\"]}", arn, token));
	kms_json_free(rig_call(
		f, f->other, "GenerateDataKey",
		"{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"GrantTokens\":[\"%s\"]}", arn, token));
	rig_do(f, "RetireGrant", "{\"GrantToken\":\"%s\"}", token);
	/* Still a token, of nothing. */
	rig_refused(f, f->other, DENIED, "DescribeKey",
		    "{\"KeyId\":\"%s\",\"GrantTokens\":[\"%s\"]}", arn, token);
	rig_refused(f, f->root, "InvalidGrantTokenException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"GrantTokens\":[\"AAAA\"]}", blob);
}

static void grants_outlive_a_restart_and_die_with_their_key(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], id[GRANT_ID_LEN + 1], token[1024];
	struct keyref_place place = {"111122223333", "us-east-1"};
	struct grant *grant;
	struct err err = {0};

	rig_key(f, arn);
	rig_grant(f, arn, "\"DescribeKey\"", "", id, token);
	rig_close(f);
	rig_open(f);
	kms_json_free(rig_call(f, f->other, "DescribeKey",
			       "{\"KeyId\":\"%s\",\"GrantTokens\":[\"%s\"]}", arn, token));
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", arn);
	f->now_ms += 7 * RIG_DAY_MS;
	rig_refused(f, f->other, DENIED, "DescribeKey", "{\"KeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, "NotFoundException", "ListGrants", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(
		store_load_grant(f->kmsd.store, &place, strrchr(arn, '/') + 1, id, &grant, &err),
		-ENOENT);
}

/* Root may do all but what @statement denies. */
static void deny(struct rig *f, const char *arn, const char *statement)
{
	rig_do(f, "PutKeyPolicy",
	       "{\"KeyId\":\"%s\",\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\","
	       "\\\"Statement\\\":["
	       "{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":{\\\"AWS\\\":\\\"" RIG_ROOT
	       "\\\"},\\\"Action\\\":\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\"},{\\\"Effect\\\":"
	       "\\\"Deny\\\",\\\"Principal\\\":\\\"*\\\",\\\"Resource\\\":\\\"*\\\",%s}]}\"}",
	       arn, statement);
}

static void a_deny_beats_a_grant(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024];

	rig_key(f, arn);
	rig_encrypt(f, arn, "{}", blob);
	rig_grant(f, arn, "\"Decrypt\",\"Encrypt\"", "", NULL, NULL);
	kms_json_free(rig_call(f, f->other, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob));
	deny(f, arn, "\\\"Action\\\":\\\"kms:Decrypt\\\"");
	rig_refused(f, f->other, DENIED, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob);
	kms_json_free(
		rig_call(f, f->other, "Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\"}", arn));
}

static void policies_see_what_a_new_grant_is_to_be(void **state)
{
	static const char *const rows[][2] = {
		{"ForAnyValue:StringEquals\\\":{\\\"kms:GrantOperations\\\":\\\"Encrypt",
		 "\"Encrypt\""},
		{"StringEquals\\\":{\\\"kms:GranteePrincipal\\\":\\\"" RIG_OTHER, "\"Decrypt\""},
		{"StringEquals\\\":{\\\"kms:GrantConstraintType\\\":\\\"EncryptionContextEquals",
		 "\"Decrypt\"],\"Constraints\":{\"EncryptionContextEquals\":{\"a\":\"b\"}},\"x\":"
		 "["},
		{"StringEquals\\\":{\\\"kms:EncryptionContext:a\\\":\\\"b",
		 "\"Decrypt\"],\"Constraints\":{\"EncryptionContextSubset\":{\"a\":\"b\"}},\"x\":"
		 "["},
	};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], statement[512];

	rig_key(f, arn);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sprintf(statement,
			"\\\"Action\\\":\\\"kms:CreateGrant\\\",\\\"Condition\\\":{\\\"%s\\\"}}",
			rows[i][0]);
		deny(f, arn, statement);
		rig_refused(f, f->root, DENIED, "CreateGrant",
			    "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" RIG_OTHER
			    "\",\"Operations\":[%s]}",
			    arn, rows[i][1]);
		rig_do(f, "CreateGrant",
		       "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" RIG_ROOT
		       "\",\"Operations\":[\"DescribeKey\"]}",
		       arn);
	}
	deny(f, arn,
	     "\\\"Action\\\":\\\"kms:EnableKeyRotation\\\",\\\"Condition\\\":{"
	     "\\\"NumericLessThan\\\":"
	     "{\\\"kms:RotationPeriodInDays\\\":\\\"180\\\"}}");
	rig_refused(f, f->root, DENIED, "EnableKeyRotation",
		    "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":90}", arn);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_grant_alone_opens_and_its_end_closes),
		TEST(a_deny_beats_a_grant),
		TEST(policies_see_what_a_new_grant_is_to_be),
		TEST(re_encrypt_wants_a_grant_at_both_ends),
		TEST(name_makes_create_grant_idempotent),
		TEST(requests_that_make_no_grant_are_told_why),
		TEST(delegation_needs_one_parent_that_covers_all),
		TEST(lists_show_what_was_asked_for_page_by_page),
		TEST(retiring_is_by_token_or_by_key_and_id),
		TEST(tokens_are_taken_by_all_who_take_them),
		TEST(grants_outlive_a_restart_and_die_with_their_key),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
