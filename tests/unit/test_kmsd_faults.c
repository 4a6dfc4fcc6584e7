/* Throttling at AWS's quotas, faults that were asked for, and control, which asks for them. */
#include "kmsd_rig.h"

#include <errno.h>

#include "control.h"
#include "inject.h"
#include "throttle.h"

#define ACCOUNT "111122223333"
#define REGION	"us-east-1"

static unsigned taken(struct throttle *t, const char *operation, unsigned tries, int64_t now_ms)
{
	unsigned n = 0;

	while (tries-- > 0)
		n += throttle_take(t, ACCOUNT, REGION, operation, now_ms);
	return n;
}

static void quotas_are_those_of_aws(void **state)
{
	static const struct {
		const char *operation, *region;
		double rate;
	} t[] = {
		{"Decrypt", "us-east-1", 100000},   {"GenerateDataKey", "us-east-2", 20000},
		{"Encrypt", "sa-east-1", 10000},    {"CreateGrant", "us-east-1", 50},
		{"DescribeKey", "us-east-1", 2000}, {"CreateKey", "us-east-1", 5},
		{"PutKeyPolicy", "us-east-1", 15},  {"CreateUser", "us-east-1", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (throttle_quota(t[i].operation, t[i].region) != t[i].rate)
			fail_msg("%s in %s", t[i].operation, t[i].region);
}

static void a_bucket_holds_a_second_and_fills_evenly(void **state)
{
	struct throttle *t;
	struct err err;

	(void)state;
	assert_int_equal(taken(NULL, "CreateKey", 9, 0), 9);
	assert_int_equal(throttle_new(&t, &err), 0);
	assert_int_equal(taken(t, "CreateKey", 9, 1000), 9); /* off */
	throttle_set(t, 1);
	assert_int_equal(taken(t, "CreateKey", 9, 1000), 5);
	assert_int_equal(throttle_refused(t), 4);
	assert_int_equal(taken(t, "CreateAlias", 9, 1000), 5); /* a quota of its own */
	assert_int_equal(taken(t, "CreateKey", 9, 1199), 0);
	assert_int_equal(taken(t, "CreateKey", 9, 1200), 1);
	assert_int_equal(taken(t, "CreateKey", 9, 1600), 2);
	assert_int_equal(taken(t, "CreateKey", 9, 99000), 5);
	assert_int_equal(taken(t, "CreateUser", 9, 99000), 9); /* none */
	assert_true(throttle_take(t, "123456789012", REGION, "CreateKey", 99000));
	assert_true(throttle_take(t, ACCOUNT, "eu-west-1", "CreateKey", 99000));
	throttle_set(t, 0.0001); /* shared: 10 a second */
	assert_int_equal(taken(t, "Decrypt", 6, 1000), 6);
	assert_int_equal(taken(t, "GenerateDataKey", 6, 1000), 4);
	assert_int_equal(taken(t, "Encrypt", 6, 1000), 0);
	throttle_set(t, 0.000001); /* less than one a second: one at a time */
	assert_int_equal(taken(t, "Decrypt", 6, 1000), 1);
	assert_int_equal(taken(t, "Decrypt", 6, 10999), 0);
	assert_int_equal(taken(t, "Decrypt", 6, 11000), 1);
	throttle_free(t);
}

static void buckets_of_many_accounts_stay_bounded(void **state)
{
	struct throttle *t;
	struct err err;
	char account[16];
	unsigned n = 0;

	(void)state;
	assert_int_equal(throttle_new(&t, &err), 0);
	throttle_set(t, 1);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(account, sizeof(account), "%012u", i);
		n += throttle_take(t, account, REGION, "CreateKey", 1000);
	}
	assert_int_equal(n, 255 + 5); /* those beyond share one */
	throttle_free(t);
}

static unsigned hits(struct inject *in, const char *operation, const char *key_id, unsigned tries,
		     int64_t now_ms)
{
	unsigned n = 0;

	while (tries-- > 0) {
		struct inject_effect e = {0};

		inject_meet(in, operation, key_id, now_ms, &e);
		n += e.fails || e.cut || e.delay_ms;
	}
	return n;
}

static void rules_meet_what_they_name(void **state)
{
	struct inject_rule rule = {.kind = INJECT_ERROR, .percent = 100, .fault = FAULT_TAG};
	struct inject_rule list[INJECT_RULES_MAX];
	struct inject_effect e = {0};
	struct inject *in;
	struct err err;
	unsigned id;

	(void)state;
	assert_int_equal(hits(NULL, "Decrypt", NULL, 3, 0), 0);
	assert_int_equal(inject_new(7, &in, &err), 0);
	assert_int_equal(hits(in, "Decrypt", NULL, 3, 0), 0);
	strcpy(rule.operation, "Decrypt");
	rule.count = 2;
	assert_int_equal(inject_add(in, &rule, 0, &id, &err), 0);
	assert_int_equal(id, 1);
	assert_int_equal(hits(in, "Encrypt", NULL, 3, 0), 0);
	assert_int_equal(hits(in, "Decrypt", "k", 3, 0), 0);
	assert_int_equal(hits(in, "Decrypt", NULL, 3, 0), 2); /* then it is gone */
	assert_int_equal(inject_list(in, 0, list), 0);
	rule = (struct inject_rule){.kind = INJECT_DROP, .percent = 100, .until_ms = 100};
	strcpy(rule.key_id, "k");
	assert_int_equal(inject_add(in, &rule, 0, &id, &err), 0);
	assert_int_equal(hits(in, "Decrypt", NULL, 3, 0), 0);
	assert_int_equal(hits(in, "Decrypt", "l", 3, 0), 0);
	assert_int_equal(hits(in, "Decrypt", "k", 3, 99), 3);
	assert_int_equal(inject_list(in, 99, list), 1);
	assert_int_equal(list[0].hits, 3);
	assert_int_equal(hits(in, "Decrypt", "k", 3, 100), 0);
	rule = (struct inject_rule){.kind = INJECT_LATENCY, .percent = 100, .delay_ms = 30};
	assert_int_equal(inject_add(in, &rule, 0, &id, &err), 0);
	assert_int_equal(inject_add(in, &rule, 0, &id, &err), 0);
	rule = (struct inject_rule){.kind = INJECT_THROTTLE, .percent = 100};
	assert_int_equal(inject_add(in, &rule, 0, &id, &err), 0);
	rule.kind = INJECT_ERROR;
	assert_int_equal(inject_add(in, &rule, 0, &id, &err), 0);
	inject_meet(in, "ListKeys", NULL, 0, &e);
	assert_int_equal(e.delay_ms, 60);		   /* they add up */
	assert_true(e.fails && e.kind == INJECT_THROTTLE); /* the oldest */
	assert_int_equal(inject_remove(in, id, &err), 0);
	assert_int_equal(inject_remove(in, id, &err), -ENOENT);
	assert_int_equal(inject_remove(in, 0, &err), 0);
	assert_int_equal(hits(in, "Decrypt", NULL, 3, 0), 0);
	inject_free(in);
}

static void a_percentage_is_met_about(void **state)
{
	struct inject_rule rule = {.kind = INJECT_ERROR, .percent = 20};
	struct inject *in;
	struct err err;
	unsigned id, n;

	(void)state;
	assert_int_equal(inject_new(7, &in, &err), 0);
	assert_int_equal(inject_add(in, &rule, 0, &id, &err), 0);
	n = hits(in, "Decrypt", NULL, 10000, 0);
	assert_in_range(n, 1800, 2200);
	for (unsigned i = 1; i < INJECT_RULES_MAX; i++)
		assert_int_equal(inject_add(in, &rule, 0, &id, &err), 0);
	assert_int_equal(inject_add(in, &rule, 0, &id, &err), -ENOSPC);
	assert_string_equal(err.msg, "there are 64 faults already; clear some");
	inject_free(in);
}

/* --- through the request flow --- */

struct scene {
	struct rig *f;
	struct control *control;
	unsigned ticks;
	char arn[KEYREF_ARN_MAX];
};

static int count_tick(void *arg, struct err *err)
{
	(void)err;
	((struct scene *)arg)->ticks++;
	return 0;
}

static void open_scene(struct scene *s, struct rig *f)
{
	struct err err;

	*s = (struct scene){.f = f};
	assert_int_equal(throttle_new(&f->kmsd.throttle, &err), 0);
	assert_int_equal(inject_new(1, &f->kmsd.inject, &err), 0);
	assert_int_equal(control_new(&f->kmsd, count_tick, s, &s->control, &err), 0);
	rig_key(f, s->arn);
}

static void close_scene(struct scene *s)
{
	control_free(s->control);
	inject_free(s->f->kmsd.inject);
	throttle_free(s->f->kmsd.throttle);
	s->f->kmsd.inject = NULL;
	s->f->kmsd.throttle = NULL;
}

/* What control says: "" for yes. */
static const char *ask(struct scene *s, const char *request)
{
	static char said[ERR_MSG_MAX];
	struct kms_json *v;
	struct err err = {0};

	assert_int_equal(kms_json_parse(request, strlen(request), &v, &err), 0);
	said[0] = '\0';
	if (control_apply(s->control, v, &err) < 0)
		strcpy(said, err.msg);
	kms_json_free(v);
	return said;
}

static unsigned describe(struct scene *s, char ret_type[64])
{
	char body[512];
	struct kms_json *v;
	unsigned status;

	snprintf(body, sizeof(body), "{\"KeyId\":\"%s\"}", s->arn);
	status = rig_send(s->f, s->f->root, "DescribeKey", body, &v);
	snprintf(ret_type, 64, "%s", v && kms_json_get(v, "__type") ? rig_text(v, "__type") : "");
	kms_json_free(v);
	return status;
}

static void throttled_requests_are_told_in_awss_words(void **state)
{
	struct scene s;

	open_scene(&s, *state);
	assert_string_equal(ask(&s, "{\"throttle\":{\"mode\":\"quotas\",\"factor\":0.2}}"), "");
	rig_do(s.f, "CreateKey", "{}");
	rig_refused(s.f, s.f->root,
		    "ThrottlingException: You have exceeded the rate at which you may call KMS. "
		    "Reduce the frequency of your calls.",
		    "CreateKey", "{}");
	rig_do(s.f, "DescribeKey", "{\"KeyId\":\"%s\"}", s.arn);
	assert_string_equal(ask(&s, "{\"throttle\":{\"mode\":\"off\"}}"), "");
	rig_do(s.f, "CreateKey", "{}");
	close_scene(&s);
}

static void exceptions_come_with_their_status(void **state)
{
	static const struct {
		const char *name;
		unsigned status;
	} t[] = {
		{"KMSInternalException", 500},	  {"DependencyTimeoutException", 503},
		{"KeyUnavailableException", 500}, {"ServiceUnavailable", 503},
		{"InternalFailure", 500},	  {"DisabledException", 400},
	};
	char request[1024], type[64];
	struct scene s;

	open_scene(&s, *state);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(request, sizeof(request),
			 "{\"fault\":{\"add\":{\"kind\":\"error\",\"count\":1,"
			 "\"exception\":\"%s\"}}}",
			 t[i].name);
		assert_string_equal(ask(&s, request), "");
		assert_int_equal(describe(&s, type), t[i].status);
		assert_string_equal(type, t[i].name);
		assert_int_equal(describe(&s, type), 200);
	}
	snprintf(request, sizeof(request),
		 "{\"fault\":{\"add\":{\"kind\":\"error\",\"exception\":\"TagException\","
		 "\"message\":\"mine\",\"key\":\"%s\"}}}",
		 s.arn);
	assert_string_equal(ask(&s, request), "");
	rig_do(s.f, "ListKeys", "{}");
	rig_refused(s.f, s.f->root, "TagException: mine", "Encrypt",
		    "{\"KeyId\":\"%s\",\"Plaintext\":\"AA==\"}", s.arn);
	close_scene(&s);
}

