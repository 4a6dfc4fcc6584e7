/* kmsd's rules: key references, operations by name, key policies and what they leave to the caller, faults. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "authorize.h"
#include "bytes.h"
#include "call.h"
#include "err.h"
#include "fault.h"
#include "keyref.h"
#include "kms_json.h"
#include "operations.h"
#include "policy.h"
#include "policy_bound.h"
#include "secret.h"
#include "service.h"

static const struct keyref_place place = {"111122223333", "us-east-1"};

#define ID  "00112233-4455-6677-8899-aabbccddeeff"
#define ARN "arn:aws:kms:us-east-1:111122223333:key/" ID

static void key_references_are_taken_apart(void **state)
{
	static const struct {
		const char *text;
		int alias_ok, arn_fault;
		const char *name; /* NULL: refused with code and message */
		const char *code, *message;
	} rows[] = {
		{ID, 0, 0, ID, NULL, NULL},
		{"00112233-4455-6677-8899-AABBCCDDEEFF", 0, 0, ID, NULL, NULL},
		{ARN, 0, 0, ID, NULL, NULL},
		{"alias/x", 1, 0, "alias/x", NULL, NULL},
		{"arn:aws:kms:us-east-1:111122223333:alias/x/y", 1, 0, "alias/x/y", NULL, NULL},
		{"fake-key-id", 1, 0, NULL, "NotFoundException", "Invalid keyId 'fake-key-id'"},
		{"alias/x", 0, 1, NULL, "NotFoundException", "Invalid keyId 'alias/x'"},
		{"arn:aws:kms:eu-west-1:111122223333:key/" ID, 1, 1, NULL, "NotFoundException",
		 "Invalid arn eu-west-1"},
		{"arn:aws:kms:us-east-1:111122223333:alias/x", 0, 1, NULL, "InvalidArnException",
		 "Invalid arn arn:aws:kms:us-east-1:111122223333:alias/x"},
		{"arn:aws:s3:::bucket", 1, 0, NULL, "NotFoundException",
		 "Invalid arn arn:aws:s3:::bucket"},
		{"arn:aws:kms:us-east-1:1111:key/" ID, 1, 1, NULL, "InvalidArnException",
		 "Invalid arn arn:aws:kms:us-east-1:1111:key/" ID},
		{"", 1, 1, NULL, "NotFoundException", "Invalid keyId ''"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keyref ref;
		struct err err = {0};
		int r = keyref_parse(rows[i].text, &place, rows[i].alias_ok, rows[i].arn_fault,
				     &ref, &err);

		assert_int_equal(r == 0, rows[i].name != NULL);
		if (rows[i].name) {
			assert_string_equal(ref.name, rows[i].name);
			assert_string_equal(ref.account, "111122223333");
		} else {
			assert_string_equal(err.code, rows[i].code);
			assert_string_equal(err.aws_message, rows[i].message);
		}
	}
}

static void operations_are_found_by_name(void **state)
{
	static const char *const served[] = {
		"CancelKeyDeletion",
		"CreateAlias",
		"CreateKey",
		"Decrypt",
		"DeleteAlias",
		"DescribeKey",
		"DisableKey",
		"EnableKey",
		"Encrypt",
		"GenerateDataKey",
		"GenerateRandom",
		"GetKeyPolicy",
		"ListAliases",
		"ListKeyPolicies",
		"ListKeys",
		"PutKeyPolicy",
		"ReEncrypt",
		"UpdateAlias",
		"ScheduleKeyDeletion",
		"GenerateDataKeyWithoutPlaintext",
		"CreateGrant",
		"ListGrants",
		"ListRetirableGrants",
		"RetireGrant",
		"RevokeGrant",
		"EnableKeyRotation",
		"DisableKeyRotation",
		"GetKeyRotationStatus",
		"RotateKeyOnDemand",
		"ListKeyRotations",
		"TagResource",
		"UntagResource",
		"ListResourceTags",
		"UpdateKeyDescription",
		"GetKeyLastUsage",
		"GetPublicKey",
		"ImportKeyMaterial",
		"ReplicateKey",
	};
	static const char *const later[] = {"GenerateDataKeyPair",
					    "GenerateDataKeyPairWithoutPlaintext",
					    "ConnectCustomKeyStore"};

	(void)state;
	for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
		assert_non_null(operations_find(served[i]));
		assert_true(operations_find(served[i])->run != NULL);
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		assert_non_null(operations_find(later[i]));
		assert_true(operations_find(later[i])->run == NULL);
	}
	assert_null(operations_find("decrypt"));
	assert_null(operations_find(""));
	assert_null(operations_find("Zzz"));
}

