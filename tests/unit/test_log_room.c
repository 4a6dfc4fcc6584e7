/* The log's head by itself: room ahead of it and in the next segment, the reserve, and who makes that segment. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "log_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_LARGE(next_segment_gets_room_under_load_and_loses_it_at_rest),
		TEST_LARGE(head_takes_the_room_of_the_next_segment_on_a_full_disk),
		TEST_LARGE(no_room_ahead_where_the_disk_has_little),
		TEST(reserve_is_for_claims_that_make_room),
		TEST(a_freeze_and_the_thread_never_make_the_same_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
