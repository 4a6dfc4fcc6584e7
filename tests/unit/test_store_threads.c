/*
 * Many threads at once, and a power cut among them: each thread's blocks are a prefix of what it did,
 * the cut goes through all threads at one point of the log, and what a flush covered is there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "store.h"

#define BS	    4096u
#define MIB	    (1u << 20)
#define THREADS	    4
#define OWN_BLOCKS  64 /* of each thread */
#define BOTH_BLOCKS 4  /* written by all, behind the own ones */
#define SIZE	    ((THREADS * OWN_BLOCKS + BOTH_BLOCKS) * (uint64_t)BS)
#define OPS_MAX	    400

static const struct store_geometry geometry = {.size_bytes = SIZE,
					       .block_size = BS,
					       .cipher = BLOCKCRYPT_AES_256_GCM,
					       .segment_size = 4 * MIB,
					       .volume_id = "vol-threads"};

/* One write of whole blocks; every block of it says thread, number and block. */
struct op {
	uint64_t start, end; /* times; end 0: never returned well */
	uint32_t first, count;
};

struct worker {
	struct world *world;
	unsigned number;
	uint64_t rng;
	struct op ops[OPS_MAX]; /* from 1 */
	uint32_t op_count;
	uint32_t flushed; /* own ops before this were done when a flush began that succeeded */
};

struct world {
	struct memdisk *disk;
	struct store *store;
	struct secret *key;
	atomic_uint_least64_t clock;
	uint64_t flush_start; /* of the last good flush; guarded by lock */
	pthread_mutex_t lock;
	unsigned ops; /* of each thread */
	struct worker workers[THREADS];
};

struct stamp {
	uint32_t thread, op, block, zero;
};

static void stamp_block(uint8_t *block, uint32_t thread, uint32_t op, uint32_t lba)
{
	struct stamp s = {thread + 1, op, lba, 0};

	for (size_t i = 0; i < BS; i += sizeof(s))
		memcpy(block + i, &s, sizeof(s));
}

static void do_flush(struct worker *w)
{
	struct world *world = w->world;
	uint64_t start = atomic_fetch_add(&world->clock, 1) + 1;
	uint32_t done = w->op_count;
	struct err err;

	if (store_flush(world->store, &err) < 0)
		return;
	w->flushed = done;
	pthread_mutex_lock(&world->lock);
	if (start > world->flush_start)
		world->flush_start = start;
	pthread_mutex_unlock(&world->lock);
}

static void do_write(struct worker *w)
{
	struct world *world = w->world;
	struct op *op = &w->ops[++w->op_count];
	uint8_t *buf = malloc(OWN_BLOCKS * BS);
	bool both = history_random(&w->rng) % 6 == 0;
	uint32_t blocks = both ? BOTH_BLOCKS : OWN_BLOCKS, base;
	struct err err;

	base = both ? THREADS * OWN_BLOCKS : w->number * OWN_BLOCKS;
	op->first = (uint32_t)(history_random(&w->rng) % blocks);
	op->count = 1 + (uint32_t)(history_random(&w->rng) % (blocks - op->first));
	op->first += base;
	for (uint32_t i = 0; i < op->count; i++)
		stamp_block(buf + i * (size_t)BS, w->number, w->op_count, op->first + i);
	op->start = atomic_fetch_add(&world->clock, 1) + 1;
	if (store_write(world->store, op->first * (uint64_t)BS, op->count * (size_t)BS, buf,
			&err) == 0)
		op->end = atomic_fetch_add(&world->clock, 1) + 1;
	free(buf);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct err err;

	while (w->op_count < w->world->ops && !memdisk_is_off(w->world->disk)) {
		uint64_t what = history_random(&w->rng) % 20;

		if (what < 17)
			do_write(w);
		else if (what < 19 || w->number > 1)
			do_flush(w);
		else if (w->number == 0)
			(void)store_checkpoint(w->world->store, &err); /* no power, perhaps */
		else
			(void)store_clean(w->world->store, &err); /* as above */
	}
	return NULL;
}

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s (%d)", err->msg, r);
}