/* A call by @arn of account 111122223333, or of 123456789012 if @far. */
static struct call call_by(struct caller *caller, struct kmsd *kmsd, const char *arn, bool far)
{
	static const struct operation op = {.name = "Decrypt"};
	static const struct service kms = {.name = "kms"};

	*caller = (struct caller){.kind = strstr(arn, ":root") ? CALLER_ROOT : CALLER_USER};
	strcpy(caller->account, far ? "123456789012" : "111122223333");
	strcpy(caller->arn, arn);
	strcpy(caller->issuer_arn, arn);
	*kmsd = (struct kmsd){.place = place};
	return (struct call){.kmsd = kmsd,
			     .service = &kms,
			     .op = &op,
			     .caller = caller,
			     .place = {caller->account, place.region},
			     .now_ms = 1700000000000};
}

static struct policy *policy_of(const char *statement)
{
	struct policy *policy = NULL;
	struct err err = {0};
	char text[1024];

	(void)snprintf(text, sizeof(text), "{\"Version\":\"2012-10-17\",\"Statement\":%s}",
		       statement);
	if (policy_parse(POLICY_KEY, text, strlen(text), NULL, &policy, &err) < 0)
		fail_msg("%s: %s", text, err.aws_message);
	return policy;
}

#define ROOT_STATEMENT                                                                             \
	"{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"111122223333\"},\"Action\":"               \
	"\"kms:*\",\"Resource\":\"*\"}"

/* Of what grants do not speak of. */
static void the_key_policy_decides(void **state)
{
	struct key key = {.account = "111122223333", .id = ID, .arn = ARN};
	struct policy *policies[2] = {
		policy_of(ROOT_STATEMENT),
		policy_of("{\"Effect\":\"Allow\",\"Principal\":\"*\","
			  "\"Action\":\"kms:PutKeyPolicy\",\"Resource\":\"*\"}")};
	struct caller caller;
	struct kmsd kmsd;
	struct err err = {0};
	struct call call = call_by(&caller, &kmsd, "arn:aws:iam::111122223333:root", false);

	(void)state;
	key.policy = policies[0];
	assert_int_equal(authorize(&call, "DisableKey", &key, &err), 0);
	assert_int_equal(authorize(&call, "CreateKey", NULL, &err), 0);
	key.policy = policies[1];
	assert_int_equal(authorize(&call, "PutKeyPolicy", &key, &err), 0);
	assert_true(authorize(&call, "DisableKey", &key, &err) <
		    0); /* the root user is no exception */
	assert_string_equal(err.aws_message,
			    "User: arn:aws:iam::111122223333:root is not authorized to perform: "
			    "kms:DisableKey on resource: " ARN
			    " because no resource-based policy allows the kms:DisableKey action");
	key.policy = policies[0];
	call = call_by(&caller, &kmsd, "arn:aws:iam::111122223333:user/test", false);
	assert_true(authorize(&call, "DisableKey", &key, &err) < 0);
	assert_string_equal(err.code, "AccessDeniedException");
	assert_string_equal(
		err.aws_message,
		"User: arn:aws:iam::111122223333:user/test is not authorized to perform: "
		"kms:DisableKey on resource: " ARN
		" because no identity-based policy allows the kms:DisableKey action");
	call = call_by(&caller, &kmsd, "arn:aws:iam::123456789012:root", true);
	assert_true(authorize(&call, "DisableKey", &key, &err) < 0);
	assert_non_null(strstr(err.aws_message, "no resource-based policies allow access"));
	key.policy = NULL;
	assert_int_equal(authorize(&call, "DisableKey", &key, &err), -EUCLEAN);
	policy_free(policies[0]);
	policy_free(policies[1]);
}

static int resolve_as_first(void *arg, const char *arn, char ret_id[POLICY_ID_MAX], struct err *err)
{
	(void)arg;
	(void)err;
	(void)snprintf(ret_id, POLICY_ID_MAX, "AIDA%zu", strlen(arn));
	return 0;
}

static void a_policy_is_bound_again_to_the_ids_it_had(void **state)
{
	static const char text[] =
		"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":"
		"{\"AWS\":[\"arn:aws:iam::111122223333:user/test\",\"123456789012\","
		"\"arn:aws:iam::111122223333:user/"
		"tes\"]},\"Action\":\"kms:*\",\"Resource\":\"*\"}}";
	const struct policy_resolver first = {resolve_as_first, NULL};
	struct policy_resolver kept;
	struct policy *policy = NULL;
	char *ids = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(policy_parse(POLICY_KEY, text, strlen(text), &first, &policy, &err), 0);
	assert_int_equal(policy_bound_text(policy, &ids, &err), 0);
	assert_string_equal(ids, "arn:aws:iam::111122223333:user/test AIDA35\n"
				 "arn:aws:iam::111122223333:user/tes AIDA34\n");
	policy_free(policy);
	kept = policy_bound_resolver(ids);
	assert_int_equal(policy_parse(POLICY_KEY, text, strlen(text), &kept, &policy, &err), 0);
	assert_string_equal(policy_principal_at(policy, 0)->id, "AIDA35");
	assert_string_equal(policy_principal_at(policy, 2)->id, "AIDA34");
	policy_free(policy);
	kept = policy_bound_resolver("");
	assert_int_equal(policy_parse(POLICY_KEY, text, strlen(text), &kept, &policy, &err), 0);
	assert_string_equal(policy_principal_at(policy, 0)->id, "");
	policy_free(policy);
	free(ids);
}

