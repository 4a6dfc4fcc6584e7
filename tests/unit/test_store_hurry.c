/* Who wants the store closed does not wait for writers that wait for room on a full disk. */
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
#include <unistd.h>

#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "store.h"
#include "store_internal.h"

#define BS   4096u
#define MIB  (1u << 20)
#define SIZE (12 * MIB)

static const struct store_geometry geometry = {.size_bytes = SIZE,
					       .block_size = BS,
					       .cipher = BLOCKCRYPT_AES_256_GCM,
					       .segment_size = 4 * MIB,
					       .volume_id = "vol-hurry"};

struct fixture {
	struct secret *key;
	struct memdisk *disk;
	struct store *store;
	uint8_t *bytes;
	atomic_uint written;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err;

	f->key = history_key();
	f->disk = memdisk_new();
	f->bytes = calloc(1, MIB);
	assert_int_equal(store_create_on(memdisk_disk(f->disk), &geometry, f->key, &err), 0);
	assert_int_equal(
		store_open_on(memdisk_disk(f->disk), &geometry, f->key, false, &f->store, &err), 0);
	assert_int_equal(store_write(f->store, 0, MIB, f->bytes, &err), 0);
	memdisk_capacity(f->disk, memdisk_used(f->disk));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct err err;

	memdisk_capacity(f->disk, 0);
	assert_int_equal(store_close(f->store, &err), 0);
	memdisk_free(f->disk);
	secret_free(f->key);
	free(f->bytes);
	free(f);
	return 0;
}

/* Write on and on, all over the volume, until the answer is not what writing without a hurry has. */
static int write_until_sent_away(struct fixture *f)
{
	struct err err;
	int r = 0;

	for (uint64_t i = 0; r == 0 || r == -ENOSPC; i++)
		r = store_write(f->store, i % (SIZE / MIB) * MIB, MIB, f->bytes, &err);
	return r;
}

static void a_hurried_writer_is_sent_away_and_the_next_is_not(void **state)
{
	struct fixture *f = *state;
	struct err err;

	store_hurry(f->store, true);
	assert_int_equal(write_until_sent_away(f), -EAGAIN);
	assert_int_equal(store_flush(f->store, &err), 0);
	store_hurry(f->store, false);
	for (unsigned i = 0; i < 16; i++) {
		int r = store_write(f->store, i % 12 * MIB, MIB, f->bytes, &err);

		assert_true(r == 0 || r == -ENOSPC);
	}
	memdisk_capacity(f->disk, 0);
	assert_int_equal(store_write(f->store, 0, MIB, f->bytes, &err), 0);
}

static void *write_on(void *arg)
{
	return (void *)(intptr_t)write_until_sent_away(arg);
}

static void writers_at_work_end_in_a_hurry(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_on, f), 0);
	store_hurry(f->store, true);
	for (int i = 0; i < 4; i++) {
		void *r;

		pthread_join(threads[i], &r);
		assert_int_equal((intptr_t)r, -EAGAIN);
	}
}

/* Until the disk is found full. */
static void *write_until_full(void *arg)
{
	struct fixture *f = arg;
	struct err err;
	int r = 0;

	for (uint64_t i = 0; r == 0; i++, atomic_fetch_add(&f->written, 1))
		r = store_write(f->store, i % (SIZE / MIB) * MIB, MIB, f->bytes, &err);
	return (void *)(intptr_t)r;
}

/* Who waits is told at the end that the disk is full, and does not wait 20 s for a cleaner that cannot go on. */
static void waiting_writers_end_with_the_store(void **state)
{
	struct fixture *f = *state;
	unsigned before;
	pthread_t thread;
	void *r;

	memdisk_capacity(f->disk, memdisk_used(f->disk) + 16 * MIB);
	pthread_mutex_lock(&f->store->checkpoint_lock); /* no segment goes without a checkpoint */
	assert_int_equal(pthread_create(&thread, NULL, write_until_full, f), 0);
	do { /* it waits: nothing is written any more, and it has not ended */
		before = atomic_load(&f->written);
		usleep(300 * 1000);
	} while (atomic_load(&f->written) != before);
	assert_int_equal(pthread_tryjoin_np(thread, &r), EBUSY);
	(void)alarm(10); /* ends the test if it goes on waiting */
	store_end_waiting(f->store);
	assert_int_equal(pthread_join(thread, &r), 0);
	assert_int_equal((intptr_t)r, -ENOSPC);
	assert_int_equal((intptr_t)write_until_full(f), -ENOSPC);
	(void)alarm(0);
	pthread_mutex_unlock(&f->store->checkpoint_lock);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_hurried_writer_is_sent_away_and_the_next_is_not),
		TEST(writers_at_work_end_in_a_hurry),
		TEST(waiting_writers_end_with_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
