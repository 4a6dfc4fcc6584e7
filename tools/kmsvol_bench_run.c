/* Doing the tasks of a layer: in rounds whose order rotates, within a time, with a line that tells how far it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_bench.h"

#define LINE_MAX_CHARS 78

void bench_show(const char *fmt, ...)
{
	static bool shown;
	char line[LINE_MAX_CHARS + 1] = "";
	va_list args;

	if (!isatty(STDERR_FILENO) || (!fmt && !shown))
		return;
	if (fmt) {
		va_start(args, fmt);
		(void)vsnprintf(line, sizeof(line), fmt, args); /* may be cut */
		va_end(args);
	}
	fprintf(stderr, "\r%-*s%s", LINE_MAX_CHARS, line, fmt ? "" : "\r");
	fflush(stderr);
	shown = fmt != NULL;
}

void bench_leave_out(struct bench *b, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* may be cut */
	va_end(args);
	(void)kms_json_add_str(b->left_out, text); /* out of memory: it is not told */
}

static int add_rows(struct bench *b, const struct bench_task *tasks, size_t count, struct err *err)
{
	if (count > BENCH_ROWS_MAX - b->row_count)
		return err_set(err, E2BIG, "more than %d things to measure", BENCH_ROWS_MAX);
	for (size_t i = 0; i < count; i++) {
		struct bench_row *row = &b->rows[b->row_count++];

		row->layer = tasks[i].layer;
		row->unit = tasks[i].unit;
		row->threads = tasks[i].threads;
		(void)snprintf(row->job, sizeof(row->job), "%s", tasks[i].job); /* fits */
		(void)snprintf(row->target, sizeof(row->target), "%s", tasks[i].target);
	}
	return 0;
}

/* The tasks of the job that begins with task @first. */
static size_t job_len(const struct bench_task *tasks, size_t count, size_t first)
{
	size_t n = 1;

	while (first + n < count && strcmp(tasks[first + n].job, tasks[first].job) == 0)
		n++;
	return n;
}

static int measure(const struct bench *b, const struct bench_task *task, struct bench_row *row,
		   uint64_t ms, struct err *err)
{
	struct bench_sample sample = BENCH_SAMPLE_NONE;
	int r = task->run(b, task, ms, &sample, err);

	if (atomic_load(b->stop))
		return err_set(err, EINTR, "interrupted");
	if (r < 0)
		return err_prefix(err, "%s: %s", task->job, task->target);
	row->samples[row->count++] = sample;
	return 0;
}

static int run_round(const struct bench *b, const struct bench_task *tasks, size_t count,
		     const struct bench_plan *plan, unsigned round, struct bench_row *rows,
		     struct err *err)
{
	uint64_t left;
	int r = 0;

	for (size_t i = 0, n; r == 0 && i < count; i += n) {
		n = job_len(tasks, count, i);
		for (size_t k = 0; r == 0 && k < n; k++) {
			size_t at = i + (k + round) % n;
			uint64_t used = clock_monotonic_ms() - b->begun_ms;

			left = b->options->time_ms > used ? b->options->time_ms - used : 0;
			bench_show("%s, round %u of %u: %s %s; %" PRIu64 " s to go",
				   bench_layer_names[tasks[at].layer], round + 1, plan->rounds,
				   tasks[at].job, tasks[at].target, left / 1000);
			r = measure(b, &tasks[at], &rows[at], plan->ms, err);
		}
	}
	return r;
}

int bench_run(struct bench *b, const struct bench_task *tasks, size_t count,
	      const struct bench_pace *pace, struct err *err)
{
	struct bench_plan plan = bench_plan(pace, count, b->options->rounds);
	struct bench_row *rows = &b->rows[b->row_count];
	uint64_t begun = clock_monotonic_ms();
	int r = add_rows(b, tasks, count, err);

	for (unsigned round = 0; r == 0 && round < plan.rounds; round++) {
		uint64_t used = clock_monotonic_ms() - begun;

		/* A round that would end past the budget is not begun, but for the first. */
		if (round && used + used / round > pace->budget_ms + pace->budget_ms / 8)
			break;
		r = run_round(b, tasks, count, &plan, round, rows, err);
	}
	return r;
}
