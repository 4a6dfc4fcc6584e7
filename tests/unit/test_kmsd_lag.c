/* Propagation: what counts for a while after a change, and the grant tokens that bridge it. */
#include "kmsd_rig.h"

#include "lag.h"

#define DELAY_MS 5000

static int64_t clock_ms;

static int64_t test_clock(void)
{
	return clock_ms;
}

struct scene {
	struct rig *f;
	char arn[KEYREF_ARN_MAX], blob[2048], context[64];
};

static void open_scene(struct scene *s, struct rig *f)
{
	struct err err;

	clock_ms = 1000;
	s->f = f;
	rig_key(f, s->arn);
	rig_encrypt(f, s->arn, "{}", s->blob);
	assert_int_equal(lag_new(test_clock, &f->kmsd.lag, &err), 0);
	lag_set_delay(f->kmsd.lag, DELAY_MS);
	keyring_set_lag(f->kmsd.ring, f->kmsd.lag);
}

static void close_scene(struct scene *s)
{
	keyring_set_lag(s->f->kmsd.ring, NULL);
	lag_free(s->f->kmsd.lag);
	s->f->kmsd.lag = NULL;
}

static void works(struct scene *s)
{
	rig_do(s->f, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", s->blob);
	rig_do(s->f, "GenerateDataKey", "{\"KeyId\":\"%s\",\"NumberOfBytes\":32}", s->arn);
}

static void fails(struct scene *s, const char *with)
{
	rig_refused(s->f, s->f->root, with, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", s->blob);
	rig_refused(s->f, s->f->root, with, "GenerateDataKey",
		    "{\"KeyId\":\"%s\",\"NumberOfBytes\":32}", s->arn);
}

static void change(struct scene *s, const char *operation)
{
	rig_do(s->f, operation, "{\"KeyId\":\"%s\"}", s->arn);
}

static void shows(struct scene *s, const char *state)
{
	struct kms_json *v =
		rig_call(s->f, s->f->root, "DescribeKey", "{\"KeyId\":\"%s\"}", s->arn);

	assert_string_equal(rig_text(kms_json_get(v, "KeyMetadata"), "KeyState"), state);
	kms_json_free(v);
}

static void key_states_count_later_and_show_at_once(void **state)
{
	struct scene s;

	open_scene(&s, *state);
	change(&s, "DisableKey");
	shows(&s, "Disabled");
	works(&s);
	clock_ms += DELAY_MS - 1;
	works(&s);
	clock_ms += 1;
	fails(&s, "DisabledException");
	change(&s, "EnableKey");
	shows(&s, "Enabled");
	fails(&s, "DisabledException");
	clock_ms += DELAY_MS;
	works(&s);
	assert_int_equal(lag_under_way(s.f->kmsd.lag), 0);
	change(&s, "ScheduleKeyDeletion");
	works(&s);
	change(&s, "CancelKeyDeletion"); /* what manages a key goes by the present */
	clock_ms += DELAY_MS;
	fails(&s, "DisabledException");
	close_scene(&s);
}

static void changes_count_in_their_order(void **state)
{
	struct scene s;

	open_scene(&s, *state);
	change(&s, "DisableKey");
	clock_ms += 1000;
	change(&s, "EnableKey");
	works(&s);
	clock_ms += DELAY_MS - 1000;
	fails(&s, "DisabledException");
	clock_ms += 1000;
	works(&s);
	close_scene(&s);
}

static void no_delay_means_at_once(void **state)
{
	struct scene s;

	open_scene(&s, *state);
	change(&s, "DisableKey");
	works(&s);
	assert_int_equal(lag_under_way(s.f->kmsd.lag), 1);
	lag_set_delay(s.f->kmsd.lag, 0);
	fails(&s, "DisabledException");
	change(&s, "EnableKey");
	works(&s);
	assert_int_equal(lag_under_way(s.f->kmsd.lag), 0);
	close_scene(&s);
}

static void key_policies_count_later(void **state)
{
	static const char policy[] = "{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{"
				     "\\\"Effect\\\":\\\"Allow\\\","
				     "\\\"Principal\\\":\\\"*\\\",\\\"Action\\\":\\\"kms:*\\\","
				     "\\\"Resource\\\":\\\"*\\\"}%s]}";
	static const char deny[] =
		",{\\\"Effect\\\":\\\"Deny\\\",\\\"Principal\\\":\\\"*\\\",\\\"Action\\\":"
		"\\\"kms:Decrypt\\\",\\\"Resource\\\":\\\"*\\\"}";
	struct scene s;
	char text[1024];

	open_scene(&s, *state);
	snprintf(text, sizeof(text), policy, deny);
	rig_do(s.f, "PutKeyPolicy", "{\"KeyId\":\"%s\",\"Policy\":\"%s\"}", s.arn, text);
	works(&s);
	clock_ms += DELAY_MS;
	rig_refused(s.f, s.f->root, "AccessDeniedException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\"}", s.blob);
	snprintf(text, sizeof(text), policy, "");
	rig_do(s.f, "PutKeyPolicy", "{\"KeyId\":\"%s\",\"Policy\":\"%s\"}", s.arn, text);
	rig_refused(s.f, s.f->root, "AccessDeniedException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\"}", s.blob);
	clock_ms += DELAY_MS;
	works(&s);
	close_scene(&s);
}

static unsigned describe_as_other(struct scene *s, const char *token)
{
	char body[8192];
	struct kms_json *v;
	unsigned status;

	snprintf(body, sizeof(body), "{\"KeyId\":\"%s\",\"GrantTokens\":[%s%s%s]}", s->arn,
		 token ? "\"" : "", token ? token : "", token ? "\"" : "");
	status = rig_send(s->f, s->f->other, "DescribeKey", body, &v);
	kms_json_free(v);
	return status;
}

static void tokens_bridge_what_grants_take(void **state)
{
	struct scene s;
	char id[GRANT_ID_LEN + 1], token[4096], other_token[4096];

	open_scene(&s, *state);
	rig_grant(s.f, s.arn, "\"DescribeKey\"", "", id, token);
	rig_grant(s.f, s.arn, "\"Decrypt\"", "", NULL, other_token);
	assert_int_equal(describe_as_other(&s, NULL), 400);
	assert_int_equal(describe_as_other(&s, other_token), 400);
	assert_int_equal(describe_as_other(&s, token), 200);
	clock_ms += DELAY_MS;
	assert_int_equal(describe_as_other(&s, NULL), 200);
	rig_do(s.f, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", s.arn, id);
	rig_refused(s.f, s.f->root, "NotFoundException", "RevokeGrant",
		    "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", s.arn, id);
	assert_int_equal(describe_as_other(&s, NULL), 200);
	assert_int_equal(describe_as_other(&s, token), 200);
	clock_ms += DELAY_MS;
	assert_int_equal(describe_as_other(&s, NULL), 400);
	assert_int_equal(describe_as_other(&s, token), 400);
	rig_grant(s.f, s.arn, "\"DescribeKey\"", "", id, token);
	rig_do(s.f, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", s.arn, id);
	assert_int_equal(describe_as_other(&s, NULL), 400); /* it never spread */
	assert_int_equal(describe_as_other(&s, token), 200);
	clock_ms += DELAY_MS;
	assert_int_equal(describe_as_other(&s, token), 400);
	close_scene(&s);
}

static void what_is_under_way_stays_bounded(void **state)
{
	struct lag *lag;
	struct err err;
	char id[32];

	(void)state;
	clock_ms = 0;
	assert_int_equal(lag_new(test_clock, &lag, &err), 0);
	lag_set_delay(lag, DELAY_MS);
	for (unsigned i = 0; i < LAG_MAX + 10; i++) {
		snprintf(id, sizeof(id), "%u", i);
		lag_grant_made(lag, id);
	}
	assert_int_equal(lag_under_way(lag), LAG_MAX);
	assert_true(lag_grant_counts(lag, "9"));
	assert_false(lag_grant_counts(lag, "10"));
	clock_ms += DELAY_MS;
	assert_int_equal(lag_under_way(lag), 0);
	assert_true(lag_grant_counts(lag, "10"));
	lag_free(lag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(key_states_count_later_and_show_at_once, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(changes_count_in_their_order, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(no_delay_means_at_once, rig_set_up, rig_tear_down),
		cmocka_unit_test_setup_teardown(key_policies_count_later, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(tokens_bridge_what_grants_take, rig_set_up,
						rig_tear_down),
		cmocka_unit_test(what_is_under_way_stays_bounded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
