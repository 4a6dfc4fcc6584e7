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
#include "err.h"
#include "format.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "store.h"

#define BS   4096u
#define MIB  (1u << 20)
#define SIZE (2 * MIB)

struct fixture {
	struct store_geometry geometry;
	struct secret *key;
	struct memdisk *disk;  /* closed or killed */
	struct memdisk *older; /* the same volume some checkpoints earlier */
	struct history *history;
	uint8_t *bytes;
	uint64_t rng;
	bool killed;
	unsigned refused, served, lost; /* how it went so far */
};

enum outcome {
	REFUSED, /* by open or by a read */
	SERVED,	 /* all of it, and right */
	LOST,	 /* right once, but without something that had been flushed */
};

static uint64_t any(struct fixture *f, uint64_t below)
{
	return history_random(&f->rng) % below;
}

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s (%d)", err->msg, r);
}

static void steps(struct fixture *f, struct store *store, unsigned count)
{
	struct err err;

	for (unsigned i = 0; i < count; i++)
		must(history_random_step(f->history, store, 500000, &err), &err);
}

static void set_up_volume(struct fixture *f, enum blockcrypt_cipher cipher, bool killed)
{
	struct store *store;
	struct err err;

	f->rng = history_seed();
	f->killed = killed;
	f->geometry = (struct store_geometry){.size_bytes = SIZE,
					      .block_size = BS,
					      .cipher = cipher,
					      .segment_size = 4 * MIB,
					      .volume_id = "vol-damage"};
	f->key = history_key();
	f->disk = memdisk_new();
	f->history = history_new(SIZE, BS, f->rng);
	f->bytes = malloc(SIZE);
	must(store_create_on(memdisk_disk(f->disk), &f->geometry, f->key, &err), &err);
	must(store_open_on(memdisk_disk(f->disk), &f->geometry, f->key, false, &store, &err), &err);
	steps(f, store, 20);
	must(history_write(f->history, store, 8192, 100000, &err), &err);
	must(store_checkpoint(store, &err), &err);
	f->older = memdisk_kill(f->disk);
	for (unsigned i = 0; i < 3; i++) {
		must(history_write(f->history, store, i * 4096, SIZE - i * 8192, &err), &err);
		steps(f, store, 10);
	}
	must(history_write(f->history, store, 4096, 50000, &err), &err);
	must(history_flush(f->history, store, &err), &err);
	if (killed) {
		for (unsigned i = 0; i < 5; i++) /* the tail that no flush covers */
			must(history_write(f->history, store, i * 30000, 9000, &err), &err);
		memdisk_power_off_at(f->disk, 0);
	}
	(void)store_close(store, &err); /* killed: there is no power */
	if (killed) {
		struct memdisk *after = memdisk_kill(f->disk);

		memdisk_free(f->disk);
		f->disk = after;
	}
}

static int set_up(void **state, enum blockcrypt_cipher cipher, bool killed)
{
	struct fixture *f = calloc(1, sizeof(*f));

	set_up_volume(f, cipher, killed);
	*state = f;
	return 0;
}

static int set_up_closed_gcm(void **state)
{
	return set_up(state, BLOCKCRYPT_AES_256_GCM, false);
}

static int set_up_killed_gcm(void **state)
{
	return set_up(state, BLOCKCRYPT_AES_256_GCM, true);
}

static int set_up_closed_xts(void **state)
{
	return set_up(state, BLOCKCRYPT_AES_256_XTS, false);
}

static int set_up_killed_xts(void **state)
{
	return set_up(state, BLOCKCRYPT_AES_256_XTS, true);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	print_message("# %u refused, %u served right, %u lost\n", f->refused, f->served, f->lost);
	memdisk_free(f->disk);
	memdisk_free(f->older);
	history_free(f->history);
	secret_free(f->key);
	free(f->bytes);
	free(f);
	return 0;
}

/* A refusal: one of the numbers for it, and a sentence with @word in it. */
static void check_refusal(int r, const struct err *err, const char *word, const char *what)
{
	if (r != -EBADMSG && r != -EUCLEAN && r != -EIO && r != -ENOENT)
		fail_msg("%s: refused with %d: %s", what, r, err->msg);
	if (!strstr(err->msg, word))
		fail_msg("%s: the sentence does not name '%s': %s", what, word, err->msg);
}

/* Read block by block what cannot be read at once; a block refused is taken for right. */
static bool read_blocks(struct fixture *f, struct store *store, const char *word, const char *what)
{
	bool refused = false;
	struct err err;

	if (history_read_all(f->history, store, f->bytes, &err) == 0)
		return false;
	for (uint64_t off = 0; off < SIZE; off += BS) {
		int r = store_read(store, off, BS, f->bytes + off, &err);

		if (r == 0)
			continue;
		check_refusal(r, &err, word, what);
		for (unsigned i = 0; i < BS; i++)
			assert_int_equal(f->bytes[off + i], 0); /* wiped */
		history_last(f->history, off, f->bytes + off, BS);
		refused = true;
	}
	return refused;
}

