/* The key watch as a table: every state with every event, then long times and each knob. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keywatch.h"

#define MINUTE 60000ULL
#define DAY    (24 * 60 * MINUTE)
#define NOW    (1000 * DAY)

enum {
	AVA = KEYWATCH_AVAILABLE,
	WAR = KEYWATCH_WARNED,
	RO = KEYWATCH_READ_ONLY,
	REC = KEYWATCH_INACCESSIBLE_RECOVERABLE,
	STA = KEYWATCH_STARTING,
	INA = KEYWATCH_INACCESSIBLE,
	OK = KEYWATCH_CHECK_OK,
	REFUSED = KEYWATCH_CHECK_REFUSED,
	UNKNOWN = KEYWATCH_CHECK_TRANSIENT,
	TIMER = KEYWATCH_TIMER,
	OPENED = KEYWATCH_STORE_OPENED,
	FAILED = KEYWATCH_STORE_FAILED,
	START = KEYWATCH_MANUAL_START,
	LOSE = KEYWATCH_DO_LOSE | KEYWATCH_EMIT_LOST,
	BACK = KEYWATCH_DO_RESUME | KEYWATCH_EMIT_REGAINED,
	CHECK = KEYWATCH_DO_CHECK,
};

struct row {
	int state, event; /* before */
	int next;	  /* after */
	unsigned actions;
};

static const struct keywatch_config hang = {
	.reaction = KEYWATCH_HANG,
	.check_interval_ms = MINUTE,
	.grace_ms = 5 * MINUTE,
	.kms_outage_grace_ms = 15 * MINUTE,
	.terminal_after_ms = 7 * DAY,
};

/* In @state since NOW - 1 minute, with a check due at NOW. */
static struct keywatch at(int state)
{
	return (struct keywatch){
		.state = (enum keywatch_state)state,
		.since_ms = NOW - MINUTE,
		.lost_ms = NOW - MINUTE,
		.next_check_ms = NOW,
	};
}

static void check_table(const struct keywatch_config *config, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct keywatch w = at(rows[i].state);
		unsigned actions =
			keywatch_step(config, &w, (enum keywatch_event)rows[i].event, NOW, 0);

		if ((int)w.state != rows[i].next || actions != rows[i].actions)
			fail_msg("%s, event %d: is now %s with actions %#x, wanted %s with %#x",
				 keywatch_state_name((enum keywatch_state)rows[i].state),
				 rows[i].event, keywatch_state_name(w.state), actions,
				 keywatch_state_name((enum keywatch_state)rows[i].next),
				 rows[i].actions);
	}
}

static void every_state_with_every_event(void **state)
{
	static const struct row rows[] = {
		{AVA, OK, AVA, 0},
		{AVA, REFUSED, WAR, KEYWATCH_EMIT_WARNED},
		{AVA, UNKNOWN, AVA, 0},
		{AVA, TIMER, AVA, CHECK},
		{AVA, OPENED, AVA, 0},
		{AVA, FAILED, REC, KEYWATCH_DO_LOSE},
		{AVA, START, AVA, CHECK},
		{WAR, OK, AVA, KEYWATCH_EMIT_REGAINED},
		{WAR, REFUSED, WAR, 0},
		{WAR, UNKNOWN, WAR, 0},
		{WAR, TIMER, WAR, CHECK},
		{WAR, OPENED, WAR, 0},
		{WAR, FAILED, REC, KEYWATCH_DO_LOSE},
		{WAR, START, WAR, CHECK},
		{RO, OK, AVA, BACK},
		{RO, REFUSED, RO, 0},
		{RO, UNKNOWN, RO, 0},
		{RO, TIMER, RO, CHECK},
		{RO, OPENED, RO, 0},
		{RO, FAILED, REC, KEYWATCH_DO_LOSE},
		{RO, START, RO, CHECK},
		{REC, OK, STA, KEYWATCH_DO_OPEN},
		{REC, REFUSED, REC, 0},
		{REC, UNKNOWN, REC, 0},
		{REC, TIMER, REC, CHECK},
		{REC, OPENED, REC, 0},
		{REC, FAILED, REC, 0},
		{REC, START, REC, CHECK},
		{STA, OK, STA, 0},
		{STA, REFUSED, STA, 0},
		{STA, UNKNOWN, STA, 0},
		{STA, TIMER, STA, 0},
		{STA, OPENED, AVA, BACK},
		{STA, FAILED, REC, 0},
		{STA, START, STA, 0},
		{INA, OK, INA, 0},
		{INA, REFUSED, INA, 0},
		{INA, UNKNOWN, INA, 0},
		{INA, TIMER, INA, 0},
		{INA, OPENED, INA, 0},
		{INA, FAILED, INA, 0},
		{INA, START, INA, 0},
	};
	bool seen[KEYWATCH_STATES][KEYWATCH_EVENTS] = {{false}};

	(void)state;
	check_table(&hang, rows, sizeof(rows) / sizeof(rows[0]));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		seen[rows[i].state][rows[i].event] = true;
	for (int s = 0; s < KEYWATCH_STATES; s++)
		for (int e = 0; e < KEYWATCH_EVENTS; e++)
			assert_true(seen[s][e]);
}

