/*
 * Cleaning: what is moved is what was there, whoever writes meanwhile, wherever it is cut off, whatever the
 * disk refuses; what is damaged or shared is left alone; what is free is given back.
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
#include <time.h>

#include "cleaner_rig.h"

static void cleaning_changes_nothing_and_gives_space_back(void **state)
{
	struct fixture *f = *state;
	struct store_stats before, after;
	struct err err;

	make_half_dead(f, 1);
	before = stats_of(f);
	must(store_clean(f->store, &err), &err);
	after = stats_of(f);
	assert_true(after.moved_bytes > 0);
	assert_true(after.dead_bytes < before.dead_bytes);
	assert_int_equal(after.mapped_bytes, before.mapped_bytes);
	check_all(f, "cleaned");
	go_on_with(f, memdisk_kill(f->disk));
	check_all(f, "cleaned and killed");
}

/* What was written at random stands in order afterwards: fewer records than blocks. */
static void neighbours_become_one_record(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;
	struct err err;

	for (uint64_t b = 0; b < 512; b++) /* every block, in an order that has no neighbours */
		must(history_write(f->history, f->store, b * 37 % 512 * BS, BS, &err), &err);
	must(store_clean(f->store, &err), &err);
	stats = stats_of(f);
	assert_true(stats.moved_bytes < 512 * (BS + 16) + 512 / 16 * 48);
	check_all(f, "cleaned");
}

/* Cleaning is cut off at each change of the disk in turn: nothing flushed is lost or brought back. */
static void power_may_go_at_every_operation_of_cleaning(void **state)
{
	unsigned step = history_env("CLEAN_STEP", 2, 23);
	bool past_end = false;

	(void)state;
	for (uint64_t at = 1; !past_end; at += step) {
		struct fixture f = {0};
		struct err err;

		fixture_begin(&f, at);
		make_half_dead(&f, at);
		memdisk_power_off_at(f.disk, at);
		(void)store_clean(f.store, &err); /* as far as it gets */
		past_end = !memdisk_is_off(f.disk);
		go_on_with(&f, memdisk_crash(f.disk, at));
		check_all(&f, "power cut while cleaning");
		must(store_clean(f.store, &err), &err);
		check_all(&f, "cleaned again");
		fixture_end(&f);
	}
}

/* Each operation of these kinds fails once while cleaning; returns when none was left to fail. */
static void each_fails(unsigned ops, int num)
{
	unsigned step = history_env("CLEAN_STEP", 4, 31);
	bool struck = true;

	for (uint64_t nth = 1; struck; nth += step) {
		struct fixture f = {0};
		struct err err = {0};
		int r;

		fixture_begin(&f, nth);
		make_half_dead(&f, nth);
		memdisk_fail(f.disk, ops, nth, 1, num);
		r = store_clean(f.store, &err);
		struck = memdisk_failed(f.disk) > 0;
		memdisk_fail(f.disk, 0, 0, 0, 0);
		if (r < 0)
			assert_true(strlen(err.msg) > 10 && err.num == -r);
		check_all(&f, "after a fault");
		go_on_with(&f, memdisk_crash(f.disk, nth));
		check_all(&f, "after a fault and a power cut");
		fixture_end(&f);
	}
}

static void fault_in_every_operation_of_cleaning_loses_nothing(void **state)
{
	(void)state;
	each_fails(MEMDISK_ALLOCATE, ENOSPC);
	each_fails(MEMDISK_CREATE, ENOSPC);
	each_fails(MEMDISK_PREAD, EIO);
	each_fails(MEMDISK_PWRITE, EIO);
	each_fails(MEMDISK_SYNC | MEMDISK_SYNC_DIR, EIO);
	each_fails(MEMDISK_UNLINK | MEMDISK_RENAME | MEMDISK_TRUNCATE, EIO);
}

/* Little room, or none, when cleaning begins: it does what it can, all is there. */
static void full_disk_at_the_beginning_of_cleaning_loses_nothing(void **state)
{
	(void)state;
	for (unsigned kib = 0; kib < 3000; kib += history_env("CLEAN_KIB", 100, 900)) {
		struct fixture f = {0};
		struct err err;
		int r;

		fixture_begin(&f, kib);
		make_half_dead(&f, kib);
		memdisk_capacity(f.disk, memdisk_used(f.disk) + kib * 1024);
		r = store_clean(f.store, &err);
		if (r < 0)
			assert_int_equal(r, -ENOSPC);
		assert_false(stats_of(&f).writing_stopped);
		check_all(&f, "full while cleaning");
		memdisk_capacity(f.disk, 0);
		go_on_with(&f, memdisk_crash(f.disk, kib));
		check_all(&f, "full while cleaning, and a power cut");
		fixture_end(&f);
	}
}

