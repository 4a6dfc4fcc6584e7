/* The pure parts of kmsvol bench: arithmetic, the plan of a run, sentences, the picture, fio's report. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "kms_json.h"
#include "kmsvol_bench.h"
#include "kmsvol_bench_target.h"

static struct bench_row rows[64];
static struct bench bench;

static int empty_bench(void **state)
{
	(void)state;
	memset(rows, 0, sizeof(rows));
	memset(&bench, 0, sizeof(bench));
	bench.rows = rows;
	return 0;
}

/* A row whose samples are @median and 2 % around it. */
static struct bench_row *row(enum bench_layer layer, const char *job, const char *target,
			     double median)
{
	struct bench_row *r = &rows[bench.row_count++];

	r->layer = layer;
	r->unit = "IOPS";
	snprintf(r->job, sizeof(r->job), "%s", job);
	snprintf(r->target, sizeof(r->target), "%s", target);
	r->threads = 1;
	r->count = 5;
	for (int i = 0; i < 5; i++)
		r->samples[i] =
			(struct bench_sample){median * (1 + 0.01 * (i - 2)), 10 * median, -1};
	return r;
}

static void near(double got, double want)
{
	assert_true(got > want - 1e-9 && got < want + 1e-9);
}

static void medians_quartiles_and_ends(void **state)
{
	const double odd[] = {5, 1, 4, 2, 3}, even[] = {4, 1, 3, 2}, one[] = {7};
	struct bench_stat s = bench_stat(odd, 5);

	(void)state;
	near(s.median, 3);
	near(s.low, 2);
	near(s.high, 4);
	near(s.min, 1);
	near(s.max, 5);
	near(bench_spread_percent(&s), 2.0 / 3 * 100);
	s = bench_stat(even, 4);
	near(s.median, 2.5);
	near(s.low, 1.75);
	near(s.high, 3.25);
	s = bench_stat(one, 1);
	near(s.median, 7);
	near(s.low, 7);
	near(s.max, 7);
	near(bench_spread_percent(&s), 0);
	s = bench_stat(NULL, 0);
	assert_int_equal(s.count, 0);
	near(bench_spread_percent(&s), 0);
}

static void numbers_that_were_not_had_do_not_count(void **state)
{
	struct bench_row *r = row(BENCH_STORE, "seq-read", "none", 100);

	(void)state;
	r->samples[0] = (struct bench_sample){-1, -1, 3};
	assert_int_equal(bench_row_stat(r, BENCH_RATE).count, 4);
	near(bench_row_stat(r, BENCH_RATE).median, 100.5);
	assert_int_equal(bench_row_stat(r, BENCH_CPU).count, 1);
	near(bench_row_stat(r, BENCH_CPU).median, 3);
	assert_int_equal(bench_row_stat(NULL, BENCH_RATE).count, 0);
}

static void a_plan_keeps_to_the_budget(void **state)
{
	const struct bench_pace pace = {
		.budget_ms = 60000, .min_ms = 200, .max_ms = 2000, .overhead_ms = 300};
	struct bench_plan p = bench_plan(&pace, 10, 5);

	(void)state;
	assert_int_equal(p.rounds, 5); /* 60 s for 10 things, five times: 1.2 s each */
	assert_int_equal(p.ms, 900);
	p = bench_plan(&pace, 40, 5); /* 0.3 s each would be too short: fewer rounds */
	assert_int_equal(p.rounds, 3);
	assert_int_equal(p.ms, 200);
	p = bench_plan(&pace, 1000, 5); /* once, whatever it takes */
	assert_int_equal(p.rounds, 1);
	assert_int_equal(p.ms, 200);
	p = bench_plan(&pace, 1, 5); /* longer than the maximum tells nothing more */
	assert_int_equal(p.rounds, 5);
	assert_int_equal(p.ms, 2000);
	p = bench_plan(&pace, 1, 1000);
	assert_int_equal(p.rounds, BENCH_ROUNDS_MAX);
}

static void has_sentence(const char *want)
{
	struct kms_json *arr = bench_reading(&bench);
	bool found = false;

	assert_non_null(arr);
	for (size_t i = 0; i < kms_json_count(arr); i++) {
		const char *text = kms_json_string_value(kms_json_at(arr, i));

		found |= strcmp(text, want) == 0;
		if (!found)
			print_message("# %s\n", text);
	}
	kms_json_free(arr);
	if (!found)
		fail_msg("not said: %s", want);
}

static void the_reading_tells_costs_and_ratios(void **state)
{
	(void)state;
	row(BENCH_CIPHER, "enc 4k x1", "aes-256-gcm openssl", 1000);
	row(BENCH_CIPHER, "enc 4k x1", "aes-256-gcm ipsec-mb", 3000);
	row(BENCH_STORE, "seq-read", "none", 4000);
	row(BENCH_MOUNT, "seq-read", "kmsvol none", 1000);
	row(BENCH_MOUNT, "seq-read", "kmsvol aes-256-gcm", 890);
	row(BENCH_MOUNT, "rand-read-1", "kmsvol none", 500);
	row(BENCH_MOUNT, "rand-read-1", "kmsvol aes-256-gcm", 498);
	row(BENCH_PEERS, "seq-read", BENCH_PASSTHROUGH, 1780);
	row(BENCH_PEERS, "seq-read", BENCH_PLAIN_FILE, 8900);
	row(BENCH_PEERS, "seq-read", "slow one", 89);
	row(BENCH_PEERS, "seq-read", "best one", 445);
	has_sentence("libipsec-mb against OpenSSL, aes-256-gcm on blocks of 4 KiB: 3.00 x.");
	has_sentence("Encryption (aes-256-gcm) costs a mounted volume 11 % of sequential read, "
		     "nothing beyond the noise (+0 %) of random read.");
	has_sentence("FUSE (and fio) costs, without encryption, 75 % of sequential read.");
	has_sentence("Against the unencrypted passthrough, kmsvol aes-256-gcm is 0.50 x in "
		     "sequential read.");
	has_sentence("Against the best peer that encrypts, kmsvol aes-256-gcm is 2.00 x in "
		     "sequential read (best one).");
	has_sentence("Latency (99th percentile) against the unencrypted passthrough: 0.50 x in "
		     "sequential read.");
}