static void without_grace_each_reaction_is_immediate(void **state)
{
	static const struct row stop[] = {{AVA, REFUSED, REC, LOSE}};
	static const struct row read_only[] = {{AVA, REFUSED, RO, KEYWATCH_DO_READ_ONLY}};
	struct keywatch_config c = hang;

	(void)state;
	c.grace_ms = 0;
	check_table(&c, stop, 1);
	c.reaction = KEYWATCH_ERROR;
	check_table(&c, stop, 1);
	c.reaction = KEYWATCH_READ_ONLY_IO;
	check_table(&c, read_only, 1);
}

static void reaction_none_never_checks_and_never_reacts(void **state)
{
	struct keywatch_config c = hang;

	(void)state;
	c.reaction = KEYWATCH_NONE;
	assert_true(keywatch_begin(&c, NOW, 5).next_check_ms == KEYWATCH_NEVER);
	for (int e = 0; e < KEYWATCH_EVENTS; e++) {
		struct row row = {AVA, e, AVA, 0};

		check_table(&c, &row, 1);
	}
}

static void manual_recovery_holds_for_read_only_too(void **state)
{
	struct keywatch_config c = hang;
	struct keywatch w = at(RO);

	(void)state;
	c.reaction = KEYWATCH_READ_ONLY_IO;
	c.recover_manually = true;
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW, 0), 0);
	assert_int_equal(w.state, RO);
	(void)keywatch_step(&c, &w, KEYWATCH_MANUAL_START, NOW + 1, 0);
	(void)keywatch_step(&c, &w, KEYWATCH_CHECK_REFUSED, NOW + 2, 0); /* not yet, then */
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 3, 0), 0);
	assert_int_equal(w.state, RO);
	(void)keywatch_step(&c, &w, KEYWATCH_MANUAL_START, NOW + 4, 0);
	assert_true(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 5, 0) & KEYWATCH_DO_RESUME);
	assert_int_equal(w.state, AVA);
}

static void checks_come_at_the_interval(void **state)
{
	struct keywatch w = keywatch_begin(&hang, NOW, 7);
	uint64_t first = keywatch_deadline(&hang, &w);

	(void)state;
	assert_true(first == NOW + MINUTE / 2 + 7);
	for (uint64_t n = 0; n < 7 * 24 * 60; n++) { /* a week */
		uint64_t due = keywatch_deadline(&hang, &w);

		assert_true(due == first + n * MINUTE);
		assert_int_equal(keywatch_step(&hang, &w, KEYWATCH_TIMER, due - 1, 0), 0);
		assert_int_equal(keywatch_step(&hang, &w, KEYWATCH_TIMER, due, 0), CHECK);
		assert_int_equal(keywatch_step(&hang, &w, KEYWATCH_TIMER, due, 0), 0);
		assert_int_equal(keywatch_step(&hang, &w, KEYWATCH_CHECK_OK, due, 0), 0);
	}
	assert_int_equal(w.state, AVA);
}

