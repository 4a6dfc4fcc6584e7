/*
 * A store under two data keys: all of it is readable, whatever is cut off; it is written anew under the newest,
 * snapshots and all, until that one alone opens it; and what is damaged is never called renewed.
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

#include "cleaner_rig.h"
#include "disk.h"
#include "keys.h"
#include "segment.h"

struct keys {
	struct secret *old, *new, *both;
};

static struct secret *key_of(uint8_t salt)
{
	uint8_t bytes[STORE_DATA_KEY_LEN];
	struct secret *key;
	struct err err;

	memset(bytes, salt, sizeof(bytes));
	must(secret_from(bytes, sizeof(bytes), &key, &err), &err);
	return key;
}

/* The fixture's key is the old one. */
static struct keys make_keys(const struct fixture *f)
{
	struct keys k = {.old = f->key, .new = key_of(0x5a)};
	struct err err;

	must(keys_join(k.new, k.old, &k.both, &err), &err);
	return k;
}

static void free_keys(struct keys *k)
{
	secret_free(k->new);
	secret_free(k->both);
}

static int open_with(struct fixture *f, const struct secret *keys, bool read_only, struct err *err)
{
	struct store_geometry g = geometry;

	g.previous_key = keys_has_previous(keys);
	return store_open_on(memdisk_disk(f->disk), &g, keys, read_only, &f->store, err);
}

/* Close, and open under these keys. */
static void go_on_under(struct fixture *f, const struct secret *keys)
{
	struct err err;

	must(store_close(f->store, &err), &err);
	f->store = NULL;
	must(open_with(f, keys, false, &err), &err);
}

static void must_not_open(struct fixture *f, const struct secret *keys)
{
	struct err err;

	assert_int_equal(open_with(f, keys, true, &err), -EBADMSG);
	f->store = NULL;
}

static void close_store(struct fixture *f)
{
	struct err err;

	must(store_close(f->store, &err), &err);
	f->store = NULL;
}

static void all_is_renewed_while_it_is_used(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct err err;

	make_half_dead(f, 1);
	go_on_under(f, k.both);
	assert_true(stats_of(f).previous_bytes > 0);
	check_all(f, "under two keys");
	for (unsigned i = 0; i < 200; i++)
		must(history_random_step(f->history, f->store, 200000, &err), &err);
	must(store_clean(f->store, &err), &err);
	assert_int_equal(stats_of(f).previous_bytes, 0);
	assert_int_equal(stats_of(f).previous_segments, 0);
	check_all(f, "renewed");
	close_store(f);
	must_not_open(f, k.old);
	must(open_with(f, k.new, false, &err), &err);
	check_all(f, "under the new key alone");
	must(history_random_step(f->history, f->store, 200000, &err), &err);
	check_all(f, "and used");
	free_keys(&k);
}

/* Nobody asks for it: the cleaner's thread does it. */
static void it_is_done_in_the_background(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct err err;

	make_half_dead(f, 2);
	go_on_under(f, k.both);
	for (int i = 0; i < 3000 && stats_of(f).previous_segments; i++)
		usleep(10000);
	assert_int_equal(stats_of(f).previous_segments, 0);
	close_store(f);
	must(open_with(f, k.new, false, &err), &err);
	check_all(f, "renewed in the background");
	free_keys(&k);
}

/* Nor do users have to rest, though there is always something to clean. */
static void it_is_done_while_users_write(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	uint64_t seed = 9;
	struct err err;

	make_half_dead(f, 9);
	go_on_under(f, k.both);
	/* The second half alone: the first has to be moved. */
	for (unsigned i = 0; i < 40000 && stats_of(f).previous_segments; i++) {
		uint64_t block = history_random(&seed) % (SIZE / BS / 2);

		must(history_write(f->history, f->store, SIZE / 2 + block * BS, BS, &err), &err);
	}
	assert_int_equal(stats_of(f).previous_segments, 0);
	close_store(f);
	must(open_with(f, k.new, false, &err), &err);
	check_all(f, "renewed under load");
	free_keys(&k);
}

