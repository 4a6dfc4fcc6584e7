/* The order in which a request is looked at before its caller is known, and bad signatures in AWS's words. */
#include "kmsd_rig.h"

#define DATE "20231114T221320Z"

/* What a test bends in an otherwise good request. */
struct bend {
	const char *method, *secret, *date, *day, *region, *service, *key_id, *signed_headers;
	const char *authorization; /* instead of all that */
	bool no_authorization;
	struct sigv4_header more; /* one header more, before Authorization */
	bool authorized_twice;
};

#define OR(a, b) ((a) ? (a) : (b))

static void sign(struct rig *f, struct sigv4_request *req, const struct bend *b, char *ret)
{
	struct sigv4_scope scope = {OR(b->day, "20231114"), OR(b->region, "us-east-1"),
				    OR(b->service, "kms")};
	struct buf canonical = {.max = 65536}, to_sign = {.max = 65536};
	const char *signed_headers = OR(b->signed_headers, "host;x-amz-date;x-amz-target");
	char secret[128] = "", hex[SIGV4_HEX_LEN + 1];
	uint8_t key[SIGV4_KEY_LEN];
	struct err err = {0};

	memcpy(secret, secret_cbytes(f->root->secret), secret_len(f->root->secret));
	assert_int_equal(sigv4_canonical_request(req, signed_headers, &canonical, &err), 0);
	assert_int_equal(
		sigv4_string_to_sign(OR(b->date, DATE), &scope, &canonical, &to_sign, &err), 0);
	assert_int_equal(sigv4_signing_key(OR(b->secret, secret), &scope, key, &err), 0);
	assert_int_equal(sigv4_signature(key, (char *)to_sign.bytes, to_sign.len, hex, &err), 0);
	sprintf(ret,
		"AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, "
		"Signature=%s",
		OR(b->key_id, f->root->id), scope.day, scope.region, scope.service, signed_headers,
		hex);
	buf_free(&canonical);
	buf_free(&to_sign);
}

/* Send it; the reply's body is the caller's to free. */
static unsigned send_bent(struct rig *f, const char *operation, const char *body,
			  const struct bend *b, char **ret_body)
{
	char target[128], authorization[1024];
	struct sigv4_header headers[6] = {{"Host", "127.0.0.1:1"},
					  {"X-Amz-Date", OR(b->date, DATE)},
					  {"X-Amz-Target", target},
					  b->more};
	struct flow_request request = {
		.http = {.method = OR(b->method, "POST"),
			 .path = "/",
			 .query = "",
			 .headers = headers,
			 .header_count = b->more.name ? 4 : 3,
			 .body = body,
			 .body_len = strlen(body)},
		.address = "127.0.0.1",
	};
	struct flow_reply reply;

	sprintf(target, "TrentService.%s", operation);
	sign(f, &request.http, b, authorization);
	if (b->authorization)
		strcpy(authorization, b->authorization);
	for (int i = b->no_authorization; i < 1 + b->authorized_twice; i++)
		headers[request.http.header_count++] =
			(struct sigv4_header){"Authorization", authorization};
	flow_handle(&f->kmsd, &request, f->now_ms, &reply);
	*ret_body = calloc(1, reply.body_len + 1);
	if (reply.body)
		memcpy(*ret_body, reply.body, reply.body_len);
	assert_int_equal(strlen(reply.request_id), IDS_UUID_LEN);
	flow_reply_free(&reply);
	return reply.status;
}

static void rejected(struct rig *f, const char *operation, const char *body, const struct bend *b,
		     const char *want)
{
	char *reply;
	unsigned status = send_bent(f, operation, body, b, &reply);

	assert_in_range(status, 400, 404);
	if (!strstr(reply, want))
		fail_msg("reply %s\nlacks %s", reply, want);
	free(reply);
}

