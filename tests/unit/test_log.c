/* The log's head by itself: claims, what a flush waits for, freezing, rolling, segment ids, a full disk. */
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

static int set_up_with(void **state, uint64_t segment_size)
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

static int set_up(void **state)
{
	return set_up_with(state, SEGMENT_SIZE);
}

static int set_up_large(void **state)
{
	return set_up_with(state, LARGE_SIZE);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	log_free(f->log);
	segment_table_free(f->table);
	memdisk_free(f->disk);
	secret_free(f->key);
	free(f);
	return 0;
}

static void begin(struct fixture *f, void *(*fn)(void *))
{
	atomic_store(&f->done, false);
	assert_int_equal(pthread_create(&f->thread, NULL, fn, f), 0);
}

static void assert_waits(struct fixture *f)
{
	usleep(MOMENT);
	assert_false(atomic_load(&f->done));
}

static void assert_ends(struct fixture *f)
{
	pthread_join(f->thread, NULL); /* for ever, if it does not */
	assert_true(atomic_load(&f->done));
}

/* A record of @len zeros under @claim, done with @result. */
static int reserve(struct fixture *f, struct log_claim *claim, size_t len, struct log_place *place)
{
	struct err err;

	return log_reserve(f->log, claim, len, place, &err);
}

static int append(struct fixture *f, uint64_t lba, size_t len, struct log_place *ret_place)
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

static void *claim_in_thread(void *arg)
{
	struct fixture *f = arg;
	struct log_claim claim;

	log_claim(f->log, &claim, f->lba, 4);
	atomic_store(&f->done, true);
	log_release(f->log, &claim);
	return NULL;
}

static void claims_exclude_each_other_where_they_overlap(void **state)
{
	static const uint64_t overlapping[] = {7, 8, 10, 12, 13};
	struct fixture *f = *state;
	struct log_claim claim;

	for (size_t i = 0; i < 5; i++) {
		f->lba = overlapping[i];
		log_claim(f->log, &claim, 10, 4);
		begin(f, claim_in_thread);
		assert_waits(f);
		log_release(f->log, &claim);
		assert_ends(f);
	}
	log_claim(f->log, &claim, 10, 4);
	f->lba = 6;
	begin(f, claim_in_thread);
	assert_ends(f);
	f->lba = 14;
	begin(f, claim_in_thread);
	assert_ends(f);
	log_release(f->log, &claim);
}

static void *flush_in_thread(void *arg)
{
	struct fixture *f = arg;
	struct err err;

	f->result = log_flush(f->log, &err);
	atomic_store(&f->done, true);
	return NULL;
}

static void flush_waits_for_records_before_it_and_only_those(void **state)
{
	struct fixture *f = *state;
	struct log_claim early, late;
	struct log_place place, late_place;

	log_claim(f->log, &early, 0, 1);
	assert_int_equal(reserve(f, &early, 4160, &place), 0);
	assert_int_equal(append(f, 5, 4160, &late_place), 0); /* done, behind the hole */
	begin(f, flush_in_thread);
	assert_waits(f);
	log_claim(f->log, &late, 9, 1);
	assert_int_equal(reserve(f, &late, 4160, &late_place), 0);
	log_done(f->log, &early, &place, 0);
	assert_ends(f); /* though the late one is still being written */
	assert_int_equal(f->result, 0);
	log_done(f->log, &late, &late_place, 0);
	log_release(f->log, &early);
	log_release(f->log, &late);
}

static void flush_with_nothing_new_asks_nothing_of_the_disk(void **state)
{
	struct fixture *f = *state;
	struct log_place place;
	struct err err;
	uint64_t syncs;

	assert_int_equal(append(f, 0, 4160, &place), 0);
	assert_int_equal(log_flush(f->log, &err), 0);
	syncs = memdisk_count(f->disk, MEMDISK_SYNC);
	for (int i = 0; i < 5; i++)
		assert_int_equal(log_flush(f->log, &err), 0);
	assert_int_equal(memdisk_count(f->disk, MEMDISK_SYNC), syncs);
	assert_int_equal(log_flushes(f->log), 1);
}

