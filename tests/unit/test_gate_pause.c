/*
 * The gate's second reason to wait, a pause, beside the mode; delayed requests; and what holds when several
 * threads close, open, pause and run what waits: order, nobody lost, nobody served by a closed store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "gate_rig.h"

struct request {
	struct gate_waiter waiter;
	struct gate *gate;
	int id;
	enum gate_mode closes; /* while it runs; GATE_OPEN: it does not */
	bool pauses;	       /* while it runs */
	int not_now;	       /* how often it is put back */
	bool interrupted;      /* while it runs */
};

static bool run(struct gate_waiter *waiter)
{
	struct request *r = (struct request *)waiter;

	if (r->closes != GATE_OPEN)
		gate_close(r->gate, r->closes);
	r->closes = GATE_OPEN;
	if (r->pauses)
		gate_pause(r->gate);
	r->pauses = false;
	if (r->interrupted)
		assert_false(gate_interrupt(r->gate, waiter));
	if (r->not_now-- > 0)
		return false;
	note(r->id, 0);
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

static void end_pause(struct gate *gate)
{
	gate_end_pause(gate);
	gate_let_go(gate);
}

static void wait_all(struct gate *g, struct request *r, int n)
{
	for (int i = 0; i < n; i++) {
		r[i] = request(g, i, i % 2);
		assert_int_equal(gate_wait(g, &r[i].waiter), GATE_MUST_WAIT);
	}
}

static void assert_run_in_order(int n)
{
	assert_int_equal(logged, n);
	for (int i = 0; i < n; i++) {
		assert_int_equal(log_ids[i], i);
		assert_int_equal(log_nums[i], 0);
	}
}

static void a_pause_holds_what_the_mode_lets_pass(void **state)
{
	static const struct {
		enum gate_mode mode;
		int read, write;
	} rows[] = {
		{GATE_OPEN, GATE_MUST_WAIT, GATE_MUST_WAIT},
		{GATE_READ_ONLY, GATE_MUST_WAIT, -EROFS},
		{GATE_HOLD, GATE_MUST_WAIT, GATE_MUST_WAIT},
		{GATE_REFUSE, -EIO, -EIO},
	};
	struct gate *g = *state;

	gate_pause(g);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].mode != GATE_OPEN)
			gate_close(g, rows[i].mode);
		assert_int_equal(gate_enter(g, false), rows[i].read);
		assert_int_equal(gate_enter(g, true), rows[i].write);
		assert_true(gate_drain(g, false, 0)); /* who was turned away is not inside */
	}
	gate_open(g);
	assert_int_equal(gate_enter(g, false), GATE_MUST_WAIT);
	end_pause(g);
	assert_int_equal(gate_enter(g, false), 0);
	gate_leave(g, false);
}

static void neither_reason_alone_lets_go(void **state)
{
	struct gate *g = *state;
	struct request r[4];

	gate_pause(g);
	gate_close(g, GATE_HOLD);
	wait_all(g, r, 4);
	gate_open(g); /* the key is back, the pause goes on */
	assert_int_equal(logged, 0);
	gate_close(g, GATE_HOLD);
	end_pause(g); /* the pause ends, the key is away */
	assert_int_equal(logged, 0);
	gate_pause(g);
	gate_open(g);
	assert_int_equal(logged, 0);
	end_pause(g);
	assert_run_in_order(4);
}

static void a_lost_key_that_refuses_ends_the_waiting_of_a_pause(void **state)
{
	struct gate *g = *state;
	struct request r[2];

	gate_pause(g);
	wait_all(g, r, 2);
	gate_close(g, GATE_REFUSE);
	assert_int_equal(logged, 2);
	assert_int_equal(log_nums[0], EIO);
	gate_open(g);
	assert_int_equal(gate_enter(g, true), GATE_MUST_WAIT); /* still paused */
	gate_end_hold(g);				       /* ends waiting for a key only */
	assert_int_equal(gate_enter(g, true), GATE_MUST_WAIT);
}

static void a_closing_stops_the_running_and_the_rest_keeps_its_order(void **state)
{
	struct gate *g = *state;
	struct request r[6], late = request(g, 6, true);

	gate_pause(g);
	wait_all(g, r, 6);
	r[1].closes = GATE_HOLD;
	r[3].pauses = true;
	end_pause(g);
	assert_int_equal(logged, 2); /* the one that runs ends, none follows */
	assert_int_equal(gate_wait(g, &late.waiter), GATE_MUST_WAIT);
	gate_open(g);
	assert_int_equal(logged, 4);
	end_pause(g);
	assert_run_in_order(7);
}

static void a_pause_right_after_a_pause_lets_nobody_go(void **state)
{
	struct gate *g = *state;
	struct request r[2];

	gate_pause(g);
	wait_all(g, r, 2);
	gate_end_pause(g);
	assert_int_equal(gate_enter(g, true), GATE_MUST_WAIT); /* not before those who wait */
	gate_pause(g);
	gate_let_go(g);
	assert_int_equal(logged, 0);
	end_pause(g);
	assert_run_in_order(2);
}

