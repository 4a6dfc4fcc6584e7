/* What is cleaned and when, as numbers, and a simulation of a volume that is overwritten at random. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cleaner_pace.h"
#include "history.h"

#define SLOT   4112u
#define BLOCKS 256u /* in a segment of the simulation */

static const struct pace_log log_of_ten = {
	.segment_size = BLOCKS * SLOT, .slot_len = SLOT, .head = 10};

static struct segment_info sealed(uint32_t id, uint64_t live)
{
	return (struct segment_info){.id = id, .len = BLOCKS * SLOT, .live_blocks = live};
}

static void every_byte_is_counted_once(void **state)
{
	struct segment_info info[] = {sealed(1, 100), sealed(2, 0), sealed(3, 100), sealed(4, 100),
				      sealed(10, 50)};
	struct pace_space space;

	(void)state;
	info[2].pinned = true;
	info[3].damaged = true;
	pace_measure(info, 5, 1000, &log_of_ten, &space);
	assert_int_equal(space.total, 5 * BLOCKS * SLOT + 1000);
	assert_int_equal(space.live, 150 * SLOT);
	assert_int_equal(space.pinned, 2 * BLOCKS * SLOT);
	assert_int_equal(space.waiting, BLOCKS * SLOT + 1);
	assert_int_equal(space.dead, space.total - space.live - space.pinned - space.waiting);
	assert_int_equal(space.damaged, 1);
}

static void previous_key_goes_by_id_and_shared_ones_too(void **state)
{
	struct segment_info info[] = {sealed(1, 100), sealed(2, 0), sealed(3, 100), sealed(4, 100),
				      sealed(5, 100)};
	uint32_t ids[PACE_PICK_MAX];
	struct pace_space space;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		info[i].previous = true;
	info[0].pinned = true;
	info[2].damaged = true;
	pace_measure(info, 5, 0, &log_of_ten, &space);
	assert_int_equal(space.previous_segments, 4);
	assert_int_equal(space.previous, 300 * SLOT);
	assert_int_equal(space.previous_movable, 200 * SLOT);
	assert_int_equal(pace_pick_previous(info, 5, &log_of_ten, UINT64_MAX, ids), 2);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], 4);
	assert_int_equal(pace_pick_previous(info, 5, &log_of_ten, 150 * SLOT, ids), 1);
	assert_int_equal(pace_pick_previous(info, 5, &log_of_ten, 1, ids), 1); /* at least one */
	info[0].live_blocks = info[3].live_blocks = 0;
	assert_int_equal(pace_pick_previous(info, 5, &log_of_ten, UINT64_MAX, ids), 0);
}

static void emptiest_goes_first_and_what_must_stay_never(void **state)
{
	struct segment_info info[] = {sealed(1, 200), sealed(2, 20),  sealed(3, 120),
				      sealed(4, 10),  sealed(5, 10),  sealed(6, 0),
				      sealed(10, 10), sealed(11, 10), sealed(7, BLOCKS)};
	uint32_t ids[PACE_PICK_MAX];
	struct pace_space space;
	size_t n;

	(void)state;
	info[3].pinned = true;
	info[4].damaged = true;
	pace_measure(info, 9, 0, &log_of_ten, &space);
	n = pace_pick(info, 9, &space, &log_of_ten, PACE_ALL, UINT64_MAX, ids);
	assert_int_equal(n, 3);
	assert_int_equal(ids[0], 2);
	assert_int_equal(ids[1], 3);
	assert_int_equal(ids[2], 1);
	n = pace_pick(info, 9, &space, &log_of_ten, PACE_HUNGRY, 19 * SLOT, ids);
	assert_int_equal(n, 0); /* there is no room to move what they have */
	n = pace_pick(info, 9, &space, &log_of_ten, PACE_HUNGRY, 20 * SLOT, ids);
	assert_int_equal(n, 1);
}

static void nothing_is_done_where_nothing_is_to_be_gained(void **state)
{
	struct segment_info info[20];
	uint32_t ids[PACE_PICK_MAX];
	struct pace_space space;
	struct pace_log log = log_of_ten;

	(void)state;
	log.head = 100;
	for (uint32_t i = 0; i < 20; i++)
		info[i] = sealed(i + 1, BLOCKS - 20);
	pace_measure(info, 20, 0, &log, &space);
	assert_int_equal(pace_pick(info, 20, &space, &log, PACE_LOAD, UINT64_MAX, ids), 0);
	assert_int_equal(pace_pick(info, 20, &space, &log, PACE_IDLE, UINT64_MAX, ids), 0);
	assert_int_equal(pace_delay_us(&space, &log), 0);
	assert_false(pace_wants_checkpoint(&space, &log, 10, PACE_IDLE));
}

