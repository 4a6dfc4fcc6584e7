/* The formats: what is put is got, at the limits too, and nothing that differs by a bit is taken. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "format.h"
#include "mac.h"

static struct mac *mac;

static int set_up(void **state)
{
	uint8_t key[MAC_KEY_LEN] = {1, 2, 3};
	struct err err;

	(void)state;
	return mac_new(key, &mac, &err);
}

static int tear_down(void **state)
{
	(void)state;
	mac_free(mac);
	return 0;
}

static void positions_keep_segment_and_offset(void **state)
{
	(void)state;
	assert_int_equal(format_seq_segment(format_seq(0xfffffffe, FORMAT_SEGMENT_MAX - 16)),
			 0xfffffffe);
	assert_int_equal(format_seq_off(format_seq(0xfffffffe, FORMAT_SEGMENT_MAX - 16)),
			 FORMAT_SEGMENT_MAX - 16);
	assert_true(format_seq(1, FORMAT_SEGMENT_MAX) < format_seq(2, 0)); /* they only rise */
	assert_int_equal(format_version_slot(format_version(7, 1)), 1);
	assert_int_equal(format_version_slot(format_version(7, 0)), 0);
	assert_int_not_equal(format_version(7, 0), format_version(7, 1));
}

static void record_round_trips_and_refuses_flips(void **state)
{
	const struct format_record records[] = {
		{FORMAT_WRITE, 5, 3, format_seq(9, 128), format_seq(8, 4096)},
		{FORMAT_DISCARD, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
		{FORMAT_SEAL, 0, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint8_t bytes[FORMAT_RECORD_LEN];
		struct format_record got;

		format_record_put(&records[i], bytes);
		assert_int_equal(format_record_get(bytes, records[i].seq, &got), 0);
		assert_int_equal(got.type, records[i].type);
		assert_int_equal(got.lba, records[i].lba);
		assert_int_equal(got.count, records[i].count);
		assert_int_equal(got.seq, records[i].seq);
		assert_int_equal(got.durable, records[i].durable);
		assert_int_equal(format_record_get(bytes, records[i].seq + 1, &got), -EBADMSG);
		for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(format_record_get(bytes, records[i].seq, &got), -EBADMSG);
			bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

static void zeros_are_no_record(void **state)
{
	uint8_t bytes[FORMAT_RECORD_LEN] = {0};
	struct format_record got;

	(void)state;
	assert_int_equal(format_record_get(bytes, 0, &got), -EBADMSG);
}

static void segment_header_round_trips_and_refuses_flips(void **state)
{
	struct format_segment s = {.cipher = BLOCKCRYPT_AES_256_XTS,
				   .block_size = 65536,
				   .id = UINT32_MAX,
				   .previous = 41,
				   .created = 1700000000};
	struct format_segment got;
	uint8_t bytes[FORMAT_SEGMENT_LEN];
	struct err err;

	(void)state;
	memset(s.salt, 0x5a, sizeof(s.salt));
	strcpy(s.writer, "vol-0123456789abcdef0");
	assert_int_equal(format_segment_put(&s, mac, bytes), 0);
	memset(&got, 0, sizeof(got));
	assert_int_equal(format_segment_get(bytes, mac, &got, &err), 0);
	assert_int_equal(got.cipher, s.cipher);
	assert_int_equal(got.block_size, s.block_size);
	assert_int_equal(got.id, s.id);
	assert_int_equal(got.previous, s.previous);
	assert_int_equal(got.created, s.created);
	assert_memory_equal(got.salt, s.salt, sizeof(s.salt));
	assert_string_equal(got.writer, s.writer);
	assert_memory_equal(bytes + 72, "vol-0123456789abcdef0", 22);
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		int r;

		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = format_segment_get(bytes, mac, &got, &err);
		assert_true(r == -EBADMSG || r == -EUCLEAN);
		assert_true(strlen(err.msg) > 10);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void newer_version_is_named(void **state)
{
	struct format_segment s = {.id = 1}, got;
	struct format_root root = {.groups = 1}, got_root = {0};
	uint64_t versions[1] = {0}, got_versions[1];
	uint8_t bytes[FORMAT_SEGMENT_LEN], root_bytes[256];
	struct err err;

	(void)state;
	assert_int_equal(format_segment_put(&s, mac, bytes), 0);
	put_be32(bytes + 8, FORMAT_VERSION + 1);
	assert_int_equal(format_segment_get(bytes, mac, &got, &err), -EUCLEAN);
	assert_non_null(strstr(err.msg, "version 2"));
	root.versions = versions;
	got_root.versions = got_versions;
	assert_int_equal(format_root_put(&root, mac, root_bytes), 0);
	put_be32(root_bytes + 8, FORMAT_VERSION + 1);
	assert_int_equal(
		format_root_get(root_bytes, sizeof(root_bytes), &root, mac, &got_root, &err),
		-EUCLEAN);
	assert_non_null(strstr(err.msg, "version 2"));
}

static void page_round_trips_and_refuses_flips_and_others(void **state)
{
	static uint64_t entries[FORMAT_PAGE_ENTRIES], got[FORMAT_PAGE_ENTRIES];
	static uint8_t bytes[FORMAT_PAGE_LEN];
	const struct format_page page = {FORMAT_LEAF, 77, format_version(12, 1)};
	const struct format_page others[] = {
		{FORMAT_INDEX, 77, format_version(12, 1)},
		{FORMAT_LEAF, 78, format_version(12, 1)},
		{FORMAT_LEAF, 77, format_version(13, 1)},
		{FORMAT_LEAF, 77, format_version(12, 0)},
	};

	(void)state;
	for (size_t i = 0; i < FORMAT_PAGE_ENTRIES; i++)
		entries[i] = i == 3 ? UINT64_MAX : i * 0x0101010101010101ULL;
	assert_int_equal(format_page_put(&page, entries, mac, bytes), 0);
	assert_int_equal(format_page_get(bytes, &page, mac, got), 0);
	assert_memory_equal(got, entries, sizeof(entries));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(format_page_get(bytes, &others[i], mac, got), -EBADMSG);
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit += bit < 512 ? 1 : 7) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(format_page_get(bytes, &page, mac, got), -EBADMSG);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

/* Every page slot has a place of its own, and none lies in another. */
static void page_slots_do_not_overlap(void **state)
{
	enum { LEAVES = 3 * FORMAT_PAGE_ENTRIES };
	uint8_t *used = calloc(LEAVES + 8, 2);

	(void)state;
	for (uint64_t i = 0; i < LEAVES + 3; i++) {
		for (unsigned slot = 0; slot < 2; slot++) {
			uint64_t off = i < LEAVES ? format_leaf_off(i, slot)
						  : format_index_off(i - LEAVES, slot);

			assert_int_equal(off % FORMAT_PAGE_LEN, 0);
			assert_true(off / FORMAT_PAGE_LEN < 2 * (LEAVES + 3));
			assert_int_equal(used[off / FORMAT_PAGE_LEN]++, 0);
		}
	}
	free(used);
}

static void root_round_trips_and_refuses_flips_and_others(void **state)
{
	enum { GROUPS = 5 };
	uint64_t versions[GROUPS] = {1, 0, UINT64_MAX, 4, 5}, got_versions[GROUPS];
	struct format_root root = {.volume_id = "vol-0123",
				   .checkpoint = 9,
				   .stamp = 1ULL << 62,
				   .replay = format_seq(3, 160),
				   .next_segment = UINT32_MAX,
				   .mapped = 1ULL << 40,
				   .groups = GROUPS,
				   .created = 1700000000,
				   .versions = versions};
	struct format_root got = {.versions = got_versions}, want = root;
	uint8_t bytes[FORMAT_ROOT_FIXED_LEN + GROUPS * 8 + MAC_LEN];
	struct err err;

	(void)state;
	assert_int_equal(format_root_len(GROUPS), sizeof(bytes));
	assert_int_equal(format_root_put(&root, mac, bytes), 0);
	assert_int_equal(format_root_get(bytes, sizeof(bytes), &want, mac, &got, &err), 0);
	assert_string_equal(got.volume_id, root.volume_id);
	assert_int_equal(got.checkpoint, root.checkpoint);
	assert_int_equal(got.stamp, root.stamp);
	assert_int_equal(got.replay, root.replay);
	assert_int_equal(got.next_segment, root.next_segment);
	assert_int_equal(got.mapped, root.mapped);
	assert_int_equal(got.created, root.created);
	assert_memory_equal(got_versions, versions, sizeof(versions));
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		int r;

		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = format_root_get(bytes, sizeof(bytes), &want, mac, &got, &err);
		assert_true(r == -EBADMSG || r == -EUCLEAN);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	want.volume_id[5] ^= 1;
	assert_int_equal(format_root_get(bytes, sizeof(bytes), &want, mac, &got, &err), -EUCLEAN);
	want = root;
	want.groups--;
	assert_int_equal(format_root_get(bytes, sizeof(bytes), &want, mac, &got, &err), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions_keep_segment_and_offset),
		cmocka_unit_test(record_round_trips_and_refuses_flips),
		cmocka_unit_test(zeros_are_no_record),
		cmocka_unit_test(segment_header_round_trips_and_refuses_flips),
		cmocka_unit_test(newer_version_is_named),
		cmocka_unit_test(page_round_trips_and_refuses_flips_and_others),
		cmocka_unit_test(page_slots_do_not_overlap),
		cmocka_unit_test(root_round_trips_and_refuses_flips_and_others),
	};

	return cmocka_run_group_tests_name("format", tests, set_up, tear_down);
}
