/* The layers in memory: copying, and each cipher of each provider, by block size and threads. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "blockcrypt_provider.h"
#include "err.h"
#include "kmsvol_bench.h"

#define PIECE	    (128u * 1024) /* bytes gone through again and again, as the store does a chunk */
#define THREADS_MAX 16
#define TASKS_MAX   200
#define MIB	    (1024.0 * 1024.0)

static const uint32_t block_sizes[] = {4096, 16384, 65536};

/* What a thread does: fill @to from @from, PIECE bytes, once. */
struct worker {
	const struct bench_task *task;
	struct blockcrypt *crypt; /* NULL: copy */
	uint8_t *from, *to;
	pthread_barrier_t *begin;
	uint64_t until_ns;
	double mib_per_s;
	int result;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int go_through(struct worker *w)
{
	uint32_t size = w->task->number;
	int r = 0;

	if (!w->crypt) {
		memcpy(w->to, w->from, PIECE);
		__asm__ volatile("" : : "r"(w->to) : "memory"); /* it is wanted */
		return 0;
	}
	for (uint32_t i = 0; r == 0 && i < PIECE / size; i++) {
		uint8_t *plain = w->from + (size_t)i * size;
		uint8_t *slot = w->to + (size_t)i * (size + BLOCKCRYPT_TAG_LEN);

		r = w->task->encrypt ? blockcrypt_encrypt(w->crypt, i, i + 1, plain, slot)
				     : blockcrypt_decrypt(w->crypt, i, i + 1, slot, plain);
	}
	return r;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t begun, now, passes = 0;

	(void)pthread_barrier_wait(w->begin);
	begun = now_ns();
	w->until_ns += begun;
	do {
		w->result = go_through(w);
		passes++;
		now = now_ns();
	} while (w->result == 0 && now < w->until_ns);
	w->mib_per_s = (double)passes * PIECE / MIB / ((double)(now - begun) / 1e9);
	return NULL;
}

static void worker_free(struct worker *w)
{
	blockcrypt_free(w->crypt);
	free(w->from);
	free(w->to);
}

/* Buffers, and a context with a key; for decryption something that can be. */
static int worker_prepare(struct worker *w, struct err *err)
{
	uint8_t key[BLOCKCRYPT_KEY_LEN];
	enum blockcrypt_cipher cipher;
	struct bench_task encrypt = *w->task;
	const struct bench_task *task = w->task;
	char name[BENCH_NAME_MAX];
	int r = 0;

	w->from = malloc(PIECE);
	w->to = malloc(PIECE + PIECE / block_sizes[0] * BLOCKCRYPT_TAG_LEN);
	if (!w->from || !w->to)
		return err_set(err, ENOMEM, "out of memory");
	if (RAND_bytes(key, sizeof(key)) != 1 || RAND_bytes(w->from, (int)PIECE) != 1)
		return err_set(err, EIO, "no random bytes from libcrypto");
	memset(w->to, 0, PIECE);
	if (task->layer == BENCH_MEMORY)
		return 0;
	(void)snprintf(name, sizeof(name), "%s", task->target); /* fits */
	name[strcspn(name, " ")] = '\0';
	r = blockcrypt_by_name(name, &cipher);
	encrypt.encrypt = true;
	for (int pass = task->encrypt; r == 0 && pass < 2; pass++) { /* first encrypt, if need be */
		bool last = pass == 1;

		r = blockcrypt_new_by(task->what, cipher,
				      !last || task->encrypt ? BLOCKCRYPT_ENCRYPT
							     : BLOCKCRYPT_DECRYPT,
				      task->number, &w->crypt, err);
		if (r == 0)
			r = blockcrypt_set_key(w->crypt, key);
		if (r < 0 || last)
			break;
		w->task = &encrypt;
		r = go_through(w);
		w->task = task;
		blockcrypt_free(w->crypt);
		w->crypt = NULL;
	}
	return r < 0 ? err_set(err, -r, "the cipher fails: %s", strerror(-r)) : 0;
}

static int run_in_memory(const struct bench *b, const struct bench_task *task, uint64_t ms,
			 struct bench_sample *ret, struct err *err)
{
	struct worker workers[THREADS_MAX] = {{0}};
	pthread_t threads[THREADS_MAX];
	pthread_barrier_t begin;
	unsigned started = 0;
	int r = 0;

