/* The credential chain: each provider, their order, renewal, and what is said when there is nothing. */
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
#include "creds_provider.h"
#include "err.h"
#include "fake_http.h"
#include "kms_http.h"
#include "stop.h"

#define NOW 1767225600 /* 2026-01-01T00:00:00Z */

static struct fake_http *server;
static struct stop stop;
static struct kms_http *http;
static struct creds *creds;
static const struct aws_creds *got;
static struct err err;

static int set_up(void **state)
{
	(void)state;
	aws_env_clean();
	server = fake_http_start();
	err_clear(&err);
	got = NULL;
	if (stop_init(&stop, &err) < 0 || kms_http_open(&stop, &http, &err) < 0 ||
	    creds_open(NULL, http, &stop, &creds, &err) < 0)
		return -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	creds_close(creds);
	kms_http_close(http);
	stop_done(&stop);
	fake_http_stop(server);
	aws_env_remove();
	return 0;
}

static void reply(int status, const char *body)
{
	fake_http_add(server, &(struct fake_reply){.status = status, .body = body});
}

static void expect(const char *id, const char *secret, const char *token)
{
	int r = creds_get(creds, NOW, &got, &err);

	if (r < 0)
		fail_msg("%d: %s", r, err.msg);
	assert_string_equal(got->access_key_id, id);
	assert_string_equal(aws_creds_text(got->secret_key), secret);
	if (token)
		assert_string_equal(aws_creds_text(got->token), token);
	else
		assert_null(got->token);
}

static void expect_failure(int num, const char *words)
{
	assert_int_equal(creds_get(creds, NOW, &got, &err), -num);
	if (!strstr(err.msg, words))
		fail_msg("'%s' has no '%s'", err.msg, words);
	assert_null(strstr(err.msg, "TOPSECRET"));
	assert_int_equal(err.num, num);
}

static void environment_gives_keys_and_token(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "TOPSECRET", 1);
	expect("AKIDENV", "TOPSECRET", NULL);
	assert_int_equal(got->expires_at, 0);
	setenv("AWS_SESSION_TOKEN", "tok", 1);
	expect("AKIDENV", "TOPSECRET", NULL); /* kept */
	assert_int_equal(creds_renew(creds, NOW, &err), 1);
	expect("AKIDENV", "TOPSECRET", "tok");
	assert_int_equal(creds_renew(creds, NOW, &err), 0);
}

static void half_an_environment_is_an_error(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	expect_failure(EACCES, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
	unsetenv("AWS_ACCESS_KEY_ID");
	setenv("AWS_SECRET_ACCESS_KEY", "TOPSECRET", 1);
	expect_failure(EACCES, "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not");
}

static void credentials_that_would_break_a_header_are_refused(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "TOPSECRET\r\nX: y", 1);
	expect_failure(EACCES, "the secret access key has a character that no credential has");
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	setenv("AWS_SESSION_TOKEN", "TOPSECRET\nb", 1);
	expect_failure(EACCES, "the session token has a character");
}

static void credentials_file_goes_before_config_file(void **state)
{
	(void)state;
	aws_env_write("/.aws/config", "[default]\naws_access_key_id = AKIDCONFIG\n"
				      "aws_secret_access_key = s2\nregion = eu-west-1\n");
	expect("AKIDCONFIG", "s2", NULL);
	aws_env_write("/.aws/credentials", "[default]\naws_access_key_id = AKIDFILE\n"
					   "aws_secret_access_key=s1\naws_session_token = t1\n");
	assert_int_equal(creds_renew(creds, NOW, &err), 1);
	expect("AKIDFILE", "s1", "t1");
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	assert_int_equal(creds_renew(creds, NOW, &err), 1);
	expect("AKIDENV", "e", NULL);
}

static void aws_profile_chooses_the_section(void **state)
{
	(void)state;
	aws_env_write("/.aws/credentials", "[default]\naws_access_key_id = D\n"
					   "aws_secret_access_key = d\n"
					   "[other]\naws_access_key_id = O\n"
					   "aws_secret_access_key = o\n");
	expect("D", "d", NULL);
	setenv("AWS_PROFILE", "other", 1);
	assert_int_equal(creds_renew(creds, NOW, &err), 1);
	expect("O", "o", NULL);
	setenv("AWS_PROFILE", "absent", 1);
	assert_int_equal(creds_renew(creds, NOW, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "AWS profile 'absent' is neither in '"));
}

static void files_are_where_the_environment_says(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s",
		 aws_env_write("/.aws/mine", "[default]\naws_access_key_id = M\n"
					     "aws_secret_access_key = m\n"));
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	expect("M", "m", NULL);
	snprintf(path, sizeof(path), "%s",
		 aws_env_write("/.aws/config2", "[profile p]\naws_access_key_id = P\n"
						"aws_secret_access_key = p\n"));
	setenv("AWS_CONFIG_FILE", path, 1);
	setenv("AWS_PROFILE", "p", 1);
	assert_int_equal(creds_renew(creds, NOW, &err), 1);
	expect("P", "p", NULL);
}