/*
 * The disk becomes full between two moves, though there was room when the cleaner looked: what it moved is moved,
 * the rest stays where it is, and is moved when there is room again.
 */
static unsigned fills_up_in_a_move(unsigned op, uint64_t nth, bool *ret_struck)
{
	struct fixture f = {0};
	struct store_stats before, stats;
	struct err err;
	int r;

	fixture_begin(&f, nth);
	make_half_dead(&f, nth);
	before = stats_of(&f); /* the cleaner's thread may have been at work already */
	memdisk_fail(f.disk, op, nth, UINT32_MAX, ENOSPC);
	r = store_clean(f.store, &err);
	*ret_struck = memdisk_failed(f.disk) > 0;
	stats = stats_of(&f);
	assert_int_equal(r, *ret_struck ? -ENOSPC : 0);
	assert_false(stats.writing_stopped);
	check_all(&f, "full in a move");
	memdisk_fail(f.disk, 0, 0, 0, 0);
	if (nth % 2) {
		go_on_with(&f, memdisk_crash(f.disk, nth));
		check_all(&f, "full in a move, and a power cut");
	}
	must(store_clean(f.store, &err), &err);
	assert_true(stats_of(&f).log_bytes < SIZE + SIZE / 3);
	check_all(&f, "cleaned when there was room");
	fixture_end(&f);
	return *ret_struck && stats.moved_bytes > before.moved_bytes &&
	       stats.cleaned_segments == before.cleaned_segments;
}

static void disk_that_fills_up_in_a_move_loses_nothing(void **state)
{
	static const unsigned ops[] = {MEMDISK_ALLOCATE, MEMDISK_CREATE};
	unsigned in_the_middle = 0;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		bool struck = true;

		for (uint64_t nth = 1; struck; nth++)
			in_the_middle += fills_up_in_a_move(ops[i], nth, &struck);
	}
	assert_true(in_the_middle >= 2);
}

static void damage_a_block(struct fixture *f)
{
	const char *name;
	struct err err;
	size_t len;

	for (size_t i = 0; (name = memdisk_name(f->disk, i)); i++) {
		uint8_t *bytes = memdisk_bytes(f->disk, name, &len);

		if (strncmp(name, "segments/", 9) != 0 || len < MIB)
			continue;
		bytes[MIB / 2] ^= 1;
		if (history_read_all(f->history, f->store, f->bytes, &err) == -EBADMSG)
			return;
		bytes[MIB / 2] ^= 1; /* a file kept for later */
	}
	fail_msg("no segment has a block there");
}

/* A damaged block is neither dropped nor sealed anew, and its segment stays. */
static void damaged_block_stays_where_it_is_and_is_said(void **state)
{
	struct fixture *f = *state;
	uint8_t block[BS];
	struct err err;

	make_half_dead(f, 3);
	history_last(f->history, 0, block, BS);
	must(store_write(f->store, 0, BS, block, &err), &err); /* the last block of the log */
	must(store_flush(f->store, &err), &err);
	must(store_clean(f->store, &err), &err);
	assert_int_equal(stats_of(f).damaged_segments, 0);
	damage_a_block(f);
	for (int round = 0; round < 3; round++) {
		unsigned bad = 0;

		must(store_clean(f->store, &err), &err);
		assert_int_equal(stats_of(f).damaged_segments, 1);
		for (uint64_t off = 0; off < SIZE; off += BS) {
			int r = store_read(f->store, off, BS, block, &err);

			assert_true(r == 0 || r == -EBADMSG);
			bad += r < 0;
			if (r == 0)
				assert_true(history_is_last(f->history, off, block, BS));
		}
		assert_int_equal(bad, 1);
		if (round == 1)
			go_on_with(f, memdisk_kill(f->disk));
	}
}