static void what_is_no_request_is_told(void **state)
{
	static const struct {
		const char *request, *said;
	} t[] = {
		{"{}", ""},
		{"{\"clok\":{}}", "the request has no member 'clok'"},
		{"{\"clock\":7}", "clock: it is no object"},
		{"{\"throttle\":{}}", "throttle: no mode or factor"},
		{"{\"throttle\":{\"mode\":[]}}", "throttle: mode: neither a text nor a number"},
		{"{\"throttle\":{\"mode\":\"off\",\"factor\":2}}", "throttle: off has no factor"},
		{"{\"throttle\":{\"factor\":0}}",
		 "throttle: '0' is not a number from 1e-06 to 1e+06"},
		{"{\"fault\":{\"add\":{}}}", "fault: its kind is missing"},
		{"{\"fault\":{\"add\":[]}}", "fault: add is no object"},
		{"{\"fault\":{\"add\":{\"kind\":\"drop\",\"count\":1.5}}}",
		 "fault: count: '1.5' is not whole"},
		{"{\"fault\":{\"add\":{\"kind\":\"drop\",\"delay\":\"1s\"}}}",
		 "fault: delay is for kind latency"},
		{"{\"fault\":{\"add\":{\"kind\":\"drop\",\"message\":\"x\"}}}",
		 "fault: exception and message are for kind error"},
		{"{\"fault\":{\"add\":{\"kind\":\"drop\",\"key\":\"alias/none\"}}}",
		 "fault: key: there is no alias 'alias/none'"},
		{"{\"fault\":{\"add\":{\"kind\":\"drop\",\"key\":\"x\"}}}",
		 "fault: key: 'x' is no key id, key ARN or alias name"},
		{"{\"fault\":{\"clear\":\"1\"}}", "fault: there is no fault 1"},
	};
	struct scene s;

	open_scene(&s, *state);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_string_equal(ask(&s, t[i].request), t[i].said);
	close_scene(&s);
}

