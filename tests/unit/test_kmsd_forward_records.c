/* What the audit trail says of calls by services: as recorded in AWS. */
#include "kmsd_service_rig.h"

/* The last line of the audit trail. The caller frees. */
static struct kms_json *last_record(struct rig *f)
{
	char path[128], *text = calloc(1, 1 << 20), *line;
	struct kms_json *v;
	struct err err = {0};
	FILE *in;
	size_t n;

	sprintf(path, "%s/audit.jsonl", f->dir);
	in = fopen(path, "r");
	n = fread(text, 1, (1 << 20) - 1, in);
	fclose(in);
	text[n - 1] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	assert_int_equal(kms_json_parse(line, strlen(line), &v, &err), 0);
	free(text);
	return v;
}

/* The record without what differs each time, as text; compared with what AWS wrote. */
static void record_is(struct rig *f, const char *want)
{
	static const char *const each_time[] = {"requestID", "eventID", "sharedEventID"};
	struct kms_json *v = last_record(f);
	char *got;

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(strlen(rig_text(v, each_time[i])), IDS_UUID_LEN);
	for (size_t i = 0; i < 3; i++)
		kms_json_set_str(v, each_time[i], "-");
	got = kms_json_text(v);
	assert_string_equal(got, want);
	free(got);
	kms_json_free(v);
}

#define TIMES	"\"2023-11-14T22:13:20Z\""
#define SESSION "\"attributes\":{\"creationDate\":" TIMES ",\"mfaAuthenticated\":\"false\"}}"
#define TAIL                                                                                       \
	"\"requestID\":\"-\",\"eventID\":\"-\",\"readOnly\":%s%s,\"eventType\":\"AwsApiCall\","    \
	"\"managementEvent\":true,\"recipientAccountId\":\"111122223333\",\"sharedEventID\":"      \
	"\"-\",\"vpcEndpointId\":\"AWS Internal\",\"vpcEndpointAccountId\":\"AWS Internal\","      \
	"\"eventCategory\":\"Management\"}"
#define HEAD(name, source)                                                                         \
	"\"eventTime\":" TIMES ",\"eventSource\":\"kms.amazonaws.com\",\"eventName\":\"" name      \
	"\",\"awsRegion\":\"us-east-1\",\"sourceIPAddress\":\"" source                             \
	"\",\"userAgent\":\"" source "\","
#define FRONT "ec2-frontend-api.amazonaws.com"

/* A key with something encrypted under it, and what each record says of them. */
struct scene {
	char arn[KEYREF_ARN_MAX], blob[1024], material[80];
	char resources[640], user[512];
};

static void set_scene(struct rig *f, struct scene *s)
{
	struct kms_json *v;

	rig_key(f, s->arn);
	rig_encrypt(f, s->arn, VOLUME, s->blob);
	v = rig_call(f, f->root, "DescribeKey", "{\"KeyId\":\"%s\"}", s->arn);
	strcpy(s->material, rig_text(kms_json_get(v, "KeyMetadata"), "CurrentKeyMaterialId"));
	kms_json_free(v);
	sprintf(s->resources,
		",\"resources\":[{\"accountId\":\"111122223333\",\"type\":\"AWS::KMS::Key\","
		"\"ARN\":\"%s\"}]",
		s->arn);
	sprintf(s->user,
		"{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"Root\",\"principalId\":"
		"\"111122223333\",\"arn\":\"" RIG_ROOT
		"\",\"accountId\":\"111122223333\",\"accessKeyId\":\"%s\",\"sessionContext\":"
		"{" SESSION ",\"invokedBy\":\"" FRONT "\"},",
		f->root->id);
}

