/* The Query protocol: forms taken apart, replies as XML. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "query.h"
#include "service.h"
#include "sigv4.h"
#include "validate.h"

static const struct member members[] = {{"UserName", SHAPE_IAM_ENTITY_NAME, MEMBER_REQUIRED},
					{"MaxItems", SHAPE_IAM_MAX_ITEMS, 0},
					{"OnlyAttached", SHAPE_BOOLEAN, 0},
					{"Tags", SHAPE_TAGS, 0},
					{"TagKeys", SHAPE_IAM_TAG_KEYS, 0},
					{0}};

/* The input that a form makes, as JSON text; the caller frees. */
static char *input(const char *form)
{
	struct kms_json *v = NULL;
	struct query *q = NULL;
	struct err err = {0};
	char *text;

	assert_int_equal(query_parse(form, strlen(form), &q, &err), 0);
	assert_int_equal(query_input(q, members, &v, &err), 0);
	text = kms_json_text(v);
	kms_json_free(v);
	query_free(q);
	return text;
}

static void forms_become_typed_members(void **state)
{
	static const struct {
		const char *form, *want;
	} rows[] = {
		{"", "{}"},
		{"UserName=a%2Bb+c%25", "{\"UserName\":\"a+b c%\"}"},
		{"UserName=%C3%A9", "{\"UserName\":\"\xc3\xa9\"}"},
		{"UserName=", "{\"UserName\":\"\"}"},
		{"UserName", "{\"UserName\":\"\"}"},
		{"MaxItems=17&OnlyAttached=true", "{\"MaxItems\":17,\"OnlyAttached\":true}"},
		{"MaxItems=17x&OnlyAttached=yes",
		 "{\"MaxItems\":\"17x\",\"OnlyAttached\":\"yes\"}"},
		{"MaxItems=99999999999999999999", "{\"MaxItems\":\"99999999999999999999\"}"},
		{"Unknown=1&&UserName=x", "{\"UserName\":\"x\"}"},
		{"Tags.member.2.Key=b&Tags.member.1.Key=a&Tags.member.1.Value=%26",
		 "{\"Tags\":[{\"Key\":\"a\",\"Value\":\"&\"},{\"Key\":\"b\"}]}"},
		{"TagKeys.member.1=a&TagKeys.member.2=b", "{\"TagKeys\":[\"a\",\"b\"]}"},
		{"TagKeys=", "{\"TagKeys\":[]}"},
		{"TagKeys.member.2=b", "{}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = input(rows[i].form);

		assert_string_equal(text, rows[i].want);
		free(text);
	}
}

static void refused(const char *form, size_t len)
{
	struct query *q = NULL;
	struct err err = {0};

	assert_true(query_parse(form, len, &q, &err) < 0);
	assert_null(q);
	assert_true(fault_is(&err, FAULT_SERIALIZATION));
}

static void bad_forms_are_refused(void **state)
{
	static const char *const rows[] = {"a=%",	  "a=%4",	    "a=%zz",   "a=%00",
					   "%=a",	  "a=%ff",	    "a=%C3",   "a=%C0%80",
					   "a=%ED%A0%80", "a=%F4%90%80%80", "a=%E2%82"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refused(rows[i], strlen(rows[i]));
	refused("a=b\0c", 5);
}

static void limits_hold(void **state)
{
	char *form = calloc(1, 4 * (QUERY_PARAMS_MAX + 1) + 1), long_name[QUERY_NAME_MAX + 3];
	struct query *q = NULL;
	struct err err = {0};

	(void)state;
	for (unsigned i = 0; i < QUERY_PARAMS_MAX; i++)
		strcat(form + 4 * (i ? i - 1 : 0), "a=b&");
	assert_int_equal(query_parse(form, strlen(form), &q, &err), 0);
	query_free(q);
	strcat(form, "a=b&");
	refused(form, strlen(form));
	free(form);
	memset(long_name, 'n', sizeof(long_name));
	long_name[sizeof(long_name) - 2] = '=';
	long_name[sizeof(long_name) - 1] = '\0';
	refused(long_name, strlen(long_name));
}

static const struct service *iam(void)
{
	static const struct sigv4_header h[] = {
		{"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
	static const struct sigv4_request req = {.headers = h, .header_count = 1};

	return service_of(&req);
}

static void replies_are_escaped_xml(void **state)
{
	struct kms_json *v = NULL;
	struct buf b = {.max = 4096};
	struct err err = {0};
	const char *json = "{\"User\":{\"Name\":\"<a & \\\"b'>\\u0001\\r\"},\"List\":[\"x\",{\"K\":"
			   "1}],\"T\":true,\"Empty\":[]}";

	(void)state;
	assert_int_equal(kms_json_parse(json, strlen(json), &v, &err), 0);
	assert_int_equal(query_reply(iam(), "GetUser", v, "id", &b), 0);
	assert_string_equal(
		(char *)b.bytes,
		"<GetUserResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">"
		"<GetUserResult><User><Name>&lt;a &amp; &quot;b&#39;&gt;\xef\xbf\xbd&#xD;</Name>"
		"</User><List><member>x</member><member><K>1</K></member></List><T>true</T>"
		"<Empty></Empty></GetUserResult><ResponseMetadata><RequestId>id</RequestId>"
		"</ResponseMetadata></GetUserResponse>\n");
	buf_free(&b);
	kms_json_free(v);
}

static void refusals_have_codes_of_the_query_protocol(void **state)
{
	struct buf b = {.max = 4096};
	struct err err = {0};
	unsigned status;

	(void)state;
	(void)fault_set(&err, FAULT_NO_SUCH_ENTITY, "The user with name %s cannot be found.",
			"<x>");
	assert_string_equal(fault_query_code(&err, &status), "NoSuchEntity");
	assert_int_equal(status, 404);
	assert_int_equal(query_error(iam(), &err, "id", &b), 0);
	assert_string_equal(
		(char *)b.bytes,
		"<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>"
		"Sender</Type><Code>NoSuchEntity</Code><Message>The user with name &lt;x&gt; "
		"cannot "
		"be found.</Message></Error><RequestId>id</RequestId></ErrorResponse>\n");
	buf_free(&b);
	(void)err_set(&err, EIO, "disk");
	assert_string_equal(fault_query_code(&err, &status), "InternalFailure");
	assert_int_equal(status, 500);
}

static const char *routed(const char *target, const char *type, const char *authorization)
{
	struct sigv4_header h[3];
	struct sigv4_request req = {.headers = h};

	if (target)
		h[req.header_count++] = (struct sigv4_header){"X-Amz-Target", target};
	if (type)
		h[req.header_count++] = (struct sigv4_header){"Content-Type", type};
	if (authorization)
		h[req.header_count++] = (struct sigv4_header){"Authorization", authorization};
	return service_of(&req)->name;
}

static void requests_go_to_their_service(void **state)
{
	static const char form[] = "application/x-www-form-urlencoded";
	static const char trail[] =
		"com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";

	(void)state;
	assert_string_equal(routed("TrentService.Decrypt", NULL, NULL), "kms");
	assert_string_equal(routed("TrentService.Decrypt", form, NULL), "kms");
	assert_string_equal(routed(trail, NULL, NULL), "cloudtrail");
	assert_string_equal(routed(NULL, NULL, NULL), "kms");
	assert_string_equal(routed(NULL, form, NULL), "iam");
	assert_string_equal(
		routed(NULL, form, "AWS4-HMAC-SHA256 Credential=A/d/r/sts/aws4_request"), "sts");
	assert_string_equal(
		routed(NULL, form, "AWS4-HMAC-SHA256 Credential=A/d/r/iam/aws4_request"), "iam");
	assert_string_equal(routed(NULL, form, "AWS4-HMAC-SHA256 Credential=A/sts/"), "iam");
	assert_string_equal(routed(NULL, form, "AWS4-HMAC-SHA256 Credential="), "iam");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_become_typed_members),
		cmocka_unit_test(bad_forms_are_refused),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(replies_are_escaped_xml),
		cmocka_unit_test(refusals_have_codes_of_the_query_protocol),
		cmocka_unit_test(requests_go_to_their_service),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
