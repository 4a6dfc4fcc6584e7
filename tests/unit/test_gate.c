/* The gate: who passes, who waits, in which order waiters run, and that none is lost or run twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate_rig.h"

struct request {
	struct gate_waiter waiter;
	struct gate *gate;
	int id;
	struct request *arrives; /* while this one runs */
};

static bool run(struct gate_waiter *waiter)
{
	struct request *r = (struct request *)waiter;

	note(r->id, 0);
	if (r->arrives)
		assert_int_equal(gate_wait(r->gate, &r->arrives->waiter), GATE_MUST_WAIT);
	return true;
}

static void fail_it(struct gate_waiter *waiter, int num)
{
	note(((struct request *)waiter)->id, num);
}

static struct request request(struct gate *gate, int id, bool changes)
{
	return (struct request){
		.waiter = {.run = run, .fail = fail_it, .bytes = 10, .changes = changes},
		.gate = gate,
		.id = id,
	};
}

static void each_mode_answers_as_it_says(void **state)
{
	struct gate *g = *state;

	assert_int_equal(gate_enter(g, false), 0);
	gate_leave(g, false);
	assert_int_equal(gate_enter(g, true), 0);
	gate_leave(g, true);
	gate_close(g, GATE_READ_ONLY);
	assert_int_equal(gate_enter(g, true), -EROFS);
	assert_int_equal(gate_enter(g, false), 0);
	gate_leave(g, false);
	gate_close(g, GATE_HOLD);
	assert_int_equal(gate_enter(g, true), GATE_MUST_WAIT);
	assert_int_equal(gate_enter(g, false), GATE_MUST_WAIT);
	gate_close(g, GATE_REFUSE);
	assert_int_equal(gate_enter(g, true), -EIO);
	assert_int_equal(gate_enter(g, false), -EIO);
	assert_true(gate_drain(g, false, 0)); /* who was turned away is not inside */
}

static void waiters_run_in_order_and_before_what_came_later(void **state)
{
	struct gate *g = *state;
	struct request r[6];

	gate_close(g, GATE_HOLD);
	for (int i = 0; i < 6; i++)
		r[i] = request(g, i, i % 2);
	r[0].arrives = &r[4]; /* begins to wait while the gate opens */
	r[3].arrives = &r[5];
	for (int i = 0; i < 4; i++)
		assert_int_equal(gate_wait(g, &r[i].waiter), GATE_MUST_WAIT);
	gate_open(g);
	assert_int_equal(logged, 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(log_ids[i], i);
		assert_int_equal(log_nums[i], 0);
	}
}

static void closing_for_good_fails_waiters_in_order(void **state)
{
	struct gate *g = *state;
	struct request r[3];
	struct gate_stats stats;

	gate_close(g, GATE_HOLD);
	for (int i = 0; i < 3; i++) {
		r[i] = request(g, i, true);
		assert_int_equal(gate_wait(g, &r[i].waiter), GATE_MUST_WAIT);
	}
	gate_stats(g, &stats);
	assert_int_equal(stats.waiting, 3);
	assert_int_equal(stats.waiting_bytes, 30);
	gate_close(g, GATE_REFUSE);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(log_ids[i], i);
		assert_int_equal(log_nums[i], EIO);
	}
	gate_stats(g, &stats);
	assert_int_equal(stats.waiting, 0);
	assert_int_equal(stats.waiting_bytes, 0);
}

static void read_only_fails_changes_and_keeps_reads(void **state)
{
	struct gate *g = *state;
	struct request change = request(g, 1, true), other = request(g, 2, false);

	gate_close(g, GATE_HOLD);
	assert_int_equal(gate_wait(g, &change.waiter), GATE_MUST_WAIT);
	assert_int_equal(gate_wait(g, &other.waiter), GATE_MUST_WAIT);
	gate_close(g, GATE_READ_ONLY);
	assert_int_equal(logged, 1);
	assert_int_equal(log_ids[0], 1);
	assert_int_equal(log_nums[0], EROFS);
	gate_open(g);
	assert_int_equal(log_ids[1], 2);
}

