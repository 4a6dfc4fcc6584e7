/* The settable clock, what people write to set it, and what it does to keys and their audit trail. */
#include "kmsd_rig.h"

#include <errno.h>

#include "calendar.h"
#include "control_value.h"
#include "key_events.h"

#define HOUR_MS (60 * 60 * INT64_C(1000))

static void durations_are_a_number_and_a_unit(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} t[] = {
		{"0", 0},
		{"250ms", 250},
		{"5s", 5000},
		{"10m", 600000},
		{"2h", 2 * HOUR_MS},
		{"7d", RIG_DAY_MS * 7},
		{"1h30m", HOUR_MS * 3 / 2},
		{"1m1ms", 60001},
		{"5", -1},
		{"", -1},
		{"s", -1},
		{"-5s", -1},
		{"5 s", -1},
		{"5sm", -1},
		{"1s1h", -1},
		{"1s1s", -1},
		{"1.5s", -1},
		{"9999999999999999999d", -1},
		{"107d", -1},
		{"5S", -1},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int64_t ms = -1;
		int r = control_duration(t[i].text, 100 * RIG_DAY_MS, &ms, &err);

		if ((t[i].ms < 0) != (r == -EINVAL) || ms != t[i].ms)
			fail_msg("'%s': %d, %lld", t[i].text, r, (long long)ms);
	}
	assert_int_equal(control_duration("107d", 100 * RIG_DAY_MS, &(int64_t){0}, &err), -EINVAL);
	assert_string_equal(err.msg, "'107d' is more than 100d");
}

static void durations_are_told_as_they_are_written(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} t[] = {
		{0, "0s"},	{250, "250ms"},		{90061001, "1d1h1m1s1ms"},
		{-1000, "-1s"}, {7 * RIG_DAY_MS, "7d"}, {INT64_MIN, "-106751991167d7h12m55s808ms"}};
	char text[CONTROL_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		control_duration_text(t[i].ms, text);
		assert_string_equal(text, t[i].text);
	}
}

static void times_are_moves_or_dates(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} t[] = {
		{"+7d", RIG_NOW_MS + 7 * RIG_DAY_MS},
		{"-2h30m", RIG_NOW_MS - 5 * HOUR_MS / 2},
		{"0", RIG_NOW_MS},
		{"2026-12-01T00:00:00Z", INT64_C(1796083200000)},
		{"2026-12-01", INT64_C(1796083200000)},
		{"1796083200", INT64_C(1796083200000)},
		{"7d", -1},
		{"+7", -1},
		{"tomorrow", -1},
		{"", -1},
		{"2026-13-01", -1},
		{"+9999999999999999d", -1},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int64_t ms = -1;
		int r = control_time(t[i].text, RIG_NOW_MS, &ms, &err);

		if ((t[i].ms < 0) != (r == -EINVAL) || (r == 0 && ms != t[i].ms))
			fail_msg("'%s': %d, %lld", t[i].text, r, (long long)ms);
	}
}

static void the_clock_goes_from_where_it_was_set(void **state)
{
	struct calendar *c;
	struct err err;

	(void)state;
	assert_int_equal(calendar_at(NULL, 5), 5);
	assert_int_equal(calendar_open(-1, &c, &err), 0);
	assert_false(calendar_moved(c));
	assert_int_equal(calendar_at(c, RIG_NOW_MS), RIG_NOW_MS);
	assert_int_equal(calendar_set(c, RIG_NOW_MS, RIG_NOW_MS + HOUR_MS, 1, &err), 0);
	assert_int_equal(calendar_at(c, RIG_NOW_MS + 7), RIG_NOW_MS + HOUR_MS + 7);
	assert_int_equal(calendar_set(c, RIG_NOW_MS, RIG_NOW_MS, 60, &err), 0);
	assert_int_equal(calendar_at(c, RIG_NOW_MS + 1000), RIG_NOW_MS + 60000);
	assert_int_equal(calendar_set(c, RIG_NOW_MS, RIG_NOW_MS - RIG_DAY_MS, 0, &err), 0);
	assert_int_equal(calendar_at(c, RIG_NOW_MS + 1000), RIG_NOW_MS - RIG_DAY_MS);
	assert_int_equal(calendar_set(c, RIG_NOW_MS, RIG_NOW_MS, 1000000, &err), 0);
	assert_int_equal(calendar_at(c, INT64_C(1) << 60), CALENDAR_MAX_MS);
	assert_int_equal(calendar_set(c, 0, CALENDAR_MIN_MS - 1, 1, &err), -EINVAL);
	assert_int_equal(calendar_set(c, 0, CALENDAR_MAX_MS + 1, 1, &err), -EINVAL);
	assert_int_equal(calendar_set(c, 0, RIG_NOW_MS, -1, &err), -EINVAL);
	assert_string_equal(err.msg, "the clock's speed is 0 to 1000000");
	assert_int_equal(calendar_reset(c, &err), 0);
	assert_int_equal(calendar_at(c, RIG_NOW_MS), RIG_NOW_MS);
	calendar_close(c);
}

