/*
 * Crashes: after a power cut or a kill at any operation, the volume is a prefix of its history that has
 * all that was flushed (DESIGN.md, invariant 4). Histories are random, SEED= replays them (up to what
 * the store's own threads do meanwhile).
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
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "store.h"

#define MIB (1u << 20)

struct run {
	struct store_geometry geometry;
	struct secret *key;
	struct memdisk *disk;
	struct store *store;
	struct history *history;
	uint8_t *bytes[2];
	uint64_t seed; /* of this history, for the message */
	uint64_t rng;
};

#define RUN_FAIL(run, ...)                                                                         \
	do {                                                                                       \
		print_error("history with seed %llu: ", (unsigned long long)(run)->seed);          \
		fail_msg(__VA_ARGS__);                                                             \
	} while (0)

static uint64_t any(struct run *run, uint64_t below)
{
	return history_random(&run->rng) % below;
}

static void run_begin(struct run *run, uint64_t seed, enum blockcrypt_cipher cipher, uint64_t size)
{
	struct err err;

	memset(run, 0, sizeof(*run));
	run->seed = run->rng = seed;
	run->geometry = (struct store_geometry){.size_bytes = size,
						.block_size = any(run, 4) ? 4096 : 8192,
						.cipher = cipher,
						.segment_size = 4 * MIB,
						.volume_id = "vol-crash"};
	run->key = history_key();
	run->history = history_new(size, run->geometry.block_size, seed);
	run->bytes[0] = malloc(size);
	run->bytes[1] = malloc(size);
	run->disk = memdisk_new();
	if (store_create_on(memdisk_disk(run->disk), &run->geometry, run->key, &err) < 0 ||
	    store_open_on(memdisk_disk(run->disk), &run->geometry, run->key, false, &run->store,
			  &err) < 0)
		RUN_FAIL(run, "%s", err.msg);
}

static void run_end(struct run *run)
{
	struct err err;

	(void)store_close(run->store, &err); /* what is not tested here */
	memdisk_free(run->disk);
	history_free(run->history);
	secret_free(run->key);
	free(run->bytes[0]);
	free(run->bytes[1]);
}

/* The machine stops here, and another one sees @after. */
static void replace_disk(struct run *run, bool killed)
{
	struct memdisk *after;
	struct err err;

	memdisk_power_off_at(run->disk, 0);
	(void)store_close(run->store, &err); /* there is no power */
	run->store = NULL;
	after = killed ? memdisk_kill(run->disk) : memdisk_crash(run->disk, any(run, UINT64_MAX));
	memdisk_free(run->disk);
	run->disk = after;
}

static void open_and_read(struct run *run, uint8_t *bytes)
{
	struct err err = {0};

	if (store_open_on(memdisk_disk(run->disk), &run->geometry, run->key, false, &run->store,
			  &err) < 0)
		RUN_FAIL(run, "open after a crash: %s", err.msg);
	if (history_read_all(run->history, run->store, bytes, &err) < 0)
		RUN_FAIL(run, "read after a crash: %s", err.msg);
}

/* Crash in the middle of a recovery; returns whether by a power cut. */
static bool crash_while_opening(struct run *run)
{
	bool killed = any(run, 4) == 0;
	struct err err;

	memdisk_power_off_at(run->disk, 1 + any(run, 30));
	if (store_open_on(memdisk_disk(run->disk), &run->geometry, run->key, false, &run->store,
			  &err) < 0)
		run->store = NULL;
	replace_disk(run, killed);
	return !killed;
}

/* After a crash: a prefix with at least @least steps; what is served once is there for good. */
static void check_recovery(struct run *run, size_t least)
{
	size_t size = run->geometry.size_bytes;

	if (any(run, 2) && crash_while_opening(run))
		least = history_flushed(run->history); /* also where the first was a kill */
	open_and_read(run, run->bytes[0]);
	if (history_match(run->history, run->bytes[0], least) < 0)
		RUN_FAIL(run, "no prefix of %zu steps or more, of %zu, is what is there (%zu all)",
			 least, history_steps(run->history),
			 (size_t)history_match(run->history, run->bytes[0], 0));
	replace_disk(run, false);
	open_and_read(run, run->bytes[1]);
	if (memcmp(run->bytes[0], run->bytes[1], size) != 0)
		RUN_FAIL(run, "a second crash changed what the first recovery had served");
	history_rebase(run->history, run->bytes[0]);
}