static void open_store(struct world *w)
{
	struct err err;

	must(store_open_on(memdisk_disk(w->disk), &geometry, w->key, false, &w->store, &err), &err);
}

/* What block @lba holds; a block that no write made fails. */
static struct stamp read_stamp(const uint8_t *bytes, uint32_t lba)
{
	static const uint8_t zeros[BS];
	uint8_t want[BS];
	struct stamp s;

	memcpy(&s, bytes + lba * (size_t)BS, sizeof(s));
	if (s.thread == 0) {
		assert_memory_equal(bytes + lba * (size_t)BS, zeros, BS);
		return s;
	}
	assert_true(s.thread <= THREADS);
	stamp_block(want, s.thread - 1, s.op, lba);
	assert_memory_equal(bytes + lba * (size_t)BS, want, BS);
	return s;
}

/* Which of its ops thread @w's own blocks show: [*ret_least, *ret_most]. Fails if no prefix does. */
static void prefix_of(const struct worker *w, const uint8_t *bytes, uint32_t *ret_least,
		      uint32_t *ret_most)
{
	uint32_t last[OWN_BLOCKS] = {0};
	bool found = false;

	for (uint32_t k = 0; k <= w->op_count; k++) {
		const struct op *op = &w->ops[k];
		bool all = true;

		for (uint32_t i = 0; k && i < op->count; i++)
			if (op->first < THREADS * OWN_BLOCKS)
				last[op->first + i - w->number * OWN_BLOCKS] = k;
		for (uint32_t i = 0; all && i < OWN_BLOCKS; i++) {
			struct stamp s = read_stamp(bytes, w->number * OWN_BLOCKS + i);

			all = s.op == last[i] && (s.thread == 0 || s.thread == w->number + 1);
		}
		if (all && !found)
			*ret_least = k;
		if (all)
			*ret_most = k;
		found |= all;
	}
	if (!found)
		fail_msg("thread %u: its blocks are no prefix of what it wrote", w->number);
	if (*ret_most < w->flushed)
		fail_msg("thread %u: %u ops were flushed, %u are there", w->number, w->flushed,
			 *ret_most);
}

/* A block that all write: not older than what a later write or a flush says. */
static void check_shared_block(const struct world *world, const uint8_t *bytes, uint32_t lba)
{
	struct stamp s = read_stamp(bytes, lba);
	uint64_t end = s.thread ? world->workers[s.thread - 1].ops[s.op].end : 1;

	for (unsigned t = 0; end && t < THREADS; t++) {
		for (uint32_t k = 1; k <= world->workers[t].op_count; k++) {
			const struct op *op = &world->workers[t].ops[k];

			if (op->first <= lba && lba < op->first + op->count && op->start > end &&
			    op->end && op->end < world->flush_start)
				fail_msg("block %u: op %u of thread %u was flushed, an older one "
					 "is there",
					 lba, k, t);
		}
	}
}

/* If b is there and a had ended before b began, a is there. */
static void check_order(const struct world *world, const uint32_t least[], const uint32_t most[])
{
	for (unsigned t = 0; t < THREADS; t++) {
		uint64_t began = least[t] ? world->workers[t].ops[least[t]].start : 0;

		for (unsigned u = 0; u < THREADS; u++) {
			const struct worker *w = &world->workers[u];

			for (uint32_t k = most[u] + 1; k <= w->op_count; k++)
				if (w->ops[k].end && w->ops[k].end < began)
					fail_msg("op %u of thread %u is lost, the later op %u of "
						 "thread %u is there",
						 k, u, least[t], t);
		}
	}
}

static void check_all(const struct world *world, const uint8_t *bytes)
{
	uint32_t least[THREADS] = {0}, most[THREADS] = {0};

	for (unsigned t = 0; t < THREADS; t++)
		prefix_of(&world->workers[t], bytes, &least[t], &most[t]);
	check_order(world, least, most);
	for (uint32_t i = 0; i < BOTH_BLOCKS; i++)
		check_shared_block(world, bytes, THREADS * OWN_BLOCKS + i);
}

