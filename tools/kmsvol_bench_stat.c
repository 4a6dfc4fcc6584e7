/* The arithmetic of a benchmark: medians and spreads, and how a time budget is spent. Pure. */
#include <stdlib.h>
#include <string.h>

#include "kmsvol_bench.h"

const char *const bench_layer_names[] = {"memory", "ciphers", "store", "mount", "peers", NULL};

const struct bench_job bench_jobs[] = {
	{"seq-read", "sequential read", 1, false, false, false, 1 << 20, "MiB/s"},
	{"seq-write", "sequential write", 1, true, false, false, 1 << 20, "MiB/s"},
	{"rand-read-1", "random read", 1, false, true, false, 4096, "IOPS"},
	{"rand-read-4", "random read by 4 jobs", 4, false, true, false, 4096, "IOPS"},
	{"rand-write-1", "random write", 1, true, true, false, 4096, "IOPS"},
	{"rand-write-4", "random write by 4 jobs", 4, true, true, false, 4096, "IOPS"},
	{"rand-write-fsync", "random write with fsync", 1, true, true, true, 4096, "IOPS"},
};
const size_t bench_job_count = sizeof(bench_jobs) / sizeof(*bench_jobs);

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Between the two values beside the place @part (0 to 1) of a sorted row. */
static double at_part(const double *sorted, size_t count, double part)
{
	double place = part * (double)(count - 1);
	size_t i = (size_t)place;

	return i + 1 < count ? sorted[i] + (place - (double)i) * (sorted[i + 1] - sorted[i])
			     : sorted[i];
}

struct bench_stat bench_stat(const double *values, size_t count)
{
	double sorted[BENCH_ROUNDS_MAX];

	if (count > BENCH_ROUNDS_MAX)
		count = BENCH_ROUNDS_MAX;
	if (count == 0)
		return (struct bench_stat){0};
	memcpy(sorted, values, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), by_value);
	return (struct bench_stat){.count = (unsigned)count,
				   .median = at_part(sorted, count, 0.5),
				   .low = at_part(sorted, count, 0.25),
				   .high = at_part(sorted, count, 0.75),
				   .min = sorted[0],
				   .max = sorted[count - 1]};
}

struct bench_stat bench_row_stat(const struct bench_row *row, enum bench_number number)
{
	double values[BENCH_ROUNDS_MAX];
	size_t count = 0;

	for (unsigned i = 0; row && i < row->count; i++) {
		const struct bench_sample *s = &row->samples[i];
		double v = number == BENCH_RATE	 ? s->rate
			   : number == BENCH_P99 ? s->p99_us
						 : s->cpu_s_per_gib;

		if (v >= 0)
			values[count++] = v;
	}
	return bench_stat(values, count);
}

double bench_spread_percent(const struct bench_stat *stat)
{
	return stat->median > 0 ? (stat->max - stat->min) / 2 / stat->median * 100 : 0;
}

struct bench_plan bench_plan(const struct bench_pace *pace, size_t tasks, uint64_t rounds)
{
	uint64_t each = tasks ? pace->budget_ms / tasks : 0; /* for all rounds of a task */
	uint64_t least = pace->min_ms + pace->overhead_ms, ms;

	if (rounds > BENCH_ROUNDS_MAX)
		rounds = BENCH_ROUNDS_MAX;
	if (each < rounds * least) /* fewer rounds, but each of a length that means something */
		rounds = each / least ? each / least : 1;
	ms = each / rounds > least ? each / rounds - pace->overhead_ms : pace->min_ms;
	return (struct bench_plan){(unsigned)rounds, ms < pace->max_ms ? ms : pace->max_ms};
}

const struct bench_row *bench_find(const struct bench *b, enum bench_layer layer, const char *job,
				   const char *target)
{
	for (size_t i = 0; i < b->row_count; i++) {
		const struct bench_row *row = &b->rows[i];

		if (row->layer == layer && strcmp(row->job, job) == 0 &&
		    strcmp(row->target, target) == 0)
			return row;
	}
	return NULL;
}