static void grace_is_over_at_its_time_with_or_without_an_answer(void **state)
{
	static const int answers[] = {TIMER, REFUSED, UNKNOWN};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct keywatch w = at(AVA);
		uint64_t end = NOW + hang.grace_ms;

		assert_int_equal(keywatch_step(&hang, &w, KEYWATCH_CHECK_REFUSED, NOW, 0),
				 KEYWATCH_EMIT_WARNED);
		w.next_check_ms = KEYWATCH_NEVER;
		assert_true(keywatch_deadline(&hang, &w) == end);
		(void)keywatch_step(&hang, &w, (enum keywatch_event)answers[i], end - 1, 0);
		assert_int_equal(w.state, WAR);
		assert_int_equal(keywatch_step(&hang, &w, (enum keywatch_event)answers[i], end, 0) &
					 ~(unsigned)CHECK,
				 LOSE);
		assert_int_equal(w.state, REC);
		assert_true(w.lost_ms == end);
	}
}

/* Run checks that get no answer until the state changes; returns when it did. */
static uint64_t outage(const struct keywatch_config *c, struct keywatch *w, uint32_t random,
		       unsigned *ret_actions)
{
	for (int i = 0; i < 100000; i++) {
		uint64_t due = keywatch_deadline(c, w);

		assert_int_equal(keywatch_step(c, w, KEYWATCH_TIMER, due, random), CHECK);
		*ret_actions = keywatch_step(c, w, KEYWATCH_CHECK_TRANSIENT, due, random);
		if (w->state != KEYWATCH_AVAILABLE)
			return due;
		assert_int_equal(*ret_actions, 0);
		assert_true(keywatch_deadline(c, w) > due);
		assert_true(keywatch_deadline(c, w) <= due + MINUTE + MINUTE / 4);
	}
	fail_msg("an outage of KMS never counts as loss");
	return 0;
}

static void an_outage_counts_as_loss_exactly_after_its_grace(void **state)
{
	struct keywatch_config c = hang;

	(void)state;
	c.grace_ms = 0;
	for (uint32_t random = 0; random < 5000; random += 7) {
		struct keywatch w = keywatch_begin(&c, NOW, random);
		unsigned actions;
		uint64_t first = keywatch_deadline(&c, &w);
		uint64_t lost = outage(&c, &w, random, &actions);

		assert_true(lost == first + c.kms_outage_grace_ms);
		assert_int_equal(actions, LOSE);
	}
	c.kms_outage_grace_ms = 0;
	struct keywatch w = at(AVA);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_TRANSIENT, NOW, 0), LOSE);
}

static void an_answer_in_between_begins_the_outage_anew(void **state)
{
	struct keywatch w = keywatch_begin(&hang, NOW, 0);
	uint64_t later = NOW + 14 * MINUTE;

	(void)state;
	(void)keywatch_step(&hang, &w, KEYWATCH_CHECK_TRANSIENT, NOW, 0);
	(void)keywatch_step(&hang, &w, KEYWATCH_CHECK_OK, NOW + MINUTE, 0);
	assert_int_equal(w.unknown_checks, 0);
	(void)keywatch_step(&hang, &w, KEYWATCH_CHECK_TRANSIENT, later, 0);
	(void)keywatch_step(&hang, &w, KEYWATCH_CHECK_TRANSIENT, later + 14 * MINUTE, 0);
	assert_int_equal(w.state, AVA);
	(void)keywatch_step(&hang, &w, KEYWATCH_CHECK_TRANSIENT, later + 15 * MINUTE, 0);
	assert_int_equal(w.state, WAR);
}

