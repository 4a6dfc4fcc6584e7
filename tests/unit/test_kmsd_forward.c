/* Calls that services of AWS make: who may make them, what they may do, what policies see of them. */
#include "kmsd_service_rig.h"

static void a_volume_lives_on_the_grant_of_its_instance(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024], grant[GRANT_ID_LEN + 1], want[1024];
	struct kms_json *v;

	rig_key(f, arn);
	v = forwarded(f, f->root, "ec2", "GenerateDataKeyWithoutPlaintext",
		      "{\"KeyId\":\"%s\",\"NumberOfBytes\":64,\"EncryptionContext\":" VOLUME "}",
		      arn);
	assert_non_null(v);
	strcpy(blob, rig_text(v, "CiphertextBlob"));
	kms_json_free(v);
	assert_null(own(f, "ec2", INSTANCE, "Decrypt",
			"{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":" VOLUME "}", blob));
	sprintf(want,
		"AccessDeniedException: User: " IDENTITY
		" is not authorized to perform: kms:Decrypt on resource: %s because no "
		"identity-based policy allows the kms:Decrypt action",
		arn);
	assert_string_equal(last_text, want);
	attach(f, arn, grant);
	v = own(f, "ec2", INSTANCE, "Decrypt",
		"{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":" VOLUME "}", blob);
	assert_non_null(v);
	kms_json_free(v);
	assert_null(own(f, "ec2", "i-07b7aaaaaaaaaaaab", "Decrypt",
			"{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":" VOLUME "}", blob));
	assert_null(own(f, "rds", NULL, "RetireGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn,
			grant));
	kms_json_free(own(f, "ec2", NULL, "RetireGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}",
			  arn, grant));
	assert_string_equal(last_text, "");
	assert_null(own(f, "ec2", INSTANCE, "Decrypt",
			"{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":" VOLUME "}", blob));
	assert_string_equal(last_text, want);
}

static void a_grant_opens_no_other_context(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024], grant[GRANT_ID_LEN + 1];

	rig_key(f, arn);
	rig_encrypt(f, arn, "{\"aws:ebs:id\":\"vol-0ab6\"}", blob);
	attach(f, arn, grant);
	assert_null(own(f, "ec2", INSTANCE, "Decrypt",
			"{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"aws:ebs:id\":\"vol-"
			"0ab6\"}}",
			blob));
	assert_non_null(strstr(last_text, "AccessDeniedException"));
}

static void nobody_without_the_credential_is_a_service(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], body[1024], proof[96];
	struct rig_more more = {.list = {{SERVICE_PROOF_HEADER, proof}, {SERVICE_HEADER, "ec2"}},
				.count = 2};
	struct rig_more bare = {.list = {{SERVICE_HEADER, "ec2"}}, .count = 1};
	struct rig_more none = {0};
	struct access_key key;
	struct kms_json *v;

	rig_key(f, arn);
	create_grant_body(body, arn, EC2, EC2);
	assert_null(plainly(f, f->root, "CreateGrant", body, &bare));
	assert_string_equal(last_text, UNKNOWN);
	make_proof(f, f->other, "ec2", "CreateGrant", body, proof); /* of another caller */
	assert_null(plainly(f, f->root, "CreateGrant", body, &more));
	assert_string_equal(last_text, UNKNOWN);
	make_proof(f, f->root, "rds", "CreateGrant", body, proof); /* another service */
	assert_null(plainly(f, f->root, "CreateGrant", body, &more));
	assert_string_equal(last_text, UNKNOWN);
	make_proof(f, f->root, "ec2", "CreateGrant", "{}", proof); /* another body */
	assert_null(plainly(f, f->root, "CreateGrant", body, &more));
	assert_string_equal(last_text, UNKNOWN);
	make_proof(f, f->root, "ec2", "DescribeKey", body, proof); /* another operation */
	assert_null(plainly(f, f->root, "CreateGrant", body, &more));
	assert_string_equal(last_text, UNKNOWN);
	make_proof(f, f->root, "ec2", "CreateGrant", body, proof);
	f->now_ms += 301 * 1000; /* another time */
	assert_null(plainly(f, f->root, "CreateGrant", body, &more));
	assert_string_equal(last_text, UNKNOWN);
	make_proof(f, f->root, "ec2", "CreateGrant", body, proof);
	more.address = "192.0.2.1"; /* another machine */
	assert_null(plainly(f, f->root, "CreateGrant", body, &more));
	assert_string_equal(last_text, UNKNOWN);
	more.address = "::1";
	v = plainly(f, f->root, "CreateGrant", body, &more);
	assert_string_equal(last_text, "");
	kms_json_free(v);
	read_service_key(f, &key); /* the credential says for whom, or is nobody's */
	assert_null(plainly(f, &key, "ListKeys", "{}", &none));
	assert_string_equal(last_text, UNKNOWN);
	secret_free(key.secret);
}