/* A file with a second name gives nothing back, so it is not cleaned, and never changes. */
static void shared_segments_are_left_alone(void **state)
{
	struct fixture *f = *state;
	struct disk *disk = memdisk_disk(f->disk);
	uint8_t *copy = malloc(4 * MIB);
	struct err err;
	size_t len;

	make_half_dead(f, 4);
	assert_int_equal(disk->ops->link(disk, "segments/00000001", disk, "snapshot"), 0);
	(void)memdisk_bytes(f->disk, "snapshot", &len);
	memcpy(copy, memdisk_bytes(f->disk, "snapshot", NULL), len);
	assert_true(len > 3 * MIB);
	for (int round = 0; round < 4; round++) {
		must(store_clean(f->store, &err), &err);
		assert_true(stats_of(f).pinned_bytes >= len);
		assert_non_null(memdisk_bytes(f->disk, "segments/00000001", NULL));
		check_all(f, "cleaned around a shared segment");
	}
	/* Dead, its name here goes; the other one keeps what it has. */
	must(history_discard(f->history, f->store, 0, SIZE, &err), &err);
	for (int round = 0; round < 3; round++) {
		must(history_write(f->history, f->store, 0, MIB, &err), &err);
		must(store_clean(f->store, &err), &err);
	}
	assert_null(memdisk_bytes(f->disk, "segments/00000001", NULL));
	assert_memory_equal(copy, memdisk_bytes(f->disk, "snapshot", NULL), len);
	free(copy);
}

static uint64_t segment_bytes(struct fixture *f)
{
	return stats_of(f).log_bytes;
}

/* The users rest: what they discarded goes back to the disk without a word from anybody. */
static void discarded_space_is_given_back_when_idle(void **state)
{
	struct fixture *f = *state;
	const struct timespec moment = {0, 20000000};
	struct err err;
	unsigned waits = 0;

	make_half_dead(f, 5);
	assert_true(segment_bytes(f) > 6 * MIB);
	must(history_discard(f->history, f->store, 0, SIZE, &err), &err);
	while (segment_bytes(f) > 256 * 1024) {
		(void)nanosleep(&moment, NULL); /* a signal may end it early */
		assert_true(++waits < 1500);
	}
	check_all(f, "given back");
	must(history_write(f->history, f->store, 0, MIB, &err), &err);
	go_on_with(f, memdisk_kill(f->disk));
	check_all(f, "written and killed");
}

/* Each snapshot of a row of them has the segment: it goes from here all the same, and only from here. */
static void mostly_dead_segment_is_left_to_its_snapshots(void **state)
{
	struct fixture *f = *state;
	struct disk *disk = memdisk_disk(f->disk);
	const struct timespec moment = {0, 20000000};
	struct err err;
	unsigned waits = 0;
	size_t len;

	for (uint64_t off = 0; off < SIZE; off += MIB)
		must(history_write(f->history, f->store, off, MIB, &err), &err);
	assert_int_equal(disk->ops->link(disk, "segments/00000001", disk, "snapshot"), 0);
	must(history_discard(f->history, f->store, 0, 3 * MIB, &err), &err);
	while (memdisk_bytes(f->disk, "segments/00000001", NULL)) {
		(void)nanosleep(&moment, NULL); /* a signal may end it early */
		assert_true(++waits < 1500);
	}
	assert_non_null(memdisk_bytes(f->disk, "snapshot", &len));
	assert_true(len > 3 * MIB);
	check_all(f, "left to a snapshot");
	go_on_with(f, memdisk_kill(f->disk));
	check_all(f, "left to a snapshot and killed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cleaning_changes_nothing_and_gives_space_back),
		TEST(neighbours_become_one_record),
		cmocka_unit_test(power_may_go_at_every_operation_of_cleaning),
		cmocka_unit_test(fault_in_every_operation_of_cleaning_loses_nothing),
		cmocka_unit_test(full_disk_at_the_beginning_of_cleaning_loses_nothing),
		cmocka_unit_test(disk_that_fills_up_in_a_move_loses_nothing),
		TEST(damaged_block_stays_where_it_is_and_is_said),
		TEST(shared_segments_are_left_alone),
		TEST(mostly_dead_segment_is_left_to_its_snapshots),
		TEST(discarded_space_is_given_back_when_idle),
	};

	return cmocka_run_group_tests_name("cleaner", tests, NULL, NULL);
}