/* What a reader of @disk gets. @word: what a refusal has to name. */
static enum outcome look(struct fixture *f, struct memdisk *disk, bool read_only, const char *word,
			 const char *what)
{
	struct store *store = NULL;
	struct err err = {0};
	size_t least = f->killed ? history_flushed(f->history) : history_steps(f->history);
	bool refused;
	int r = store_open_on(memdisk_disk(disk), &f->geometry, f->key, read_only, &store, &err);

	if (r < 0) {
		check_refusal(r, &err, word, what);
		/* Who wants no sentence needs not give an err. */
		assert_true(store_open_on(memdisk_disk(disk), &f->geometry, f->key, read_only,
					  &store, NULL) < 0);
		f->refused++;
		return REFUSED;
	}
	refused = read_blocks(f, store, word, what);
	must(store_close(store, &err), &err);
	if (history_match(f->history, f->bytes, least) >= 0) {
		f->refused += refused;
		f->served += !refused;
		return refused ? REFUSED : SERVED;
	}
	if (refused || history_match(f->history, f->bytes, 0) < 0)
		fail_msg("%s: wrong bytes are served", what);
	f->lost++;
	return LOST;
}

static void flip(struct fixture *f, const char *name, size_t at)
{
	uint8_t *bytes = memdisk_bytes(f->disk, name, NULL);
	uint8_t bit = (uint8_t)(1u << any(f, 8));
	enum outcome outcome;
	char what[128];

	(void)snprintf(what, sizeof(what), "%s: bit %02x of byte %zu flipped", name, bit, at);
	bytes[at] ^= bit;
	outcome = look(f, f->disk, true, name, what);
	if (outcome == LOST)
		fail_msg("%s: flushed data is lost unsaid", what);
	if (any(f, 40) == 0) { /* and when it is opened for writing; twice */
		struct memdisk *copy = memdisk_kill(f->disk);

		assert_int_equal(look(f, copy, false, name, what), outcome);
		if (outcome == SERVED)
			assert_int_equal(look(f, copy, false, name, what), outcome);
		memdisk_free(copy);
	}
	bytes[at] ^= bit;
}

/* Each byte of a range; with DAMAGE_STEP only some of them, others each time. */
static void flip_range(struct fixture *f, const char *name, size_t from, size_t len)
{
	unsigned step = history_env("DAMAGE_STEP", 3, 17);
	size_t file_len;

	(void)memdisk_bytes(f->disk, name, &file_len);
	for (size_t i = from + any(f, step); i < from + len && i < file_len; i += step)
		flip(f, name, i);
}

/* Header, first bytes and last bytes of a record. */
static void flip_record(struct fixture *f, const char *name, size_t off, size_t len)
{
	flip_range(f, name, off, FORMAT_RECORD_LEN + 2);
	flip(f, name, off + FORMAT_RECORD_LEN + any(f, len - FORMAT_RECORD_LEN));
	flip_range(f, name, off + len - 17, 17);
}

/* The records of a segment: the first ones, the last ones, and each that has no blocks. */
static void flip_records(struct fixture *f, const char *name)
{
	uint32_t id = (uint32_t)strtoul(name + strlen("segments/"), NULL, 16);
	size_t file_len, offs[2000], lens[2000], n = 0, off = FORMAT_SEGMENT_LEN;
	const uint8_t *bytes = memdisk_bytes(f->disk, name, &file_len);
	struct format_record record;

	while (n < 2000 && off + FORMAT_RECORD_LEN < file_len &&
	       format_record_get(bytes + off, format_seq(id, off), &record) == 0) {
		offs[n] = off;
		lens[n] = FORMAT_RECORD_LEN + (record.type == FORMAT_WRITE
						       ? record.count * (BS + BLOCKCRYPT_TAG_LEN)
						       : FORMAT_RECORD_TAG_LEN);
		off += lens[n++];
	}
	for (size_t i = 0; i < n; i++)
		if (i < 1 || i + 5 > n || (lens[i] < BS && any(f, 16) == 0))
			flip_record(f, name, offs[i], lens[i]);
	flip_range(f, name, off, 20); /* behind the end */
}