static void retries_back_off_and_stay_within_their_limits(void **state)
{
	struct keywatch_config c = hang;
	struct keywatch w = keywatch_begin(&c, NOW, 0);
	uint64_t now = NOW, most = 0;

	(void)state;
	c.check_interval_ms = 1000;
	c.kms_outage_grace_ms = DAY;
	for (uint32_t n = 0; n < 40; n++) {
		(void)keywatch_step(&c, &w, KEYWATCH_CHECK_TRANSIENT, now, UINT32_MAX / (n + 1));
		uint64_t delay = w.next_check_ms - now;
		assert_in_range(delay, KEYWATCH_RETRY_MIN_MS, KEYWATCH_RETRY_MAX_MS * 5 / 4);
		if (n > 4)
			assert_true(delay >= KEYWATCH_RETRY_MAX_MS);
		most = delay > most ? delay : most;
		now += delay;
	}
	assert_true(most > KEYWATCH_RETRY_MAX_MS);
	w = at(AVA);
	(void)keywatch_step(&hang, &w, KEYWATCH_CHECK_TRANSIENT, NOW, 0);
	assert_true(w.next_check_ms == NOW + MINUTE); /* no sooner than if KMS worked */
}

/* 100 volumes, mounted at once; KMS works for an hour, and then fails until their grace is over. */
#define HERD	  100
#define HERD_TIME (100 * MINUTE)

static void a_herd_spreads_out(void **state)
{
	struct keywatch herd[HERD];
	uint64_t last[HERD] = {0};
	uint32_t random = 12345;
	unsigned in_second[HERD_TIME / 1000 + 1] = {0}, most = 0;

	(void)state;
	for (int i = 0; i < HERD; i++)
		herd[i] = keywatch_begin(&hang, 0, random = random * 1664525 + 1013904223);
	for (uint64_t now = 0; now < HERD_TIME; now++)
		for (int i = 0; i < HERD; i++) {
			int answer = now < 60 * MINUTE ? OK : UNKNOWN;
			bool decides = herd[i].unknown_checks &&
				       now == herd[i].unknown_ms + hang.kms_outage_grace_ms;

			if (now < keywatch_deadline(&hang, &herd[i]))
				continue;
			random = random * 1664525 + 1013904223;
			if (!(keywatch_step(&hang, &herd[i], KEYWATCH_TIMER, now, random) & CHECK))
				continue;
			assert_true(now - last[i] >= (last[i] ? MINUTE : MINUTE / 2) || decides);
			last[i] = now;
			in_second[now / 1000]++;
			(void)keywatch_step(&hang, &herd[i], (enum keywatch_event)answer, now,
					    random >> 8);
		}
	for (size_t s = 0; s <= HERD_TIME / 1000; s++)
		most = in_second[s] > most ? in_second[s] : most;
	print_message("# of %d volumes at most %u ask in the same second\n", HERD, most);
	assert_in_range(most, 2, 12); /* together they would be 100 */
}

static void seven_days_unreachable_are_terminal(void **state)
{
	struct keywatch w = at(REC);
	uint64_t end = w.lost_ms + 7 * DAY;

	(void)state;
	w.next_check_ms = KEYWATCH_NEVER;
	assert_true(keywatch_deadline(&hang, &w) == end);
	(void)keywatch_step(&hang, &w, KEYWATCH_TIMER, end - 1, 0);
	assert_int_equal(w.state, REC);
	assert_int_equal(keywatch_step(&hang, &w, KEYWATCH_TIMER, end, 0), KEYWATCH_DO_END);
	assert_int_equal(w.state, INA);
	assert_true(keywatch_deadline(&hang, &w) == KEYWATCH_NEVER);
}

static void a_failed_start_does_not_begin_the_seven_days_anew(void **state)
{
	struct keywatch w = at(REC);
	uint64_t lost = w.lost_ms;

	(void)state;
	assert_int_equal(keywatch_step(&hang, &w, KEYWATCH_CHECK_OK, NOW + DAY, 0),
			 KEYWATCH_DO_OPEN);
	(void)keywatch_step(&hang, &w, KEYWATCH_STORE_FAILED, NOW + DAY, 0);
	assert_int_equal(w.state, REC);
	assert_true(w.lost_ms == lost);
	assert_true(w.next_check_ms == NOW + DAY + MINUTE);
	(void)keywatch_step(&hang, &w, KEYWATCH_TIMER, lost + 7 * DAY, 0);
	assert_int_equal(w.state, INA);
}

