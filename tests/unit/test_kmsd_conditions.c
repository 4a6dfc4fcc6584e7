/* What conditions see of a request and its key, asked by key policies that deny by it. */
#include "kmsd_rig.h"

/* Root may do all but, where @condition holds, @action. */
static void deny_if(struct rig *f, const char *arn, const char *action, const char *condition)
{
	char text[2048], escaped[4096], *to = escaped;

	sprintf(text,
		"{'Version':'2012-10-17','Statement':[{'Effect':'Allow','Principal':{'AWS':"
		"'" RIG_ROOT "'},'Action':'kms:*','Resource':'*'},{'Effect':'Deny','Principal':'*',"
		"'Action':'%s',"
		"'Resource':'*','Condition':%s}]}",
		action, condition);
	for (const char *p = text; *p; p++) {
		if (*p == '\'')
			*to++ = '\\';
		*to++ = *p == '\'' ? '"' : *p;
	}
	*to = '\0';
	rig_do(f, "PutKeyPolicy", "{\"KeyId\":\"%s\",\"Policy\":\"%s\"}", arn, escaped);
}

#define ENCRYPT "{\"KeyId\":\"%s\",\"Plaintext\":\"aGk=\"}"
#define DENIED	"AccessDeniedException"

static void tags_and_aliases_of_the_key_are_seen_at_once(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	deny_if(f, arn, "kms:Encrypt", "{'StringEquals':{'aws:ResourceTag/Env':'prod'}}");
	rig_do(f, "Encrypt", ENCRYPT, arn);
	rig_do(f, "TagResource",
	       "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"Env\",\"TagValue\":\"prod\"}]}", arn);
	rig_refused(f, f->root, DENIED, "Encrypt", ENCRYPT, arn);
	rig_do(f, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[\"Env\"]}", arn);
	rig_do(f, "Encrypt", ENCRYPT, arn);
	deny_if(f, arn, "kms:Encrypt",
		"{'ForAnyValue:StringEquals':{'kms:ResourceAliases':'alias/two'}}");
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/one\",\"TargetKeyId\":\"%s\"}", arn);
	rig_do(f, "Encrypt", ENCRYPT, arn);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/two\",\"TargetKeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, DENIED, "Encrypt", ENCRYPT, arn);
	rig_do(f, "DeleteAlias", "{\"AliasName\":\"alias/two\"}");
	rig_do(f, "Encrypt", ENCRYPT, arn);
	deny_if(f, arn, "kms:Encrypt", "{'StringEquals':{'aws:ResourceAccount':'111122223333'}}");
	rig_refused(f, f->root, DENIED, "Encrypt", ENCRYPT, arn);
}

static void an_alias_that_moves_takes_its_condition_along(void **state)
{
	struct rig *f = *state;
	char from[KEYREF_ARN_MAX], to[KEYREF_ARN_MAX];
	static const char condition[] =
		"{'ForAnyValue:StringEquals':{'kms:ResourceAliases':'alias/x'}}";

	rig_key(f, from);
	rig_key(f, to);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", from);
	deny_if(f, from, "kms:Encrypt", condition);
	deny_if(f, to, "kms:Encrypt", condition);
	rig_refused(f, f->root, DENIED, "Encrypt", ENCRYPT, from);
	rig_do(f, "Encrypt", ENCRYPT, to);
	rig_do(f, "UpdateAlias", "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", to);
	rig_do(f, "Encrypt", ENCRYPT, from);
	rig_refused(f, f->root, DENIED, "Encrypt", ENCRYPT, to);
}

