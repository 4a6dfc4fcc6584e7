/* Profiles: the table is that of the documents, and scaling divides each time and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "profile.h"

#define S 1000ULL
#define M (60 * S)
#define D (24 * 60 * M)

static void profiles_are_those_of_the_manual(void **state)
{
	static const struct {
		const char *name;
		struct keywatch_config c;
	} wanted[] = {
		{"default", {KEYWATCH_HANG, M, 0, 15 * M, false, 0, 7 * D, 1}},
		{"ebs", {KEYWATCH_NONE, M, 0, 15 * M, false, 0, 0, 1}},
		{"aurora", {KEYWATCH_HANG, M, 7 * M, 15 * M, false, 30 * M, 7 * D, 1}},
		{"dynamodb", {KEYWATCH_ERROR, 5 * M, 0, 15 * M, false, 0, 7 * D, 1}},
		{"read-only", {KEYWATCH_READ_ONLY_IO, M, 0, 15 * M, false, 0, 0, 1}},
		{"strict", {KEYWATCH_ERROR, S, 0, 10 * S, false, 0, 7 * D, 1}},
	};
	int i = 0;

	(void)state;
	for (; profile_names[i]; i++) {
		struct keywatch_config c = profile_config(i, 1), w = wanted[i].c;

		assert_in_range(i, 0, sizeof(wanted) / sizeof(*wanted) - 1);
		assert_string_equal(profile_names[i], wanted[i].name);
		assert_int_equal(c.reaction, w.reaction);
		assert_int_equal(c.check_interval_ms, w.check_interval_ms);
		assert_int_equal(c.grace_ms, w.grace_ms);
		assert_int_equal(c.kms_outage_grace_ms, w.kms_outage_grace_ms);
		assert_int_equal(c.recover_manually, w.recover_manually);
		assert_int_equal(c.recover_delay_ms, w.recover_delay_ms);
		assert_int_equal(c.terminal_after_ms, w.terminal_after_ms);
	}
	assert_int_equal(i, sizeof(wanted) / sizeof(*wanted));
	assert_string_equal(profile_names[PROFILE_DEFAULT], "default");
}

static int index_of(const char *name)
{
	for (int i = 0; profile_names[i]; i++)
		if (strcmp(profile_names[i], name) == 0)
			return i;
	fail_msg("no profile %s", name);
	return -1;
}

static void scaling_divides_each_time(void **state)
{
	struct keywatch_config c = profile_config(index_of("aurora"), 60);

	(void)state;
	assert_int_equal(c.check_interval_ms, S);
	assert_int_equal(c.grace_ms, 7 * S);
	assert_int_equal(c.kms_outage_grace_ms, 15 * S);
	assert_int_equal(c.recover_delay_ms, 30 * S);
	assert_int_equal(c.terminal_after_ms, 7 * D / 60);
	assert_int_equal(c.time_scale, 60);
}

static void scaling_makes_no_time_none_and_no_storm_of_checks(void **state)
{
	struct keywatch_config c = profile_config(index_of("aurora"), PROFILE_TIME_SCALE_MAX);

	(void)state;
	assert_int_equal(c.check_interval_ms, PROFILE_CHECK_INTERVAL_MIN_MS);
	assert_int_equal(c.grace_ms, 1);
	assert_int_equal(c.recover_delay_ms, 1);
	assert_int_equal(c.terminal_after_ms, 7 * D / PROFILE_TIME_SCALE_MAX);
	c = profile_config(index_of("ebs"), PROFILE_TIME_SCALE_MAX);
	assert_int_equal(c.grace_ms, 0);
	assert_int_equal(c.terminal_after_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profiles_are_those_of_the_manual),
		cmocka_unit_test(scaling_divides_each_time),
		cmocka_unit_test(scaling_makes_no_time_none_and_no_storm_of_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
