/*
 * Checking damaged volumes: each damage is reported at its place, and what is not reported can be read bit for
 * bit; with map or roots gone, too. Nothing on the disk is changed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "check.h"
#include "damaged.h"
#include "err.h"
#include "format.h"
#include "history.h"
#include "memdisk.h"

#define BLOCKS	  (DAMAGED_SIZE / DAMAGED_BS)
#define FOUND_MAX 64

struct found {
	char file[64];
	uint64_t off, len, lba, count;
	enum check_weight weight;
};

/* One check and what it said. */
struct look {
	struct found found[FOUND_MAX];
	size_t count;
	bool lost[BLOCKS];
	bool unsure; /* a damage of which it does not know what it changed */
	struct check_result result;
	uint8_t bytes[DAMAGED_SIZE];
};

static void keep(void *arg, const struct check_finding *f)
{
	struct look *look = arg;
	struct found *to = &look->found[look->count < FOUND_MAX ? look->count++ : FOUND_MAX - 1];

	(void)snprintf(to->file, sizeof(to->file), "%s", f->file);
	to->off = f->off;
	to->len = f->len;
	to->lba = f->lba;
	to->count = f->count;
	to->weight = f->weight;
	for (uint64_t i = 0; i < f->count; i++)
		look->lost[f->lba + i] = true;
	if (f->weight == CHECK_DAMAGE && !f->count && strncmp(f->file, "segments/", 9) == 0)
		look->unsure = true;
	assert_true(f->lba + f->count <= BLOCKS);
	assert_non_null(f->what);
}

static struct look *look_at(struct damaged *f, bool key)
{
	struct look *look = calloc(1, sizeof(*look));
	struct check_options options = {.report = keep, .arg = look};
	uint64_t changes = memdisk_count(f->disk, MEMDISK_CHANGES);
	struct check *check;
	struct err err;
	int r = check_run(memdisk_disk(f->disk), &f->geometry, key ? f->key : NULL, &options,
			  &check, &look->result, &err);

	damaged_must(r, &err);
	if (key) {
		struct copy_source source = check_source(check);

		assert_int_equal(source.read(source.arg, 0, DAMAGED_SIZE, look->bytes, &err),
				 DAMAGED_SIZE);
	}
	check_free(check);
	assert_int_equal(memdisk_count(f->disk, MEMDISK_CHANGES), changes);
	return look;
}

/*
 * As it was; but what was discarded may be back, when the segment is gone that said so: a segment without a
 * live block does not stay.
 */
static bool rebuilt_is_right(struct damaged *f, const struct look *look)
{
	static const uint8_t zeros[DAMAGED_BS];
	uint8_t last[DAMAGED_BS];

	for (uint64_t i = 0; i < BLOCKS; i++) {
		history_last(f->history, i * DAMAGED_BS, last, DAMAGED_BS);
		if (memcmp(look->bytes + i * DAMAGED_BS, last, DAMAGED_BS) != 0 &&
		    memcmp(last, zeros, DAMAGED_BS) != 0)
			return false;
	}
	return true;
}

/* What is not reported is right; what is reads as zeros. */
static bool rest_is_right(struct damaged *f, struct look *look)
{
	static const uint8_t zeros[DAMAGED_BS];
	size_t least = f->killed ? history_flushed(f->history) : history_steps(f->history);

	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint8_t *at = look->bytes + i * DAMAGED_BS;

		if (!look->lost[i])
			continue;
		if (memcmp(at, zeros, DAMAGED_BS) != 0)
			return false;
		history_last(f->history, i * DAMAGED_BS, at, DAMAGED_BS);
	}
	if (look->result.rebuilt)
		return rebuilt_is_right(f, look);
	return history_match(f->history, look->bytes, least) >= 0;
}

/* Is there a finding for that byte of the file? */
static bool reported(const struct look *look, const char *file, uint64_t at)
{
	for (size_t i = 0; i < look->count; i++) {
		const struct found *found = &look->found[i];

		if (strcmp(found->file, file) == 0 &&
		    (found->len == 0 || (at >= found->off && at < found->off + found->len)))
			return true;
	}
	return false;
}