static void what_a_service_does_for_a_user_is_recorded_as_by_aws(void **state)
{
	struct rig *f = *state;
	char grant[GRANT_ID_LEN + 1], want[4096];
	struct scene s;

	set_scene(f, &s);
	attach(f, s.arn, grant);
	sprintf(want,
		"%s" HEAD("CreateGrant", FRONT) "\"requestParameters\":{\"keyId\":\"%s\","
						"\"granteePrincipal\":\"" IDENTITY
						"\",\"retiringPrincipal\":\"" EC2
						"\",\"operations\":[\"Decrypt\"],\"constraints\":{"
						"\"encryptionContextSubset\":" VOLUME
						"}},\"responseElements\":{\"grantId\":\"%s\","
						"\"keyId\":\"%s\"}," TAIL,
		s.user, s.arn, grant, s.arn, "false", s.resources);
	record_is(f, want);

	put_policy(f, s.arn,
		   DENY("kms:GenerateDataKeyWithoutPlaintext",
			"\"StringEquals\":{\"kms:ViaService\":\"" EC2 "\"}"));
	assert_null(forwarded(f, f->root, "ec2", "GenerateDataKeyWithoutPlaintext",
			      "{\"KeyId\":\"%s\",\"NumberOfBytes\":64}", s.arn));
	sprintf(want,
		"%s" HEAD("GenerateDataKeyWithoutPlaintext",
			  FRONT) "\"errorCode\":\"AccessDenied\",\"errorMessage\":\"User: " RIG_ROOT
				 " is not authorized to perform: "
				 "kms:GenerateDataKeyWithoutPlaintext on resource: %s with an "
				 "explicit deny in a resource-based policy\","
				 "\"requestParameters\":null,\"responseElements\":null," TAIL,
		s.user, s.arn, "true", "");
	record_is(f, want);
}

static void what_a_service_does_by_itself_is_recorded_as_by_aws(void **state)
{
	struct rig *f = *state;
	char grant[GRANT_ID_LEN + 1], want[4096];
	struct scene s;

	set_scene(f, &s);
	attach(f, s.arn, grant);
	kms_json_free(own(f, "ec2", INSTANCE, "Decrypt",
			  "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":" VOLUME "}", s.blob));
	sprintf(want,
		"{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"AssumedRole\","
		"\"principalId\":\"111122223333:aws:ec2-infrastructure:" INSTANCE
		"\",\"arn\":\"" IDENTITY "\",\"accountId\":\"111122223333\","
		"\"accessKeyId\":\"" SERVICE_ACCESS_KEY "\",\"sessionContext\":{\"sessionIssuer\":"
		"{\"type\":\"Role\",\"principalId\":\"111122223333:aws:ec2-infrastructure\","
		"\"arn\":\"arn:aws:iam::111122223333:role/aws:ec2-infrastructure\","
		"\"accountId\":\"111122223333\",\"userName\":\"aws:ec2-infrastructure\"}," SESSION
		",\"invokedBy\":\"AWS Internal\",\"inScopeOf\":{\"issuerType\":"
		"\"AWS::EC2::Instance\",\"credentialsIssuedTo\":"
		"\"arn:aws:ec2:us-east-1:111122223333:instance/" INSTANCE
		"\"}}," HEAD("Decrypt",
			     "AWS Internal") "\"requestParameters\":{\"encryptionContext\":" VOLUME
					     ",\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"},"
					     "\"responseElements\":null,"
					     "\"additionalEventData\":{\"keyMaterialId\":"
					     "\"%s\"}," TAIL,
		s.material, "true", s.resources);
	record_is(f, want);

	kms_json_free(own(f, "ec2", NULL, "RetireGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}",
			  s.arn, grant));
	sprintf(want,
		"{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"AWSService\","
		"\"invokedBy\":"
		"\"AWS Internal\"}," HEAD("RetireGrant",
					  "AWS Internal") "\"requestParameters\":null,"
							  "\"responseElements\":{"
							  "\"keyId\":\"%s\"},"
							  "\"additionalEventData\":{"
							  "\"grantId\":\"%s\"}," TAIL,
		s.arn, grant, "false", s.resources);
	record_is(f, want);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_service_does_for_a_user_is_recorded_as_by_aws),
		TEST(what_a_service_does_by_itself_is_recorded_as_by_aws),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