static void headers_of_ours_must_be_signed(void **state)
{
	struct rig *f = *state;
	char authorization[1024], date[32];
	struct sigv4_header headers[] = {{"Host", "127.0.0.1:1"},
					 {"X-Amz-Date", date},
					 {"X-Amz-Target", "TrentService.ListKeys"},
					 {SERVICE_HEADER, "ec2"},
					 {"Authorization", authorization}};
	struct flow_request request = {.http = {.method = "POST",
						.path = "/",
						.query = "",
						.headers = headers,
						.header_count = 4,
						.body = "{}",
						.body_len = 2},
				       .address = "127.0.0.1"};
	struct flow_reply reply;

	rig_date(f, date);
	rig_sign(f->root, &request.http, date, "host;x-amz-date;x-amz-target", authorization);
	request.http.header_count = 5;
	flow_handle(&f->kmsd, &request, f->now_ms, &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "'X-Kmsd-Service' must be a 'SignedHeader'"));
	flow_reply_free(&reply);
}

static void a_service_asks_for_grants_to_itself_only(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], body[1024];
	static const struct {
		const char *grantee, *retiring;
	} bad[] = {
		{RIG_OTHER, EC2},
		{"rds.us-east-1.amazonaws.com", EC2},
		{EC2, RIG_ROOT},
		{"arn:aws:sts::123456789012:assumed-role/aws:ec2-infrastructure/" INSTANCE, EC2}};

	rig_key(f, arn);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		create_grant_body(body, arn, bad[i].grantee, bad[i].retiring);
		assert_null(forwarded(f, f->root, "ec2", "CreateGrant", "%s", body));
		assert_string_equal(last_text, "ValidationException: " EC2
					       " asks for grants to itself only, which it retires "
					       "itself");
	}
}

static void callers_cannot_name_services_but_instances(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], body[1024];

	rig_key(f, arn);
	create_grant_body(body, arn, EC2, RIG_ROOT);
	rig_refused(f, f->root, "InvalidArnException: ARN is not valid: " EC2, "CreateGrant", "%s",
		    body);
	create_grant_body(body, arn, IDENTITY, EC2);
	rig_refused(f, f->root, "InvalidArnException: ARN is not valid: " EC2, "CreateGrant", "%s",
		    body);
	create_grant_body(body, arn, IDENTITY, RIG_ROOT); /* as people repair attachments */
	rig_do(f, "CreateGrant", "%s", body);
	create_grant_body(body, arn,
			  "arn:aws:sts::111122223333:assumed-role/aws:ec2-infrastructure/i-xyz",
			  RIG_ROOT);
	rig_refused(f, f->root, "InvalidArnException", "CreateGrant", "%s", body);
}