	(void)b;
	pthread_barrier_init(&begin, NULL, task->threads);
	for (unsigned i = 0; r == 0 && i < task->threads; i++) {
		workers[i] =
			(struct worker){.task = task, .begin = &begin, .until_ns = ms * 1000000};
		r = worker_prepare(&workers[i], err);
	}
	for (; r == 0 && started < task->threads; started++)
		if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0)
			abort(); /* the others wait at the barrier for ever */
	ret->rate = 0;
	for (unsigned i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
		ret->rate += workers[i].mib_per_s;
		if (workers[i].result < 0)
			r = err_set(err, -workers[i].result, "the cipher fails");
	}
	for (unsigned i = 0; i < task->threads; i++)
		worker_free(&workers[i]);
	pthread_barrier_destroy(&begin);
	return r;
}

/* A list of tasks, with the texts that they show. */
struct list {
	struct bench_task tasks[TASKS_MAX];
	char jobs[TASKS_MAX][BENCH_NAME_MAX], targets[TASKS_MAX][BENCH_NAME_MAX];
	size_t count;
};

static void add(struct list *l, const struct bench_task *task, const char *job, const char *target)
{
	struct bench_task *t = &l->tasks[l->count];

	if (l->count == TASKS_MAX)
		return; /* two threads numbers, two directions, three sizes, seven targets: never */
	*t = *task;
	t->run = run_in_memory;
	t->unit = "MiB/s";
	(void)snprintf(l->jobs[l->count], BENCH_NAME_MAX, "%s", job);
	(void)snprintf(l->targets[l->count], BENCH_NAME_MAX, "%s", target);
	t->job = l->jobs[l->count];
	t->target = l->targets[l->count++];
}

/* One job, for every cipher and provider. */
static void add_ciphers(const struct bench *b, struct list *l, const struct bench_task *task)
{
	const struct blockcrypt_provider *providers[] = {&blockcrypt_openssl, blockcrypt_ipsec_mb};
	char job[BENCH_NAME_MAX], target[BENCH_NAME_MAX];

	(void)snprintf(job, sizeof(job), "%s %uk x%u", task->encrypt ? "enc" : "dec",
		       task->number / 1024, task->threads);
	for (int c = BLOCKCRYPT_AES_256_GCM; c <= BLOCKCRYPT_NONE; c++) {
		const char *name = blockcrypt_name((enum blockcrypt_cipher)c);

		if (!b->options->ciphers[c])
			continue;
		for (size_t p = 0; p < 2; p++) {
			struct bench_task t = *task;

			if (c == BLOCKCRYPT_NONE
				    ? p > 0
				    : !providers[p] || providers[p]->check(NULL) < 0 ||
					      !providers[p]->has((enum blockcrypt_cipher)c))
				continue;
			t.what = providers[p];
			(void)snprintf(target, sizeof(target),
				       c == BLOCKCRYPT_NONE ? "%s (copy and CRC)" : "%s %s", name,
				       providers[p]->name);
			add(l, &t, job, target);
		}
	}
}

int bench_memory(struct bench *b, uint64_t budget_ms, struct err *err)
{
	const struct bench_pace pace = {
		.budget_ms = budget_ms, .min_ms = 5, .max_ms = 250, .overhead_ms = 2};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned all = cpus > THREADS_MAX ? THREADS_MAX : cpus > 1 ? (unsigned)cpus : 1;
	struct list *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned threads = 1; b->options->layers[BENCH_MEMORY] && threads <= all;
	     threads += all > 1 ? all - 1 : 1) {
		struct bench_task t = {.layer = BENCH_MEMORY, .threads = threads};
		char job[BENCH_NAME_MAX];

		(void)snprintf(job, sizeof(job), "copy x%u", threads);
		add(l, &t, job, "memcpy");
	}
	for (int encrypt = 1; b->options->layers[BENCH_CIPHER] && encrypt >= 0; encrypt--)
		for (unsigned threads = 1; threads <= all; threads += all > 1 ? all - 1 : 1)
			for (size_t s = 0; s < sizeof(block_sizes) / sizeof(*block_sizes); s++) {
				struct bench_task t = {.layer = BENCH_CIPHER,
						       .threads = threads,
						       .number = block_sizes[s],
						       .encrypt = encrypt};

				add_ciphers(b, l, &t);
			}
	r = bench_run(b, l->tasks, l->count, &pace, err);
	free(l);
	return r;
}