static void what_was_not_executed_is_in_front_again(void **state)
{
	struct gate *g = *state;
	struct request r[4];

	gate_close(g, GATE_HOLD);
	wait_all(g, r, 4);
	r[1].closes = GATE_HOLD; /* the key is lost while it waits for room in the store */
	r[1].not_now = 1;
	gate_open(g);
	assert_int_equal(logged, 1);
	gate_open(g);
	assert_run_in_order(4);
}

static void what_was_not_executed_hears_its_interrupt_and_its_refusal(void **state)
{
	struct gate *g = *state;
	struct request r[2];

	gate_close(g, GATE_HOLD);
	wait_all(g, r, 2);
	r[0].not_now = r[1].not_now = 1;
	r[0].interrupted = true;
	r[1].closes = GATE_REFUSE;
	gate_open(g);
	assert_int_equal(logged, 2);
	assert_int_equal(log_nums[0], EINTR);
	assert_int_equal(log_nums[1], EIO);
}

static void stalled_is_since_io_was_driven_and_nothing_went(void **state)
{
	struct gate *g = *state;
	struct request r[2];
	struct gate_stats s;
	uint64_t since;

	gate_pause(g);
	gate_stats(g, &s);
	assert_int_equal(s.stalled_ms, 0); /* nobody asks for anything */
	wait_all(g, r, 2);
	gate_stats(g, &s);
	since = s.stalled_ms;
	assert_true(since > 0);
	usleep(5000);
	assert_true(gate_interrupt(g, &r[0].waiter)); /* one who gives up does not make it better */
	assert_true(gate_interrupt(g, &r[1].waiter));
	wait_all(g, r, 1);
	gate_stats(g, &s);
	assert_int_equal(s.stalled_ms, since);
	end_pause(g);
	gate_stats(g, &s);
	assert_int_equal(s.stalled_ms, 0);
}

static void *serve(void *gate)
{
	gate_serve_delays(gate);
	return NULL;
}

static void delay(struct gate *g, struct request *r, uint64_t ms)
{
	assert_int_equal(gate_delay(g, &r->waiter, clock_monotonic_us() + ms * 1000),
			 GATE_MUST_WAIT);
}

static void delayed_requests_go_when_due_through_the_gate(void **state)
{
	struct gate *g = *state;
	struct request r[5];
	struct gate_stats s;
	pthread_t thread;

	for (int i = 0; i < 5; i++)
		r[i] = request(g, i, true);
	delay(g, &r[2], 60000);
	delay(g, &r[0], 0);
	delay(g, &r[1], 1);
	delay(g, &r[3], 70000);
	delay(g, &r[4], 65000);
	gate_stats(g, &s);
	assert_int_equal(s.delayed, 5);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(s.waiting_bytes, 50);
	assert_true(gate_interrupt(g, &r[4].waiter));
	assert_int_equal(pthread_create(&thread, NULL, serve, g), 0);
	for (s.delayed = 4; s.delayed > 2;) /* two are due at once */
		gate_stats(g, &s);
	gate_close(g, GATE_HOLD);
	gate_end_delays(g); /* the others now, too: at a gate that holds */
	pthread_join(thread, NULL);
	assert_int_equal(gate_delay(g, &r[4].waiter, 0), -ESHUTDOWN);
	gate_stats(g, &s);
	assert_int_equal(s.waiting, 2);
	gate_open(g);
	assert_run_in_order(4);
}

static void delayed_requests_at_a_gate_that_refuses_fail(void **state)
{
	struct gate *g = *state;
	struct request r = request(g, 1, true), w = request(g, 2, true);

	gate_close(g, GATE_READ_ONLY);
	delay(g, &w, 60000);
	gate_end_delays(g);
	gate_serve_delays(g);
	gate_close(g, GATE_REFUSE);
	assert_int_equal(gate_wait(g, &r.waiter), -EIO);
	assert_int_equal(logged, 1);
	assert_int_equal(log_nums[0], EROFS);
}

static void one_that_was_delayed_is_older_than_the_first(void **state)
{
	struct gate *g = *state;
	struct request first, w = request(g, 2, true);

	gate_close(g, GATE_HOLD);
	delay(g, &w, 60000);
	usleep(150 * 1000);
	wait_all(g, &first, 1);
	gate_end_delays(g);
	gate_serve_delays(g);
	assert_true(gate_oldest(g, 100) == 0);
	gate_fail(g, 100, EIO);
	gate_fail(g, 0, EINTR);
	assert_true(log_ids[0] == 2 && log_nums[0] == EIO && log_nums[1] == EINTR);
}

/* --- threads: one closes and opens as the key watch does, one pauses, several send */
#define THREADS	 3
#define REQUESTS 3000

struct race {
	struct gate *gate;
	atomic_bool open, stop;
	atomic_uint used_closed, done;
};

struct job {
	struct gate_waiter waiter;
	struct race *race;
	unsigned tries;
};