static void end_of_hold_changes_nothing_when_nothing_waits(void **state)
{
	struct gate *g = *state;
	struct request r = request(g, 1, true);

	gate_end_hold(g);
	assert_int_equal(gate_enter(g, true), 0);
	gate_leave(g, true);
	gate_close(g, GATE_HOLD);
	assert_int_equal(gate_wait(g, &r.waiter), GATE_MUST_WAIT);
	gate_end_hold(g);
	assert_int_equal(log_nums[0], EIO);
	assert_int_equal(gate_enter(g, true), -EIO);
}

static void an_interrupted_waiter_is_the_interrupters(void **state)
{
	struct gate *g = *state;
	struct request a = request(g, 1, true), b = request(g, 2, true), c = request(g, 3, true);

	gate_close(g, GATE_HOLD);
	assert_int_equal(gate_wait(g, &a.waiter), GATE_MUST_WAIT);
	assert_int_equal(gate_wait(g, &b.waiter), GATE_MUST_WAIT);
	assert_int_equal(gate_wait(g, &c.waiter), GATE_MUST_WAIT);
	assert_true(gate_interrupt(g, &b.waiter));
	assert_false(gate_interrupt(g, &b.waiter)); /* once */
	gate_open(g);
	assert_int_equal(logged, 2);
	assert_int_equal(log_ids[0], 1);
	assert_int_equal(log_ids[1], 3);
	assert_false(gate_interrupt(g, &a.waiter)); /* too late */
}

static void an_interrupt_before_the_queue_is_not_lost(void **state)
{
	struct gate *g = *state;
	struct request r = request(g, 1, true);

	gate_close(g, GATE_HOLD);
	assert_false(gate_interrupt(g, &r.waiter));
	assert_int_equal(gate_wait(g, &r.waiter), -EINTR);
	gate_open(g);
	assert_int_equal(logged, 0);
}

static void waiting_at_a_gate_that_opened_enters(void **state)
{
	struct gate *g = *state;
	struct request r = request(g, 1, true);

	assert_int_equal(gate_wait(g, &r.waiter), 0);
	assert_false(gate_drain(g, false, 10));
	assert_true(gate_drain(g, false, 0) == false);
	gate_leave(g, true);
	assert_true(gate_drain(g, false, 0));
}

static void draining_for_changes_does_not_wait_for_reads(void **state)
{
	struct gate *g = *state;

	assert_int_equal(gate_enter(g, false), 0);
	gate_close(g, GATE_READ_ONLY);
	assert_true(gate_drain(g, true, 0));
	assert_false(gate_drain(g, false, 20));
	gate_leave(g, false);
	assert_true(gate_drain(g, false, 0));
}

static void payload_and_count_have_limits(void **state)
{
	struct gate *g = *state;
	struct request *many = calloc(GATE_WAITERS_MAX + 1, sizeof(*many));
	struct request big = request(g, 1, true), small = request(g, 2, true);
	struct gate_stats stats;

	assert_non_null(many);
	gate_close(g, GATE_HOLD);
	big.waiter.bytes = GATE_WAITER_BYTES_MAX - 5;
	assert_int_equal(gate_wait(g, &big.waiter), GATE_MUST_WAIT);
	assert_int_equal(gate_wait(g, &small.waiter), -ENOBUFS);
	assert_true(gate_interrupt(g, &big.waiter));
	for (int i = 0; i <= GATE_WAITERS_MAX; i++) {
		many[i] = request(g, i, false);
		many[i].waiter.bytes = 0;
		assert_int_equal(gate_wait(g, &many[i].waiter),
				 i < GATE_WAITERS_MAX ? GATE_MUST_WAIT : -ENOBUFS);
	}
	gate_stats(g, &stats);
	assert_int_equal(stats.waiting, GATE_WAITERS_MAX);
	assert_int_equal(stats.over_limit, 2);
	for (int i = 0; i < GATE_WAITERS_MAX; i++)
		assert_true(gate_interrupt(g, &many[i].waiter));
	free(many);
}