static void undamaged_is_found_whole(void **state)
{
	struct damaged *f = *state;
	struct look *look = look_at(f, true);

	assert_int_equal(look->count, 0);
	assert_int_equal(look->result.findings, 0);
	assert_false(look->result.rebuilt);
	assert_true(look->result.blocks > 0);
	assert_true(rest_is_right(f, look));
	free(look);
	look = look_at(f, false);
	assert_int_equal(look->result.findings, 0);
	assert_true(look->result.blocks > 0);
	free(look);
}

/* The name and the length of a file that has bytes. */
static const char *any_file(struct damaged *f, size_t *ret_len)
{
	size_t files = 0;
	const char *name;

	while (memdisk_name(f->disk, files))
		files++;
	do {
		name = memdisk_name(f->disk, damaged_any(f, files));
		(void)memdisk_bytes(f->disk, name, ret_len);
	} while (*ret_len == 0);
	return name;
}

static void each_flipped_bit_is_reported_there_or_was_not_needed(void **state)
{
	struct damaged *f = *state;
	unsigned flips = history_env("CHECK_FLIPS", 300, 30), seen = 0, lost = 0;

	for (unsigned i = 0; i < flips; i++) {
		size_t len, at;
		const char *name = any_file(f, &len);
		uint8_t *bytes = memdisk_bytes(f->disk, name, NULL);
		uint8_t bit = (uint8_t)(1u << damaged_any(f, 8));
		struct look *look;

		at = damaged_any(f, strncmp(name, "segments/", 9) == 0 && i % 4 == 0 ? 600 : len);
		if (at >= len)
			at = 0;
		bytes[at] ^= bit;
		look = look_at(f, true);
		bytes[at] ^= bit;
		if (look->result.findings && !reported(look, name, at))
			fail_msg("bit %02x of byte %zu of %s is reported elsewhere: %s at %lu", bit,
				 at, name, look->found[0].file, (unsigned long)look->found[0].off);
		if (!look->result.findings && look->result.damaged_blocks)
			fail_msg("damaged blocks, but nothing is reported");
		if ((!look->unsure || !f->killed) && !rest_is_right(f, look))
			fail_msg("bit %02x of byte %zu of %s: the rest is not right", bit, at,
				 name);
		seen += look->result.findings > 0;
		lost += look->result.damaged_blocks > 0;
		free(look);
	}
	print_message("# %u of %u flips reported, %u lost a block\n", seen, flips, lost);
	assert_true(seen > flips / 8);
}

/* Check without these files, and compare. */
static void without(struct damaged *f, const char *const *gone)
{
	uint8_t *kept[4];
	size_t lens[4];
	struct look *look;

	for (size_t i = 0; gone[i]; i++) {
		const uint8_t *bytes = memdisk_bytes(f->disk, gone[i], &lens[i]);

		kept[i] = malloc(lens[i]);
		memcpy(kept[i], bytes, lens[i]);
		memdisk_remove(f->disk, gone[i]);
	}
	look = look_at(f, true);
	assert_true(look->result.rebuilt);
	for (size_t i = 0; gone[i]; i++) {
		assert_true(reported(look, gone[i], 0));
		memdisk_put(f->disk, gone[i], kept[i], lens[i]);
		free(kept[i]);
	}
	assert_int_equal(look->result.damaged_blocks, 0);
	assert_true(look->result.blocks > 0);
	assert_true(rebuilt_is_right(f, look));
	free(look);
}

static void lost_maps_and_roots_are_rebuilt_from_the_segments(void **state)
{
	struct damaged *f = *state;
	const char *const map[] = {"map", NULL};
	const char *const roots[] = {"root.0", "root.1", NULL};
	const char *const all[] = {"root.0", "root.1", "map", NULL};

	without(f, map);
	without(f, roots);
	without(f, all);
}

int main(void)
{
#define BOTH(test, kind)                                                                           \
	cmocka_unit_test_setup_teardown(test, damaged_set_up_closed_##kind, damaged_tear_down),    \
		cmocka_unit_test_setup_teardown(test, damaged_set_up_killed_##kind,                \
						damaged_tear_down)
	const struct CMUnitTest tests[] = {
		BOTH(undamaged_is_found_whole, gcm),
		BOTH(each_flipped_bit_is_reported_there_or_was_not_needed, gcm),
		BOTH(each_flipped_bit_is_reported_there_or_was_not_needed, xts),
		BOTH(lost_maps_and_roots_are_rebuilt_from_the_segments, gcm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