static void an_option_is_a_request(void **state)
{
	struct kms_json *v;
	struct err err;
	char *text;

	(void)state;
	assert_int_equal(control_option("fault", "kind=error,percent=5", &v, &err), 0);
	text = kms_json_text(v);
	assert_string_equal(text, "{\"fault\":{\"add\":{\"kind\":\"error\",\"percent\":\"5\"}}}");
	free(text);
	kms_json_free(v);
	assert_int_equal(control_option("throttle", "quotas", &v, &err), 0);
	text = kms_json_text(v);
	assert_string_equal(text, "{\"throttle\":{\"mode\":\"quotas\"}}");
	free(text);
	kms_json_free(v);
	assert_int_equal(control_option("fault", "kind", &v, &err), -EINVAL);
	assert_int_equal(control_option("fault", "=x", &v, &err), -EINVAL);
	assert_int_equal(control_option("foo", "kind", &v, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotas_are_those_of_aws),
		cmocka_unit_test(a_bucket_holds_a_second_and_fills_evenly),
		cmocka_unit_test(buckets_of_many_accounts_stay_bounded),
		cmocka_unit_test(rules_meet_what_they_name),
		cmocka_unit_test(a_percentage_is_met_about),
		cmocka_unit_test(an_option_is_a_request),
		cmocka_unit_test_setup_teardown(throttled_requests_are_told_in_awss_words,
						rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(exceptions_come_with_their_status, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_request_is_told, rig_set_up,
						rig_tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