/* A few steps with the power going at change @off_at of the disk (0: behind them), then recovery. */
static void one_life(struct run *run, unsigned steps, size_t max_len, uint64_t off_at, bool kill)
{
	struct err err;
	size_t least;

	if (off_at)
		memdisk_power_off_at(run->disk, off_at);
	for (unsigned i = 0; i < steps && !memdisk_is_off(run->disk); i++) {
		int r = history_random_step(run->history, run->store, max_len, &err);

		if (r < 0 && !memdisk_is_off(run->disk))
			RUN_FAIL(run, "%s", err.msg);
	}
	/* What a killed process had written is there; what was under way may be. */
	least = kill && !memdisk_is_off(run->disk) ? history_steps(run->history)
						   : history_flushed(run->history);
	replace_disk(run, kill);
	check_recovery(run, least);
}

static void short_history(uint64_t seed, enum blockcrypt_cipher cipher)
{
	struct run run;

	run_begin(&run, seed, cipher, (1 + seed % 3) * MIB);
	for (uint64_t lives = 1 + any(&run, 3); lives; lives--) {
		uint64_t off_at = any(&run, 2) ? 1 + any(&run, 40) : 0;
		size_t max_len = any(&run, 8) ? 100000 : 2 * MIB;

		one_life(&run, 1 + (unsigned)any(&run, 20), max_len, off_at, any(&run, 4) == 0);
	}
	run_end(&run);
}

static void short_histories(enum blockcrypt_cipher cipher)
{
	uint64_t seed = history_seed();
	unsigned count = history_env("CRASH_HISTORIES", 1000, 100);

	for (unsigned i = 0; i < count; i++)
		short_history(seed + i, cipher);
}

static void crashed_volume_is_a_prefix_with_all_flushed_gcm(void **state)
{
	(void)state;
	short_histories(BLOCKCRYPT_AES_256_GCM);
}

static void crashed_volume_is_a_prefix_with_all_flushed_xts(void **state)
{
	(void)state;
	short_histories(BLOCKCRYPT_AES_256_XTS);
}

/* Long ones: several segments, rolled in the middle of everything. */
static void crashed_volume_is_a_prefix_across_segments(void **state)
{
	uint64_t seed = history_seed();
	unsigned count = history_env("CRASH_LONG_HISTORIES", 40, 4);

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		struct run run;

		run_begin(&run, seed + i, BLOCKCRYPT_AES_256_GCM, 5 * MIB);
		for (unsigned lives = 0; lives < 3; lives++)
			one_life(&run, 80, 3 * MIB, any(&run, 2) ? 20 + any(&run, 200) : 0,
				 any(&run, 4) == 0);
		run_end(&run);
	}
}

/* The same short history, with the power going at every change in turn. */
static void every_operation_may_be_the_last(void **state)
{
	uint64_t seed = history_seed();
	unsigned tries = history_env("CRASH_TRIES", 6, 1);
	struct run run;
	bool past_end = false;

	(void)state;
	for (uint64_t off_at = 1; !past_end; off_at++) {
		for (unsigned i = 0; i < tries; i++) {
			run_begin(&run, seed, BLOCKCRYPT_AES_256_GCM, MIB);
			run.rng += i * 1000 + off_at;
			memdisk_power_off_at(run.disk, off_at);
			for (unsigned k = 0; k < 25 && !memdisk_is_off(run.disk); k++) {
				struct err err;

				(void)history_random_step(run.history, run.store, 50000,
							  &err); /* checked by the recovery */
			}
			past_end = !memdisk_is_off(run.disk);
			replace_disk(&run, false);
			check_recovery(&run, history_flushed(run.history));
			run_end(&run);
		}
	}
}

