/* The block map against a plain array: changes, freezing and taking, failed checkpoints, seeking, what segments are told, memory given back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blockmap.h"
#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "segment.h"
#include "store.h"

#define LEAF	 FORMAT_PAGE_ENTRIES
#define BLOCKS	 (5 * LEAF + 100)
#define LEAVES	 6
#define SLOT_LEN (4096 + 16)
#define UNITS	 (SLOT_LEN / FORMAT_UNIT)
#define SEGMENTS 4

static const struct store_geometry geometry = {.size_bytes = BLOCKS * 4096ULL,
					       .block_size = 4096,
					       .cipher = BLOCKCRYPT_AES_256_GCM,
					       .segment_size = 4 << 20,
					       .volume_id = "vol-map"};

struct fixture {
	struct memdisk *disk;
	struct secret *key;
	struct segment_table *table;
	struct segment *segments[SEGMENTS];
	struct blockmap *map;
	uint64_t plain[BLOCKS], frozen[BLOCKS];
	uint64_t rng;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct disk *disk;
	struct err err;

	f->rng = history_seed();
	f->key = history_key();
	f->disk = memdisk_new();
	disk = memdisk_disk(f->disk);
	assert_int_equal(disk->ops->mkdir(disk, "segments"), 0);
	assert_int_equal(segment_table_new(disk, &geometry, f->key, &f->table, &err), 0);
	for (uint32_t i = 0; i < SEGMENTS; i++)
		assert_int_equal(segment_create(f->table, i + 1, i, &f->segments[i], &err), 0);
	assert_int_equal(blockmap_new(BLOCKS, SLOT_LEN, f->table, &f->map, &err), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < SEGMENTS; i++)
		segment_put(f->segments[i]);
	blockmap_free(f->map);
	segment_table_free(f->table);
	memdisk_free(f->disk);
	secret_free(f->key);
	free(f);
	return 0;
}

static void set(struct fixture *f, uint64_t lba, uint64_t count, uint64_t seq)
{
	blockmap_set(f->map, lba, count, seq);
	for (uint64_t i = 0; i < count; i++)
		f->plain[lba + i] = seq ? seq + i * UNITS : 0;
}

static void set_any(struct fixture *f)
{
	uint64_t lba = history_random(&f->rng) % BLOCKS;
	uint64_t count = 1 + history_random(&f->rng) % (history_random(&f->rng) % 4 ? 20 : 1500);
	uint32_t segment = 1 + (uint32_t)(history_random(&f->rng) % SEGMENTS);

	if (count > BLOCKS - lba)
		count = BLOCKS - lba;
	set(f, lba, count,
	    history_random(&f->rng) % 3
		    ? format_seq(segment, 128 + history_random(&f->rng) % 1000 * FORMAT_UNIT)
		    : 0);
}

static void check_equal(struct fixture *f)
{
	uint64_t mapped = 0;

	for (uint64_t i = 0; i < BLOCKS; i++) {
		assert_int_equal(blockmap_get(f->map, i), f->plain[i]);
		mapped += f->plain[i] != 0;
	}
	assert_int_equal(blockmap_mapped(f->map), mapped);
}

static void random_changes_equal_a_plain_array(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(blockmap_leaves(f->map), LEAVES);
	for (int i = 0; i < 300; i++) {
		set_any(f);
		if (i % 20 == 0)
			check_equal(f);
	}
	check_equal(f);
}

static void seek_finds_the_next_block_or_hole(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 40; i++) {
		uint64_t from = history_random(&f->rng) % BLOCKS;

		set_any(f);
		for (int hole = 0; hole < 2; hole++) {
			uint64_t want = from;

			while (want < BLOCKS && (f->plain[want] == 0) != hole)
				want++;
			assert_int_equal(blockmap_seek(f->map, from, hole), want);
		}
	}
	assert_int_equal(blockmap_seek(f->map, BLOCKS, 0), BLOCKS);
}

/* Take the frozen leaves, in the middle of changes; they are as at the freeze. */
static void take_all(struct fixture *f, const uint64_t *leaves, size_t count)
{
	uint64_t entries[LEAF];

	for (size_t i = 0; i < count; i++) {
		unsigned mapped = 0, got;

		set_any(f);
		got = blockmap_take(f->map, leaves[i], entries);
		for (uint64_t k = 0; k < LEAF; k++) {
			uint64_t lba = leaves[i] * LEAF + k;

			assert_int_equal(entries[k], lba < BLOCKS ? f->frozen[lba] : 0);
			mapped += entries[k] != 0;
		}
		assert_int_equal(got, mapped);
	}
}