static void few_rounds_are_told(void **state)
{
	(void)state;
	row(BENCH_MOUNT, "seq-read", "kmsvol none", 1000)->count = 2;
	has_sentence("Some of it was measured in 2 rounds only, so what follows may be noise: give "
		     "it more --time.");
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void the_picture_has_a_bar_and_a_mark_for_each_target(void **state)
{
	struct kms_json *machine = kms_json_new_object();
	char *svg;

	(void)state;
	row(BENCH_MOUNT, "seq-read", "kmsvol none", 1000);
	row(BENCH_MOUNT, "seq-read", "kmsvol aes-256-gcm", 890);
	row(BENCH_PEERS, "seq-read", "<b> & co", 500);
	row(BENCH_PEERS, "seq-read", BENCH_PLAIN_FILE, 9000);
	row(BENCH_MOUNT, "rand-read-1", "kmsvol none", 7);
	kms_json_set_str(machine, "cpu", "A & B <C>");
	svg = bench_svg(&bench, machine);
	kms_json_free(machine);
	assert_non_null(svg);
	assert_int_equal(count(svg, "class=\"mark\""), 4);
	assert_int_equal(count(svg, "class=\"title\""), 2);
	assert_int_equal(count(svg, ">kmsvol none</text>"), 2);
	assert_int_equal(count(svg, ">&lt;b&gt; &amp; co</text>"), 1);
	assert_int_equal(count(svg, "A &amp; B &lt;C&gt;"), 1);
	/* The longest bar has all the room that there is but for its mark: 210 of 1020, at 1000. */
	assert_int_equal(count(svg, "width=\"205.9\" height=\"16\" class=\"plain\""), 2);
	assert_int_equal(count(svg, "width=\"183.2\" height=\"16\" class=\"ours\""), 1);
	assert_int_equal(count(svg, "width=\"102.9\" height=\"16\" class=\"peer\""), 1);
	free(svg);
}

#define FIO(read, write) "{\"jobs\": [{\"read\": {" read "}, \"write\": {" write "}}]}"
#define NOTHING		 "\"io_bytes\": 0, \"bw\": 0, \"iops\": 0.0"

static void fio_is_understood(void **state)
{
	struct bench_sample s = BENCH_SAMPLE_NONE;
	struct err err;
	double gib;

	(void)state;
	assert_string_equal(bench_jobs[0].name, "seq-read");
	assert_int_equal(fio_parse(FIO("\"io_bytes\": 2147483648, \"bw\": 2048, \"iops\": 2.0, "
				       "\"clat_ns\": {\"percentile\": {\"99.000000\": 5000}}",
				       NOTHING),
				   &bench_jobs[0], &s, &gib, &err),
			 0);
	near(s.rate, 2);
	near(s.p99_us, 5);
	near(gib, 2);
	assert_string_equal(bench_jobs[4].name, "rand-write-1");
	assert_int_equal(fio_parse(FIO(NOTHING, "\"io_bytes\": 1, \"bw\": 3, \"iops\": 7.5"),
				   &bench_jobs[4], &s, &gib, &err),
			 0);
	near(s.rate, 7.5);
	near(s.p99_us, -1);
}

static void a_report_without_figures_is_refused(void **state)
{
	struct bench_sample s = BENCH_SAMPLE_NONE;
	struct err err;
	double gib;

	(void)state;
	assert_int_equal(fio_parse(FIO(NOTHING, NOTHING), &bench_jobs[0], &s, &gib, &err),
			 -EUCLEAN);
	assert_string_equal(err.msg, "fio's report: nothing was moved");
	assert_int_equal(fio_parse("{\"jobs\": []}", &bench_jobs[0], &s, &gib, &err), -EUCLEAN);
	assert_string_equal(err.msg, "fio's report: 0 jobs, and there should be one");
	assert_int_equal(fio_parse("fio: failed", &bench_jobs[0], &s, &gib, &err), -EUCLEAN);
	near(s.rate, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(medians_quartiles_and_ends, empty_bench),
		cmocka_unit_test_setup(numbers_that_were_not_had_do_not_count, empty_bench),
		cmocka_unit_test_setup(a_plan_keeps_to_the_budget, empty_bench),
		cmocka_unit_test_setup(the_reading_tells_costs_and_ratios, empty_bench),
		cmocka_unit_test_setup(few_rounds_are_told, empty_bench),
		cmocka_unit_test_setup(the_picture_has_a_bar_and_a_mark_for_each_target,
				       empty_bench),
		cmocka_unit_test_setup(fio_is_understood, empty_bench),
		cmocka_unit_test_setup(a_report_without_figures_is_refused, empty_bench),
	};

	return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