static void profile_given_by_the_caller_goes_before_the_environment(void **state)
{
	struct creds *other;

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	aws_env_write("/.aws/credentials",
		      "[x]\naws_access_key_id = X\naws_secret_access_key = x\n");
	assert_int_equal(creds_open("x", http, &stop, &other, &err), 0);
	assert_int_equal(creds_get(other, NOW, &got, &err), 0);
	assert_string_equal(got->access_key_id, "X");
	creds_close(other);
}

static void broken_files_are_named_with_their_line_only(void **state)
{
	(void)state;
	aws_env_write("/.aws/credentials", "[default]\naws_access_key_id = A\nTOPSECRET\n");
	expect_failure(EINVAL, "/.aws/credentials': line 3 is no section");
	aws_env_write("/.aws/credentials", "[default]\naws_access_key_id = A\n");
	expect_failure(EACCES, "the secret access key is missing");
}

static void process_gives_credentials_until_they_expire(void **state)
{
	char script[256], config[700], out[300];
	FILE *f;

	(void)state;
	snprintf(script, sizeof(script), "%s",
		 aws_env_write("/.aws/out.json",
			       "{\"Version\":1,\"AccessKeyId\":\"PROC\",\"SecretAccessKey\":\"ps\","
			       "\"SessionToken\":\"pt\",\"Expiration\":\"2026-01-01T01:00:00Z\"}"));
	snprintf(config, sizeof(config),
		 "[default]\ncredential_process = cat '%s'; echo x >> '%s.runs'\n", script, script);
	aws_env_write("/.aws/config", config);
	expect("PROC", "ps", "pt");
	assert_int_equal(got->expires_at, NOW + 3600);
	assert_int_equal(creds_get(creds, NOW + 3600 - 301, &got, &err), 0); /* not due yet */
	snprintf(out, sizeof(out), "%s.runs", script);
	f = fopen(out, "r");
	assert_non_null(f);
	assert_int_equal(fgetc(f), 'x');
	assert_int_equal(fgetc(f), '\n');
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
	aws_env_write("/.aws/out.json",
		      "{\"Version\":1,\"AccessKeyId\":\"PROC2\",\"SecretAccessKey\":\"ps2\","
		      "\"Expiration\":\"2026-01-01T02:00:00+00:00\"}");
	assert_int_equal(creds_get(creds, NOW + 3600 - 299, &got, &err), 0); /* due */
	assert_string_equal(got->access_key_id, "PROC2");
	assert_null(got->token);
}

static void old_credentials_serve_while_renewing_fails_until_they_end(void **state)
{
	char config[512];

	(void)state;
	snprintf(config, sizeof(config), "[default]\ncredential_process = cat '%s'\n",
		 aws_env_write("/.aws/out.json",
			       "{\"Version\":1,\"AccessKeyId\":\"PROC\",\"SecretAccessKey\":\"ps\","
			       "\"Expiration\":\"2026-01-01T01:00:00Z\"}"));
	aws_env_write("/.aws/config", config);
	expect("PROC", "ps", NULL);
	aws_env_write("/.aws/out.json", "TOPSECRET");
	assert_int_equal(creds_get(creds, NOW + 3500, &got, &err), 0);
	assert_string_equal(got->access_key_id, "PROC");
	assert_int_equal(err.num, 0);
	assert_int_equal(creds_get(creds, NOW + 3600, &got, &err), -EACCES);
	assert_non_null(strstr(err.msg, "its output is not a JSON object"));
	assert_null(strstr(err.msg, "TOPSECRET"));
}

static void process_failures_are_told_apart(void **state)
{
	static const struct {
		const char *command;
		const char *words;
	} cases[] = {
		{"exit 3", "failed with exit status 3"},
		{"kill -9 $$", "was ended by signal 9"},
		{"echo TOPSECRET", "its output is not a JSON object"},
		{"echo '{\"Version\":2}'", "has no \"Version\": 1"},
		{"echo '{\"Version\":1}'", "the access key id is missing"},
		{"echo '{\"Version\":1,\"AccessKeyId\":\"a\"}'",
		 "the secret access key is missing"},
		{"echo '{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"TOPSECRET\","
		 "\"Expiration\":\"soon\"}'",
		 "the expiration is not a time"},
		{"head -c 70000 /dev/zero", "its output"},
	};
	char config[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(config, sizeof(config), "[default]\ncredential_process = %s\n",
			 cases[i].command);
		aws_env_write("/.aws/config", config);
		expect_failure(EACCES, cases[i].words);
	}
}