static void checkpoint_gets_the_state_of_the_freeze_and_each_change_once(void **state)
{
	struct fixture *f = *state;
	uint64_t last[BLOCKS] = {0}; /* as the last checkpoint has it */

	for (int round = 0; round < 60; round++) {
		uint64_t *leaves;
		size_t count;
		bool fails = history_random(&f->rng) % 3 == 0;

		for (uint64_t i = history_random(&f->rng) % 6; i; i--)
			set_any(f);
		memcpy(f->frozen, f->plain, sizeof(f->plain));
		assert_int_equal(blockmap_freeze(f->map, &leaves, &count), 0);
		for (uint64_t lba = 0; lba < BLOCKS; lba++) { /* every changed leaf is listed */
			bool listed = f->frozen[lba] == last[lba];

			for (size_t i = 0; i < count; i++)
				listed |= leaves[i] == lba / LEAF;
			assert_true(listed);
		}
		for (size_t i = 1; i < count; i++)
			assert_true(leaves[i - 1] < leaves[i]);
		take_all(f, leaves, fails ? count / 2 : count);
		for (size_t i = 0; i < count; i++) {
			if (fails)
				blockmap_thaw(f->map, leaves[i]);
			else
				blockmap_commit(f->map, leaves[i], (uint64_t)round + 1);
		}
		if (!fails) {
			memcpy(last, f->frozen, sizeof(last));
			for (size_t i = 0; i < count; i++)
				assert_int_equal(blockmap_leaf_version(f->map, leaves[i]),
						 round + 1);
		}
		assert_false(blockmap_spoiled(f->map));
		free(leaves);
		check_equal(f);
	}
}

static void nothing_changed_is_nothing_to_write(void **state)
{
	struct fixture *f = *state;
	uint64_t *leaves, entries[LEAF];
	size_t count;

	set(f, 0, 10, 0); /* a hole stays one */
	assert_int_equal(blockmap_dirty(f->map), 0);
	set(f, LEAF - 1, 2, format_seq(1, 128));
	assert_int_equal(blockmap_dirty(f->map), 2);
	assert_int_equal(blockmap_freeze(f->map, &leaves, &count), 0);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(blockmap_take(f->map, leaves[i], entries), 1);
	free(leaves);
	assert_int_equal(blockmap_freeze(f->map, &leaves, &count), 0);
	assert_int_equal(count, 0);
	free(leaves);
}

/* A segment is retired when the older root is of a checkpoint that did not name it, and not before. */
static void segments_live_as_long_as_blocks_are_there(void **state)
{
	struct fixture *f = *state;
	struct segment *s;
	struct err err;

	set(f, 0, 100, format_seq(1, 128));
	set(f, 100, 100, format_seq(2, 128));
	set(f, 50, 100, format_seq(3, 128)); /* half of each */
	segment_mark_dead(f->table, 7);
	assert_int_equal(segment_retire_dead(f->table, 7, 4, &err), 0);
	assert_int_equal(segment_dead_bytes(f->table, 4), 0);
	set(f, 0, 50, 0);
	assert_true(segment_dead_bytes(f->table, 4) > 0);
	assert_int_equal(segment_retire_dead(f->table, 7, 4, &err), 0); /* not marked */
	segment_mark_dead(f->table, 8);
	assert_int_equal(segment_retire_dead(f->table, 7, 4, &err), 0);
	segment_mark_dead(f->table, 9);
	assert_int_equal(segment_retire_dead(f->table, 8, 1, &err),
			 0); /* the log is not behind it */
	assert_int_equal(segment_retire_dead(f->table, 8, 4, &err), 1);
	assert_int_equal(segment_get(f->table, 1, &s, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "00000001"));
	assert_int_equal(segment_get(f->table, 2, &s, &err), 0);
	segment_put(s);
	segment_mark_dead(f->table, 10);
	assert_int_equal(segment_retire_dead(f->table, 9, 4, &err), 0);
}