static void nothing_opens_by_the_new_key_before_the_end(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct err err;

	make_half_dead(f, 3);
	close_store(f);
	must_not_open(f, k.new);
	must(open_with(f, k.both, true, &err), &err); /* for reading only: nothing is renewed */
	check_all(f, "for reading only");
	close_store(f);
	must_not_open(f, k.new);
	must(open_with(f, k.old, false, &err), &err); /* as if it had never been begun */
	check_all(f, "under the old key again");
	free_keys(&k);
}

/*
 * The new header is there, though writing it was reported as failed, and the daemon went on under the old
 * key: what it wrote then counts as old, too.
 */
static void what_the_old_key_wrote_later_is_renewed_too(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct err err;

	make_half_dead(f, 4);
	go_on_under(f, k.both);
	must(history_write(f->history, f->store, 0, MIB, &err), &err);
	go_on_under(f, k.both);
	must(store_clean(f->store, &err), &err);
	close_store(f);
	must(open_with(f, k.new, false, &err), &err);
	check_all(f, "rotated once");
	must(history_write(f->history, f->store, MIB, MIB, &err), &err);
	secret_free(k.both); /* and once more, to yet another one */
	k.old = k.new;
	k.new = key_of(0x77);
	must(keys_join(k.new, k.old, &k.both, &err), &err);
	go_on_under(f, k.old);
	must(history_write(f->history, f->store, 2 * MIB, MIB, &err), &err);
	go_on_under(f, k.both);
	check_all(f, "begun again");
	must(store_clean(f->store, &err), &err);
	close_store(f);
	must(open_with(f, k.new, false, &err), &err);
	check_all(f, "rotated twice");
	secret_free(k.old);
	free_keys(&k);
}

/* The power goes at each change of the disk in turn, from the opening under both keys on. */
static void power_may_go_at_every_operation(void **state)
{
	unsigned step = history_env("ROTATE_STEP", 3, 29);
	bool past_end = false;

	(void)state;
	for (uint64_t at = 1; !past_end; at += step) {
		struct fixture f = {0};
		struct keys k;
		struct memdisk *after;
		struct err err;

		fixture_begin(&f, at);
		k = make_keys(&f);
		make_half_dead(&f, at);
		close_store(&f);
		memdisk_power_off_at(f.disk, at);
		if (open_with(&f, k.both, false, &err) == 0)
			(void)store_clean(f.store, &err); /* as far as it gets */
		past_end = !memdisk_is_off(f.disk);
		after = memdisk_crash(f.disk, at);
		memdisk_power_off_at(f.disk, 0);
		(void)store_close(f.store, &err); /* there is no power */
		memdisk_free(f.disk);
		f.disk = after;
		f.store = NULL;
		must(open_with(&f, k.both, false, &err), &err);
		check_all(&f, "power cut while renewing");
		must(store_clean(f.store, &err), &err);
		close_store(&f);
		must(open_with(&f, k.new, false, &err), &err);
		check_all(&f, "renewed after a power cut");
		free_keys(&k);
		fixture_end(&f);
	}
}

/* A snapshot keeps its segments and its key; the volume leaves both behind. */
static void snapshots_keep_what_they_had(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct disk *out = memdisk_dir(f->disk, "snap");
	struct store_snapshot snapshot;
	uint8_t *was = malloc(SIZE);
	struct store *store;
	struct err err;

	assert_int_equal(out->ops->mkdir(out, "segments"), 0);
	make_half_dead(f, 5);
	must(history_read_all(f->history, f->store, was, &err), &err);
	must(store_snapshot(f->store, out, NULL, NULL, &snapshot, &err), &err);
	go_on_under(f, k.both);
	must(history_write(f->history, f->store, 0, MIB, &err), &err);
	must(store_clean(f->store, &err), &err);
	assert_int_equal(stats_of(f).previous_segments, 0);
	go_on_under(f, k.new);
	check_all(f, "the volume");
	must(store_open_on(out, &geometry, k.old, true, &store, &err), &err);
	must(store_read(store, 0, SIZE, f->bytes, &err), &err);
	assert_memory_equal(f->bytes, was, SIZE);
	must(store_close(store, &err), &err);
	disk_free(out);
	free(was);
	free_keys(&k);
}