static void one_world(uint64_t seed, unsigned ops, uint64_t off_at)
{
	struct world *world = calloc(1, sizeof(*world));
	uint8_t *bytes = malloc(SIZE);
	pthread_t threads[THREADS];
	struct memdisk *after;
	struct err err;

	pthread_mutex_init(&world->lock, NULL);
	world->key = history_key();
	world->disk = memdisk_new();
	world->ops = ops;
	must(store_create_on(memdisk_disk(world->disk), &geometry, world->key, &err), &err);
	open_store(world);
	memdisk_power_off_at(world->disk, off_at);
	for (unsigned t = 0; t < THREADS; t++) {
		world->workers[t].world = world;
		world->workers[t].number = t;
		world->workers[t].rng = seed * THREADS + t;
		assert_int_equal(pthread_create(&threads[t], NULL, work, &world->workers[t]), 0);
	}
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	memdisk_power_off_at(world->disk, 0);
	(void)store_close(world->store, &err); /* there is no power */
	after = memdisk_crash(world->disk, seed);
	memdisk_free(world->disk);
	world->disk = after;
	open_store(world);
	must(store_read(world->store, 0, SIZE / 2, bytes, &err), &err);
	must(store_read(world->store, SIZE / 2, SIZE - SIZE / 2, bytes + SIZE / 2, &err), &err);
	check_all(world, bytes);
	must(store_close(world->store, &err), &err);
	memdisk_free(world->disk);
	secret_free(world->key);
	pthread_mutex_destroy(&world->lock);
	free(bytes);
	free(world);
}

static void crash_among_threads_cuts_all_at_one_point(void **state)
{
	uint64_t seed = history_seed();
	unsigned count = history_env("THREAD_HISTORIES", 150, 15);

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = history_random(&(uint64_t){seed + i});

		one_world(seed + i, OPS_MAX - 1, 1 + at % 500);
	}
}

static void threads_without_a_crash_lose_nothing(void **state)
{
	uint64_t seed = history_seed();

	(void)state;
	one_world(seed, OPS_MAX - 1, UINT64_MAX);
}

#define SECTOR	  512u
#define SECTORS	  (BS / SECTOR)
#define ROUNDS	  3000
#define RACERS	  4
#define CONTESTED 3 /* the block that all write parts of */

struct racer {
	struct store *store;
	pthread_barrier_t *start;
	unsigned number;
};

/* Count up in a sector of our own of a block that others write: it keeps what we wrote last. */
static void *race(void *arg)
{
	struct racer *r = arg;
	uint64_t off = CONTESTED * BS + r->number * SECTOR * (SECTORS / RACERS);
	uint8_t buf[SECTOR] = {0}, back[SECTOR];
	struct err err;

	(void)pthread_barrier_wait(r->start); /* says only who came last */
	for (unsigned i = 1; i <= ROUNDS; i++) {
		if (store_read(r->store, off, SECTOR, back, &err) < 0)
			return "a read failed";
		if (memcmp(buf, back, SECTOR) != 0)
			return "another thread's write to the same block undid ours";
		memset(buf, (int)(i % 251 + 1), sizeof(buf));
		if (store_write(r->store, off, SECTOR, buf, &err) < 0)
			return "a write failed";
	}
	return NULL;
}

static void parts_of_one_block_written_at_once_are_all_there(void **state)
{
	struct memdisk *disk = memdisk_new();
	struct secret *key = history_key();
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	pthread_barrier_t start;
	struct store *store;
	struct err err;

	(void)state;
	must(store_create_on(memdisk_disk(disk), &geometry, key, &err), &err);
	must(store_open_on(memdisk_disk(disk), &geometry, key, false, &store, &err), &err);
	pthread_barrier_init(&start, NULL, RACERS);
	for (unsigned i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){store, &start, i};
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < RACERS; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		if (wrong)
			fail_msg("%s", (char *)wrong);
	}
	pthread_barrier_destroy(&start);
	must(store_close(store, &err), &err);
	memdisk_free(disk);
	secret_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crash_among_threads_cuts_all_at_one_point),
		cmocka_unit_test(threads_without_a_crash_lose_nothing),
		cmocka_unit_test(parts_of_one_block_written_at_once_are_all_there),
	};

	return cmocka_run_group_tests_name("store_threads", tests, NULL, NULL);
}
