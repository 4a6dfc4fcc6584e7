/* One exchange: TLS, limits, and what the URL may be. The rest is tested through test_kms. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "aws_env.h"
#include "err.h"
#include "fake_http.h"
#include "fake_tls.h"
#include "kms_http.h"
#include "stop.h"

static struct stop stop;
static struct kms_http *http;
static struct err err;

static int set_up(void **state)
{
	(void)state;
	aws_env_clean();
	err_clear(&err);
	return stop_init(&stop, &err) < 0 || kms_http_open(&stop, &http, &err) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	kms_http_close(http);
	stop_done(&stop);
	aws_env_remove();
	return 0;
}

static char *make_body(void)
{
	return strdup("hello");
}

static int get(const char *url, const char *ca_file, struct kms_http_answer *ret)
{
	struct kms_http_request request = {
		.method = "GET", .url = url, .timeout_ms = 5000, .ca_file = ca_file};

	return kms_http_do(http, &request, ret, &err);
}

static void tls_is_verified(void **state)
{
	struct kms_http_answer answer;
	char path[256], url[64], by_name[64];
	pid_t pid;

	(void)state;
	snprintf(path, sizeof(path), "%s", aws_env_write("/cert.pem", ""));
	pid = fake_tls_start(path, make_body, url);
	assert_int_equal(get(url, NULL, &answer), -ECONNRESET);
	assert_non_null(strstr(err.msg, "certificate"));
	assert_int_equal(get(url, path, &answer), 0);
	assert_int_equal(answer.status, 200);
	assert_string_equal((char *)answer.body.bytes, "hello");
	kms_http_answer_done(&answer);
	kms_http_forget(http); /* the server takes one connection at a time */
	snprintf(by_name, sizeof(by_name), "https://localhost%s", strrchr(url, ':'));
	assert_int_equal(get(by_name, path, &answer), -ECONNRESET); /* it is for 127.0.0.1 */
	assert_non_null(strstr(err.msg, "localhost"));
	assert_int_equal(get(url, "/nonexistent/ca.pem", &answer), -EINVAL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void answers_up_to_the_limit_are_taken_whole(void **state)
{
	struct fake_http *server = fake_http_start();
	struct kms_http_answer answer;

	(void)state;
	fake_http_add(server,
		      &(struct fake_reply){.status = 200,
					   .headers = "X-AMZN-requestid:  a b \r\n"
						      "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
						      "Content-Type: t\r\n",
					   .body_len = KMS_HTTP_ANSWER_MAX,
					   .how = FAKE_FILL});
	fake_http_add(server, &(struct fake_reply){.status = 200,
						   .body_len = KMS_HTTP_ANSWER_MAX + 1,
						   .how = FAKE_FILL});
	assert_int_equal(get(fake_http_url(server), NULL, &answer), 0);
	assert_int_equal(answer.body.len, KMS_HTTP_ANSWER_MAX);
	assert_string_equal(answer.request_id, "a b");
	assert_string_equal(answer.content_type, "t");
	assert_string_equal(answer.error_type, "");
	assert_true(answer.date == 1767225600);
	kms_http_answer_done(&answer);
	assert_int_equal(get(fake_http_url(server), NULL, &answer), -EMSGSIZE);
	fake_http_stop(server);
}

static void other_protocols_are_not_spoken(void **state)
{
	static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/",
					   "http://", "x y"};
	struct kms_http_answer answer;

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		assert_int_equal(get(urls[i], NULL, &answer), -EINVAL);
}

static void urls_are_taken_apart(void **state)
{
	char host[256];
	bool tls;

	(void)state;
	assert_int_equal(kms_http_check_url("https://Kms.example:8443/p", &tls, host, &err), 0);
	assert_true(tls);
	assert_string_equal(host, "Kms.example");
	assert_int_equal(kms_http_check_url("http://[::1]:5", &tls, host, &err), 0);
	assert_false(tls);
	assert_string_equal(host, "[::1]");
	assert_int_equal(kms_http_check_url("http://a@b/", &tls, host, &err), -EINVAL);
	assert_string_equal(err.msg, "it must not have a user name");
}

static void a_stop_before_the_exchange_prevents_it(void **state)
{
	struct fake_http *server = fake_http_start();
	struct kms_http_answer answer;

	(void)state;
	fake_http_add(server, &(struct fake_reply){.status = 200});
	stop_raise(&stop);
	stop_raise(&stop);
	assert_true(stop_sleep(&stop, 100000));
	assert_int_equal(get(fake_http_url(server), NULL, &answer), -ECANCELED);
	stop_lower(&stop); /* one undoes all */
	assert_false(stop_sleep(&stop, 1));
	assert_int_equal(get(fake_http_url(server), NULL, &answer), 0);
	kms_http_answer_done(&answer);
	fake_http_stop(server);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(tls_is_verified),
		TEST(answers_up_to_the_limit_are_taken_whole),
		TEST(other_protocols_are_not_spoken),
		TEST(urls_are_taken_apart),
		TEST(a_stop_before_the_exchange_prevents_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