static void process_gets_no_files_and_no_blocked_signals(void **state)
{
	int leak[2];
	char config[600];
	sigset_t block, old;

	(void)state;
	assert_int_equal(pipe(leak), 0); /* no close-on-exec, on purpose */
	sigfillset(&block);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	snprintf(config, sizeof(config),
		 "[default]\ncredential_process = [ ! -e /proc/self/fd/%d ] && "
		 "grep -q 'SigBlk:.0000000000000000' /proc/$$/status && echo '{\"Version\":1,"
		 "\"AccessKeyId\":\"OK\",\"SecretAccessKey\":\"s\"}'\n",
		 leak[1]);
	aws_env_write("/.aws/config", config);
	expect("OK", "s", NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(leak[0]);
	close(leak[1]);
}

static void process_that_does_not_end_is_killed(void **state)
{
	struct aws_profile *profile;
	struct creds_ask ask = {.http = http, .stop = &stop, .process_limit_ms = 200};
	struct aws_creds c = {0};
	char command[300], pid_path[256];
	long pid = 0;
	FILE *f;

	(void)state;
	assert_int_equal(aws_profile_load(NULL, &profile, &err), 0);
	ask.profile = profile;
	snprintf(pid_path, sizeof(pid_path), "%s", aws_env_write("/.aws/pid", ""));
	snprintf(command, sizeof(command), "sleep 1000 & echo $! > '%s'; wait", pid_path);
	assert_int_equal(creds_from_process(&ask, command, &c, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "did not end within"));
	f = fopen(pid_path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &pid), 1);
	fclose(f);
	for (int i = 0; i < 500 && kill((pid_t)pid, 0) == 0; i++) {
		char path[64], state_line[256] = "";

		snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
		f = fopen(path, "r");
		if (f) {
			(void)!fgets(state_line, sizeof(state_line), f);
			fclose(f);
		}
		if (strstr(state_line, ") Z"))
			break; /* killed; nobody here to reap it */
		assert_true(i < 499);
		usleep(10000);
	}
	aws_profile_free(profile);
}

static void process_stops_when_told(void **state)
{
	(void)state;
	aws_env_write("/.aws/config", "[default]\ncredential_process = sleep 1000\n");
	stop_raise(&stop);
	expect_failure(ECANCELED, "canceled");
}

static void what_is_not_supported_is_said_and_not_skipped(void **state)
{
	(void)state;
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", fake_http_url(server), 1);
	aws_env_write("/.aws/config", "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\n"
				      "source_profile = b\n");
	expect_failure(EACCES, "has role_arn: assuming a role is not supported yet");
	aws_env_write("/.aws/config", "[default]\nsso_session = s\n");
	expect_failure(EACCES, "has sso_session: IAM Identity Center (SSO) is not supported yet");
	aws_env_write("/.aws/config", "");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/x", 1);
	expect_failure(EACCES, "web identity is not supported yet");
	assert_int_equal(fake_http_count(server), 0);
}

#define HTTP_CREDS                                                                                 \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"HTTP\",\"SecretAccessKey\":\"hs\",\"Token\":"     \
	"\"ht\",\"Expiration\":\"2026-01-01T06:00:00Z\"}"

static void container_endpoint_is_asked_with_its_token(void **state)
{
	char url[128], value[128];

	(void)state;
	snprintf(url, sizeof(url), "%s/v2/creds", fake_http_url(server));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc", 1);
	reply(200, HTTP_CREDS);
	expect("HTTP", "hs", "ht");
	assert_int_equal(got->expires_at, NOW + 6 * 3600);
	assert_memory_equal(fake_http_request(server, 0).head, "GET /v2/creds HTTP/1.1\r\n", 24);
	assert_true(fake_http_header(fake_http_request(server, 0).head, "Authorization", value,
				     sizeof(value)));
	assert_string_equal(value, "Basic abc");
	/* The file goes first, and is read anew each time. */
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", aws_env_write("/.aws/tok", "from-file\n"),
	       1);
	assert_int_equal(creds_renew(creds, NOW, &err), 0);
	assert_true(fake_http_header(fake_http_request(server, 1).head, "Authorization", value,
				     sizeof(value)));
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
		expect_failure(EACCES, "must be a loopback address or that of ECS or EKS");
	}
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "file:///etc/passwd", 1);
	expect_failure(EACCES, "is not a URL that can be used");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://u:TOPSECRET@127.0.0.1/", 1);
	expect_failure(EACCES, "is not a URL that can be used");
}

