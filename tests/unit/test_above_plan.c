/* What is done to the file system above a volume: what every path through the table must hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "above_plan.h"

#define PATH_MAX_EVENTS 6

/* A file system as the steps change it. */
struct world {
	int frozen, fenced, shut, read_only, unmounted;
	int frozen_when_shut; /* an xfs could never be thawed again */
};

static void take(struct world *w, enum above_step step)
{
	switch (step) {
	case ABOVE_FREEZE:
		w->frozen = 1;
		break;
	case ABOVE_THAW:
		w->frozen = 0;
		break;
	case ABOVE_FENCE:
		w->fenced = 1;
		break;
	case ABOVE_UNFENCE:
		w->fenced = 0;
		break;
	case ABOVE_SHUT_DOWN:
	case ABOVE_FAIL:
		w->frozen_when_shut |= w->frozen;
		w->shut = 1;
		w->read_only =
			0; /* it does not matter any more: a new mount is as the user's was */
		break;
	case ABOVE_REPLACE:
		w->shut = w->frozen = 0;
		break;
	case ABOVE_TO_READ_ONLY:
		w->read_only = 1;
		break;
	case ABOVE_TO_READ_WRITE:
		w->read_only = w->frozen = 0; /* the keeper thaws there, too */
		break;
	case ABOVE_UNMOUNT:
		w->unmounted = 1;
		break;
	default:
		break;
	}
}

static int position(const struct above_plan *plan, enum above_step step)
{
	for (int i = 0; plan->steps[i] != ABOVE_DONE; i++)
		if (plan->steps[i] == step)
			return i;
	return -1;
}

static void check_state(const struct world *w, enum above_state state, enum above_event last)
{
	assert_false(w->frozen_when_shut);
	assert_int_equal(w->frozen, state == ABOVE_FROZEN);
	assert_int_equal(w->shut, state == ABOVE_SHUT);
	assert_int_equal(w->read_only, state == ABOVE_READ_ONLY);
	if (state == ABOVE_SERVED || last == ABOVE_RELEASE || last == ABOVE_END)
		assert_int_equal(w->fenced, 0); /* nobody waits for ever */
	if (last == ABOVE_RELEASE || last == ABOVE_END)
		assert_int_equal(w->frozen, 0);
	if (last == ABOVE_REGAINED)
		assert_int_equal(state, ABOVE_SERVED);
	if (last == ABOVE_END)
		assert_int_equal(w->unmounted, 1);
}

/* Every sequence of so many events. */
static void walk(struct world before, enum above_state state, unsigned left, unsigned *count)
{
	for (int e = 0; left && e < ABOVE_EVENTS; e++) {
		const struct above_plan *plan = above_plan(state, (enum above_event)e);
		struct world w = before;
		int n = 0;

		for (; plan->steps[n] != ABOVE_DONE; n++)
			take(&w, plan->steps[n]);
		assert_true(n <= ABOVE_STEPS_MAX);
		check_state(&w, plan->next, (enum above_event)e);
		++*count;
		if (e != ABOVE_END)
			walk(w, plan->next, left - 1, count);
	}
}

static void every_path_leaves_nothing_frozen_or_waiting(void **state)
{
	unsigned count = 0;

	(void)state;
	walk((struct world){0}, ABOVE_SERVED, PATH_MAX_EVENTS, &count);
	assert_true(count > 100000);
}

static void what_is_dirty_is_written_first(void **state)
{
	const enum above_event lost[] = {ABOVE_LOSE_READ_ONLY, ABOVE_LOSE_ERROR, ABOVE_LOSE_HANG};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(above_plan(ABOVE_SERVED, lost[i])->steps[0], ABOVE_WRITE);
	assert_int_equal(above_plan(ABOVE_SERVED, ABOVE_END)->steps[0], ABOVE_WRITE);
}

/* What is dropped before the fence is up can be read anew behind our back. */
static void cached_data_is_dropped_behind_the_fence(void **state)
{
	(void)state;
	for (int s = 0; s < ABOVE_STATES; s++)
		for (int e = 0; e < ABOVE_EVENTS; e++) {
			const struct above_plan *p =
				above_plan((enum above_state)s, (enum above_event)e);

			if (position(p, ABOVE_DROP) >= 0)
				assert_in_range(position(p, ABOVE_FENCE), 0,
						position(p, ABOVE_DROP) - 1);
			if (position(p, ABOVE_DROP_OPEN) >= 0)
				assert_int_equal(e, ABOVE_CLOSED);
		}
}

static void names_are_there_and_back(void **state)
{
	(void)state;
	for (int e = 0; e < ABOVE_EVENTS; e++) {
		enum above_event event;

		assert_int_equal(above_event_by_name(above_event_name((enum above_event)e), &event),
				 0);
		assert_int_equal(event, e);
	}
	for (int s = 0; s < ABOVE_STATES; s++) {
		enum above_state got;

		assert_int_equal(above_state_by_name(above_state_name((enum above_state)s), &got),
				 0);
		assert_int_equal(got, s);
	}
	for (int s = ABOVE_DONE; s <= ABOVE_UNMOUNT; s++)
		assert_non_null(above_step_name((enum above_step)s));
	assert_true(above_state_by_name("melted", &(enum above_state){0}) < 0);
	assert_true(above_event_by_name("lose", &(enum above_event){0}) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_path_leaves_nothing_frozen_or_waiting),
		cmocka_unit_test(what_is_dirty_is_written_first),
		cmocka_unit_test(cached_data_is_dropped_behind_the_fence),
		cmocka_unit_test(names_are_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
