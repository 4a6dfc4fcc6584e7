/*
 * A disk that fails: every kind of operation at every turn. Nothing flushed is lost, nothing that failed
 * is said to have worked, a failed write or sync ends writing, a full disk does not.
 */
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
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "store.h"

#define MIB  (1u << 20)
#define SIZE (5 * MIB)

static const struct store_geometry geometry = {.size_bytes = SIZE,
					       .block_size = 4096,
					       .cipher = BLOCKCRYPT_AES_256_GCM,
					       .segment_size = 4 * MIB,
					       .volume_id = "vol-faults"};

struct fixture {
	struct secret *key;
	struct memdisk *disk;
	struct store *store;
	struct history *history;
	uint8_t *bytes;
};

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s (%d)", err->msg, r);
}

static void fixture_begin(struct fixture *f, uint64_t seed)
{
	struct err err;

	f->key = history_key();
	f->disk = memdisk_new();
	f->history = history_new(SIZE, geometry.block_size, seed);
	f->bytes = malloc(SIZE);
	must(store_create_on(memdisk_disk(f->disk), &geometry, f->key, &err), &err);
	must(store_open_on(memdisk_disk(f->disk), &geometry, f->key, false, &f->store, &err), &err);
}

static void fixture_end(struct fixture *f)
{
	struct err err;

	if (f->store)
		must(store_close(f->store, &err), &err);
	memdisk_free(f->disk);
	history_free(f->history);
	secret_free(f->key);
	free(f->bytes);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_begin(f, history_seed());
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fixture_end(*state);
	free(*state);
	return 0;
}

/* Close without power, cut, open on what is left, and read all. */
static void crash_and_read(struct fixture *f, uint64_t seed)
{
	struct memdisk *after;
	struct err err;

	memdisk_power_off_at(f->disk, 0);
	(void)store_close(f->store, &err); /* there is no power */
	after = memdisk_crash(f->disk, seed);
	memdisk_free(f->disk);
	f->disk = after;
	must(store_open_on(memdisk_disk(f->disk), &geometry, f->key, false, &f->store, &err), &err);
	must(history_read_all(f->history, f->store, f->bytes, &err), &err);
}

/* A failed operation of the store: one of these and a sentence. */
static void check_error(int r, const struct err *err, int injected)
{
	assert_int_equal(err->num, -r);
	assert_true(strlen(err->msg) > 10);
	if (r != -injected && r != -EROFS && r != -EIO)
		fail_msg("errno %d for an injected %d: %s", -r, injected, err->msg);
}

/*
 * A history in which the @nth operation of @ops fails @times times with @num; crash; all that was
 * flushed is there. Returns whether the fault struck.
 */
static bool one_fault(unsigned ops, uint64_t nth, uint64_t times, int num, uint64_t seed)
{
	struct fixture f = {0};
	struct store_stats stats;
	struct err err;
	bool struck;

	fixture_begin(&f, seed);
	memdisk_fail(f.disk, ops, nth, times, num);
	for (unsigned i = 0; i < 30; i++) {
		size_t before = history_steps(f.history);
		int r = history_random_step(f.history, f.store, 600000, &err);

		if (r < 0) {
			check_error(r, &err, num);
			must(history_settle(f.history, f.store, before, &err), &err);
		}
		if (r == -EROFS && !memdisk_failed(f.disk))
			fail_msg("writing stopped for no reason: %s", err.msg);
	}
	store_stats(f.store, &stats);
	struck = memdisk_failed(f.disk) > 0;
	/* A failed write or sync is never passed over; a new segment's file is unlinked with it. */
	if (struck && num == EIO && (ops & (MEMDISK_PWRITE | MEMDISK_SYNC)))
		assert_true(stats.writing_stopped || memdisk_count(f.disk, MEMDISK_UNLINK) > 0);
	if (struck && stats.writing_stopped) {
		assert_int_equal(store_write(f.store, 0, 4096, f.bytes, &err), -EROFS);
		assert_non_null(strstr(err.msg, "writing has stopped"));
		assert_int_equal(store_flush(f.store, &err), -EROFS);
		assert_int_equal(store_checkpoint(f.store, &err), -EROFS);
	}
	crash_and_read(&f, seed);
	if (history_match(f.history, f.bytes, history_flushed(f.history)) < 0)
		fail_msg("ops %x, operation %llu, errno %d, seed %llu: flushed data is lost", ops,
			 (unsigned long long)nth, num, (unsigned long long)seed);
	fixture_end(&f);
	return struck;
}

static void each_in_turn(unsigned ops, int num)
{
	uint64_t seed = history_seed();
	unsigned max = history_env("FAULTS_MAX", 60, 10);

	for (uint64_t nth = 1; nth <= max; nth++)
		if (!one_fault(ops, nth, 1, num, seed + nth % 3))
			return;
}