static void bad_signatures_get_aws_sentences(void **state)
{
	struct rig *f = *state;
	static const struct {
		struct bend bend;
		const char *want;
	} rows[] = {
		{{.no_authorization = 1},
		 "{\"__type\":\"MissingAuthenticationTokenException\",\"message\":\"Request is "
		 "missing "
		 "Authentication Token\"}"},
		{{.authorization = "Basic eDp5"}, "MissingAuthenticationTokenException"},
		{{.authorization = "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"},
		 "{\"__type\":\"IncompleteSignatureException\",\"message\":\"Authorization header "
		 "requires 'Signature' parameter. Authorization header requires 'SignedHeaders' "
		 "parameter. Authorization=AWS4-HMAC-SHA256 Credential=a/b/c/d/e\"}"},
		{{.date = "yesterday"}, "existence of either a 'X-Amz-Date' or a 'Date' header"},
		{{.authorization =
			  "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c"},
		 "Credential must have exactly 5 slash-delimited elements, e.g. "
		 "keyid/date/region/service/term, got 'a/b'"},
		{{.signed_headers = "x-amz-date"}, "'Host' must be a 'SignedHeader' in the AWS"},
		{{.signed_headers = "host;x-amz-date"},
		 "'X-Amz-Target' must be a 'SignedHeader' in the AWS"},
		{{.region = "c"}, "Credential should be scoped to a valid region, not 'c'. "},
		{{.service = "s3"}, "Credential should be scoped to correct service: 'kms'. "},
		{{.day = "20231113"},
		 "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
		 "from "
		 "HTTP: '20231113' != '20231114', from '20231114T221320Z'"},
		{{.date = "20231114T220819Z"},
		 "Signature expired: 20231114T220819Z is now earlier than 20231114T220820Z "
		 "(20231114T221320Z - 5 min.)"},
		{{.date = "20231114T221821Z"},
		 "Signature not yet current: 20231114T221821Z is still later than 20231114T221820Z "
		 "(20231114T221320Z + 5 min.)"},
		{{.key_id = "AKIAAAAAAAAAAAAAAAAA"},
		 "{\"__type\":\"UnrecognizedClientException\",\"message\":\"The security token "
		 "included "
		 "in the request is invalid.\"}"},
		{{.secret = "wrong"},
		 "\"InvalidSignatureException\",\"message\":\"The request signature we calculated "
		 "does "
		 "not match the signature you provided. Check your AWS Secret Access Key and "
		 "signing "
		 "method. Consult the service documentation for details.\\n\\nThe Canonical String "
		 "for "
		 "this request should have been\\n'POST\\n/\\n\\nhost:127.0.0.1:1\\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rejected(f, "ListKeys", "{}", &rows[i].bend, rows[i].want);
}

static void edges_of_the_five_minutes_pass(void **state)
{
	static const struct bend early = {.date = "20231114T220820Z"},
				 late = {.date = "20231114T221820Z"};
	char *reply;

	assert_int_equal(send_bent(*state, "ListKeys", "{}", &early, &reply), 200);
	free(reply);
	assert_int_equal(send_bent(*state, "ListKeys", "{}", &late, &reply), 200);
	free(reply);
}

static void form_is_checked_before_the_signature(void **state)
{
	static const struct bend wrong = {.secret = "wrong"}, get = {.method = "GET"};

	rejected(*state, "ListKeys", "{", &wrong, "{\"__type\":\"SerializationException\"}");
	rejected(*state, "ListKeys", "[]", &wrong, "SerializationException");
	rejected(*state, "ListKeys", "", &wrong, "SerializationException");
	rejected(*state, "NoSuch", "{}", &wrong, "{\"__type\":\"UnknownOperationException\"}");
	rejected(*state, "ListKeys", "", &get, "UnknownOperationException");
	rejected(*state, "Encrypt", "{}", &wrong, "InvalidSignatureException");
}

/* Two readers may take different ones of two: what decides anything must stand once. */
static void what_stands_twice_is_refused(void **state)
{
	static const struct {
		struct bend bend;
		const char *want;
	} rows[] = {
		{{.authorized_twice = true}, "{\"__type\":\"IncompleteSignatureException\""},
		{{.authorization =
			  "AWS4-HMAC-SHA256 Credential=a/20231114/us-east-1/kms/aws4_request, "
			  "Credential=b/20231114/us-east-1/kms/aws4_request, "
			  "SignedHeaders=host, Signature=c"},
		 "Authorization header requires each parameter once."},
		{{.signed_headers = "host;host;x-amz-date;x-amz-target"},
		 "'host' must stand once in 'SignedHeaders'."},
		{{.signed_headers = "host;x-amz-date;x-amz-target;x-amz-date"},
		 "'x-amz-date' must stand once in 'SignedHeaders'."},
		{{.more = {"X-Amz-Date", DATE}}, "'X-Amz-Date' must stand once in the request."},
		{{.more = {"x-amz-target", "TrentService.ScheduleKeyDeletion"}},
		 "'X-Amz-Target' must stand once in the request."},
	};
	static const struct bend other = {.more = {"X-Amz-Other", " a  b "},
					  .signed_headers = "host;x-amz-date;x-amz-other;x-amz-"
							    "target"};
	char *reply;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rejected(*state, "ListKeys", "{}", &rows[i].bend, rows[i].want);
	assert_int_equal(send_bent(*state, "ListKeys", "{}", &other, &reply), 200);
	free(reply);
}

/* What json-c alone would take. */
static void json_is_taken_to_the_letter(void **state)
{
	static const char *const bodies[] = {
		"{'Limit':1}",
		"{\"Limit\":1,}",
		"{\"Limit\":1} x",
		"{\"Limit\":1}{}",
		"{\"Limit\":NaN}",
		"{\"Limit\":01}",
		"{\"Limit\":1e400}",
		"{\"Limit\":99999999999999999999}",
		"{\"Limit\":4294967297}",
		"{/* */\"Limit\":1}",
		"{\"Limit\":1,\"Limit\":2}",
		"{\"Limit\":1,\"L\\u0069mit\":2}",
		"{\"Limit\":1,\"x\":{\"y\":1,\"y\":1}}",
		" []",
		"null",
	};
	static const struct bend straight;
	char *reply;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		rejected(*state, "ListKeys", bodies[i], &straight,
			 "{\"__type\":\"SerializationException\"}");
	assert_int_equal(
		send_bent(*state, "ListKeys", " {\"Limit\":1,\"x\":{}}\r\n", &straight, &reply),
		200);
	free(reply);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_signatures_get_aws_sentences),	    TEST(edges_of_the_five_minutes_pass),
		TEST(form_is_checked_before_the_signature), TEST(what_stands_twice_is_refused),
		TEST(json_is_taken_to_the_letter),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