static void flipped_bit_in_each_field_is_refused_or_harmless(void **state)
{
	struct fixture *f = *state;
	const char *name;

	assert_int_equal(look(f, f->disk, true, "", "untouched"), SERVED);
	for (size_t i = 0; (name = memdisk_name(f->disk, i)); i++) {
		size_t len;
		const uint8_t *bytes = memdisk_bytes(f->disk, name, &len);

		if (strncmp(name, "root", 4) == 0) {
			flip_range(f, name, 0, len);
		} else if (strcmp(name, "map") == 0) {
			for (size_t p = 0; p + FORMAT_PAGE_LEN <= len; p += FORMAT_PAGE_LEN) {
				if (get_be32(bytes + p) == 0)
					continue;
				flip_range(f, name, p, 40);
				flip_range(f, name, p + FORMAT_PAGE_LEN - 34, 34);
			}
		} else {
			flip_range(f, name, 0, FORMAT_SEGMENT_LEN);
			flip_records(f, name);
		}
	}
}

static void flipped_bit_anywhere_is_refused_or_harmless(void **state)
{
	struct fixture *f = *state;
	unsigned count = history_env("DAMAGE_FLIPS", 500, 50);
	size_t files = 0;

	while (memdisk_name(f->disk, files))
		files++;
	for (unsigned i = 0; i < count; i++) {
		const char *name = memdisk_name(f->disk, any(f, files));
		size_t len;

		(void)memdisk_bytes(f->disk, name, &len);
		flip(f, name, any(f, len));
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
	struct fixture *f = *state;
	const char *name;

	for (size_t i = 0; (name = memdisk_name(f->disk, i)); i++) {
		for (unsigned k = 0; k < history_env("DAMAGE_CUTS", 30, 5); k++) {
			struct memdisk *copy = memdisk_kill(f->disk);
			enum outcome outcome;
			char what[128];
			size_t len;

			(void)memdisk_bytes(copy, name, &len);
			len = k == 0 ? 0 : k == 1 ? len - 1 : any(f, len);
			memdisk_cut(copy, name, len);
			(void)snprintf(what, sizeof(what), "%s cut to %zu", name, len);
			outcome = look(f, copy, k % 2, name, what);
			if (outcome == LOST && !(f->killed && is_end_of_log(copy, name)))
				fail_msg("%s: flushed data is lost unsaid", what);
			memdisk_free(copy);
		}
	}
}

static void lost_file_is_refused_or_harmless(void **state)
{
	struct fixture *f = *state;
	const char *name;

	for (size_t i = 0; (name = memdisk_name(f->disk, i)); i++) {
		struct memdisk *copy = memdisk_kill(f->disk);

		memdisk_remove(copy, name);
		/* A page of the map may be the one that misses a segment. */
		assert_int_not_equal(
			look(f, copy, true, strchr(name, '/') ? "segment" : name, name), LOST);
		memdisk_free(copy);
	}
}

static void exchanged_files_are_refused_or_harmless(void **state)
{
	struct fixture *f = *state;
	const char *a, *b;

	for (size_t i = 0; (a = memdisk_name(f->disk, i)); i++) {
		for (size_t k = i + 1; (b = memdisk_name(f->disk, k)); k++) {
			struct memdisk *copy = memdisk_kill(f->disk);
			char what[128];

			(void)snprintf(what, sizeof(what), "%s and %s exchanged", a, b);
			memdisk_swap(copy, a, b);
			assert_int_not_equal(look(f, copy, true, "", what), LOST);
			memdisk_free(copy);
		}
	}
}

/* Each choice of map and roots from some checkpoints ago. */
static void older_map_and_roots_are_refused_or_harmless(void **state)
{
	static const char *const names[] = {"map", "root.0", "root.1"};
	struct fixture *f = *state;

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
		assert_int_not_equal(look(f, copy, true, "", what), LOST);
		memdisk_free(copy);
	}
}

/*
 * A flush whose record ends just before the segment does: damage to that record is told from a torn
 * tail all the same.
 */
static void damage_is_seen_also_where_a_segment_ends(void **state)
{
	const size_t one = FORMAT_RECORD_LEN + BS + BLOCKCRYPT_TAG_LEN;
	const size_t small = FORMAT_RECORD_LEN + FORMAT_RECORD_TAG_LEN; /* mark, seal, discard */
	struct fixture *f = *state;
	struct memdisk *after;
	struct store *store;
	struct err err;
	size_t off = FORMAT_SEGMENT_LEN;
	uint64_t lba = 0;
	const char *name = "segments/00000001";

	memdisk_free(f->disk);
	history_free(f->history);
	f->disk = memdisk_new();
	f->history = history_new(SIZE, BS, 1);
	must(store_create_on(memdisk_disk(f->disk), &f->geometry, f->key, &err), &err);
	must(store_open_on(memdisk_disk(f->disk), &f->geometry, f->key, false, &store, &err), &err);
	for (; off + one + 2 * small <= f->geometry.segment_size; off += one)
		must(history_write(f->history, store, lba++ % (SIZE / BS) * BS, BS, &err), &err);
	for (lba = 0; off + 2 * small <= f->geometry.segment_size; off += small)
		must(history_discard(f->history, store, lba++ * BS, BS, &err), &err);
	must(history_flush(f->history, store, &err), &err);
	memdisk_power_off_at(f->disk, 0);
	(void)store_close(store, &err); /* there is no power */
	after = memdisk_kill(f->disk);
	memdisk_free(f->disk);
	f->disk = after;
	flip_record(f, name, off - 2 * small, small);
	flip_record(f, name, off - small, small);
}

