/* Injected faults as a table: who is hit, when, by which part; limits; and how EC2 would describe the volume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "fault.h"
#include "health.h"

#define RW    (FAULT_READS | FAULT_WRITES)
#define START 1000000000ULL

static struct fault fault(enum fault_kind kind, unsigned targets, uint32_t permille)
{
	return (struct fault){.kind = kind,
			      .targets = targets,
			      .permille = permille,
			      .latency_us = 20000,
			      .error = EIO,
			      .seed = 42,
			      .begin_us = START,
			      .end_us = FAULT_FOREVER};
}

static void the_part_that_is_hit_is_the_part_asked_for(void **state)
{
	/* Of 100,000 draws; five standard deviations around what is expected. */
	static const struct {
		uint32_t permille;
		unsigned least, most;
	} rows[] = {{0, 0, 0},		 {1, 50, 150},	      {50, 4655, 5345},
		    {500, 49209, 50791}, {999, 99850, 99950}, {1000, 100000, 100000}};
	unsigned alike = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		unsigned hit = 0;

		for (uint64_t n = 0; n < 100000; n++)
			hit += fault_hits(7, n, rows[i].permille);
		assert_in_range(hit, rows[i].least, rows[i].most);
	}
	for (uint64_t n = 0; n < 100000; n++) /* another seed, other requests */
		alike += fault_hits(7, n, 500) == fault_hits(8, n, 500);
	assert_in_range(alike, 49209, 50791);
}

static void the_same_seed_hits_the_same_requests(void **state)
{
	struct fault a = fault(FAULT_ERROR, RW, 300), b = a;

	(void)state;
	for (int n = 0; n < 1000; n++)
		assert_int_equal(fault_judge(&a, 1, FAULT_READS, 4096, START + n).error,
				 fault_judge(&b, 1, FAULT_WRITES, 8192, START + 2 * n).error);
	assert_int_equal(a.seen, 1000);
	assert_in_range(a.hit, 200, 400);
}