static void container_trouble_is_transient_but_refusal_is_not(void **state)
{
	(void)state;
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", fake_http_url(server), 1);
	reply(500, "");
	expect_failure(ETIMEDOUT, "answered with HTTP status 500");
	assert_int_equal(fake_http_count(server), 3);
	fake_http_reset(server);
	fake_http_add(server, &(struct fake_reply){.how = FAKE_DROP});
	fake_http_add(server, &(struct fake_reply){.status = 200, .body = HTTP_CREDS});
	expect("HTTP", "hs", "ht");
	fake_http_reset(server);
	reply(403, "TOPSECRET");
	assert_int_equal(creds_renew(creds, NOW, &err), -EACCES);
	assert_non_null(strstr(err.msg, "answered with HTTP status 403"));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/", 1);
	assert_int_equal(creds_renew(creds, NOW, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "cannot be reached: Connection refused"));
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent/file", 1);
	assert_int_equal(creds_renew(creds, NOW, &err), -EACCES);
	assert_non_null(strstr(err.msg, "'/nonexistent/file': No such file"));
}

static void instance_is_asked_with_a_session_token(void **state)
{
	char value[128];

	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_http_url(server), 1);
	setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not be used */
	reply(200, "imds-token");
	reply(200, "my-role\n");
	reply(200, HTTP_CREDS);
	expect("HTTP", "hs", "ht");
	assert_string_equal(got->source, "the role of the EC2 instance");
	struct fake_request q = fake_http_request(server, 0);
	assert_memory_equal(q.head, "PUT /latest/api/token HTTP/1.1\r\n", 32);
	assert_true(fake_http_header(q.head, "X-aws-ec2-metadata-token-ttl-seconds", value,
				     sizeof(value)));
	assert_string_equal(value, "21600");
	q = fake_http_request(server, 1);
	assert_memory_equal(q.head, "GET /latest/meta-data/iam/security-credentials/ HTTP", 52);
	assert_true(fake_http_header(q.head, "X-aws-ec2-metadata-token", value, sizeof(value)));
	assert_string_equal(value, "imds-token");
	q = fake_http_request(server, 2);
	assert_memory_equal(q.head, "GET /latest/meta-data/iam/security-credentials/my-role HTTP",
			    59);
	assert_true(fake_http_header(q.head, "X-aws-ec2-metadata-token", value, sizeof(value)));
}

static void instance_without_role_or_service_is_only_looked_at(void **state)
{
	char words[200];

	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_http_url(server), 1);
	reply(200, "imds-token");
	reply(404, "");
	snprintf(words, sizeof(words), "EC2 instance metadata at '%s' (the instance has no role)",
		 fake_http_url(server));
	expect_failure(EACCES, words);
	fake_http_reset(server);
	reply(403, "");
	expect_failure(EACCES, "(HTTP status 403)");
	fake_http_reset(server);
	reply(200, "imds-token");
	reply(200, "../../evil?x");
	expect_failure(EACCES, "the name of its role makes no sense");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
	expect_failure(EACCES, "(Connection refused)");
}

static void instance_that_hangs_costs_a_second(void **state)
{
	struct timespec a, b;

	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_http_url(server), 1);
	fake_http_add(server, &(struct fake_reply){.how = FAKE_STALL});
	clock_gettime(CLOCK_MONOTONIC, &a);
	expect_failure(EACCES, "timed out");
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9 >= 0.9);
	assert_int_equal(fake_http_count(server), 1);
}

static void instance_that_worked_and_is_silent_now_is_transient(void **state)
{
	(void)state;
	unsetenv("AWS_EC2_METADATA_DISABLED");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_http_url(server), 1);
	reply(200, "imds-token");
	reply(200, "r");
	reply(200, HTTP_CREDS);
	expect("HTTP", "hs", "ht");
	fake_http_reset(server);
	reply(503, "");
	assert_int_equal(creds_get(creds, NOW + 6 * 3600 - 100, &got, &err), 0); /* still good */
	assert_int_equal(fake_http_count(server), 1);
	assert_int_equal(creds_get(creds, NOW + 6 * 3600 - 99, &got, &err), 0);
	assert_int_equal(fake_http_count(server), 1); /* a pause between attempts */
	assert_int_equal(creds_get(creds, NOW + 6 * 3600, &got, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "cannot renew the credentials: HTTP status 503"));
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
		expect_failure(EACCES, places[i]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(environment_gives_keys_and_token),
		TEST(half_an_environment_is_an_error),
		TEST(credentials_that_would_break_a_header_are_refused),
		TEST(credentials_file_goes_before_config_file),
		TEST(aws_profile_chooses_the_section),
		TEST(files_are_where_the_environment_says),
		TEST(profile_given_by_the_caller_goes_before_the_environment),
		TEST(broken_files_are_named_with_their_line_only),
		TEST(process_gives_credentials_until_they_expire),
		TEST(old_credentials_serve_while_renewing_fails_until_they_end),
		TEST(process_failures_are_told_apart),
		TEST(process_gets_no_files_and_no_blocked_signals),
		TEST(process_that_does_not_end_is_killed),
		TEST(process_stops_when_told),
		TEST(what_is_not_supported_is_said_and_not_skipped),
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