static void use(struct race *race)
{
	if (!atomic_load(&race->open))
		atomic_fetch_add(&race->used_closed, 1);
}

static bool run_job(struct gate_waiter *waiter)
{
	struct job *job = (struct job *)waiter;

	use(job->race);
	if (job->tries++ == 0 && (uintptr_t)job % 7 == 0)
		return false; /* as of a store in a hurry; here the gate may be open, too */
	atomic_fetch_add(&job->race->done, 1);
	free(job);
	return true;
}

static void fail_job(struct gate_waiter *waiter, int num)
{
	(void)waiter;
	(void)num;
	abort(); /* never closed for good here */
}

/* Send one; 1: it is done, 0: it waits. */
static int send_one(struct race *race, bool changes, bool delayed)
{
	struct job *job;
	int r = delayed ? GATE_MUST_WAIT : gate_enter(race->gate, changes);

	if (r == 0) {
		use(race);
		gate_leave(race->gate, changes);
		return 1;
	}
	job = calloc(1, sizeof(*job));
	if (!job)
		abort();
	job->race = race;
	job->waiter = (struct gate_waiter){.run = run_job, .fail = fail_job, .changes = changes};
	r = delayed ? gate_delay(race->gate, &job->waiter, clock_monotonic_us() + 50)
		    : gate_wait(race->gate, &job->waiter);
	if (r == GATE_MUST_WAIT)
		return 0;
	free(job);
	if (r != 0)
		abort();
	use(race);
	gate_leave(race->gate, changes);
	return 1;
}

static void *send_requests(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < REQUESTS; i++)
		if (send_one(race, i % 2, i % 5 == 0))
			atomic_fetch_add(&race->done, 1);
	return NULL;
}

static void *pauses(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		gate_pause(race->gate);
		usleep(100);
		end_pause(race->gate);
		usleep(100);
	}
	return NULL;
}

static void the_store_is_the_closers_whoever_runs_what_waits(void **state)
{
	struct race race = {.gate = *state, .open = true};
	pthread_t threads[THREADS + 3];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_requests, &race), 0);
	assert_int_equal(pthread_create(&threads[THREADS], NULL, serve, race.gate), 0);
	assert_int_equal(pthread_create(&threads[THREADS + 1], NULL, serve, race.gate), 0);
	assert_int_equal(pthread_create(&threads[THREADS + 2], NULL, pauses, &race), 0);
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
	atomic_store(&race.stop, true);
	gate_end_delays(race.gate);
	for (int i = 0; i < THREADS + 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(race.used_closed, 0);
	assert_int_equal(race.done, THREADS * REQUESTS);
}

/* All wait, then two threads fight over the gate while they are run. */
#define CROWD 20000

static atomic_int next_expected;
static atomic_bool out_of_order;

static bool run_in_crowd(struct gate_waiter *waiter)
{
	struct request *r = (struct request *)waiter;

	if (r->id % 100 == 7 && r->not_now++ == 0)
		return false;
	if (atomic_fetch_add(&next_expected, 1) != r->id)
		atomic_store(&out_of_order, true);
	return true;
}

static void a_crowd_keeps_its_order_through_interrupted_runs(void **state)
{
	struct race race = {.gate = *state};
	struct request *r = calloc(CROWD, sizeof(*r));
	struct gate_stats s;
	pthread_t pauser;

	assert_non_null(r);
	atomic_store(&next_expected, 0);
	gate_close(race.gate, GATE_HOLD);
	wait_all(race.gate, r, CROWD);
	for (int i = 0; i < CROWD; i++)
		r[i].waiter.run = run_in_crowd;
	assert_int_equal(pthread_create(&pauser, NULL, pauses, &race), 0);
	do {
		gate_open(race.gate);
		usleep(50);
		gate_close(race.gate, GATE_HOLD);
		while (!gate_drain(race.gate, false, 1000))
			;
		gate_stats(race.gate, &s);
	} while (s.waiting);
	atomic_store(&race.stop, true);
	pthread_join(pauser, NULL);
	assert_int_equal(next_expected, CROWD);
	assert_false(out_of_order);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_pause_holds_what_the_mode_lets_pass),
		T(neither_reason_alone_lets_go),
		T(a_lost_key_that_refuses_ends_the_waiting_of_a_pause),
		T(a_closing_stops_the_running_and_the_rest_keeps_its_order),
		T(a_pause_right_after_a_pause_lets_nobody_go),
		T(what_was_not_executed_is_in_front_again),
		T(what_was_not_executed_hears_its_interrupt_and_its_refusal),
		T(stalled_is_since_io_was_driven_and_nothing_went),
		T(delayed_requests_go_when_due_through_the_gate),
		T(delayed_requests_at_a_gate_that_refuses_fail),
		T(one_that_was_delayed_is_older_than_the_first),
		T(the_store_is_the_closers_whoever_runs_what_waits),
		T(a_crowd_keeps_its_order_through_interrupted_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