/*
 * What a checkpoint that came to nothing left in the map is never taken for a page of a later one,
 * though that one starts from the same root.
 */
static void page_of_a_failed_checkpoint_is_never_taken(void **state)
{
	struct fixture *f = *state;
	struct memdisk *copy = memdisk_kill(f->disk), *after;
	uint8_t *saved = malloc(MEMDISK_FILE_MAX), *bytes;
	struct store *store;
	struct err err;
	size_t len;

	must(store_open_on(memdisk_disk(copy), &f->geometry, f->key, false, &store, &err), &err);
	must(history_read_all(f->history, store, f->bytes, &err), &err);
	history_rebase(f->history, f->bytes);
	must(history_write(f->history, store, 0, 3 * BS, &err), &err);
	memdisk_fail(copy, MEMDISK_PWRITE, 4, 1, ENOSPC); /* mark, leaf, index, root */
	assert_int_equal(store_checkpoint(store, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "root"));
	bytes = memdisk_bytes(copy, "map", &len);
	memcpy(saved, bytes, len);
	must(history_write(f->history, store, 0, 4 * BS, &err), &err);
	must(history_flush(f->history, store, &err), &err);
	for (int i = 0; i < 2; i++) { /* killed; recovered, and killed again */
		memdisk_power_off_at(copy, 0);
		(void)store_close(store, &err); /* there is no power */
		after = memdisk_kill(copy);
		memdisk_free(copy);
		copy = after;
		if (i == 0)
			must(store_open_on(memdisk_disk(copy), &f->geometry, f->key, false, &store,
					   &err),
			     &err);
	}
	memdisk_put(copy, "map", saved, len);
	f->killed = true;
	assert_int_equal(look(f, copy, true, "map", "pages of a failed checkpoint"), REFUSED);
	memdisk_free(copy);
	free(saved);
}

/* After a recovery each of the roots leads to all of the volume, whatever becomes of the other. */
static void either_root_will_do_after_a_recovery(void **state)
{
	struct fixture *f = *state;
	struct memdisk *copy = memdisk_kill(f->disk), *after;
	struct store *store;
	struct err err;

	must(store_open_on(memdisk_disk(copy), &f->geometry, f->key, false, &store, &err), &err);
	must(history_read_all(f->history, store, f->bytes, &err), &err);
	history_rebase(f->history, f->bytes);
	must(history_write(f->history, store, 0, 3 * BS, &err), &err);
	must(history_flush(f->history, store, &err), &err);
	memdisk_power_off_at(copy, 0);
	(void)store_close(store, &err); /* there is no power */
	after = memdisk_kill(copy);
	for (int i = 0; i < 2; i++) {
		uint8_t *bytes = memdisk_bytes(after, i ? "root.1" : "root.0", NULL);

		bytes[60] ^= 1;
		assert_int_equal(look(f, after, true, "root", "one root damaged"), SERVED);
		bytes[60] ^= 1;
	}
	memdisk_free(copy);
	memdisk_free(after);
}

#define ALL_TESTS(kind)                                                                            \
	cmocka_unit_test_setup_teardown(flipped_bit_in_each_field_is_refused_or_harmless,          \
					set_up_##kind, tear_down),                                 \
		cmocka_unit_test_setup_teardown(flipped_bit_anywhere_is_refused_or_harmless,       \
						set_up_##kind, tear_down),                         \
		cmocka_unit_test_setup_teardown(cut_file_is_refused_or_harmless, set_up_##kind,    \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(lost_file_is_refused_or_harmless, set_up_##kind,   \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(exchanged_files_are_refused_or_harmless,           \
						set_up_##kind, tear_down),                         \
		cmocka_unit_test_setup_teardown(older_map_and_roots_are_refused_or_harmless,       \
						set_up_##kind, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALL_TESTS(closed_gcm),
		ALL_TESTS(killed_gcm),
		ALL_TESTS(closed_xts),
		ALL_TESTS(killed_xts),
		cmocka_unit_test_setup_teardown(either_root_will_do_after_a_recovery,
						set_up_killed_gcm, tear_down),
		cmocka_unit_test_setup_teardown(page_of_a_failed_checkpoint_is_never_taken,
						set_up_closed_gcm, tear_down),
		cmocka_unit_test_setup_teardown(damage_is_seen_also_where_a_segment_ends,
						set_up_killed_gcm, tear_down),
	};

	return cmocka_run_group_tests_name("store_damage", tests, NULL, NULL);
}
