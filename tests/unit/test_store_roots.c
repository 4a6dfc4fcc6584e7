/*
 * Damage where it matters most: at the end of a segment, between checkpoints, to one of the roots.
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

#include "bytes.h"
#include "damaged.h"
#include "err.h"
#include "format.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "store.h"

/*
 * A flush whose record ends just before the segment does: damage to that record is told from a torn
 * tail all the same.
 */
static void damage_is_seen_also_where_a_segment_ends(void **state)
{
	const size_t one = FORMAT_RECORD_LEN + DAMAGED_BS + BLOCKCRYPT_TAG_LEN;
	const size_t small = FORMAT_RECORD_LEN + FORMAT_RECORD_TAG_LEN; /* seal, discard */
	struct damaged *f = *state;
	struct memdisk *after;
	struct store *store;
	struct err err;
	size_t off = FORMAT_SEGMENT_LEN;
	uint64_t lba = 0;
	const char *name = "segments/00000001";

	memdisk_free(f->disk);
	history_free(f->history);
	f->disk = memdisk_new();
	f->history = history_new(DAMAGED_SIZE, DAMAGED_BS, 1);
	damaged_must(store_create_on(memdisk_disk(f->disk), &f->geometry, f->key, &err), &err);
	damaged_must(
		store_open_on(memdisk_disk(f->disk), &f->geometry, f->key, false, &store, &err),
		&err);
	for (; off + one + 2 * small <= f->geometry.segment_size; off += one)
		damaged_must(history_write(f->history, store,
					   lba++ % (DAMAGED_SIZE / DAMAGED_BS) * DAMAGED_BS,
					   DAMAGED_BS, &err),
			     &err);
	for (lba = 0; off + 2 * small <= f->geometry.segment_size; off += small)
		damaged_must(
			history_discard(f->history, store, lba++ * DAMAGED_BS, DAMAGED_BS, &err),
			&err);
	damaged_must(history_flush(f->history, store, &err), &err);
	memdisk_power_off_at(f->disk, 0);
	(void)store_close(store, &err); /* there is no power */
	after = memdisk_kill(f->disk);
	memdisk_free(f->disk);
	f->disk = after;
	damaged_flip_record(f, name, off - 2 * small, small);
	damaged_flip_record(f, name, off - small, small);
}

/*
 * What a checkpoint that came to nothing left in the map is never taken for a page of a later one,
 * though that one starts from the same root.
 */
static void page_of_a_failed_checkpoint_is_never_taken(void **state)
{
	struct damaged *f = *state;
	struct memdisk *copy = memdisk_kill(f->disk), *after;
	uint8_t *saved = malloc(MEMDISK_FILE_MAX), *bytes;
	struct store *store;
	struct err err;
	size_t len;

	damaged_must(store_open_on(memdisk_disk(copy), &f->geometry, f->key, false, &store, &err),
		     &err);
	damaged_must(history_read_all(f->history, store, f->bytes, &err), &err);
	history_rebase(f->history, f->bytes);
	damaged_must(history_write(f->history, store, 0, 3 * DAMAGED_BS, &err), &err);
	memdisk_fail(copy, MEMDISK_PWRITE, 4, 1, ENOSPC); /* flushed, leaf, index, root */
	assert_int_equal(store_checkpoint(store, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "root"));
	bytes = memdisk_bytes(copy, "map", &len);
	memcpy(saved, bytes, len);
	damaged_must(history_write(f->history, store, 0, 4 * DAMAGED_BS, &err), &err);
	damaged_must(history_flush(f->history, store, &err), &err);
	for (int i = 0; i < 2; i++) { /* killed; recovered, and killed again */
		memdisk_power_off_at(copy, 0);
		(void)store_close(store, &err); /* there is no power */
		after = memdisk_kill(copy);
		memdisk_free(copy);
		copy = after;
		if (i == 0)
			damaged_must(store_open_on(memdisk_disk(copy), &f->geometry, f->key, false,
						   &store, &err),
				     &err);
	}
	memdisk_put(copy, "map", saved, len);
	f->killed = true;
	assert_int_equal(damaged_look(f, copy, true, "map", "pages of a failed checkpoint"),
			 REFUSED);
	memdisk_free(copy);
	free(saved);
}