/* Some snapshot always has it, where they come and go: so it is not kept for its last blocks. */
static void shared_and_mostly_dead_is_left_to_the_snapshots(void **state)
{
	struct segment_info info[] = {sealed(1, BLOCKS / 4), sealed(2, BLOCKS / 4 - 2),
				      sealed(3, BLOCKS), sealed(4, 1)};
	static const enum pace_mode space_is_short[] = {PACE_LOW, PACE_HUNGRY, PACE_ALL};
	uint32_t ids[PACE_PICK_MAX];
	struct pace_space space;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		info[i].pinned = true;
	info[3].damaged = true;
	pace_measure(info, 4, 0, &log_of_ten, &space);
	assert_int_equal(pace_pick(info, 4, &space, &log_of_ten, PACE_LOAD, UINT64_MAX, ids), 1);
	assert_int_equal(ids[0], 2);
	assert_int_equal(pace_pick(info, 4, &space, &log_of_ten, PACE_IDLE, UINT64_MAX, ids), 1);
	assert_int_equal(ids[0], 2);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
			pace_pick(info, 4, &space, &log_of_ten, space_is_short[i], UINT64_MAX, ids),
			0);
}

/* A volume in memory whose log is cleaned as the cleaner would. */
struct model {
	struct segment_info info[400];
	size_t count;
	uint32_t *where; /* id of each block's segment */
	uint32_t blocks;
	struct pace_log log;
	uint64_t written, moved;
};

static struct segment_info *info_of(struct model *m, uint32_t id)
{
	for (size_t i = m->count; i > 0; i--)
		if (m->info[i - 1].id == id)
			return &m->info[i - 1];
	fail_msg("block in a segment that is gone");
	return NULL;
}

static void append(struct model *m, uint32_t block)
{
	struct segment_info *head = &m->info[m->count - 1];

	if (head->len == BLOCKS * SLOT) {
		assert_true(m->count < 400);
		head = &m->info[m->count++];
		*head = (struct segment_info){.id = ++m->log.head};
	}
	if (m->where[block])
		info_of(m, m->where[block])->live_blocks--;
	m->where[block] = head->id;
	head->live_blocks++;
	head->len += SLOT;
}

static struct pace_space clean(struct model *m, enum pace_mode mode)
{
	uint32_t ids[PACE_PICK_MAX];
	struct pace_space space;
	size_t n = 1, kept;

	while (n > 0) {
		pace_measure(m->info, m->count, 0, &m->log, &space);
		n = pace_pick(m->info, m->count, &space, &m->log, mode, 32 * BLOCKS * SLOT, ids);
		for (size_t i = 0; i < n; i++) {
			for (uint32_t b = 0; b < m->blocks; b++) {
				if (m->where[b] == ids[i]) {
					append(m, b);
					m->moved++;
				}
			}
		}
		kept = 0;
		for (size_t i = 0; i < m->count; i++)
			if (m->info[i].live_blocks || i == m->count - 1)
				m->info[kept++] = m->info[i];
		m->count = kept;
	}
	return space;
}

/* Overwrite four times; @hot per cent of the blocks get 90 per cent of the writes. */
static void simulate(unsigned hot)
{
	struct model *m = calloc(1, sizeof(*m));
	uint64_t rng = history_seed();
	struct pace_space space;

	m->blocks = 100 * BLOCKS;
	m->where = calloc(m->blocks, sizeof(*m->where));
	m->log = (struct pace_log){BLOCKS * SLOT, SLOT, 1};
	m->info[0].id = 1;
	m->count = 1;
	for (uint32_t b = 0; b < m->blocks; b++)
		append(m, b);
	for (uint64_t i = 0; i < 4ULL * m->blocks; i++) {
		bool is_hot = history_random(&rng) % 10 < 9;
		uint32_t below = is_hot ? m->blocks * hot / 100 : m->blocks;

		append(m, (uint32_t)(history_random(&rng) % below));
		m->written++;
		if (i % BLOCKS == 0)
			(void)clean(m, PACE_LOAD);
	}
	space = clean(m, PACE_IDLE);
	print_message("%u%% hot: amplification %.2f, space %.3f\n", hot,
		      1 + (double)m->moved / (double)m->written,
		      (double)space.total / (double)space.live);
	assert_true((double)m->moved <= 1.5 * (double)m->written);
	assert_true((double)space.total <= 1.25 * (double)space.live);
	free(m->where);
	free(m);
}

static void random_overwriting_stays_within_space_and_amplification(void **state)
{
	(void)state;
	simulate(100);
}

static void so_does_overwriting_of_a_part_most_of_the_time(void **state)
{
	(void)state;
	simulate(10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_counted_once),
		cmocka_unit_test(previous_key_goes_by_id_and_shared_ones_too),
		cmocka_unit_test(emptiest_goes_first_and_what_must_stay_never),
		cmocka_unit_test(nothing_is_done_where_nothing_is_to_be_gained),
		cmocka_unit_test(shared_and_mostly_dead_is_left_to_the_snapshots),
		cmocka_unit_test(random_overwriting_stays_within_space_and_amplification),
		cmocka_unit_test(so_does_overwriting_of_a_part_most_of_the_time),
	};

	return cmocka_run_group_tests_name("cleaner_pace", tests, NULL, NULL);
}