static void the_alias_of_a_request_is_seen_where_it_may_be_one(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024];

	rig_key(f, arn);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", arn);
	rig_encrypt(f, arn, "{}", blob);
	deny_if(f, arn, "kms:*crypt*", "{'StringEquals':{'kms:RequestAlias':'alias/x'}}");
	rig_do(f, "Encrypt", ENCRYPT, arn);
	rig_refused(f, f->root, DENIED, "Encrypt", ENCRYPT, "alias/x");
	rig_refused(f, f->root, DENIED, "Encrypt", ENCRYPT,
		    "arn:aws:kms:us-east-1:111122223333:alias/x");
	rig_do(f, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob);
	rig_refused(f, f->root, DENIED, "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"KeyId\":\"alias/x\"}", blob);
	rig_refused(f, f->root, DENIED, "ReEncrypt",
		    "{\"CiphertextBlob\":\"%s\",\"SourceKeyId\":\"alias/x\","
		    "\"DestinationKeyId\":\"%s\"}",
		    blob, arn);
	rig_refused(f, f->root, DENIED, "ReEncrypt",
		    "{\"CiphertextBlob\":\"%s\",\"DestinationKeyId\":\"alias/x\"}", blob);
	rig_do(f, "ReEncrypt", "{\"CiphertextBlob\":\"%s\",\"DestinationKeyId\":\"%s\"}", blob,
	       arn);
}

static void re_encrypting_under_the_same_key_is_known(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], other[KEYREF_ARN_MAX], blob[1024];

	rig_key(f, arn);
	rig_key(f, other);
	rig_encrypt(f, arn, "{}", blob);
	deny_if(f, arn, "kms:ReEncryptFrom", "{'Bool':{'kms:ReEncryptOnSameKey':'true'}}");
	rig_refused(f, f->root, DENIED, "ReEncrypt",
		    "{\"CiphertextBlob\":\"%s\",\"DestinationKeyId\":\"%s\"}", blob, arn);
	rig_do(f, "ReEncrypt", "{\"CiphertextBlob\":\"%s\",\"DestinationKeyId\":\"%s\"}", blob,
	       other);
	deny_if(f, arn, "kms:ReEncrypt*", "{'Null':{'kms:ReEncryptOnSameKey':'true'}}");
	rig_do(f, "ReEncrypt", "{\"CiphertextBlob\":\"%s\",\"DestinationKeyId\":\"%s\"}", blob,
	       arn);
	deny_if(f, other, "kms:ReEncryptTo", "{'Bool':{'kms:ReEncryptOnSameKey':'false'}}");
	rig_refused(f, f->root, DENIED, "ReEncrypt",
		    "{\"CiphertextBlob\":\"%s\",\"DestinationKeyId\":\"%s\"}", blob, other);
}

static void tags_of_a_request_are_seen(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	deny_if(f, arn, "kms:*Resource",
		"{'ForAnyValue:StringEquals':{'aws:TagKeys':['secret','Env']}}");
	rig_do(f, "TagResource",
	       "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"b\"}]}", arn);
	rig_refused(f, f->root, DENIED, "TagResource",
		    "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"b\"},"
		    "{\"TagKey\":\"Env\",\"TagValue\":\"b\"}]}",
		    arn);
	rig_refused(f, f->root, DENIED, "UntagResource",
		    "{\"KeyId\":\"%s\",\"TagKeys\":[\"a\",\"Env\"]}", arn);
	rig_do(f, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[\"a\"]}", arn);
	deny_if(f, arn, "kms:TagResource", "{'StringLike':{'aws:RequestTag/a':'b*'}}");
	rig_refused(f, f->root, DENIED, "TagResource",
		    "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"bc\"}]}", arn);
	rig_do(f, "TagResource",
	       "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"c\"}]}", arn);
}

static void a_new_policy_says_what_it_is_about(void **state)
{
	static const char *const statements[] = {"\\\"Action\\\":\\\"kms:*\\\"",
						 "\\\"Resource\\\":\\\"*\\\""};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	for (size_t i = 0; i < 2; i++)
		rig_refused(
			f, f->root,
			"MalformedPolicyDocumentException: Policy contains a statement with no "
			"action or no resource",
			"PutKeyPolicy",
			"{\"KeyId\":\"%s\",\"BypassPolicyLockoutSafetyCheck\":true,\"Policy\":"
			"\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":{\\\"Effect\\\":"
			"\\\"Allow\\\",\\\"Principal\\\":\\\"*\\\",%s}}\"}",
			arn, statements[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(tags_and_aliases_of_the_key_are_seen_at_once),
		TEST(an_alias_that_moves_takes_its_condition_along),
		TEST(the_alias_of_a_request_is_seen_where_it_may_be_one),
		TEST(re_encrypting_under_the_same_key_is_known),
		TEST(tags_of_a_request_are_seen),
		TEST(a_new_policy_says_what_it_is_about),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
