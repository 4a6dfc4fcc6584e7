/*
 * Damage: a bit flipped anywhere in a volume's files, files cut, lost, exchanged, put back from
 * earlier. The volume is refused with a sentence that names the file, or a block is, or what is read
 * is right. Nothing wrong is served, and nothing that was flushed is gone unsaid.
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

/* The records of a segment: the first ones, the last ones, and each that has no blocks. */
static void flip_records(struct damaged *f, const char *name)
{
	uint32_t id = (uint32_t)strtoul(name + strlen("segments/"), NULL, 16);
	size_t file_len, offs[2000], lens[2000], n = 0, off = FORMAT_SEGMENT_LEN;
	const uint8_t *bytes = memdisk_bytes(f->disk, name, &file_len);
	struct format_record record;

	while (n < 2000 && off + FORMAT_RECORD_LEN < file_len &&
	       format_record_get(bytes + off, format_seq(id, off), &record) == 0) {
		offs[n] = off;
		lens[n] = FORMAT_RECORD_LEN +
			  (record.type == FORMAT_WRITE
				   ? record.count * (DAMAGED_BS + BLOCKCRYPT_TAG_LEN)
				   : FORMAT_RECORD_TAG_LEN);
		off += lens[n++];
	}
	for (size_t i = 0; i < n; i++)
		if (i < 1 || i + 5 > n || (lens[i] < DAMAGED_BS && damaged_any(f, 16) == 0))
			damaged_flip_record(f, name, offs[i], lens[i]);
	damaged_flip_range(f, name, off, 20); /* behind the end */
}

static void flipped_bit_in_each_field_is_refused_or_harmless(void **state)
{
	struct damaged *f = *state;
	const char *name;

	assert_int_equal(damaged_look(f, f->disk, true, "", "untouched"), SERVED);
	for (size_t i = 0; (name = memdisk_name(f->disk, i)); i++) {
		size_t len;
		const uint8_t *bytes = memdisk_bytes(f->disk, name, &len);

		if (strncmp(name, "root", 4) == 0) {
			damaged_flip_range(f, name, 0, len);
		} else if (strcmp(name, "map") == 0) {
			for (size_t p = 0; p + FORMAT_PAGE_LEN <= len; p += FORMAT_PAGE_LEN) {
				if (get_be32(bytes + p) == 0)
					continue;
				damaged_flip_range(f, name, p, 40);
				damaged_flip_range(f, name, p + FORMAT_PAGE_LEN - 34, 34);
			}
		} else {
			damaged_flip_range(f, name, 0, FORMAT_SEGMENT_LEN);
			flip_records(f, name);
		}
	}
}

static void flipped_bit_anywhere_is_refused_or_harmless(void **state)
{
	struct damaged *f = *state;
	unsigned count = history_env("DAMAGE_FLIPS", 500, 50);
	size_t files = 0;

	while (memdisk_name(f->disk, files))
		files++;
	for (unsigned i = 0; i < count; i++) {
		const char *name = memdisk_name(f->disk, damaged_any(f, files));
		size_t len;

		(void)memdisk_bytes(f->disk, name, &len);
		damaged_flip(f, name, damaged_any(f, len));
	}
	assert_true(f->refused > 0);
}

/* The segment where the log ends: what is cut off its end cannot be missed (DESIGN.md). */
static bool is_end_of_log(const struct memdisk *disk, const char *name)
{
	uint8_t *bytes;
	char next[40];
	uint32_t id = (uint32_t)strtoul(name + strlen("segments/"), NULL, 16);
	struct format_record record;

	(void)snprintf(next, sizeof(next), "segments/%08x", id + 1);
	bytes = memdisk_bytes((struct memdisk *)disk, next, NULL);
	return !bytes || format_record_get(bytes + FORMAT_SEGMENT_LEN,
					   format_seq(id + 1, FORMAT_SEGMENT_LEN), &record) < 0;
}

