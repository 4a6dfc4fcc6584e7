/* The layer of the store: its I/O by our own threads, without FUSE, on the jobs that fio does on mounts. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "clock.h"
#include "err.h"
#include "kmsvol_bench.h"
#include "secret.h"
#include "store.h"

#define THREADS_MAX   4
#define LATENCIES_MAX 200000 /* of a thread; later ones are not looked at */
#define MIB	      (1024.0 * 1024.0)
#define GIB	      (1024.0 * MIB)
#define TARGETS_MAX   4

/* One thread's part of a measurement. */
struct worker {
	const struct bench_job *job;
	struct store *store;
	uint64_t size_bytes, until_us;
	unsigned seed, index;
	uint8_t *buf;
	uint32_t *latencies; /* us, LATENCIES_MAX */
	uint64_t ops;
	int result;
	struct err err;
};

static int one_io(struct worker *w, uint64_t number)
{
	const struct bench_job *job = w->job;
	uint64_t places = w->size_bytes / job->len, place = number % places;
	uint64_t off;
	int r;

	if (job->random)
		place = ((uint64_t)rand_r(&w->seed) << 31 | (uint64_t)rand_r(&w->seed)) % places;
	off = place * job->len;
	if (!job->write)
		return store_read(w->store, off, job->len, w->buf, &w->err);
	r = store_write(w->store, off, job->len, w->buf, &w->err);
	return r == 0 && job->fsync ? store_flush(w->store, &w->err) : r;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t before = clock_monotonic_us(), now = before;

	while (w->result == 0 && now < w->until_us) {
		w->result = one_io(w, w->ops);
		now = clock_monotonic_us();
		if (w->ops < LATENCIES_MAX)
			w->latencies[w->ops] = (uint32_t)(now - before);
		w->ops++;
		before = now;
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The 99th percentile of one thread, which stands for all: they do the same. */
static double p99_us(struct worker *w)
{
	uint64_t n = w->ops < LATENCIES_MAX ? w->ops : LATENCIES_MAX;

	if (n == 0)
		return -1;
	qsort(w->latencies, n, sizeof(*w->latencies), by_value);
	return w->latencies[n * 99 / 100];
}

static double cpu_s(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u); /* cannot fail so */
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int worker_prepare(struct worker *w)
{
	w->buf = aligned_alloc(4096, w->job->len);
	w->latencies = malloc(LATENCIES_MAX * sizeof(*w->latencies));
	if (!w->buf || !w->latencies)
		return -ENOMEM;
	return RAND_bytes(w->buf, (int)w->job->len) == 1 ? 0 : -EIO;
}

static int run_on_store(const struct bench *b, const struct bench_task *task, uint64_t ms,
			struct bench_sample *ret, struct err *err)
{
	const struct bench_job *job = &bench_jobs[task->number];
	struct worker workers[THREADS_MAX] = {{0}};
	pthread_t threads[THREADS_MAX];
	unsigned started = 0;
	uint64_t begun, us, ops = 0;
	double cpu;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < job->threads; i++) {
		workers[i] = (struct worker){.job = job,
					     .store = task->arg,
					     .size_bytes = b->options->size_bytes,
					     .seed = (unsigned)clock_monotonic_us() + i,
					     .index = i};
		r = worker_prepare(&workers[i]);
		if (r < 0)
			(void)err_set(err, -r, "%s", strerror(-r));
	}
	cpu = cpu_s();
	begun = clock_monotonic_us();
	for (; r == 0 && started < job->threads; started++) {
		workers[started].until_us = begun + ms * 1000;
		if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0)
			r = err_set(err, EAGAIN, "cannot start a thread");
		if (r < 0)
			break;
	}
	for (unsigned i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
		ops += workers[i].ops;
		if (r == 0 && workers[i].result < 0) {
			r = workers[i].result;
			*err = workers[i].err;
		}
	}
	us = clock_monotonic_us() - begun;
	if (r == 0 && us && ops) {
		double bytes = (double)ops * job->len;

		ret->rate = (job->random ? (double)ops : bytes / MIB) / ((double)us / 1e6);
		ret->p99_us = p99_us(&workers[0]);
		ret->cpu_s_per_gib = (cpu_s() - cpu) / (bytes / GIB);
	}
	for (unsigned i = 0; i < job->threads; i++) {
		free(workers[i].buf);
		free(workers[i].latencies);
	}
	return r;
}