/* The process is killed here and the newest root is damaged: the other leads to everything as well. */
static void check_older_root(struct run *run)
{
	struct memdisk *copy = memdisk_kill(run->disk);
	uint8_t *roots[] = {memdisk_bytes(copy, "root.0", NULL),
			    memdisk_bytes(copy, "root.1", NULL)};
	bool second = get_be64(roots[1] + 48) > get_be64(roots[0] + 48); /* their numbers */
	struct store *store;
	struct err err;

	roots[second][70] ^= 1;
	if (store_open_on(memdisk_disk(copy), &run->geometry, run->key, true, &store, &err) < 0)
		RUN_FAIL(run, "open by the older root: %s", err.msg);
	if (history_read_all(run->history, store, run->bytes[0], &err) < 0)
		RUN_FAIL(run, "read by the older root: %s", err.msg);
	if (history_match(run->history, run->bytes[0], history_steps(run->history)) < 0)
		RUN_FAIL(run, "the older root does not lead to all that was done");
	(void)store_close(store, &err); /* read-only: there is nothing to go wrong */
	memdisk_free(copy);
}

static void older_root_leads_to_everything_at_any_time(void **state)
{
	uint64_t seed = history_seed(), renames = 0;
	unsigned count = history_env("CRASH_ROOT_HISTORIES", 12, 2);

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		struct run run;

		run_begin(&run, seed + i, BLOCKCRYPT_AES_256_GCM, 3 * MIB);
		for (unsigned k = 0; k < 150; k++) {
			struct err err = {0};

			if (history_random_step(run.history, run.store, 3 * MIB, &err) < 0 ||
			    (any(&run, 5) == 0 && store_checkpoint(run.store, &err) < 0))
				RUN_FAIL(&run, "%s", err.msg);
			if (any(&run, 4) == 0)
				check_older_root(&run);
		}
		renames += memdisk_count(run.disk, MEMDISK_RENAME);
		run_end(&run);
	}
	/* Segments were written anew, else this shows little; a few histories may do without. */
	assert_true(renames > 0 || count < 12);
}

/* Write half of the volume anew, so often that the log goes on to another segment. */
static void write_half(struct run *run, bool second, unsigned times)
{
	uint64_t half = run->geometry.size_bytes / 2;
	struct err err;

	for (unsigned i = 0; i < times; i++)
		if (history_write(run->history, run->store, second ? half : 0, half, &err) < 0)
			RUN_FAIL(run, "%s", err.msg);
}

/* A segment that died since the older root stays until that root has gone, too. */
static void older_root_keeps_what_died_since(void **state)
{
	struct run run;
	struct err err;

	(void)state;
	run_begin(&run, history_seed(), BLOCKCRYPT_AES_256_GCM, 2 * MIB);
	write_half(&run, true, 1); /* stays in a segment behind which the log goes on */
	write_half(&run, false, 8);
	for (unsigned i = 0; i < 2; i++)
		if (store_checkpoint(run.store, &err) < 0)
			RUN_FAIL(&run, "%s", err.msg);
	write_half(&run, true, 1); /* now what the roots name in that segment is dead */
	if (store_checkpoint(run.store, &err) < 0)
		RUN_FAIL(&run, "%s", err.msg);
	write_half(&run, false,
		   4); /* a new segment, in a file that was kept for it; before the cleaner looks */
	usleep(100000); /* the next one is made ahead */
	check_older_root(&run);
	run_end(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crashed_volume_is_a_prefix_with_all_flushed_gcm),
		cmocka_unit_test(crashed_volume_is_a_prefix_with_all_flushed_xts),
		cmocka_unit_test(crashed_volume_is_a_prefix_across_segments),
		cmocka_unit_test(every_operation_may_be_the_last),
		cmocka_unit_test(older_root_leads_to_everything_at_any_time),
		cmocka_unit_test(older_root_keeps_what_died_since),
	};

	return cmocka_run_group_tests_name("store_crash", tests, NULL, NULL);
}
