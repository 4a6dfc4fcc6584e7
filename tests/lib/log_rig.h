/*
 * A rig for tests of the log's head: a log by itself on a disk in memory. For one test program that includes it,
 * behind cmocka.h.
 */
#ifndef TESTS_LIB_LOG_RIG_H
#define TESTS_LIB_LOG_RIG_H

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
#include <unistd.h>

#include "disk.h"
#include "err.h"
#include "history.h"
#include "log.h"
#include "memdisk.h"
#include "secret.h"
#include "segment.h"
#include "store.h"

#define SEGMENT_SIZE (4u << 20)
#define LARGE_SIZE   (64u << 20) /* a segment that gets its room in several steps */
#define MOMENT	     (20 * 1000) /* microseconds in which a thread that may run does */

static const struct store_geometry geometry = {.size_bytes = 1 << 20,
					       .block_size = 4096,
					       .cipher = BLOCKCRYPT_AES_256_GCM,
					       .segment_size = SEGMENT_SIZE,
					       .volume_id = "vol-log"};

struct fixture {
	struct memdisk *disk;
	struct secret *key;
	struct segment_table *table;
	struct log *log;
	/* of the thread that waits */
	pthread_t thread;
	atomic_bool done;
	int result;
	uint64_t seq;
	uint64_t lba;
};

static inline int set_up_with(void **state, uint64_t segment_size)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct disk *disk;
	struct err err;

	f->key = history_key();
	f->disk = memdisk_new();
	disk = memdisk_disk(f->disk);
	assert_int_equal(disk->ops->mkdir(disk, "segments"), 0);
	assert_int_equal(segment_table_new(disk, &geometry, f->key, &f->table, &err), 0);
	assert_int_equal(log_new(&(struct log_setup){.disk = disk,
						     .table = f->table,
						     .segment_size = segment_size,
						     .first = 1},
				 &f->log, &err),
			 0);
	*state = f;
	return 0;
}

static inline int set_up(void **state)
{
	return set_up_with(state, SEGMENT_SIZE);
}

static inline int set_up_large(void **state)
{
	return set_up_with(state, LARGE_SIZE);
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	log_free(f->log);
	segment_table_free(f->table);
	memdisk_free(f->disk);
	secret_free(f->key);
	free(f);
	return 0;
}

static inline void begin(struct fixture *f, void *(*fn)(void *))
{
	atomic_store(&f->done, false);
	assert_int_equal(pthread_create(&f->thread, NULL, fn, f), 0);
}

static inline void assert_waits(struct fixture *f)
{
	usleep(MOMENT);
	assert_false(atomic_load(&f->done));
}

static inline void assert_ends(struct fixture *f)
{
	pthread_join(f->thread, NULL); /* for ever, if it does not */
	assert_true(atomic_load(&f->done));
}

/* A record of @len zeros under @claim, done with @result. */
static inline int reserve(struct fixture *f, struct log_claim *claim, size_t len,
			  struct log_place *place)
{
	struct err err;

	return log_reserve(f->log, claim, len, place, &err);
}

static inline int append(struct fixture *f, uint64_t lba, size_t len, struct log_place *ret_place)
{
	struct log_claim claim;
	int r;

	log_claim(f->log, &claim, lba, 1);
	r = reserve(f, &claim, len, ret_place);
	if (r == 0)
		log_done(f->log, &claim, ret_place, 0);
	log_release(f->log, &claim);
	return r;
}

#define TEST(name)	 cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_LARGE(name) cmocka_unit_test_setup_teardown(name, set_up_large, tear_down)

#endif
