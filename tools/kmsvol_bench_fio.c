/* Measuring by fio. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_bench_child.h"
#include "kmsvol_bench_target.h"
#include "secret.h"
#include "textfile.h"

#define JSON_MAX    (4 * 1024 * 1024)
#define PATIENCE    (30 * 1000)	 /* ms beyond what it was told to take */
#define FILL_MS	    (300 * 1000) /* for a volume of any size that fits */
#define ARGS_MAX    24
#define ARG_MAX	    (PATH_MAX + 32)
#define KIB_A_MIB   1024.0
#define BYTES_A_GIB (1024.0 * 1024.0 * 1024.0)

/* The arguments of fio, with their texts. */
struct args {
	const char *argv[ARGS_MAX];
	char texts[ARGS_MAX][ARG_MAX];
	size_t count;
};

__attribute__((format(printf, 2, 3))) static void add(struct args *a, const char *fmt, ...)
{
	va_list args;

	if (a->count + 1 >= ARGS_MAX)
		return; /* there are fewer than twenty */
	va_start(args, fmt);
	(void)vsnprintf(a->texts[a->count], ARG_MAX, fmt, args); /* fits */
	va_end(args);
	a->argv[a->count] = a->texts[a->count];
	a->argv[++a->count] = NULL;
}

static void begin(struct args *a, const struct bench *b, const struct target *t)
{
	a->count = 0;
	add(a, "fio");
	add(a, "--name=bench");
	add(a, "--filename=%s", t->file);
	add(a, "--size=%" PRIu64, b->options->size_bytes);
	add(a, "--direct=1");
	add(a, "--ioengine=psync");
	add(a, "--allow_file_create=0"); /* a mount that is gone is no file of the backing disk */
	add(a, "--output-format=json");
	add(a, "--output=%s/fio.json", b->work);
}

int fio_fill(const struct bench *b, const struct target *t, struct err *err)
{
	struct args a;
	int r = target_check(t, err);

	begin(&a, b, t);
	add(&a, "--rw=write");
	add(&a, "--bs=1M");
	add(&a, "--end_fsync=1");
	if (r == 0)
		r = child_run(b->work, "fio", a.argv, FILL_MS, b->stop, err);
	return r == 0 ? target_check(t, err) : r;
}

int fio_parse(const char *text, const struct bench_job *job, struct bench_sample *ret,
	      double *ret_gib, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	const char *kind = job->write ? "write" : "read";
	struct kms_json *jobs, *side, *latency, *percentiles;
	uint64_t bytes;
	double bw_kib, iops, ns = -1;
	int r = kms_json_parse(text, strlen(text), &obj, err);

	if (r == 0)
		r = kms_json_array(obj, "jobs", &jobs, err);
	if (r == 0 && kms_json_count(jobs) != 1)
		r = err_set(err, EUCLEAN, "%zu jobs, and there should be one",
			    kms_json_count(jobs));
	if (r == 0)
		r = kms_json_object(kms_json_at(jobs, 0), kind, &side, err);
	if (r == 0)
		r = kms_json_double(side, "bw", &bw_kib, err);
	if (r == 0)
		r = kms_json_double(side, "iops", &iops, err);
	if (r == 0)
		r = kms_json_u64(side, "io_bytes", &bytes, err);
	if (r == 0 && bytes == 0)
		r = err_set(err, EUCLEAN, "nothing was moved");
	if (r < 0)
		return err_prefix(err, "fio's report");
	latency = kms_json_get(side, "clat_ns");
	percentiles = latency ? kms_json_get(latency, "percentile") : NULL;
	if (percentiles && kms_json_has(percentiles, "99.000000"))
		ns = kms_json_double_value(kms_json_get(percentiles, "99.000000"));
	ret->rate = job->random ? iops : bw_kib / KIB_A_MIB;
	ret->p99_us = ns < 0 ? -1 : ns / 1000;
	*ret_gib = (double)bytes / BYTES_A_GIB;
	return 0;
}

/* Of all processes that serve the target. */
static double cpu_s(const struct target *t)
{
	double sum = 0;

	for (size_t i = 0; i < TARGET_PIDS_MAX; i++) {
		double s = t->pids[i] ? child_cpu_s(t->pids[i]) : 0;

		if (s < 0)
			return -1;
		sum += s;
	}
	return t->pids[0] ? sum : -1;
}

int fio_run(const struct bench *b, const struct bench_task *task, uint64_t ms,
	    struct bench_sample *ret, struct err *err)
{
	const struct bench_job *job = &bench_jobs[task->number];
	const struct target *t = task->arg;
	AUTO(freep) char *text = NULL;
	char path[PATH_MAX];
	double before = cpu_s(t), after, gib;
	struct args a;
	int r = target_check(t, err);

	begin(&a, b, t);
	add(&a, "--rw=%s%s", job->random ? "rand" : "", job->write ? "write" : "read");
	add(&a, "--bs=%" PRIu32, job->len);
	add(&a, "--numjobs=%u", job->threads);
	add(&a, "--time_based");
	add(&a, "--runtime=%" PRIu64 "ms", ms);
	add(&a, "--group_reporting");
	add(&a, "--randrepeat=0");
	add(&a, "--norandommap");
	if (job->fsync)
		add(&a, "--fsync=1");
	if (r == 0)
		r = child_run(b->work, "fio", a.argv, ms + PATIENCE, b->stop, err);
	if (r == 0)
		r = target_check(t, err);
	after = cpu_s(t);
	(void)snprintf(path, sizeof(path), "%s/fio.json", b->work); /* fits */
	if (r == 0) {
		r = textfile_read(AT_FDCWD, path, JSON_MAX, &text);
		if (r < 0)
			r = err_set(err, -r, "fio's report: %s", strerror(-r));
	}
	if (r == 0)
		r = fio_parse(text, job, ret, &gib, err);
	if (r == 0 && before >= 0 && after >= before)
		ret->cpu_s_per_gib = (after - before) / gib;
	return r;
}
