/* The credential chain: environment, files, process, renewal. */
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

static void environment_gives_keys_and_token(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "TOPSECRET", 1);
	creds_fixture_expect("AKIDENV", "TOPSECRET", NULL);
	assert_int_equal(creds_fixture.got->expires_at, 0);
	setenv("AWS_SESSION_TOKEN", "tok", 1);
	creds_fixture_expect("AKIDENV", "TOPSECRET", NULL); /* kept */
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 1);
	creds_fixture_expect("AKIDENV", "TOPSECRET", "tok");
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 0);
}

static void half_an_environment_is_an_error(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	creds_fixture_expect_failure(EACCES,
				     "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
	unsetenv("AWS_ACCESS_KEY_ID");
	setenv("AWS_SECRET_ACCESS_KEY", "TOPSECRET", 1);
	creds_fixture_expect_failure(EACCES,
				     "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not");
}

static void credentials_that_would_break_a_header_are_refused(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "TOPSECRET\r\nX: y", 1);
	creds_fixture_expect_failure(
		EACCES, "the secret access key has a character that no credential has");
	setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
	setenv("AWS_SESSION_TOKEN", "TOPSECRET\nb", 1);
	creds_fixture_expect_failure(EACCES, "the session token has a character");
}

static void credentials_file_goes_before_config_file(void **state)
{
	(void)state;
	aws_env_write("/.aws/config", "[default]\naws_access_key_id = AKIDCONFIG\n"
				      "aws_secret_access_key = s2\nregion = eu-west-1\n");
	creds_fixture_expect("AKIDCONFIG", "s2", NULL);
	aws_env_write("/.aws/credentials", "[default]\naws_access_key_id = AKIDFILE\n"
					   "aws_secret_access_key=s1\naws_session_token = t1\n");
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 1);
	creds_fixture_expect("AKIDFILE", "s1", "t1");
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 1);
	creds_fixture_expect("AKIDENV", "e", NULL);
}

static void aws_profile_chooses_the_section(void **state)
{
	(void)state;
	aws_env_write("/.aws/credentials", "[default]\naws_access_key_id = D\n"
					   "aws_secret_access_key = d\n"
					   "[other]\naws_access_key_id = O\n"
					   "aws_secret_access_key = o\n");
	creds_fixture_expect("D", "d", NULL);
	setenv("AWS_PROFILE", "other", 1);
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 1);
	creds_fixture_expect("O", "o", NULL);
	setenv("AWS_PROFILE", "absent", 1);
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 -EINVAL);
	assert_non_null(strstr(creds_fixture.err.msg, "AWS profile 'absent' is neither in '"));
}

static void files_are_where_the_environment_says(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s",
		 aws_env_write("/.aws/mine", "[default]\naws_access_key_id = M\n"
					     "aws_secret_access_key = m\n"));
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	creds_fixture_expect("M", "m", NULL);
	snprintf(path, sizeof(path), "%s",
		 aws_env_write("/.aws/config2", "[profile p]\naws_access_key_id = P\n"
						"aws_secret_access_key = p\n"));
	setenv("AWS_CONFIG_FILE", path, 1);
	setenv("AWS_PROFILE", "p", 1);
	assert_int_equal(creds_renew(creds_fixture.creds, CREDS_FIXTURE_NOW, &creds_fixture.err),
			 1);
	creds_fixture_expect("P", "p", NULL);
}

static void profile_given_by_the_caller_goes_before_the_environment(void **state)
{
	struct creds *other;

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	aws_env_write("/.aws/credentials",
		      "[x]\naws_access_key_id = X\naws_secret_access_key = x\n");
	assert_int_equal(creds_open("x", creds_fixture.http, &creds_fixture.stop, &other,
				    &creds_fixture.err),
			 0);
	assert_int_equal(
		creds_get(other, CREDS_FIXTURE_NOW, &creds_fixture.got, &creds_fixture.err), 0);
	assert_string_equal(creds_fixture.got->access_key_id, "X");
	creds_close(other);
}

