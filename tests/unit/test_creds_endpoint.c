/* Credentials over HTTP: the container endpoint and the EC2 instance; and when there are none. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "aws_creds.h"
#include "aws_env.h"
#include "aws_profile.h"
#include "creds.h"
#include "creds_fixture.h"
#include "creds_provider.h"
#include "err.h"
#include "fake_http.h"
#include "stop.h"

#define HTTP_CREDS                                                                                 \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"HTTP\",\"SecretAccessKey\":\"hs\",\"Token\":"     \
	"\"ht\",\"Expiration\":\"2026-01-01T06:00:00Z\"}"

static void container_endpoint_is_asked_with_its_token(void **state)
{
	char url[128], value[128];

	(void)state;
	snprintf(url, sizeof(url), "%s/v2/creds", fake_http_url(creds_fixture.server));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc", 1);
	creds_fixture_reply(200, HTTP_CREDS);
	creds_fixture_expect("HTTP", "hs", "ht");
	assert_int_equal(creds_fixture.got->expires_at, CREDS_FIXTURE_NOW + 6 * 3600);
	assert_memory_equal(fake_http_request(creds_fixture.server, 0).head,
			    "GET /v2/creds HTTP/1.1\r\n", 24);
	assert_true(fake_http_header(fake_http_request(creds_fixture.server, 0).head,
				     "Authorization", value, sizeof(value)));
	assert_string_equal(value, "Basic abc");
	/* The file goes first, and is read anew each time. */
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", aws_env_write("/.aws/tok", "from-file\n"),
	       1);
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 0);
	assert_true(fake_http_header(fake_http_request(creds_fixture.server, 1).head,
				     "Authorization", value, sizeof(value)));
	assert_string_equal(value, "from-file");
}

static void container_endpoint_must_be_of_this_machine_or_tls(void **state)
{
	static const char *const refused[] = {"http://example.com/x", "http://10.0.0.1/",
					      "http://127.0.0.1.example.com/", "http://[::2]/",
					      "http://169.254.169.254/"};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", refused[i], 1);
		creds_fixture_expect_failure(EACCES,
					     "must be a loopback address or that of ECS or EKS");
	}
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "file:///etc/passwd", 1);
	creds_fixture_expect_failure(EACCES, "is not a URL that can be used");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://u:TOPSECRET@127.0.0.1/", 1);
	creds_fixture_expect_failure(EACCES, "is not a URL that can be used");
}

static void container_trouble_is_transient_but_refusal_is_not(void **state)
{
	(void)state;
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", fake_http_url(creds_fixture.server), 1);
	creds_fixture_reply(500, "");
	creds_fixture_expect_failure(ETIMEDOUT, "answered with HTTP status 500");
	assert_int_equal(fake_http_count(creds_fixture.server), 3);
	fake_http_reset(creds_fixture.server);
	fake_http_add(creds_fixture.server, &(struct fake_reply){.how = FAKE_DROP});
	fake_http_add(creds_fixture.server,
		      &(struct fake_reply){.status = 200, .body = HTTP_CREDS});
	creds_fixture_expect("HTTP", "hs", "ht");
	fake_http_reset(creds_fixture.server);
	creds_fixture_reply(403, "TOPSECRET");
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 -EACCES);
	assert_non_null(strstr(creds_fixture.err.msg, "answered with HTTP status 403"));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/", 1);
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 -ETIMEDOUT);
	assert_non_null(strstr(creds_fixture.err.msg, "cannot be reached: Connection refused"));
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent/file", 1);
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 -EACCES);
	assert_non_null(strstr(creds_fixture.err.msg, "'/nonexistent/file': No such file"));
}

static void instance_is_asked_with_a_session_token(void **state)
{
	char value[128];

	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_http_url(creds_fixture.server), 1);
	setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not be used */
	creds_fixture_reply(200, "imds-token");
	creds_fixture_reply(200, "my-role\n");
	creds_fixture_reply(200, HTTP_CREDS);
	creds_fixture_expect("HTTP", "hs", "ht");
	assert_string_equal(creds_fixture.got->source, "the role of the EC2 instance");
	struct fake_request q = fake_http_request(creds_fixture.server, 0);
	assert_memory_equal(q.head, "PUT /latest/api/token HTTP/1.1\r\n", 32);
	assert_true(fake_http_header(q.head, "X-aws-ec2-metadata-token-ttl-seconds", value,
				     sizeof(value)));
	assert_string_equal(value, "21600");
	q = fake_http_request(creds_fixture.server, 1);
	assert_memory_equal(q.head, "GET /latest/meta-data/iam/security-credentials/ HTTP", 52);
	assert_true(fake_http_header(q.head, "X-aws-ec2-metadata-token", value, sizeof(value)));
	assert_string_equal(value, "imds-token");
	q = fake_http_request(creds_fixture.server, 2);
	assert_memory_equal(q.head, "GET /latest/meta-data/iam/security-credentials/my-role HTTP",
			    59);
	assert_true(fake_http_header(q.head, "X-aws-ec2-metadata-token", value, sizeof(value)));
}

