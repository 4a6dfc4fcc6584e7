/* Speaking for services: whom a client asks whether it may, what it believes, and what its calls then say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "check_sigv4.h"
#include "err.h"
#include "fake_http.h"
#include "kms.h"
#include "kms_fixture.h"
#include "kms_service.h"
#include "secret.h"
#include "service_proof.h"

#define SECRET "00112233445566778899aabbccddeeff00112233"

static char dir[64], path[128];

static void write_file(const char *name, mode_t mode, const char *id)
{
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f,
		"[" SERVICE_PROFILE "]\naws_access_key_id = %s\naws_secret_access_key = " SECRET
		"\n",
		id);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state)
{
	strcpy(dir, "/tmp/test_kms_service.XXXXXX");
	return mkdtemp(dir) && kms_fixture_set_up(state) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	unlink(path);
	rmdir(dir);
	return kms_fixture_tear_down(state);
}

static void reply_with_file(void)
{
	static char body[256]; /* the server keeps it */

	snprintf(body, sizeof(body),
		 "{\"kmsd\":\"1\",\"account\":\"111122223333\",\"credentials\":\"%s\"}", path);
	kms_fixture_reply(200, body);
}

static int can_serve(void)
{
	struct err err = {0};

	return kms_can_serve(kms_fixture_kms, KMS_FIXTURE_ARN, &err);
}

static bool has_ours(unsigned n)
{
	struct fake_request q = fake_http_request(kms_fixture_server, n);

	return strcasestr(q.head, "x-kmsd-") != NULL;
}