/* Write every block once, so that reads find data. */
static int fill(struct store *s, uint64_t size, const atomic_bool *stop, struct err *err)
{
	uint8_t *buf = malloc(STORE_IO_MAX);
	int r = buf ? 0 : err_set(err, ENOMEM, "out of memory");

	if (r == 0 && RAND_bytes(buf, STORE_IO_MAX) != 1)
		r = err_set(err, EIO, "no random bytes from libcrypto");
	for (uint64_t off = 0; r == 0 && off < size && !atomic_load(stop); off += STORE_IO_MAX)
		r = store_write(s, off, size - off < STORE_IO_MAX ? size - off : STORE_IO_MAX, buf,
				err);
	free(buf);
	return r == 0 ? store_flush(s, err) : r;
}

static int open_store(const struct bench *b, enum blockcrypt_cipher cipher, struct store **ret,
		      struct err *err)
{
	struct store_geometry g = {.size_bytes = b->options->size_bytes,
				   .block_size = STORE_BLOCK_SIZE_MIN,
				   .cipher = cipher,
				   .volume_id = "vol-00000000000000000"};
	AUTO(secret_freep) struct secret *key = NULL;
	char dir[sizeof(b->work) + 64];
	int r = secret_new(STORE_DATA_KEY_LEN, &key, err);

	(void)snprintf(dir, sizeof(dir), "%s/store-%s", b->work,
		       blockcrypt_name(cipher)); /* fits */
	if (r == 0 && RAND_bytes(secret_bytes(key), STORE_DATA_KEY_LEN) != 1)
		r = err_set(err, EIO, "no random bytes from libcrypto");
	if (r == 0 && mkdir(dir, 0700) < 0)
		r = err_set(err, errno, "'%s': %s", dir, strerror(errno));
	if (r == 0)
		r = store_geometry_check(&g, err);
	if (r == 0)
		r = store_create(dir, &g, key, err);
	if (r == 0)
		r = store_open(dir, &g, key, false, ret, err);
	return r;
}

int bench_store(struct bench *b, uint64_t budget_ms, struct err *err)
{
	struct bench_pace pace = {.min_ms = 40, .max_ms = 2000, .overhead_ms = 10};
	struct bench_task tasks[TARGETS_MAX * 16];
	char names[TARGETS_MAX][BENCH_NAME_MAX];
	struct store *stores[TARGETS_MAX] = {NULL};
	uint64_t begun = clock_monotonic_ms(), used;
	size_t targets = 0, count = 0;
	int r = 0;

	for (int c = BLOCKCRYPT_NONE; r == 0 && c >= BLOCKCRYPT_AES_256_GCM; c--) {
		if (!b->options->ciphers[c])
			continue;
		(void)snprintf(names[targets], sizeof(names[0]), "%s",
			       blockcrypt_name((enum blockcrypt_cipher)c)); /* fits */
		bench_show("store: filling %s", names[targets]);
		r = open_store(b, (enum blockcrypt_cipher)c, &stores[targets], err);
		if (r == 0)
			r = fill(stores[targets++], b->options->size_bytes, b->stop, err);
	}
	for (unsigned j = 0; j < bench_job_count; j++)
		for (size_t t = 0; t < targets; t++)
			tasks[count++] = (struct bench_task){.layer = BENCH_STORE,
							     .job = bench_jobs[j].name,
							     .target = names[t],
							     .unit = bench_jobs[j].unit,
							     .threads = bench_jobs[j].threads,
							     .run = run_on_store,
							     .arg = stores[t],
							     .number = j};
	used = clock_monotonic_ms() - begun;
	pace.budget_ms = used < budget_ms ? budget_ms - used : 1;
	if (r == 0)
		r = bench_run(b, tasks, count, &pace, err);
	for (size_t t = 0; t < TARGETS_MAX; t++)
		(void)store_close(stores[t], NULL); /* what they hold goes with the directory */
	return r < 0 ? err_prefix(err, "store") : 0;
}
