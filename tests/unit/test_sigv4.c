/* SigV4 against AWS's published test suite, step by step. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "err.h"
#include "sigv4.h"

#define SUITE  "tests/vectors/sigv4/aws-sig-v4-test-suite.txt"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

static const struct sigv4_scope scope = {"20150830", "us-east-1", "service"};

/* One case: pointers into the file's text, which is cut into lines in place. */
struct vector {
	const char *name;
	struct sigv4_request req;
	struct sigv4_header headers[16];
	char canonical[4096];
	char to_sign[512];
	char authorization[1024];
};

static char *read_suite(void)
{
	FILE *f = fopen(SUITE, "r");
	char *text;
	size_t n;

	if (!f)
		fail_msg("cannot open %s: %s (run from the top directory)", SUITE, strerror(errno));
	text = calloc(1, 1 << 20);
	assert_non_null(text);
	n = fread(text, 1, (1 << 20) - 1, f);
	assert_true(n > 1000);
	(void)fclose(f);
	return text;
}

static char *next_line(char **p)
{
	char *line = *p, *end = strchr(line, '\n');

	assert_non_null(end);
	*end = '\0';
	*p = end + 1;
	return line;
}

static void want_line(char **p, const char *text)
{
	assert_string_equal(next_line(p), text);
}

static void take_section(char **p, char *ret, size_t size)
{
	char *end = strstr(*p, "\n--");
	char *next = strstr(*p, "\n== ");
	size_t n;

	if (!end || (next && next < end))
		end = next;
	n = end ? (size_t)(end - *p) : strlen(*p) - 1;
	assert_true(n < size);
	memcpy(ret, *p, n);
	ret[n] = '\0';
	*p += n + 1;
}

static void take_request(char **p, struct vector *v)
{
	char *line = next_line(p), *uri = strchr(line, ' '), *q;

	*uri++ = '\0';
	q = strchr(uri, '?');
	if (q)
		*q++ = '\0';
	v->req.method = line;
	v->req.path = uri;
	v->req.query = q ? q : "";
	v->req.headers = v->headers;
	while (*(line = next_line(p))) {
		char *value = strchr(line, ':');

		assert_true(v->req.header_count < 16);
		*value++ = '\0';
		v->headers[v->req.header_count++] = (struct sigv4_header){line, value};
	}
	v->req.body = line = next_line(p);
	v->req.body_len = strlen(line);
}

static int next_vector(char **p, struct vector *v)
{
	char *line;

	memset(v, 0, sizeof(*v));
	if (!**p)
		return 0;
	line = next_line(p);
	assert_true(strncmp(line, "== ", 3) == 0);
	v->name = line + 3;
	want_line(p, "-- request");
	take_request(p, v);
	want_line(p, "-- canonical request");
	take_section(p, v->canonical, sizeof(v->canonical));
	want_line(p, "-- string to sign");
	take_section(p, v->to_sign, sizeof(v->to_sign));
	want_line(p, "-- authorization");
	take_section(p, v->authorization, sizeof(v->authorization));
	return 1;
}

static void check_vector(const struct vector *v)
{
	struct buf canonical = {.max = 65536}, to_sign = {.max = 65536};
	char hex[SIGV4_HEX_LEN + 1];
	struct sigv4_authorization auth;
	uint8_t key[SIGV4_KEY_LEN];
	struct err err = {0};

	assert_int_equal(sigv4_parse_authorization(v->authorization, &auth), 0);
	assert_int_equal(sigv4_canonical_request(&v->req, auth.signed_headers, &canonical, &err),
			 0);
	if (strcmp((char *)canonical.bytes, v->canonical) != 0)
		fail_msg("%s: canonical request is\n%s\nnot\n%s", v->name, canonical.bytes,
			 v->canonical);
	assert_int_equal(
		sigv4_string_to_sign("20150830T123600Z", &scope, &canonical, &to_sign, &err), 0);
	if (strcmp((char *)to_sign.bytes, v->to_sign) != 0)
		fail_msg("%s: string to sign is\n%s\nnot\n%s", v->name, to_sign.bytes, v->to_sign);
	assert_int_equal(sigv4_signing_key(SECRET, &scope, key, &err), 0);
	assert_int_equal(sigv4_signature(key, (char *)to_sign.bytes, to_sign.len, hex, &err), 0);
	if (strcmp(hex, auth.signature) != 0)
		fail_msg("%s: signature is %s, not %s", v->name, hex, auth.signature);
	buf_free(&canonical);
	buf_free(&to_sign);
}

static void aws_test_suite_holds_at_each_step(void **state)
{
	char *text = read_suite(), *p = text;
	struct vector v;
	int count = 0;

	(void)state;
	while (next_vector(&p, &v)) {
		check_vector(&v);
		count++;
	}
	assert_int_equal(count, 26);
	free(text);
}