static void without_a_limit_it_waits_for_years(void **state)
{
	struct keywatch_config c = hang;
	struct keywatch w = at(REC);

	(void)state;
	c.terminal_after_ms = 0;
	(void)keywatch_step(&c, &w, KEYWATCH_CHECK_REFUSED, NOW + 5000 * DAY, 0);
	assert_int_equal(w.state, REC);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 9000 * DAY, 0),
			 KEYWATCH_DO_OPEN);
}

static void recovery_waits_for_its_delay_and_a_refusal_begins_it_anew(void **state)
{
	struct keywatch_config c = hang;
	struct keywatch w = at(REC);

	(void)state;
	c.recover_delay_ms = 90 * 1000;
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW, 0), 0);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_REFUSED, NOW + MINUTE, 0), 0);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 2 * MINUTE, 0), 0);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 3 * MINUTE, 0), 0);
	assert_true(keywatch_deadline(&c, &w) == NOW + 2 * MINUTE + 90 * 1000);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, keywatch_deadline(&c, &w), 0),
			 KEYWATCH_DO_OPEN);
	assert_int_equal(w.state, STA);
}

static void manual_recovery_waits_for_the_start_and_then_has_no_delay(void **state)
{
	struct keywatch_config c = hang;
	struct keywatch w = at(REC);

	(void)state;
	c.recover_manually = true;
	c.recover_delay_ms = DAY;
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 2 * DAY, 0), 0);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 3 * DAY, 0), 0);
	assert_true(keywatch_can_start(&w));
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_MANUAL_START, NOW + 3 * DAY, 0), CHECK);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_REFUSED, NOW + 3 * DAY, 0), 0);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 3 * DAY, 0), 0);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_MANUAL_START, NOW + 3 * DAY, 0), CHECK);
	assert_int_equal(keywatch_step(&c, &w, KEYWATCH_CHECK_OK, NOW + 3 * DAY, 0),
			 KEYWATCH_DO_OPEN);
}

static void names_are_those_of_aws(void **state)
{
	static const char *const names[] = {
		"available", "warned",
		"read-only", "inaccessible-encryption-credentials-recoverable",
		"starting",  "inaccessible-encryption-credentials"};
	enum keywatch_reaction r;

	(void)state;
	for (int s = 0; s < KEYWATCH_STATES; s++)
		assert_string_equal(keywatch_state_name((enum keywatch_state)s), names[s]);
	assert_int_equal(keywatch_reaction_by_name("read-only", &r), 0);
	assert_int_equal(r, KEYWATCH_READ_ONLY_IO);
	assert_true(keywatch_reaction_by_name("hangs", &r) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_with_every_event),
		cmocka_unit_test(without_grace_each_reaction_is_immediate),
		cmocka_unit_test(reaction_none_never_checks_and_never_reacts),
		cmocka_unit_test(checks_come_at_the_interval),
		cmocka_unit_test(grace_is_over_at_its_time_with_or_without_an_answer),
		cmocka_unit_test(an_outage_counts_as_loss_exactly_after_its_grace),
		cmocka_unit_test(an_answer_in_between_begins_the_outage_anew),
		cmocka_unit_test(retries_back_off_and_stay_within_their_limits),
		cmocka_unit_test(a_herd_spreads_out),
		cmocka_unit_test(seven_days_unreachable_are_terminal),
		cmocka_unit_test(a_failed_start_does_not_begin_the_seven_days_anew),
		cmocka_unit_test(without_a_limit_it_waits_for_years),
		cmocka_unit_test(recovery_waits_for_its_delay_and_a_refusal_begins_it_anew),
		cmocka_unit_test(manual_recovery_holds_for_read_only_too),
		cmocka_unit_test(manual_recovery_waits_for_the_start_and_then_has_no_delay),
		cmocka_unit_test(names_are_those_of_aws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