static void only_old_waiters_are_failed(void **state)
{
	struct gate *g = *state;
	struct request old = request(g, 1, true), young = request(g, 2, true);

	gate_close(g, GATE_HOLD);
	assert_true(gate_oldest(g, 100) == UINT64_MAX);
	assert_int_equal(gate_wait(g, &old.waiter), GATE_MUST_WAIT);
	usleep(150 * 1000);
	assert_int_equal(gate_wait(g, &young.waiter), GATE_MUST_WAIT);
	assert_true(gate_oldest(g, 100) == 0);
	gate_fail(g, 100, EIO);
	assert_int_equal(logged, 1);
	assert_int_equal(log_ids[0], 1);
	assert_true(gate_oldest(g, 60000) > 50000);
	gate_fail(g, 0, EINTR);
	assert_int_equal(log_nums[1], EINTR);
}

/* A store that must not be used while it is closed, under threads that enter and wait. */
#define THREADS	 4
#define REQUESTS 3000

struct race {
	struct gate *gate;
	atomic_bool open;
	atomic_uint used_closed, done;
};

struct job {
	struct gate_waiter waiter;
	struct race *race;
};

static void use(struct race *race)
{
	if (!atomic_load(&race->open))
		atomic_fetch_add(&race->used_closed, 1);
	atomic_fetch_add(&race->done, 1);
}

static bool run_job(struct gate_waiter *waiter)
{
	struct job *job = (struct job *)waiter;

	use(job->race);
	free(job);
	return true;
}

static void fail_job(struct gate_waiter *waiter, int num)
{
	(void)waiter;
	(void)num;
	abort(); /* never closed for good here */
}

static void *send_requests(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < REQUESTS; i++) {
		int r = gate_enter(race->gate, i % 2);
		struct job *job = NULL;

		if (r == GATE_MUST_WAIT) {
			job = calloc(1, sizeof(*job));
			if (!job)
				abort();
			job->race = race;
			job->waiter = (struct gate_waiter){
				.run = run_job, .fail = fail_job, .changes = i % 2};
			r = gate_wait(race->gate, &job->waiter);
			if (r == GATE_MUST_WAIT)
				continue;
			free(job);
		}
		if (r != 0)
			abort();
		use(race);
		gate_leave(race->gate, i % 2);
	}
	return NULL;
}

static void nothing_passes_a_closed_gate_and_all_are_run_once(void **state)
{
	struct race race = {.gate = *state, .open = true};
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_requests, &race), 0);
	while (atomic_load(&race.done) < THREADS * REQUESTS) {
		gate_close(race.gate, GATE_HOLD);
		while (!gate_drain(race.gate, false, 1000))
			;
		atomic_store(&race.open, false);
		usleep(200);
		atomic_store(&race.open, true);
		gate_open(race.gate);
		usleep(200);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(race.used_closed, 0);
	assert_int_equal(race.done, THREADS * REQUESTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_mode_answers_as_it_says),
		T(waiters_run_in_order_and_before_what_came_later),
		T(closing_for_good_fails_waiters_in_order),
		T(read_only_fails_changes_and_keeps_reads),
		T(end_of_hold_changes_nothing_when_nothing_waits),
		T(an_interrupted_waiter_is_the_interrupters),
		T(an_interrupt_before_the_queue_is_not_lost),
		T(waiting_at_a_gate_that_opened_enters),
		T(draining_for_changes_does_not_wait_for_reads),
		T(payload_and_count_have_limits),
		T(only_old_waiters_are_failed),
		T(nothing_passes_a_closed_gate_and_all_are_run_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