/* The example of "AWS General Reference, Examples of how to derive a signing key". */
static void signing_key_is_that_of_the_aws_example(void **state)
{
	static const struct sigv4_scope iam = {"20120215", "us-east-1", "iam"};
	uint8_t key[SIGV4_KEY_LEN];
	char hex[2 * SIGV4_KEY_LEN + 1];
	struct err err = {0};

	(void)state;
	assert_int_equal(
		sigv4_signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &iam, key, &err), 0);
	bytes_to_hex(key, sizeof(key), hex);
	assert_string_equal(hex,
			    "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
}

static void percent_sign_in_a_path_is_encoded_again(void **state)
{
	struct sigv4_request req = {.method = "GET", .path = "/a%20b", .query = ""};
	struct buf out = {.max = 4096};
	struct err err = {0};

	(void)state;
	assert_int_equal(sigv4_canonical_request(&req, "host", &out, &err), 0);
	assert_true(strncmp((char *)out.bytes, "GET\n/a%2520b\n", 13) == 0);
	buf_free(&out);
}

static void query_is_decoded_once_and_encoded(void **state)
{
	struct sigv4_request req = {
		.method = "GET", .path = "/", .query = "b=%2f&a=%7e&a-b=1&a&c=%zz%4"};
	struct buf out = {.max = 4096};
	struct err err = {0};

	(void)state;
	assert_int_equal(sigv4_canonical_request(&req, "host", &out, &err), 0);
	assert_ptr_equal(strstr((char *)out.bytes, "GET\n/\na=&a=~&a-b=1&b=%2F&c=%25zz%254\n"),
			 out.bytes);
	buf_free(&out);
}

static void too_many_segments_and_parameters_are_refused(void **state)
{
	char path[2 * SIGV4_SEGMENTS_MAX + 8] = "", query[2 * SIGV4_QUERY_MAX + 8] = "";
	struct sigv4_request req = {.method = "GET", .path = path, .query = ""};
	struct buf out = {.max = 65536};
	struct err err = {0};

	(void)state;
	for (int i = 0; i <= SIGV4_SEGMENTS_MAX; i++)
		memcpy(path + 2 * i, "/a", 3);
	assert_int_equal(sigv4_canonical_request(&req, "", &out, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "256 segments"));
	for (int i = 0; i <= SIGV4_QUERY_MAX; i++)
		memcpy(query + 2 * i, "a&", 3);
	req.path = "/";
	req.query = query;
	assert_int_equal(sigv4_canonical_request(&req, "", &out, &err), -EINVAL);
	buf_free(&out);
}

static void authorization_parts_may_be_missing_or_without_spaces(void **state)
{
	struct sigv4_authorization a;

	(void)state;
	assert_int_equal(sigv4_parse_authorization("Basic dXNlcg==", &a), -EINVAL);
	assert_int_equal(sigv4_parse_authorization("AWS4-HMAC-SHA2567 Credential=a", &a), -EINVAL);
	assert_int_equal(sigv4_parse_authorization("AWS4-HMAC-SHA256", &a), 0);
	assert_string_equal(a.credential, "");
	assert_int_equal(sigv4_parse_authorization(
				 "AWS4-HMAC-SHA256 Signature=s,Credential=c,Credential=d", &a),
			 0);
	assert_string_equal(a.credential, "c");
	assert_string_equal(a.signature, "s");
	assert_string_equal(a.signed_headers, "");
}

static void dates_are_read_and_written(void **state)
{
	char text[SIGV4_DATE_LEN + 1];
	int64_t t = 0;

	(void)state;
	assert_int_equal(sigv4_parse_date("20150830T123600Z", &t), 0);
	assert_int_equal(t, 1440938160);
	sigv4_format_date(t, text);
	assert_string_equal(text, "20150830T123600Z");
	assert_int_equal(sigv4_parse_date("20150830T123600", &t), -EINVAL);
	assert_int_equal(sigv4_parse_date("20150230T123600Z", &t), -EINVAL);
	assert_int_equal(sigv4_parse_date("2015083 T123600Z", &t), -EINVAL);
	assert_int_equal(sigv4_parse_date("20150830t123600Z", &t), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aws_test_suite_holds_at_each_step),
		cmocka_unit_test(signing_key_is_that_of_the_aws_example),
		cmocka_unit_test(percent_sign_in_a_path_is_encoded_again),
		cmocka_unit_test(query_is_decoded_once_and_encoded),
		cmocka_unit_test(too_many_segments_and_parameters_are_refused),
		cmocka_unit_test(authorization_parts_may_be_missing_or_without_spaces),
		cmocka_unit_test(dates_are_read_and_written),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