static void each_kind_does_what_it_says(void **state)
{
	static const struct {
		enum fault_kind kind;
		unsigned targets, request;
		uint32_t permille;
		int64_t at; /* from the beginning */
		uint64_t end;
		int error;
		uint64_t delay;
	} rows[] = {
		{FAULT_LATENCY, RW, FAULT_READS, 1000, 5, FAULT_FOREVER, 0, 20000},
		{FAULT_LATENCY, FAULT_WRITES, FAULT_READS, 1000, 5, FAULT_FOREVER, 0, 0},
		{FAULT_LATENCY, RW, FAULT_FLUSHES, 1000, 5, FAULT_FOREVER, 0, 0},
		{FAULT_LATENCY, FAULT_FLUSHES, FAULT_FLUSHES, 1000, 5, FAULT_FOREVER, 0, 20000},
		{FAULT_LATENCY, RW, FAULT_READS, 1000, -1, FAULT_FOREVER, 0, 0},
		{FAULT_LATENCY, RW, FAULT_READS, 1000, 99, START + 100, 0, 20000},
		{FAULT_LATENCY, RW, FAULT_READS, 1000, 100, START + 100, 0, 0},
		{FAULT_ERROR, RW, FAULT_WRITES, 1000, 5, FAULT_FOREVER, EIO, 0},
		{FAULT_ERROR, RW, 0, 1000, 5, FAULT_FOREVER, 0, 0}, /* a seek */
		{FAULT_PAUSE, 7, FAULT_WRITES, 1000, 5, FAULT_FOREVER, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct fault f = fault(rows[i].kind, rows[i].targets, rows[i].permille);
		uint64_t now = START + (uint64_t)rows[i].at;
		struct fault_verdict v;

		f.end_us = rows[i].end;
		v = fault_judge(&f, 1, rows[i].request, 4096, now);
		assert_int_equal(v.error, rows[i].error);
		assert_int_equal(v.due_us, rows[i].delay ? now + rows[i].delay : 0);
	}
}

static void errors_count_before_delays_and_delays_add_up(void **state)
{
	struct fault f[4] = {fault(FAULT_LATENCY, RW, 1000), fault(FAULT_THROTTLE, RW, 1000),
			     fault(FAULT_LATENCY, RW, 1000), fault(FAULT_ERROR, RW, 1000)};
	struct fault_verdict v;

	(void)state;
	f[1].iops = 10;
	f[3].error = ENOSPC;
	v = fault_judge(f, 4, FAULT_READS, 4096, START);
	assert_int_equal(v.error, ENOSPC);
	assert_int_equal(v.due_us, 0);
	assert_int_equal(f[1].next_ns, 0); /* what is not executed takes nobody's turn */
	assert_int_equal(f[0].seen, 0);
	v = fault_judge(f, 3, FAULT_READS, 4096, START);
	assert_int_equal(v.due_us, START + 40000);
	v = fault_judge(f, 3, FAULT_READS, 4096, START);
	assert_int_equal(v.due_us, START + 40000 + 100000 - FAULT_BURST_US);
}

/* The time at which the last of @n requests may begin, all sent at once. */
static uint64_t last_turn(struct fault *f, int n, uint64_t bytes)
{
	struct fault_verdict v = {0};

	for (int i = 0; i < n; i++)
		v = fault_judge(f, 1, FAULT_WRITES, bytes, START);
	return v.due_us ? v.due_us - START : 0;
}

static void a_throttle_gives_turns_at_its_rate(void **state)
{
	static const struct {
		uint64_t iops, bytes_per_s, bytes, seconds_us;
	} rows[] = {
		{1000, 0, 4096, 1000000},	{100, 0, 1 << 20, 10000000},
		{0, 1 << 20, 4096, 3902343},	{100, 100 << 20, 1 << 20, 10000000},
		{5000, 1 << 20, 4096, 3902343}, {100000, 0, 4096, 10000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct fault f = fault(FAULT_THROTTLE, RW, 1000);
		uint64_t last;

		f.iops = rows[i].iops;
		f.bytes_per_s = rows[i].bytes_per_s;
		last = last_turn(&f, 1000, rows[i].bytes) + FAULT_BURST_US;
		assert_in_range(last, rows[i].seconds_us * 99 / 100,
				rows[i].seconds_us * 101 / 100);
		/* Idle time is not saved up beyond the burst. */
		assert_int_equal(fault_judge(&f, 1, FAULT_READS, 512, START + 60000000).due_us, 0);
		assert_true(f.next_ns >= (START + 60000000) * 1000);
	}
}

static void limits_are_told(void **state)
{
	static const struct {
		struct fault fault;
		const char *sentence; /* NULL: it is fine */
	} rows[] = {
		{{.kind = FAULT_PAUSE}, NULL},
		{{.kind = FAULT_LATENCY, .targets = RW, .permille = 500, .latency_us = 1000}, NULL},
		{{.kind = FAULT_LATENCY, .targets = RW, .permille = 1, .latency_us = 60000000},
		 NULL},
		{{.kind = FAULT_LATENCY, .targets = 0, .permille = 500, .latency_us = 1000},
		 "it is for no requests"},
		{{.kind = FAULT_LATENCY, .targets = RW, .permille = 500, .latency_us = 999},
		 "latency 0s is not in 1ms to 60s"},
		{{.kind = FAULT_LATENCY, .targets = RW, .permille = 500, .latency_us = 61000000},
		 "latency 61s is not in 1ms to 60s"},
		{{.kind = FAULT_ERROR, .targets = RW, .permille = 0, .error = EIO},
		 "the part of requests is not in 0.1 to 100 %"},
		{{.kind = FAULT_ERROR, .targets = RW, .permille = 1001, .error = EIO},
		 "the part of requests is not in 0.1 to 100 %"},
		{{.kind = FAULT_ERROR, .targets = RW, .permille = 5, .error = EPERM},
		 "1 is no error of a disk"},
		{{.kind = FAULT_THROTTLE, .targets = RW}, "a throttle needs a limit"},
		{{.kind = FAULT_THROTTLE, .targets = RW, .iops = 1}, NULL},
		{{.kind = FAULT_THROTTLE, .targets = RW, .bytes_per_s = 4095},
		 "a limit is outside 1 to 1000000 requests, 4K to 1T bytes a second"},
		{{.kind = FAULT_THROTTLE, .targets = RW, .iops = 1000001},
		 "a limit is outside 1 to 1000000 requests, 4K to 1T bytes a second"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err err = {0};
		int r = fault_check(&rows[i].fault, &err);

		assert_int_equal(r, rows[i].sentence ? -EINVAL : 0);
		assert_string_equal(err.msg, rows[i].sentence ? rows[i].sentence : "");
	}
}

static void a_fault_describes_itself(void **state)
{
	struct fault throttle = fault(FAULT_THROTTLE, 7, 1000);
	struct {
		struct fault fault;
		const char *text;
	} rows[] = {
		{fault(FAULT_PAUSE, RW, 1000), "all I/O waits"},
		{fault(FAULT_LATENCY, RW, 500), "20ms for 50 % of reads and writes"},
		{fault(FAULT_ERROR, FAULT_FLUSHES, 5), "EIO for 0.5 % of flushes"},
		{fault(FAULT_ERROR, FAULT_READS, 1000), "EIO for reads"},
		{throttle, "at most 100 requests/s, 10 MiB/s for all requests"},
	};

	(void)state;
	rows[4].fault.iops = 100;
	rows[4].fault.bytes_per_s = 10 << 20;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[FAULT_TEXT_MAX];

		fault_describe(&rows[i].fault, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void names_lead_to_kinds_and_errors(void **state)
{
	enum fault_kind kind;
	int num;

	(void)state;
	for (int i = 0; i < FAULT_KINDS; i++) {
		assert_int_equal(fault_kind_by_name(fault_kind_name((enum fault_kind)i), &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_string_equal(fault_action(FAULT_PAUSE), "aws:ebs:pause-volume-io");
	assert_string_equal(fault_action(FAULT_LATENCY), "aws:ebs:volume-io-latency");
	assert_int_equal(fault_kind_by_name("fire", &kind), -ENOENT);
	assert_int_equal(fault_error_by_name("ETIMEDOUT", &num), 0);
	assert_int_equal(num, ETIMEDOUT);
	assert_int_equal(fault_error_by_name("EPERM", &num), -ENOENT);
	assert_null(fault_error_name(0));
}

static void health_is_as_ec2_would_say_it(void **state)
{
	static const struct {
		struct health_facts facts;
		uint64_t now;
		const char *status, *enabled, *performance;
		unsigned check;
		uint64_t changes;
	} rows[] = {
		{{0, false, false, 1}, 5000, "ok", "passed", "normal", 0, UINT64_MAX},
		{{0, false, true, 1}, 5000, "warning", "passed", "degraded", 0, UINT64_MAX},
		{{0, true, false, 1}, 5000, "impaired", "failed", "normal", 0, UINT64_MAX},
		{{1000, false, false, 1}, 60999, "ok", "passed", "normal", 0, 61000},
		{{1000, false, false, 1}, 61000, "ok", "passed", "normal", 1, 121000},
		{{1000, false, true, 1}, 120999, "warning", "passed", "degraded", 1, 121000},
		{{1000, false, false, 1}, 121000, "impaired", "passed", "stalled", 1, UINT64_MAX},
		{{1000, false, false, 60}, 1999, "ok", "passed", "normal", 0, 2000},
		{{1000, false, false, 60}, 2000, "ok", "passed", "normal", 1, 3000},
		{{1000, false, false, 60}, 3000, "impaired", "passed", "stalled", 1, UINT64_MAX},
		{{1000, false, false, 0}, 121000, "impaired", "passed", "stalled", 1, UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct health h = health_at(&rows[i].facts, rows[i].now);

		assert_string_equal(h.volume_status, rows[i].status);
		assert_string_equal(h.io_enabled, rows[i].enabled);
		assert_string_equal(h.io_performance, rows[i].performance);
		assert_int_equal(h.stalled_io_check, rows[i].check);
		assert_true(h.changes_ms == rows[i].changes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_part_that_is_hit_is_the_part_asked_for),
		cmocka_unit_test(the_same_seed_hits_the_same_requests),
		cmocka_unit_test(each_kind_does_what_it_says),
		cmocka_unit_test(errors_count_before_delays_and_delays_add_up),
		cmocka_unit_test(a_throttle_gives_turns_at_its_rate),
		cmocka_unit_test(limits_are_told),
		cmocka_unit_test(a_fault_describes_itself),
		cmocka_unit_test(names_lead_to_kinds_and_errors),
		cmocka_unit_test(health_is_as_ec2_would_say_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