static void write_that_fails_ends_writing(void **state)
{
	(void)state;
	each_in_turn(MEMDISK_PWRITE, EIO);
}

static void sync_that_fails_once_ends_writing(void **state)
{
	(void)state;
	each_in_turn(MEMDISK_SYNC, EIO);
}

static void sync_of_directory_that_fails_loses_nothing(void **state)
{
	(void)state;
	each_in_turn(MEMDISK_SYNC_DIR, EIO);
}

static void file_that_cannot_be_made_loses_nothing(void **state)
{
	(void)state;
	each_in_turn(MEMDISK_CREATE, EMFILE);
}

static void room_that_cannot_be_had_loses_nothing(void **state)
{
	(void)state;
	each_in_turn(MEMDISK_ALLOCATE, ENOSPC);
	each_in_turn(MEMDISK_ALLOCATE, EIO);
}

static void write_without_room_loses_nothing(void **state)
{
	(void)state;
	each_in_turn(MEMDISK_PWRITE, ENOSPC);
}

static void read_that_fails_is_said_and_passes(void **state)
{
	(void)state;
	each_in_turn(MEMDISK_PREAD, EIO);
}

/* Short and interrupted reads and writes change nothing. */
static void short_and_interrupted_io_is_completed(void **state)
{
	struct fixture *f = *state;
	struct err err;

	memdisk_short(f->disk, 3000, 7);
	for (unsigned i = 0; i < 60; i++)
		must(history_random_step(f->history, f->store, 300000, &err), &err);
	must(history_flush(f->history, f->store, &err), &err);
	must(history_read_all(f->history, f->store, f->bytes, &err), &err);
	assert_true(history_is_last(f->history, 0, f->bytes, SIZE));
	crash_and_read(f, 1);
	assert_true(history_match(f->history, f->bytes, history_flushed(f->history)) >= 0);
}

/* Open: an error of the disk at each operation is an error with a sentence, and does no harm. */
static void open_on_a_failing_disk_says_so_and_harms_nothing(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	int r = -1;

	for (unsigned i = 0; i < 40; i++)
		must(history_random_step(f->history, f->store, 100000, &err), &err);
	must(history_flush(f->history, f->store, &err), &err);
	memdisk_power_off_at(f->disk, 0);
	(void)store_close(f->store, &err); /* there is no power */
	f->store = NULL;
	for (uint64_t nth = 1; r < 0; nth++) {
		struct memdisk *disk = memdisk_kill(f->disk);
		struct store *store = NULL;

		memdisk_fail(disk, MEMDISK_ALL, nth, 1, EIO);
		memset(&err, 0, sizeof(err));
		r = store_open_on(memdisk_disk(disk), &geometry, f->key, false, &store, &err);
		if (r < 0) {
			check_error(r, &err, EIO);
			r = store_open_on(memdisk_disk(disk), &geometry, f->key, false, &store,
					  &err);
			must(r, &err);
			r = -1;
		} else if (memdisk_failed(disk)) {
			r = -1; /* behind a trim or in a thread: it did not matter */
		}
		memdisk_fail(disk, 0, 0, 0, 0);
		must(history_read_all(f->history, store, f->bytes, &err), &err);
		assert_true(history_match(f->history, f->bytes, history_steps(f->history)) >= 0);
		must(store_close(store, &err), &err);
		memdisk_free(disk);
	}
}

/* store_create() on a failing disk: an error with a sentence each time. */
static void create_on_a_failing_disk_says_so(void **state)
{
	struct fixture *f = *state;
	int r = -1;

	for (uint64_t nth = 1; r < 0; nth++) {
		struct memdisk *disk = memdisk_new();
		struct err err = {0};

		memdisk_fail(disk, MEMDISK_ALL, nth, 1, EIO);
		r = store_create_on(memdisk_disk(disk), &geometry, f->key, &err);
		if (r < 0)
			check_error(r, &err, EIO);
		else
			assert_int_equal(memdisk_failed(disk), 0);
		memdisk_free(disk);
	}
}

/* Write until the disk is full; the volume stays as it is, and takes writes again with more room. */
static void full_disk_passes_when_room_is_made(void **state)
{
	struct fixture *f = *state;
	struct err err;
	unsigned refused = 0;

	memdisk_capacity(f->disk, memdisk_used(f->disk) + 5 * MIB);
	for (unsigned i = 0; i < 60; i++) {
		size_t before = history_steps(f->history);
		int r = history_write(f->history, f->store, i % 12 * 400000, 400000, &err);

		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_non_null(strstr(err.msg, "No space left"));
			/* Refused before anything changed: the same again, once there is room. */
			memdisk_capacity(f->disk, memdisk_used(f->disk) + 3 * MIB);
			assert_int_equal(history_steps(f->history), before + 1);
			must(history_write(f->history, f->store, i % 12 * 400000, 400000, &err),
			     &err);
			refused++;
		}
		if (i % 7 == 0)
			must(history_flush(f->history, f->store, &err), &err);
	}
	assert_true(refused > 0);
	must(history_read_all(f->history, f->store, f->bytes, &err), &err);
	assert_true(history_is_last(f->history, 0, f->bytes, SIZE));
	must(history_flush(f->history, f->store, &err), &err);
	memdisk_capacity(f->disk, 0);
	crash_and_read(f, 5);
	assert_true(history_is_last(f->history, 0, f->bytes, SIZE));
}