/* What a pin or a second name holds is neither unlinked nor written anew nor cut. */
static void files_that_others_have_are_left_as_they_are(void **state)
{
	struct fixture *f = *state;
	struct disk *disk = memdisk_disk(f->disk);
	struct segment *s;
	struct err err;
	size_t len;

	assert_int_equal(disk->ops->link(disk, "segments/00000001", disk, "snapshot-1"), 0);
	set(f, 0, 10, format_seq(3, 128));
	segment_mark_dead(f->table, 1); /* 1, 2 and 4 */
	segment_table_pin(f->table);
	assert_int_equal(segment_retire_dead(f->table, 1, 4, &err), 0);
	assert_int_equal(segment_get(f->table, 3, &s, &err), 0);
	assert_false(segment_cut(s, 64));
	segment_table_unpin(f->table);
	for (int i = 0; i < 2; i++) { /* who holds one might still read it */
		segment_put(f->segments[i]);
		f->segments[i] = NULL;
	}
	assert_int_equal(segment_retire_dead(f->table, 1, 4, &err), 2);
	assert_null(memdisk_bytes(f->disk, "segments/00000001", NULL));
	assert_non_null(memdisk_bytes(f->disk, "segments/00000002", NULL)); /* to be written anew */
	assert_int_equal(disk->ops->link(disk, "segments/00000002", disk, "snapshot-2"), 0);
	assert_int_equal(segment_create(f->table, 5, 4, &f->segments[0], &err), 0);
	assert_non_null(memdisk_bytes(f->disk, "segments/00000002", NULL)); /* but not any more */
	assert_int_equal(disk->ops->link(disk, "segments/00000003", disk, "snapshot-3"), 0);
	assert_false(segment_cut(s, 64));
	(void)memdisk_bytes(f->disk, "segments/00000003", &len);
	assert_int_equal(len, FORMAT_SEGMENT_LEN);
	segment_put(s);
}

static void loading_refuses_what_makes_no_sense(void **state)
{
	struct fixture *f = *state;
	uint64_t entries[LEAF] = {0};
	uint32_t missing = 0;

	entries[3] = format_seq(2, 128);
	assert_int_equal(blockmap_load_leaf(f->map, 1, 9, entries, &missing), 0);
	assert_int_equal(blockmap_get(f->map, LEAF + 3), entries[3]);
	assert_int_equal(blockmap_leaf_version(f->map, 1), 9);
	assert_int_equal(blockmap_mapped(f->map), 1);
	assert_int_equal(blockmap_dirty(f->map), 0);
	entries[3] = format_seq(SEGMENTS + 1, 128);
	assert_int_equal(blockmap_load_leaf(f->map, 2, 9, entries, &missing), -ENOENT);
	assert_int_equal(missing, SEGMENTS + 1);
	entries[3] = 0;
	entries[100] = format_seq(2, 128); /* the last leaf ends before */
	assert_int_equal(blockmap_load_leaf(f->map, LEAVES - 1, 9, entries, &missing), -EUCLEAN);
}

static size_t resident_pages(void)
{
	unsigned long size = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return resident;
}