static void record_says_what_was_durable_when_it_was_made(void **state)
{
	struct fixture *f = *state;
	struct log_place first, second;
	struct err err;

	assert_int_equal(append(f, 0, 4160, &first), 0);
	assert_true(first.durable <= first.seq);
	assert_int_equal(log_flush(f->log, &err), 0);
	assert_int_equal(append(f, 0, 4160, &second), 0);
	assert_true(second.durable > first.seq);
	assert_true(second.durable <= second.seq);
}

static void *reserve_in_thread(void *arg)
{
	struct fixture *f = arg;
	struct log_place place;

	f->result = append(f, 50, 4160, &place);
	f->seq = place.seq;
	atomic_store(&f->done, true);
	return NULL;
}

static void frozen_log_takes_no_record_until_it_is_thawed(void **state)
{
	struct fixture *f = *state;
	uint64_t seq;

	log_freeze(f->log, &seq);
	begin(f, reserve_in_thread);
	assert_waits(f);
	log_thaw(f->log);
	assert_ends(f);
	assert_int_equal(f->result, 0);
	assert_true(f->seq >= seq);
}

static void *freeze_in_thread(void *arg)
{
	struct fixture *f = arg;

	log_freeze(f->log, &f->seq);
	atomic_store(&f->done, true);
	log_thaw(f->log);
	return NULL;
}

static void freezing_waits_for_records_under_way(void **state)
{
	struct fixture *f = *state;
	struct log_claim claim;
	struct log_place place;

	log_claim(f->log, &claim, 0, 1);
	assert_int_equal(reserve(f, &claim, 4160, &place), 0);
	begin(f, freeze_in_thread);
	assert_waits(f);
	log_done(f->log, &claim, &place, 0);
	assert_ends(f);
	assert_true(f->seq > place.seq);
	log_release(f->log, &claim);
}

static void segments_follow_each_other_without_gaps_and_never_overflow(void **state)
{
	struct fixture *f = *state;
	struct log_place place = {0};
	uint64_t seq = 0;
	uint32_t segment = 1;

	for (int i = 0; i < 40; i++) {
		assert_int_equal(append(f, 0, 1 << 20, &place), 0);
		assert_true(place.seq > seq);
		seq = place.seq;
		assert_true(place.off + (1 << 20) + 2 * 64 <= SEGMENT_SIZE);
		if (segment_id(place.segment) != segment) {
			assert_int_equal(segment_id(place.segment), segment + 1);
			assert_int_equal(segment_previous(place.segment), segment);
			assert_int_equal(place.off, FORMAT_SEGMENT_LEN);
			segment++;
		}
	}
	assert_int_equal(segment, 14); /* three such records in each */
	assert_int_equal(segment_table_last(f->table) + 1, log_next_segment(f->log));
}

/* A segment that cannot be made uses up no id: the next one has it. */
static void failure_to_make_a_segment_leaves_no_gap(void **state)
{
	struct fixture *f = *state;
	struct log_place place = {0};
	unsigned failed = 0;

	for (int i = 0; i < 30; i++) {
		if (i % 4 == 0)
			memdisk_fail(f->disk, MEMDISK_CREATE, 1, 2, ENOSPC);
		while (append(f, 0, 1 << 20, &place) < 0)
			assert_true(++failed < 100);
	}
	assert_true(failed > 0);
	for (uint32_t id = 1; id <= segment_id(place.segment); id++) {
		char name[SEGMENT_NAME_MAX];

		(void)snprintf(name, sizeof(name), "segments/%08x", id);
		assert_non_null(memdisk_bytes(f->disk, name, NULL));
	}
}

