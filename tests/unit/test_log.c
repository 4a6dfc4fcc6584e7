/* The log's head by itself: claims, what a flush waits for, freezing, rolling, segment ids, a full disk. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "log_rig.h"

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
		TEST(failed_record_stops_the_log_and_says_why),
		TEST(waiting_flush_ends_when_the_log_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