/* What policies see of a call that comes through a service, and of one that does not. */
static void policies_see_the_service(void **state)
{
	struct rig *f = *state;
	static const struct {
		const char *condition;
		bool forwarded, direct; /* whether the deny spares it */
	} cases[] = {
		{"\"Bool\":{\"kms:GrantIsForAWSResource\":\"false\"}", true, false},
		{"\"StringNotEquals\":{\"kms:ViaService\":\"" EC2 "\"}", true, false},
		{"\"StringNotEquals\":{\"kms:ViaService\":\"rds.us-east-1.amazonaws.com\"}", false,
		 false},
		{"\"Bool\":{\"aws:ViaAWSService\":\"true\"}", false, true},
		{"\"ForAnyValue:StringEquals\":{\"aws:CalledVia\":\"ec2.amazonaws.com\"}", false,
		 true},
		{"\"StringEquals\":{\"aws:CalledViaLast\":\"ec2.amazonaws.com\"}", false, true},
		{"\"NotIpAddress\":{\"aws:SourceIp\":\"127.0.0.0/8\"}", false, true},
		{"\"StringNotEquals\":{\"kms:CallerAccount\":\"111122223333\"}", true, true},
	};
	char arn[KEYREF_ARN_MAX], body[1024];
	struct kms_json *v;

	rig_key(f, arn);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char statements[1024];

		snprintf(statements, sizeof(statements), DENY("kms:CreateGrant", "%s"),
			 cases[i].condition);
		put_policy(f, arn, statements);
		create_grant_body(body, arn, IDENTITY, EC2);
		v = forwarded(f, f->root, "ec2", "CreateGrant", "%s", body);
		if ((v != NULL) != cases[i].forwarded)
			fail_msg("forwarded: %s: %s", cases[i].condition, last_text);
		kms_json_free(v);
		create_grant_body(body, arn, RIG_ROOT, RIG_ROOT);
		v = plainly(f, f->root, "CreateGrant", body, NULL);
		if ((v != NULL) != cases[i].direct)
			fail_msg("direct: %s: %s", cases[i].condition, last_text);
		kms_json_free(v);
	}
}

/* A deny that spares the user but not the account's resources stops the service too. */
static void a_deny_must_exempt_the_instance(void **state)
{
	struct rig *f = *state;
	static const struct {
		const char *condition;
		bool spared;
	} cases[] = {
		{"\"ArnNotEquals\":{\"aws:PrincipalArn\":\"" RIG_ROOT "\"}", false},
		{"\"ArnNotEquals\":{\"aws:PrincipalArn\":\"" RIG_ROOT
		 "\"},\"StringNotEquals\":{\"kms:CallerAccount\":\"111122223333\"}",
		 true},
		{"\"ArnNotLike\":{\"aws:PrincipalArn\":[\"" RIG_ROOT
		 "\",\"arn:aws:iam::*:role/aws:ec2-infrastructure\"]}",
		 true},
		{"\"ArnNotLike\":{\"aws:PrincipalArn\":[\"" RIG_ROOT
		 "\",\"arn:aws:iam::*:role/aws:ec2-infrastructure/i-*\"]}",
		 true},
		{"\"StringNotEquals\":{\"aws:PrincipalAccount\":\"111122223333\"}", true},
	};
	char arn[KEYREF_ARN_MAX], blob[1024], grant[GRANT_ID_LEN + 1];

	rig_key(f, arn);
	rig_encrypt(f, arn, VOLUME, blob);
	attach(f, arn, grant);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char statements[1024];
		struct kms_json *v;

		snprintf(statements, sizeof(statements), DENY("kms:Decrypt", "%s"),
			 cases[i].condition);
		put_policy(f, arn, statements);
		v = own(f, "ec2", INSTANCE, "Decrypt",
			"{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":" VOLUME "}", blob);
		if ((v != NULL) != cases[i].spared)
			fail_msg("%s: %s", cases[i].condition, last_text);
		if (!v)
			assert_non_null(strstr(last_text,
					       "with an explicit deny in a resource-based policy"));
		kms_json_free(v);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_volume_lives_on_the_grant_of_its_instance),
		TEST(a_grant_opens_no_other_context),
		TEST(nobody_without_the_credential_is_a_service),
		TEST(headers_of_ours_must_be_signed),
		TEST(a_service_asks_for_grants_to_itself_only),
		TEST(callers_cannot_name_services_but_instances),
		TEST(policies_see_the_service),
		TEST(a_deny_must_exempt_the_instance),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