static void the_clock_outlives_the_server(void **state)
{
	struct rig *f = *state;
	struct calendar *c;
	struct err err;
	int fd;

	assert_int_equal(calendar_open(f->dir_fd, &c, &err), 0);
	assert_int_equal(calendar_set(c, RIG_NOW_MS, RIG_NOW_MS + HOUR_MS, 2.5, &err), 0);
	calendar_close(c);
	assert_int_equal(calendar_open(f->dir_fd, &c, &err), 0);
	assert_true(calendar_moved(c));
	assert_int_equal(calendar_at(c, RIG_NOW_MS + 1000), RIG_NOW_MS + HOUR_MS + 2500);
	assert_int_equal(calendar_reset(c, &err), 0);
	calendar_close(c);
	assert_int_equal(calendar_open(f->dir_fd, &c, &err), 0);
	assert_false(calendar_moved(c));
	calendar_close(c);
	fd = openat(f->dir_fd, "clock", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "{\"real_ms\":1,\"ms\":2}", 20), 20);
	close(fd);
	assert_int_equal(calendar_open(f->dir_fd, &c, &err), -EUCLEAN);
	assert_string_equal(err.msg,
			    "'clock' makes no sense; take it away and the clock is real again");
	assert_int_equal(unlinkat(f->dir_fd, "clock", 0), 0);
}

/* The newest record of that name in the audit trail. */
static struct kms_json *newest(struct rig *f, const char *name)
{
	char path[128], line[16384];
	struct kms_json *found = NULL;
	FILE *trail;

	snprintf(path, sizeof(path), "%s/audit.jsonl", f->dir);
	trail = fopen(path, "r");
	assert_non_null(trail);
	while (fgets(line, sizeof(line), trail)) {
		struct kms_json *v = NULL;

		assert_int_equal(kms_json_parse(line, strlen(line), &v, NULL), 0);
		if (strcmp(rig_text(v, "eventName"), name) == 0) {
			kms_json_free(found);
			found = v;
		} else {
			kms_json_free(v);
		}
	}
	fclose(trail);
	return found;
}

static void is_of_aws(const struct kms_json *rec, const char *arn, const char *when)
{
	const struct kms_json *id = kms_json_get(rec, "userIdentity");

	assert_string_equal(rig_text(rec, "eventType"), "AwsServiceEvent");
	assert_string_equal(rig_text(rec, "eventTime"), when);
	assert_string_equal(rig_text(rec, "sourceIPAddress"), "AWS Internal");
	assert_string_equal(rig_text(id, "invokedBy"), "AWS Internal");
	assert_string_equal(rig_text(id, "accountId"), "111122223333");
	assert_false(kms_json_has(id, "type"));
	assert_false(kms_json_has(rec, "requestID"));
	assert_string_equal(rig_text(kms_json_at(kms_json_get(rec, "resources"), 0), "ARN"), arn);
}

static void rotation_and_deletion_by_the_clock_are_in_the_trail(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];
	struct kms_json *rec, *details, *old;
	struct err err;

	assert_int_equal(calendar_open(-1, &f->kmsd.calendar, &err), 0);
	key_events_watch(f->kmsd.ring, f->kmsd.audit);
	rig_key(f, arn);
	old = rig_call(f, f->root, "DescribeKey", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":90}", arn);
	assert_null(newest(f, "RotateKey"));
	assert_int_equal(
		calendar_set(f->kmsd.calendar, RIG_NOW_MS, RIG_NOW_MS + 90 * RIG_DAY_MS, 1, &err),
		0);
	rig_do(f, "DescribeKey", "{\"KeyId\":\"%s\"}", arn); /* signed for real time */
	rec = newest(f, "RotateKey");
	is_of_aws(rec, arn, "2024-02-12T22:13:20Z");
	details = kms_json_get(rec, "serviceEventDetails");
	assert_string_equal(rig_text(details, "rotationType"), "AUTOMATIC");
	assert_string_equal(rig_text(details, "keyId"), arn + strlen(arn) - 36);
	assert_string_equal(rig_text(details, "previousKeyMaterialId"),
			    rig_text(kms_json_get(old, "KeyMetadata"), "CurrentKeyMaterialId"));
	assert_int_equal(strlen(rig_text(details, "currentKeyMaterialId")), 64);
	kms_json_free(rec);
	kms_json_free(old);
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", arn);
	assert_int_equal(
		calendar_set(f->kmsd.calendar, RIG_NOW_MS, RIG_NOW_MS + 97 * RIG_DAY_MS, 1, &err),
		0);
	rig_refused(f, f->root, "NotFoundException", "DescribeKey", "{\"KeyId\":\"%s\"}", arn);
	rec = newest(f, "DeleteKey");
	is_of_aws(rec, arn, "2024-02-19T22:13:20Z");
	assert_string_equal(rig_text(kms_json_get(rec, "responseElements"), "keyId"), arn);
	kms_json_free(rec);
	assert_int_equal(calendar_reset(f->kmsd.calendar, &err), 0); /* what is gone stays so */
	rig_refused(f, f->root, "NotFoundException", "DescribeKey", "{\"KeyId\":\"%s\"}", arn);
	calendar_close(f->kmsd.calendar);
	f->kmsd.calendar = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_a_number_and_a_unit),
		cmocka_unit_test(durations_are_told_as_they_are_written),
		cmocka_unit_test(times_are_moves_or_dates),
		cmocka_unit_test(the_clock_goes_from_where_it_was_set),
		cmocka_unit_test_setup_teardown(the_clock_outlives_the_server, rig_set_up,
						rig_tear_down),
		cmocka_unit_test_setup_teardown(rotation_and_deletion_by_the_clock_are_in_the_trail,
						rig_set_up, rig_tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