static void full_disk_refuses_the_record_and_takes_it_later(void **state)
{
	struct fixture *f = *state;
	struct log_place place;
	struct log_claim claim;
	struct err err;
	int r = 0;

	memdisk_capacity(f->disk, 6 << 20);
	for (int i = 0; i < 10 && r == 0; i++)
		r = append(f, 0, 1 << 20, &place);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(log_stopped(f->log), 0);
	log_claim(f->log, &claim, 0, 1);
	assert_int_equal(log_reserve(f->log, &claim, 1 << 20, &place, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "No space left on device"));
	log_release(f->log, &claim);
	assert_int_equal(log_flush(f->log, &err), 0);
	memdisk_capacity(f->disk, 0);
	assert_int_equal(append(f, 0, 1 << 20, &place), 0);
}

/* The length of a segment's file; 0: there is none. */
static size_t file_len(struct fixture *f, uint32_t id)
{
	char name[SEGMENT_NAME_MAX];
	size_t len = 0;

	(void)snprintf(name, sizeof(name), "segments/%08x", id);
	(void)memdisk_bytes(f->disk, name, &len);
	return len;
}

/* Append until the next segment has been given room, which is when the head is past its middle. */
static void append_until_the_next_has_room(struct fixture *f, struct log_place *ret_place)
{
	for (int i = 0; i < 34; i++)
		assert_int_equal(append(f, 0, 1 << 20, ret_place), 0);
	for (int i = 0; i < 1000 && file_len(f, 2) <= FORMAT_SEGMENT_LEN; i++)
		usleep(10 * 1000);
}

static void next_segment_gets_room_under_load_and_loses_it_at_rest(void **state)
{
	struct fixture *f = *state;
	struct log_place place;

	append_until_the_next_has_room(f, &place);
	assert_int_equal(segment_id(place.segment), 1);
	assert_int_equal(file_len(f, 2),
			 FORMAT_SEGMENT_LEN + (16 << 20)); /* a step, and no more yet */
	log_trim(f->log);
	assert_int_equal(file_len(f, 2), FORMAT_SEGMENT_LEN);
	assert_int_equal(append(f, 0, 1 << 20, &place), 0);
	usleep(MOMENT);
	assert_int_equal(file_len(f, 2), FORMAT_SEGMENT_LEN); /* a single record is no load */
	for (int i = 0; i < 40; i++)
		assert_int_equal(append(f, 0, 1 << 20, &place), 0);
	assert_int_equal(segment_id(place.segment), 2); /* goes on in it */
}

static void head_takes_the_room_of_the_next_segment_on_a_full_disk(void **state)
{
	struct fixture *f = *state;
	struct log_place place;

	append_until_the_next_has_room(f, &place);
	assert_true(file_len(f, 2) > FORMAT_SEGMENT_LEN);
	memdisk_capacity(f->disk, memdisk_used(f->disk) + (1 << 20));
	for (int i = 0; i < 16; i++) /* behind what is allocated for the head */
		assert_int_equal(append(f, 0, 1 << 20, &place), 0);
	assert_int_equal(segment_id(place.segment), 1);
	assert_int_equal(file_len(f, 2), FORMAT_SEGMENT_LEN);
}

static void no_room_ahead_where_the_disk_has_little(void **state)
{
	struct fixture *f = *state;
	struct log_place place;

	memdisk_capacity(f->disk, 4 * LARGE_SIZE); /* less than four segments are free */
	for (int i = 0; i < 50; i++)
		assert_int_equal(append(f, 0, 1 << 20, &place), 0);
	usleep(MOMENT);
	assert_int_equal(file_len(f, 2), FORMAT_SEGMENT_LEN);
}

/* What others are refused is there for who makes room, and no more than needed is taken. */
static void reserve_is_for_claims_that_make_room(void **state)
{
	struct fixture *f = *state;
	struct log_place place;
	struct log_claim claim;
	struct err err;
	uint64_t used;

	memdisk_capacity(f->disk, 32 << 20);
	while (append(f, 0, 1 << 20, &place) == 0)
		continue;
	used = memdisk_used(f->disk);
	/* But for the header of a segment that was begun then. */
	assert_true((32 << 20) - used + 4096 >= log_reserve_bytes(f->log, 32 << 20));
	log_claim(f->log, &claim, 0, 1);
	claim.into_reserve = true;
	assert_int_equal(log_reserve(f->log, &claim, 1 << 20, &place, &err), 0);
	log_done(f->log, &claim, &place, 0);
	log_release(f->log, &claim);
	assert_true(memdisk_used(f->disk) <= used + (1 << 20) + 4096);
	assert_int_equal(append(f, 0, 1 << 20, &place), -ENOSPC);
}

