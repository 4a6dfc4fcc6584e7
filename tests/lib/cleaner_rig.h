/*
 * A rig for tests of cleaning: a store in memory with a history, half of it dead. For one test program that
 * includes it, behind cmocka.h.
 */
#ifndef TESTS_LIB_CLEANER_RIG_H
#define TESTS_LIB_CLEANER_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "store.h"

#define BS   4096u
#define MIB  (1u << 20)
#define SIZE (6 * MIB)

static const struct store_geometry geometry = {.size_bytes = SIZE,
					       .block_size = BS,
					       .cipher = BLOCKCRYPT_AES_256_GCM,
					       .segment_size = 4 * MIB,
					       .volume_id = "vol-cleaner"};

struct fixture {
	struct secret *key;
	struct memdisk *disk;
	struct store *store;
	struct history *history;
	uint8_t *bytes;
};

static inline void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s (%d)", err->msg, r);
}

static inline void open_store(struct fixture *f)
{
	struct err err;

	must(store_open_on(memdisk_disk(f->disk), &geometry, f->key, false, &f->store, &err), &err);
}

static inline void fixture_begin(struct fixture *f, uint64_t seed)
{
	struct err err;

	f->key = history_key();
	f->disk = memdisk_new();
	f->history = history_new(SIZE, BS, seed);
	f->bytes = malloc(SIZE);
	must(store_create_on(memdisk_disk(f->disk), &geometry, f->key, &err), &err);
	open_store(f);
}

static inline void fixture_end(struct fixture *f)
{
	struct err err;

	(void)store_close(f->store, &err); /* the disk may be in any state */
	memdisk_free(f->disk);
	history_free(f->history);
	secret_free(f->key);
	free(f->bytes);
}

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_begin(f, history_seed());
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	fixture_end(*state);
	free(*state);
	return 0;
}

/* The process ends here; its store is opened on what @after has. */
static inline void go_on_with(struct fixture *f, struct memdisk *after)
{
	struct err err;

	memdisk_power_off_at(f->disk, 0);
	(void)store_close(f->store, &err); /* there is no power */
	memdisk_free(f->disk);
	f->disk = after;
	open_store(f);
}

static inline void check_all(struct fixture *f, const char *when)
{
	struct err err;

	must(history_read_all(f->history, f->store, f->bytes, &err), &err);
	if (!history_is_last(f->history, 0, f->bytes, SIZE))
		fail_msg("%s: the volume is not what was written", when);
}

/* Fill the volume, then overwrite and discard here and there, so that segments are half dead. */
static inline void make_half_dead(struct fixture *f, uint64_t seed)
{
	struct err err;

	for (uint64_t off = 0; off < SIZE; off += MIB)
		must(history_write(f->history, f->store, off, MIB, &err), &err);
	for (unsigned i = 0; i < 120; i++) {
		uint64_t off = history_random(&seed) % (SIZE / BS - 8) * BS;

		if (i % 16 == 15)
			must(history_discard(f->history, f->store, off, 5 * BS, &err), &err);
		else
			must(history_write(f->history, f->store, off, (1 + i % 3) * BS, &err),
			     &err);
	}
	must(history_flush(f->history, f->store, &err), &err);
}

static inline struct store_stats stats_of(struct fixture *f)
{
	struct store_stats stats;

	store_stats(f->store, &stats);
	return stats;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
