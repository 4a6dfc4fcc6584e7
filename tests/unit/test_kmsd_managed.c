/* Keys that AWS manages: used through their service only, changed by nobody. */
#include "kmsd_service_rig.h"

#define NOT_BY_POLICY(operation)                                                                   \
	"AccessDeniedException: User: " RIG_ROOT " is not authorized to perform: kms:" operation   \
	" on resource: %s because no resource-based policy allows the kms:" operation " action"

static void a_managed_key_is_used_through_its_service_only(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], want[1024];
	struct kms_json *v;
	static const char data_key[] = "{\"KeyId\":\"alias/aws/ebs\",\"NumberOfBytes\":64}";

	rig_refused(f, f->root, "NotFoundException", "GenerateDataKey", data_key);
	assert_null(forwarded(f, f->root, "rds", "GenerateDataKey", data_key));
	v = forwarded(f, f->root, "ec2", "GenerateDataKeyWithoutPlaintext", data_key);
	assert_non_null(v);
	strcpy(arn, rig_text(v, "KeyId"));
	kms_json_free(v);
	sprintf(want, NOT_BY_POLICY("GenerateDataKey"), arn);
	rig_refused(f, f->root, want, "GenerateDataKey", data_key);
	assert_null(forwarded(f, f->root, "rds", "GenerateDataKey", data_key));
	assert_string_equal(last_text, want);
	v = rig_call(f, f->root, "DescribeKey", "{\"KeyId\":\"alias/aws/ebs\"}");
	assert_string_equal(rig_text(kms_json_get(v, "KeyMetadata"), "KeyManager"), "AWS");
	assert_string_equal(rig_text(kms_json_get(v, "KeyMetadata"), "Arn"), arn);
	kms_json_free(v);
}

static void a_managed_key_cannot_be_changed(void **state)
{
	struct rig *f = *state;
	static const struct {
		const char *operation, *more;
	} changes[] = {
		{"PutKeyPolicy", ",\"PolicyName\":\"default\",\"Policy\":\"{}\""},
		{"DisableKey", ""},
		{"EnableKey", ""},
		{"ScheduleKeyDeletion", ""},
		{"DisableKeyRotation", ""},
		{"RotateKeyOnDemand", ""},
		{"UpdateKeyDescription", ",\"Description\":\"mine\""},
		{"TagResource", ",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"b\"}]"},
		{"CreateGrant",
		 ",\"GranteePrincipal\":\"" RIG_ROOT "\",\"Operations\":[\"Decrypt\"]"},
	};
	char arn[KEYREF_ARN_MAX], want[1024];
	struct kms_json *v = rig_call(f, f->root, "DescribeKey", "{\"KeyId\":\"alias/aws/rds\"}");

	strcpy(arn, rig_text(kms_json_get(v, "KeyMetadata"), "Arn"));
	kms_json_free(v);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const char *op = changes[i].operation;

		sprintf(want,
			"AccessDeniedException: User: " RIG_ROOT
			" is not authorized to perform: kms:%s on resource: %s because no "
			"resource-based policy allows the kms:%s action",
			op, arn, op);
		rig_refused(f, f->root, want, op, "{\"KeyId\":\"%s\"%s}", arn, changes[i].more);
	}
	v = rig_call(f, f->root, "GetKeyRotationStatus", "{\"KeyId\":\"%s\"}", arn);
	assert_true(kms_json_bool_value(kms_json_get(v, "KeyRotationEnabled")));
	kms_json_free(v);
	v = rig_call(f, f->root, "GetKeyPolicy", "{\"KeyId\":\"%s\"}", arn);
	assert_non_null(strstr(rig_text(v, "Policy"), "\"Id\" : \"auto-rds-2\""));
	kms_json_free(v);
}

static void aliases_of_aws_are_nobody_elses(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];
	struct kms_json *v;
	const struct kms_json *list;

	rig_key(f, arn);
	rig_refused(f, f->root, "NotAuthorizedException", "CreateAlias",
		    "{\"AliasName\":\"alias/aws/ebs\",\"TargetKeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, "NotAuthorizedException", "CreateAlias",
		    "{\"AliasName\":\"alias/aws/mine\",\"TargetKeyId\":\"%s\"}", arn);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/aws2\",\"TargetKeyId\":\"%s\"}", arn);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/a\",\"TargetKeyId\":\"%s\"}", arn);
	rig_do(f, "DescribeKey", "{\"KeyId\":\"alias/aws/rds\"}");
	rig_refused(f, f->root, "NotAuthorizedException", "UpdateAlias",
		    "{\"AliasName\":\"alias/aws/rds\",\"TargetKeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, "NotAuthorizedException", "DeleteAlias",
		    "{\"AliasName\":\"alias/aws/rds\"}");
	v = rig_call(f, f->root, "ListAliases", "{}");
	list = kms_json_get(v, "Aliases");
	assert_int_equal(kms_json_count(list), 4);
	assert_string_equal(rig_text(kms_json_at(list, 0), "AliasName"), "alias/a");
	assert_string_equal(rig_text(kms_json_at(list, 1), "AliasName"), "alias/aws/ebs");
	assert_null(kms_json_get(kms_json_at(list, 1), "TargetKeyId")); /* not needed yet */
	assert_string_equal(rig_text(kms_json_at(list, 2), "AliasName"), "alias/aws/rds");
	assert_non_null(kms_json_get(kms_json_at(list, 2), "TargetKeyId"));
	assert_string_equal(rig_text(kms_json_at(list, 3), "AliasName"), "alias/aws2");
	kms_json_free(v);
	for (char marker[64] = "", i = 0; i < 4; i++) { /* the same, one a page */
		v = marker[0] ? rig_call(f, f->root, "ListAliases",
					 "{\"Limit\":1,\"Marker\":\"%s\"}", marker)
			      : rig_call(f, f->root, "ListAliases", "{\"Limit\":1}");
		assert_int_equal(kms_json_count(kms_json_get(v, "Aliases")), 1);
		strcpy(marker, rig_text(kms_json_at(kms_json_get(v, "Aliases"), 0), "AliasName"));
		assert_true(kms_json_bool_value(kms_json_get(v, "Truncated")) == (i < 3));
		kms_json_free(v);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_managed_key_is_used_through_its_service_only),
		TEST(a_managed_key_cannot_be_changed),
		TEST(aliases_of_aws_are_nobody_elses),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