static void policies_must_be_policies_and_leave_a_way_back(void **state)
{
	static const char *const bad[] = {
		"x",
		"[]",
		"{}",
		"{\"Version\":\"2012-10-17\"}",
		"{\"Version\":\"2012-10-17\",\"Statement\":[]}",
		"{\"Version\":\"2011-10-17\",\"Statement\":[{\"Effect\":\"Allow\"}]}",
		"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\"}]}",
		"{\"Version\":\"2012-10-17\",\"Statement\":[5]}",
	};
	static const char locks[] = "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":"
				    "\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:Get*\","
				    "\"Resource\":\"*\"}}";
	AUTO(kms_json_freep) struct kms_json *bypass = kms_json_new_object();
	char *big = malloc(40000), *ids = NULL;
	struct caller caller;
	struct kmsd kmsd;
	struct err err = {0};
	struct call call = call_by(&caller, &kmsd, "arn:aws:iam::111122223333:root", false);

	(void)state;
	assert_int_equal(kms_json_set_bool(bypass, "BypassPolicyLockoutSafetyCheck", true), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		call.input = i % 2 ? bypass : NULL; /* which bypasses no other check */
		assert_true(op_policy_check(&call, NULL, bad[i], &ids, &err) < 0);
		assert_string_equal(err.code, "MalformedPolicyDocumentException");
		assert_true(err.aws_message[0] != '\0');
	}
	call.input = NULL;
	assert_int_equal(
		op_policy_check(&call, NULL,
				"{\"Version\":\"2012-10-17\",\"Statement\":[" ROOT_STATEMENT "]}",
				&ids, &err),
		0);
	assert_string_equal(ids, ""); /* nobody but an account is named */
	free(ids);
	assert_true(op_policy_check(&call, NULL, locks, &ids, &err) < 0);
	assert_string_equal(err.code, "MalformedPolicyDocumentException");
	assert_string_equal(err.aws_message, "The new key policy will not allow you to update the "
					     "key policy in the future.");
	call.input = bypass;
	assert_int_equal(op_policy_check(&call, NULL, locks, &ids, &err), 0);
	free(ids);
	memset(big, ' ', 39999);
	big[39999] = '\0';
	assert_true(op_policy_check(&call, NULL, big, &ids, &err) < 0);
	assert_string_equal(err.code, "LimitExceededException");
	free(big);
}

static void fault_bodies_spell_message_as_aws_does(void **state)
{
	struct buf b = {.max = 65536};
	struct err err = {0};

	(void)state;
	(void)fault_set(&err, FAULT_INVALID_CIPHERTEXT, NULL);
	assert_int_equal(fault_body(&err, &b), 0);
	assert_string_equal((char *)b.bytes, "{\"__type\":\"InvalidCiphertextException\"}");
	buf_free(&b);
	(void)fault_set(&err, FAULT_ACCESS_DENIED, "no");
	assert_int_equal(fault_body(&err, &b), 0);
	assert_string_equal((char *)b.bytes,
			    "{\"__type\":\"AccessDeniedException\",\"Message\":\"no\"}");
	buf_free(&b);
	(void)fault_set(&err, FAULT_DISABLED, "no");
	assert_int_equal(fault_body(&err, &b), 0);
	assert_string_equal((char *)b.bytes,
			    "{\"__type\":\"DisabledException\",\"message\":\"no\"}");
	buf_free(&b);
	(void)err_set(&err, 5, "the disk");
	assert_int_equal(fault_status(&err), 500);
	assert_int_equal(fault_body(&err, &b), 0);
	assert_string_equal((char *)b.bytes, "{\"__type\":\"KMSInternalException\"}");
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_references_are_taken_apart),
		cmocka_unit_test(operations_are_found_by_name),
		cmocka_unit_test(the_key_policy_decides),
		cmocka_unit_test(a_policy_is_bound_again_to_the_ids_it_had),
		cmocka_unit_test(policies_must_be_policies_and_leave_a_way_back),
		cmocka_unit_test(fault_bodies_spell_message_as_aws_does),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