static void memory_of_emptied_leaves_is_given_back(void **state)
{
	struct fixture *f = *state;
	const uint64_t blocks = 8 << 20; /* 64 MiB of entries */
	size_t before = resident_pages(), full;
	struct blockmap *map;
	struct err err;

#ifdef __SANITIZE_THREAD__
	skip(); /* its shadow memory is resident too, and stays */
#endif
	assert_int_equal(blockmap_new(blocks, SLOT_LEN, f->table, &map, &err), 0);
	assert_true(resident_pages() < before + 1000);
	for (uint64_t lba = 0; lba < blocks; lba += LEAF)
		blockmap_set(map, lba, LEAF, format_seq(1, 128));
	full = resident_pages();
	assert_true(full > before + blocks / LEAF / 2);
	blockmap_set(map, 0, blocks, 0);
	assert_true(resident_pages() < full - blocks / LEAF / 2);
	assert_int_equal(blockmap_mapped(map), 0);
	blockmap_free(map);
}

/* A few blocks here and there cost what they are, not a page for each leaf. */
static void memory_follows_the_mapped_blocks(void **state)
{
	struct fixture *f = *state;
	const uint64_t blocks = 8 << 20, leaves = blocks / LEAF;
	size_t before = resident_pages();
	struct blockmap *map;
	struct err err;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	skip(); /* as above; and each allocation of address's has its red zones */
#endif
	assert_int_equal(blockmap_new(blocks, SLOT_LEN, f->table, &map, &err), 0);
	for (unsigned round = 1; round <= 64; round++) {
		uint64_t mapped, most;

		for (uint64_t leaf = 0; leaf < leaves; leaf++)
			blockmap_set(map, leaf * LEAF + history_random(&f->rng) % LEAF, 1,
				     format_seq(1, 128));
		mapped = blockmap_mapped(map);
		most = mapped * 17 / 2 + leaves * 400; /* 8.5 bytes each */
		if ((resident_pages() - before) * 4096 > most)
			fail_msg("%llu blocks take %zu bytes, more than %llu",
				 (unsigned long long)mapped, (resident_pages() - before) * 4096,
				 (unsigned long long)most);
	}
	blockmap_free(map);
}

/* The daemon locks its memory, and the kernel gives locked pages back to nobody. */
static void emptied_entries_are_holes_in_locked_memory_too(void **state)
{
	struct fixture *f = *state;
	struct blockmap *map;
	size_t full;
	struct err err;

#ifdef __SANITIZE_THREAD__
	skip(); /* its shadow memory cannot be locked */
#endif
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		skip(); /* not allowed here */
	assert_int_equal(blockmap_new(1 << 20, SLOT_LEN, f->table, &map, &err), 0);
	blockmap_set(map, 0, 1 << 20, format_seq(1, 128));
	full = resident_pages();
	for (uint64_t leaf = 0; leaf < (1 << 20) / LEAF; leaf++)
		blockmap_set(map, leaf * LEAF + 5, LEAF - 5, 0);
	for (uint64_t lba = 0; lba < 1 << 20; lba++)
		assert_int_equal(blockmap_get(map, lba) != 0, lba % LEAF < 5);
	assert_true(resident_pages() < full - (1 << 20) / LEAF / 2);
	blockmap_free(map);
	(void)munlockall(); /* what is left is locked no more */
}

static void *seek_often(void *arg)
{
	for (int i = 0; i < 300; i++)
		(void)blockmap_seek(arg, 0, i % 2); /* any answer will do while it changes */
	return NULL;
}

static void readers_need_no_lock(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, seek_often, f->map), 0);
	for (int i = 0; i < 200; i++)
		set_any(f);
	pthread_join(thread, NULL);
	check_equal(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_changes_equal_a_plain_array),
		TEST(seek_finds_the_next_block_or_hole),
		TEST(checkpoint_gets_the_state_of_the_freeze_and_each_change_once),
		TEST(nothing_changed_is_nothing_to_write),
		TEST(segments_live_as_long_as_blocks_are_there),
		TEST(files_that_others_have_are_left_as_they_are),
		TEST(loading_refuses_what_makes_no_sense),
		TEST(memory_of_emptied_leaves_is_given_back),
		TEST(memory_follows_the_mapped_blocks),
		TEST(emptied_entries_are_holes_in_locked_memory_too),
		TEST(readers_need_no_lock),
	};

	return cmocka_run_group_tests_name("blockmap", tests, NULL, NULL);
}