static void cut_file_is_refused_or_harmless(void **state)
{
	struct damaged *f = *state;
	const char *name;

	for (size_t i = 0; (name = memdisk_name(f->disk, i)); i++) {
		for (unsigned k = 0; k < history_env("DAMAGE_CUTS", 30, 5); k++) {
			struct memdisk *copy = memdisk_kill(f->disk);
			enum damaged_outcome outcome;
			char what[128];
			size_t len;

			(void)memdisk_bytes(copy, name, &len);
			len = k == 0 ? 0 : k == 1 ? len - 1 : damaged_any(f, len);
			memdisk_cut(copy, name, len);
			(void)snprintf(what, sizeof(what), "%s cut to %zu", name, len);
			outcome = damaged_look(f, copy, k % 2, name, what);
			if (outcome == LOST && !(f->killed && is_end_of_log(copy, name)))
				fail_msg("%s: flushed data is lost unsaid", what);
			memdisk_free(copy);
		}
	}
}

static void lost_file_is_refused_or_harmless(void **state)
{
	struct damaged *f = *state;
	const char *name;

	for (size_t i = 0; (name = memdisk_name(f->disk, i)); i++) {
		struct memdisk *copy = memdisk_kill(f->disk);

		memdisk_remove(copy, name);
		/* A page of the map may be the one that misses a segment. */
		assert_int_not_equal(
			damaged_look(f, copy, true, strchr(name, '/') ? "segment" : name, name),
			LOST);
		memdisk_free(copy);
	}
}

static void exchanged_files_are_refused_or_harmless(void **state)
{
	struct damaged *f = *state;
	const char *a, *b;

	for (size_t i = 0; (a = memdisk_name(f->disk, i)); i++) {
		for (size_t k = i + 1; (b = memdisk_name(f->disk, k)); k++) {
			struct memdisk *copy = memdisk_kill(f->disk);
			char what[128];

			(void)snprintf(what, sizeof(what), "%s and %s exchanged", a, b);
			memdisk_swap(copy, a, b);
			assert_int_not_equal(damaged_look(f, copy, true, "", what), LOST);
			memdisk_free(copy);
		}
	}
}

/* Each choice of map and roots from some checkpoints ago. */
static void older_map_and_roots_are_refused_or_harmless(void **state)
{
	static const char *const names[] = {"map", "root.0", "root.1"};
	struct damaged *f = *state;

	for (unsigned set = 1; set < 8; set++) {
		struct memdisk *copy = memdisk_kill(f->disk);
		char what[64];

		for (unsigned i = 0; i < 3; i++) {
			size_t len;
			const uint8_t *bytes = memdisk_bytes(f->older, names[i], &len);

			if (set & 1u << i)
				memdisk_put(copy, names[i], bytes, len);
		}
		(void)snprintf(what, sizeof(what), "older files put back, set %u", set);
		assert_int_not_equal(damaged_look(f, copy, true, "", what), LOST);
		memdisk_free(copy);
	}
}

#define ALL_TESTS(kind)                                                                            \
	cmocka_unit_test_setup_teardown(flipped_bit_in_each_field_is_refused_or_harmless,          \
					damaged_set_up_##kind, damaged_tear_down),                 \
		cmocka_unit_test_setup_teardown(flipped_bit_anywhere_is_refused_or_harmless,       \
						damaged_set_up_##kind, damaged_tear_down),         \
		cmocka_unit_test_setup_teardown(cut_file_is_refused_or_harmless,                   \
						damaged_set_up_##kind, damaged_tear_down),         \
		cmocka_unit_test_setup_teardown(lost_file_is_refused_or_harmless,                  \
						damaged_set_up_##kind, damaged_tear_down),         \
		cmocka_unit_test_setup_teardown(exchanged_files_are_refused_or_harmless,           \
						damaged_set_up_##kind, damaged_tear_down),         \
		cmocka_unit_test_setup_teardown(older_map_and_roots_are_refused_or_harmless,       \
						damaged_set_up_##kind, damaged_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_TESTS(closed_gcm),
		ALL_TESTS(killed_gcm),
		ALL_TESTS(closed_xts),
		ALL_TESTS(killed_xts),
	};

	return cmocka_run_group_tests_name("store_damage", tests, NULL, NULL);
}