static void broken_files_are_named_with_their_line_only(void **state)
{
	(void)state;
	aws_env_write("/.aws/credentials", "[default]\naws_access_key_id = A\nTOPSECRET\n");
	creds_fixture_expect_failure(EINVAL, "/.aws/credentials': line 3 is no section");
	aws_env_write("/.aws/credentials", "[default]\naws_access_key_id = A\n");
	creds_fixture_expect_failure(EACCES, "the secret access key is missing");
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
	creds_fixture_expect("PROC", "ps", "pt");
	assert_int_equal(creds_fixture.got->expires_at, CREDS_FIXTURE_NOW + 3600);
	assert_int_equal(creds_get(creds_fixture.creds, CREDS_FIXTURE_NOW + 3600 - 301,
				   &creds_fixture.got, &creds_fixture.err),
			 0); /* not due yet */
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
	assert_int_equal(creds_get(creds_fixture.creds, CREDS_FIXTURE_NOW + 3600 - 299,
				   &creds_fixture.got, &creds_fixture.err),
			 0); /* due */
	assert_string_equal(creds_fixture.got->access_key_id, "PROC2");
	assert_null(creds_fixture.got->token);
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
	creds_fixture_expect("PROC", "ps", NULL);
	aws_env_write("/.aws/out.json", "TOPSECRET");
	assert_int_equal(creds_get(creds_fixture.creds, CREDS_FIXTURE_NOW + 3500,
				   &creds_fixture.got, &creds_fixture.err),
			 0);
	assert_string_equal(creds_fixture.got->access_key_id, "PROC");
	assert_int_equal(creds_fixture.err.num, 0);
	assert_int_equal(creds_get(creds_fixture.creds, CREDS_FIXTURE_NOW + 3600,
				   &creds_fixture.got, &creds_fixture.err),
			 -EACCES);
	assert_non_null(strstr(creds_fixture.err.msg, "its output is not a JSON object"));
	assert_null(strstr(creds_fixture.err.msg, "TOPSECRET"));
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
		creds_fixture_expect_failure(EACCES, cases[i].words);
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
		 "grep -q 'SigBlk:.0000000000000000' /proc/self/status && echo '{\"Version\":1,"
		 "\"AccessKeyId\":\"OK\",\"SecretAccessKey\":\"s\"}'\n",
		 leak[1]);
	aws_env_write("/.aws/config", config);
	creds_fixture_expect("OK", "s", NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(leak[0]);
	close(leak[1]);
}

static void process_that_does_not_end_is_killed(void **state)
{
	struct aws_profile *profile;
	struct creds_ask ask = {
		.http = creds_fixture.http, .stop = &creds_fixture.stop, .process_limit_ms = 200};
	struct aws_creds c = {0};
	char command[300], pid_path[256];
	long pid = 0;
	FILE *f;

	(void)state;
	assert_int_equal(aws_profile_load(NULL, &profile, &creds_fixture.err), 0);
	ask.profile = profile;
	snprintf(pid_path, sizeof(pid_path), "%s", aws_env_write("/.aws/pid", ""));
	snprintf(command, sizeof(command), "sleep 1000 & echo $! > '%s'; wait", pid_path);
	assert_int_equal(creds_from_process(&ask, command, &c, &creds_fixture.err), -ETIMEDOUT);
	assert_non_null(strstr(creds_fixture.err.msg, "did not end within"));
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
	stop_raise(&creds_fixture.stop);
	creds_fixture_expect_failure(ECANCELED, "canceled");
}

static void what_is_not_supported_is_said_and_not_skipped(void **state)
{
	(void)state;
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", fake_http_url(creds_fixture.server), 1);
	aws_env_write("/.aws/config", "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\n"
				      "source_profile = b\n");
	creds_fixture_expect_failure(EACCES, "has role_arn: assuming a role is not supported yet");
	aws_env_write("/.aws/config", "[default]\nsso_session = s\n");
	creds_fixture_expect_failure(
		EACCES, "has sso_session: IAM Identity Center (SSO) is not supported yet");
	aws_env_write("/.aws/config", "");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/x", 1);
	creds_fixture_expect_failure(EACCES, "web identity is not supported yet");
	assert_int_equal(fake_http_count(creds_fixture.server), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, creds_fixture_set_up, creds_fixture_tear_down)

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