static void only_this_machine_is_asked(void **state)
{
	static const struct {
		const char *url;
		bool here;
	} cases[] = {
		{"http://127.0.0.1:8080", true},
		{"http://localhost:1", true},
		{"https://[::1]:443", true},
		{"https://kms.us-east-1.amazonaws.com", false},
		{"https://localhost.example.com", false},
		{"http://192.0.2.127", false},
		{"https://128.0.0.1", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(kms_service_is_here(cases[i].url), cases[i].here);
}

static void who_is_no_kmsd_is_asked_once_and_plainly(void **state)
{
	static const struct {
		int status;
		const char *body;
	} answers[] = {
		{404, "{\"__type\":\"UnknownOperationException\"}"},
		{403, "<html>no</html>"},
		{400, "{\"__type\":\"UnrecognizedClientException\",\"message\":\"no\"}"},
		{200, "hello"},
		{200, "{}"},
		{200, "{\"account\":\"111122223333\"}"},
		{200, "{\"account\":\"1\",\"credentials\":\"/etc/passwd\"}"},
		{200, "{\"account\":\"111122223333\",\"credentials\":\"/etc/passwd\"}"},
		{200, "{\"account\":\"111122223333\",\"credentials\":\"service-credentials\"}"},
	};
	const struct kms_actor actor = {.service = "ec2", .own = true};
	struct secret *plain = NULL;
	struct err err = {0};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		kms_fixture_tear_down(state);
		kms_fixture_set_up(state);
		kms_fixture_reply(answers[i].status, answers[i].body);
		kms_fixture_reply(200, KMS_FIXTURE_GOOD);
		assert_int_equal(can_serve(), 0);
		assert_int_equal(can_serve(), 0);
		kms_act_as(kms_fixture_kms, &actor);
		assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
		secret_free(plain);
		assert_int_equal(fake_http_count(kms_fixture_server), 2);
		assert_false(has_ours(0));
		assert_false(has_ours(1));
	}
}

static void a_file_that_others_may_read_is_not_believed(void **state)
{
	static const struct {
		const char *name, *id;
		mode_t mode;
		int can;
	} cases[] = {
		{SERVICE_FILE, SERVICE_ACCESS_KEY, 0600, 1},
		{SERVICE_FILE, SERVICE_ACCESS_KEY, 0644, 0},
		{SERVICE_FILE, SERVICE_ACCESS_KEY, 0620, 0},
		{SERVICE_FILE, "AKIDEXAMPLE", 0600, 0},
		{"credentials", SERVICE_ACCESS_KEY, 0600, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kms_fixture_tear_down(state);
		kms_fixture_set_up(state);
		write_file(cases[i].name, cases[i].mode, cases[i].id);
		reply_with_file();
		assert_int_equal(can_serve(), cases[i].can);
		unlink(path);
	}
}

static void an_outage_is_not_taken_for_an_answer(void **state)
{
	(void)state;
	write_file(SERVICE_FILE, 0600, SERVICE_ACCESS_KEY);
	for (int i = 0; i < 3; i++)
		kms_fixture_reply(503, "");
	reply_with_file();
	assert_int_equal(can_serve(), -ETIMEDOUT);
	assert_int_equal(fake_http_count(kms_fixture_server), 3);
	assert_int_equal(can_serve(), 1);
	assert_string_equal(kms_account(kms_fixture_kms), "111122223333");
}

static void who_wants_plain_calls_asks_nobody(void **state)
{
	struct kms_config config = {.endpoint = fake_http_url(kms_fixture_server), .plain = true};
	struct err err = {0};

	(void)state;
	kms_close(kms_fixture_kms);
	assert_int_equal(kms_open(&config, &kms_fixture_kms, &err), 0);
	assert_int_equal(can_serve(), 0);
	assert_int_equal(fake_http_count(kms_fixture_server), 0);
}

static void a_call_for_the_caller_carries_a_proof(void **state)
{
	const struct kms_actor actor = {.service = "ec2"};
	char proof[128], date[SIGV4_DATE_LEN + 1] = "", day[9] = "", hex[SIGV4_HEX_LEN + 1],
					       value[512];
	const struct sigv4_scope scope = {day, "eu-central-1", SERVICE_PROOF_SCOPE};
	struct service_proof want = {date, "AKIDEXAMPLE", "ec2", "TrentService.Decrypt", NULL, 0};
	uint8_t key[SIGV4_KEY_LEN];
	struct secret *plain = NULL;
	struct fake_request q;
	struct err err = {0};
	const char *wrong;

	(void)state;
	write_file(SERVICE_FILE, 0600, SERVICE_ACCESS_KEY);
	reply_with_file();
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(can_serve(), 1);
	kms_act_as(kms_fixture_kms, &actor);
	assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
	secret_free(plain);
	q = fake_http_request(kms_fixture_server, 1);
	assert_true(fake_http_header(q.head, SERVICE_HEADER, value, sizeof(value)));
	assert_string_equal(value, "ec2");
	assert_true(fake_http_header(q.head, SERVICE_PROOF_HEADER, proof, sizeof(proof)));
	memcpy(date, proof, SIGV4_DATE_LEN);
	memcpy(day, proof, SIGV4_DAY_LEN);
	want.body = q.body;
	want.body_len = q.body_len;
	assert_int_equal(sigv4_signing_key(SECRET, &scope, key, &err), 0);
	assert_int_equal(service_proof(&want, key, hex, &err), 0);
	assert_string_equal(proof + SIGV4_DATE_LEN + 1, hex);
	wrong = check_sigv4(q.head, q.body, q.body_len, KMS_FIXTURE_SECRET);
	if (wrong)
		fail_msg("%s", wrong);
	assert_true(fake_http_header(q.head, "Authorization", value, sizeof(value)));
	assert_non_null(strstr(value, ";x-kmsd-proof;x-kmsd-service"));
	assert_null(strstr(q.head, SECRET)); /* the secret itself is never sent */
}

static void a_services_own_call_is_signed_by_the_service(void **state)
{
	const struct kms_actor actor = {.service = "ec2",
					.own = true,
					.instance = "i-0123456789abcdef0",
					.grant_token = "AQpAM2Rh"};
	char value[512];
	struct secret *plain = NULL;
	struct fake_request q;
	struct err err = {0};
	const char *wrong;

	(void)state;
	write_file(SERVICE_FILE, 0600, SERVICE_ACCESS_KEY);
	reply_with_file();
	kms_fixture_reply(200, KMS_FIXTURE_GOOD);
	assert_int_equal(can_serve(), 1);
	kms_act_as(kms_fixture_kms, &actor);
	unsetenv("AWS_ACCESS_KEY_ID"); /* the user is not asked any more */
	assert_int_equal(kms_fixture_decrypt(&plain, &err), 0);
	secret_free(plain);
	q = fake_http_request(kms_fixture_server, 1);
	assert_non_null(strstr(q.body, "\"GrantTokens\":[\"AQpAM2Rh\"]"));
	assert_true(fake_http_header(q.head, SERVICE_ACCOUNT_HEADER, value, sizeof(value)));
	assert_string_equal(value, "111122223333");
	assert_true(fake_http_header(q.head, SERVICE_INSTANCE_HEADER, value, sizeof(value)));
	assert_string_equal(value, "i-0123456789abcdef0");
	assert_false(fake_http_header(q.head, SERVICE_PROOF_HEADER, value, sizeof(value)));
	assert_true(fake_http_header(q.head, "Authorization", value, sizeof(value)));
	assert_non_null(strstr(value, "Credential=" SERVICE_ACCESS_KEY "/"));
	wrong = check_sigv4(q.head, q.body, q.body_len, SECRET);
	if (wrong)
		fail_msg("%s", wrong);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_this_machine_is_asked),
		TEST(who_is_no_kmsd_is_asked_once_and_plainly),
		TEST(a_file_that_others_may_read_is_not_believed),
		TEST(an_outage_is_not_taken_for_an_answer),
		TEST(who_wants_plain_calls_asks_nobody),
		TEST(a_call_for_the_caller_carries_a_proof),
		TEST(a_services_own_call_is_signed_by_the_service),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