/* Freezing for a snapshot makes the next segment when there is none, and so does the log's own thread. */
static void a_freeze_and_the_thread_never_make_the_same_segment(void **state)
{
	struct fixture *f = *state;
	uint64_t made = memdisk_count(f->disk, MEMDISK_CREATE);
	struct log_place place;
	struct err err;

	for (int round = 0; round < 500; round++) {
		uint64_t seq, began_ms;

		/* Past its middle: now the thread wants to have the next segment. */
		for (int i = 0; i < 3; i++)
			assert_int_equal(append(f, 0, SEGMENT_SIZE / 4, &place), 0);
		for (int spin = 0; spin < round % 100 * 200; spin++)
			atomic_store(&f->done, false); /* it needs a moment to wake up */
		assert_int_equal(log_freeze_sealed(f->log, &seq, &began_ms, &err), 0);
		log_thaw(f->log);
	}
	/* Whoever came second would have been told that the file exists. */
	made = memdisk_count(f->disk, MEMDISK_CREATE) - made;
	assert_int_equal(made, log_next_segment(f->log) - 2);
}

static void failed_record_stops_the_log_and_says_why(void **state)
{
	struct fixture *f = *state;
	struct log_claim claim;
	struct log_place place;
	struct err err;

	log_claim(f->log, &claim, 0, 1);
	assert_int_equal(reserve(f, &claim, 4160, &place), 0);
	log_done(f->log, &claim, &place, -EIO);
	log_release(f->log, &claim);
	assert_int_equal(log_stopped(f->log), EIO);
	assert_int_equal(append(f, 0, 64, &place), -EROFS);
	assert_int_equal(log_flush(f->log, &err), -EROFS);
	assert_non_null(strstr(err.msg, "segments/00000001"));
	assert_non_null(strstr(err.msg, "Input/output error"));
}

static void waiting_flush_ends_when_the_log_stops(void **state)
{
	struct fixture *f = *state;
	struct log_claim claim;
	struct log_place place;

	log_claim(f->log, &claim, 0, 1);
	assert_int_equal(reserve(f, &claim, 4160, &place), 0);
	assert_int_equal(append(f, 1, 4160, &place), 0);
	begin(f, flush_in_thread);
	assert_waits(f);
	log_stop(f->log, EIO, "for a test");
	assert_ends(f);
	assert_int_equal(f->result, -EROFS);
	log_release(f->log, &claim);
}

#define TEST(name)	 cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_LARGE(name) cmocka_unit_test_setup_teardown(name, set_up_large, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(claims_exclude_each_other_where_they_overlap),
		TEST(flush_waits_for_records_before_it_and_only_those),
		TEST(flush_with_nothing_new_asks_nothing_of_the_disk),
		TEST(record_says_what_was_durable_when_it_was_made),
		TEST(frozen_log_takes_no_record_until_it_is_thawed),
		TEST(freezing_waits_for_records_under_way),
		TEST(segments_follow_each_other_without_gaps_and_never_overflow),
		TEST(failure_to_make_a_segment_leaves_no_gap),
		TEST(full_disk_refuses_the_record_and_takes_it_later),
		TEST_LARGE(next_segment_gets_room_under_load_and_loses_it_at_rest),
		TEST_LARGE(head_takes_the_room_of_the_next_segment_on_a_full_disk),
		TEST_LARGE(no_room_ahead_where_the_disk_has_little),
		TEST(reserve_is_for_claims_that_make_room),
		TEST(a_freeze_and_the_thread_never_make_the_same_segment),
		TEST(failed_record_stops_the_log_and_says_why),
		TEST(waiting_flush_ends_when_the_log_stops),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