/* A snapshot in the middle needs both keys, and has all. */
static void a_snapshot_in_the_middle_is_whole(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct disk *out = memdisk_dir(f->disk, "snap");
	struct store_snapshot snapshot;
	struct store_geometry g = geometry;
	struct store *store;
	struct err err;

	g.previous_key = true;
	assert_int_equal(out->ops->mkdir(out, "segments"), 0);
	make_half_dead(f, 6);
	go_on_under(f, k.both);
	must(history_write(f->history, f->store, 3 * MIB, MIB, &err), &err);
	must(store_snapshot(f->store, out, NULL, NULL, &snapshot, &err), &err);
	must(store_open_on(out, &g, k.both, true, &store, &err), &err);
	must(history_read_all(f->history, store, f->bytes, &err), &err);
	assert_true(history_is_last(f->history, 0, f->bytes, SIZE));
	must(store_close(store, &err), &err);
	disk_free(out);
	free_keys(&k);
}

/* Damaged blocks are not moved, so what holds them stays under the previous key, and says so. */
static void damage_is_never_called_renewed(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct store_stats stats;
	struct err err;
	uint8_t *bytes;
	size_t len;

	make_half_dead(f, 7);
	close_store(f);
	bytes = memdisk_bytes(f->disk, "segments/00000001", &len);
	assert_non_null(bytes);
	for (size_t off = 4096; off < len; off += 100000)
		bytes[off] ^= 1;
	must(open_with(f, k.both, false, &err), &err);
	must(store_clean(f->store, &err), &err);
	stats = stats_of(f);
	assert_true(stats.previous_bytes > 0);
	assert_int_equal(stats.previous_bytes, stats.previous_stuck_bytes);
	close_store(f);
	must_not_open(f, k.new);
	must(open_with(f, k.both, false, &err), &err);
	free_keys(&k);
}

/* On a full disk what a snapshot keeps cannot be written anew: it says so, and what there is stays whole. */
static void a_full_disk_stops_it_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct disk *out = memdisk_dir(f->disk, "snap");
	struct store_snapshot snapshot;
	struct err err;

	assert_int_equal(out->ops->mkdir(out, "segments"), 0);
	make_half_dead(f, 8);
	must(store_snapshot(f->store, out, NULL, NULL, &snapshot, &err), &err);
	close_store(f);
	memdisk_capacity(f->disk, memdisk_used(f->disk) + 5 * MIB);
	must(open_with(f, k.both, false, &err), &err);
	assert_int_equal(store_clean(f->store, &err), -ENOSPC);
	assert_true(stats_of(f).previous_bytes > 0);
	assert_true(stats_of(f).previous_no_room);
	check_all(f, "on a full disk");
	memdisk_capacity(f->disk, 0);
	must(store_clean(f->store, &err), &err);
	assert_int_equal(stats_of(f).previous_segments, 0);
	assert_false(stats_of(f).previous_no_room);
	close_store(f);
	must(open_with(f, k.new, false, &err), &err);
	check_all(f, "with room");
	disk_free(out);
	free_keys(&k);
}

static void a_wrong_number_of_keys_is_refused(void **state)
{
	struct fixture *f = *state;
	struct keys k = make_keys(f);
	struct store_geometry two = geometry;
	struct store *store;
	struct err err;

	two.previous_key = true;
	close_store(f);
	assert_int_equal(store_open_on(memdisk_disk(f->disk), &two, k.new, true, &store, &err),
			 -EINVAL);
	assert_string_equal(err.msg, "data key of 64 bytes: must be 128");
	assert_int_equal(
		store_open_on(memdisk_disk(f->disk), &geometry, k.both, true, &store, &err),
		-EINVAL);
	assert_string_equal(err.msg, "data key of 128 bytes: must be 64");
	assert_int_equal(store_create_on(memdisk_disk(f->disk), &two, k.both, &err), -EINVAL);
	must(open_with(f, k.old, true, &err), &err);
	free_keys(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_is_renewed_while_it_is_used),
		TEST(it_is_done_in_the_background),
		TEST(it_is_done_while_users_write),
		TEST(nothing_opens_by_the_new_key_before_the_end),
		TEST(what_the_old_key_wrote_later_is_renewed_too),
		cmocka_unit_test(power_may_go_at_every_operation),
		TEST(snapshots_keep_what_they_had),
		TEST(a_snapshot_in_the_middle_is_whole),
		TEST(damage_is_never_called_renewed),
		TEST(a_full_disk_stops_it_and_nothing_else),
		TEST(a_wrong_number_of_keys_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