/* Overwriting needs no more room than the disk has, as long as the cleaner makes some. */
static void overwriting_goes_on_while_there_is_dead_space(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;
	struct err err;

	memdisk_capacity(f->disk, memdisk_used(f->disk) + 10 * MIB);
	for (unsigned i = 0; i < 150; i++) {
		must(history_write(f->history, f->store, i * 7 % 10 * 400000, 400000, &err), &err);
		if (i % 7 == 0)
			must(history_flush(f->history, f->store, &err), &err);
	}
	store_stats(f->store, &stats);
	assert_true(stats.cleaned_segments > 0);
	assert_true(stats.moved_bytes > 0);
	must(history_flush(f->history, f->store, &err), &err);
	crash_and_read(f, 11);
	assert_true(history_is_last(f->history, 0, f->bytes, SIZE));
}

/* While the disk is full, what is there is read, flushed and kept over a crash. */
static void full_disk_still_serves_and_flushes(void **state)
{
	struct fixture *f = *state;
	struct err err;
	int r = 0;

	memdisk_capacity(f->disk, memdisk_used(f->disk) + 5 * MIB);
	for (unsigned i = 0; i < 100 && r == 0; i++) {
		must(history_read_all(f->history, f->store, f->bytes, &err), &err);
		r = history_write(f->history, f->store, i % 40 * 100000, 100000, &err);
	}
	assert_int_equal(r, -ENOSPC);
	must(history_flush(f->history, f->store, &err), &err);
	crash_and_read(f, 9);
	assert_true(history_match(f->history, f->bytes, history_steps(f->history) - 1) >= 0);
}

static void checkpoint_without_room_fails_and_later_succeeds(void **state)
{
	struct fixture *f = *state;
	struct store_stats before, after;
	struct err err;

	for (unsigned i = 0; i < 10; i++)
		must(history_write(f->history, f->store, i * 300000, 200000, &err), &err);
	store_stats(f->store, &before);
	memdisk_capacity(f->disk, memdisk_used(f->disk));
	assert_int_equal(store_checkpoint(f->store, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "map"));
	store_stats(f->store, &after);
	assert_false(after.writing_stopped);
	assert_int_equal(after.checkpoint, before.checkpoint);
	must(history_write(f->history, f->store, 0, 5000, &err), &err);
	assert_int_equal(store_checkpoint(f->store, &err), -ENOSPC);
	memdisk_capacity(f->disk, 0);
	must(store_checkpoint(f->store, &err), &err);
	crash_and_read(f, 3);
	assert_true(history_is_last(f->history, 0, f->bytes, SIZE));
}

static void close_without_room_says_so_and_the_next_open_replays(void **state)
{
	struct fixture *f = *state;
	struct err err;

	for (unsigned i = 0; i < 10; i++)
		must(history_write(f->history, f->store, i * 300000, 200000, &err), &err);
	memdisk_capacity(f->disk, memdisk_used(f->disk));
	assert_int_equal(store_close(f->store, &err), -ENOSPC);
	f->store = NULL;
	memdisk_capacity(f->disk, 0);
	must(store_open_on(memdisk_disk(f->disk), &geometry, f->key, false, &f->store, &err), &err);
	must(history_read_all(f->history, f->store, f->bytes, &err), &err);
	assert_true(history_is_last(f->history, 0, f->bytes, SIZE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_that_fails_ends_writing),
		cmocka_unit_test(sync_that_fails_once_ends_writing),
		cmocka_unit_test(sync_of_directory_that_fails_loses_nothing),
		cmocka_unit_test(file_that_cannot_be_made_loses_nothing),
		cmocka_unit_test(room_that_cannot_be_had_loses_nothing),
		cmocka_unit_test(write_without_room_loses_nothing),
		cmocka_unit_test(read_that_fails_is_said_and_passes),
		TEST(short_and_interrupted_io_is_completed),
		TEST(open_on_a_failing_disk_says_so_and_harms_nothing),
		TEST(create_on_a_failing_disk_says_so),
		TEST(full_disk_passes_when_room_is_made),
		TEST(overwriting_goes_on_while_there_is_dead_space),
		TEST(full_disk_still_serves_and_flushes),
		TEST(checkpoint_without_room_fails_and_later_succeeds),
		TEST(close_without_room_says_so_and_the_next_open_replays),
	};

	return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}