/* After a recovery each of the roots leads to all of the volume, whatever becomes of the other. */
static void either_root_will_do_after_a_recovery(void **state)
{
	struct damaged *f = *state;
	struct memdisk *copy = memdisk_kill(f->disk), *after;
	struct store *store;
	struct err err;

	damaged_must(store_open_on(memdisk_disk(copy), &f->geometry, f->key, false, &store, &err),
		     &err);
	damaged_must(history_read_all(f->history, store, f->bytes, &err), &err);
	history_rebase(f->history, f->bytes);
	damaged_must(history_write(f->history, store, 0, 3 * DAMAGED_BS, &err), &err);
	damaged_must(history_flush(f->history, store, &err), &err);
	memdisk_power_off_at(copy, 0);
	(void)store_close(store, &err); /* there is no power */
	after = memdisk_kill(copy);
	for (int i = 0; i < 2; i++) {
		uint8_t *bytes = memdisk_bytes(after, i ? "root.1" : "root.0", NULL);

		bytes[60] ^= 1;
		assert_int_equal(damaged_look(f, after, true, "root", "one root damaged"), SERVED);
		bytes[60] ^= 1;
	}
	memdisk_free(copy);
	memdisk_free(after);
}

/* The last record of type @type in a segment's file; 0: none. */
static size_t last_record(struct memdisk *disk, uint32_t id, enum format_record_type type,
			  struct format_record *ret_record)
{
	char name[40];
	size_t len, off = FORMAT_SEGMENT_LEN, found = 0;
	struct format_record record;
	const uint8_t *bytes;

	(void)snprintf(name, sizeof(name), "segments/%08x", id);
	bytes = memdisk_bytes(disk, name, &len);
	while (off + FORMAT_RECORD_LEN <= len &&
	       format_record_get(bytes + off, format_seq(id, off), &record) == 0) {
		if (record.type == type) {
			found = off;
			*ret_record = record;
		}
		off += FORMAT_RECORD_LEN +
		       (record.type == FORMAT_WRITE
				? record.count * (DAMAGED_BS + BLOCKCRYPT_TAG_LEN)
				: FORMAT_RECORD_TAG_LEN);
	}
	return found;
}

/* A checksum can be made by anybody; the tag of a discard only by who has the key. */
static void forged_discard_is_refused(void **state)
{
	struct damaged *f = *state;
	struct memdisk *copy = memdisk_kill(f->disk), *after;
	struct format_record record = {0};
	char name[40] = "";
	struct store *store;
	struct err err;
	size_t at = 0;

	damaged_must(store_open_on(memdisk_disk(copy), &f->geometry, f->key, false, &store, &err),
		     &err);
	damaged_must(history_write(f->history, store, 0, 8 * DAMAGED_BS, &err), &err);
	damaged_must(history_discard(f->history, store, DAMAGED_BS, DAMAGED_BS, &err), &err);
	damaged_must(history_flush(f->history, store, &err), &err);
	memdisk_power_off_at(copy, 0);
	(void)store_close(store, &err); /* there is no power */
	after = memdisk_kill(copy);
	for (uint32_t id = 1000; id > 0 && !at; id--) { /* of the last mount: the log's head */
		(void)snprintf(name, sizeof(name), "segments/%08x", id);
		if (memdisk_bytes(after, name, NULL))
			at = last_record(after, id, FORMAT_DISCARD, &record);
	}
	assert_int_not_equal(at, 0);
	assert_int_equal(record.lba, 1);
	f->killed = true;
	assert_int_equal(damaged_look(f, after, true, name, "untouched"), SERVED);
	record.count = 3;
	format_record_put(&record, memdisk_bytes(after, name, NULL) + at);
	assert_int_equal(damaged_look(f, after, true, name, "forged discard"), REFUSED);
	memdisk_free(copy);
	memdisk_free(after);
}

#define TEST(name, set_up) cmocka_unit_test_setup_teardown(name, set_up, damaged_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(either_root_will_do_after_a_recovery, damaged_set_up_killed_gcm),
		TEST(forged_discard_is_refused, damaged_set_up_closed_gcm),
		TEST(page_of_a_failed_checkpoint_is_never_taken, damaged_set_up_closed_gcm),
		TEST(damage_is_seen_also_where_a_segment_ends, damaged_set_up_killed_gcm),
	};

	return cmocka_run_group_tests_name("store_roots", tests, NULL, NULL);
}