static void instance_without_role_or_service_is_only_looked_at(void **state)
{
	char words[200];

	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_http_url(creds_fixture.server), 1);
	creds_fixture_reply(200, "imds-token");
	creds_fixture_reply(404, "");
	snprintf(words, sizeof(words), "EC2 instance metadata at '%s' (the instance has no role)",
		 fake_http_url(creds_fixture.server));
	creds_fixture_expect_failure(EACCES, words);
	fake_http_reset(creds_fixture.server);
	creds_fixture_reply(403, "");
	creds_fixture_expect_failure(EACCES, "(HTTP status 403)");
	fake_http_reset(creds_fixture.server);
	creds_fixture_reply(200, "imds-token");
	creds_fixture_reply(200, "../../evil?x");
	creds_fixture_expect_failure(EACCES, "the name of its role makes no sense");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
	creds_fixture_expect_failure(EACCES, "(Connection refused)");
}

static void instance_that_hangs_costs_a_second(void **state)
{
	struct timespec a, b;

	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_http_url(creds_fixture.server), 1);
	fake_http_add(creds_fixture.server, &(struct fake_reply){.how = FAKE_STALL});
	clock_gettime(CLOCK_MONOTONIC, &a);
	creds_fixture_expect_failure(EACCES, "timed out");
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9 >= 0.9);
	assert_int_equal(fake_http_count(creds_fixture.server), 1);
}

static void instance_that_worked_and_is_silent_now_is_transient(void **state)
{
	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_http_url(creds_fixture.server), 1);
	creds_fixture_reply(200, "imds-token");
	creds_fixture_reply(200, "r");
	creds_fixture_reply(200, HTTP_CREDS);
	creds_fixture_expect("HTTP", "hs", "ht");
	fake_http_reset(creds_fixture.server);
	creds_fixture_reply(503, "");
	assert_int_equal(creds_get(creds_fixture.creds, CREDS_FIXTURE_NOW + 6 * 3600 - 100,
				   &creds_fixture.got, &creds_fixture.err),
			 0); /* still good */
	assert_int_equal(fake_http_count(creds_fixture.server), 1);
	assert_int_equal(creds_get(creds_fixture.creds, CREDS_FIXTURE_NOW + 6 * 3600 - 99,
				   &creds_fixture.got, &creds_fixture.err),
			 0);
	assert_int_equal(fake_http_count(creds_fixture.server), 1); /* a pause between attempts */
	assert_int_equal(creds_get(creds_fixture.creds, CREDS_FIXTURE_NOW + 6 * 3600,
				   &creds_fixture.got, &creds_fixture.err),
			 -ETIMEDOUT);
	assert_non_null(
		strstr(creds_fixture.err.msg, "cannot renew the credentials: HTTP status 503"));
}

static void nothing_found_names_every_place(void **state)
{
	static const char *const places[] = {
		"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (not set)",
		"/.aws/credentials' (No such file or directory)",
		"credential_process (not set)",
		"/.aws/config' (no aws_access_key_id)",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI (not set)",
		"EC2 instance metadata (AWS_EC2_METADATA_DISABLED is set)",
	};

	(void)state;
	aws_env_write("/.aws/config", "[default]\nregion = x\n");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		creds_fixture_expect_failure(EACCES, places[i]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, creds_fixture_set_up, creds_fixture_tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(container_endpoint_is_asked_with_its_token),
		TEST(container_endpoint_must_be_of_this_machine_or_tls),
		TEST(container_trouble_is_transient_but_refusal_is_not),
		TEST(instance_is_asked_with_a_session_token),
		TEST(instance_without_role_or_service_is_only_looked_at),
		TEST(instance_that_hangs_costs_a_second),
		TEST(instance_that_worked_and_is_silent_now_is_transient),
		TEST(nothing_found_names_every_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
