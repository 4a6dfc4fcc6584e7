/*
 * Snapshots, deletions and restores that are cut off at every point, that fail at every operation, and whose
 * volume goes on: a directory under its own name is always whole, and no other one is touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "disk.h"
#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "snapshot.h"
#include "snapshot_make.h"
#include "store.h"
#include "voldir.h"

#define SIZE	  (2u << 20)
#define BS	  4096u
#define CRASHES	  3	 /* power cuts tried at each point */
#define HEADER	  "{}\n" /* volume.json: nobody looks into it here */
#define RESTORED  "vol-000000000000000ff"
#define VOLUME	  "vol-00000000000000001"
#define FAULT_OPS (MEMDISK_ALL & ~(unsigned)MEMDISK_SIZE)

/* A machine: the volume in "vol", what is made of it in "out". */
struct rig {
	struct memdisk *disk;
	struct disk *vol, *out;
	struct store_geometry geometry;
	struct secret *key;
	struct history *history;
	struct store *store;
	struct snapshot_info info;
	uint8_t *want, *got; /* what the snapshot has to hold */
};

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->msg);
}

static void rig_open(struct rig *rig)
{
	rig->vol = memdisk_dir(rig->disk, "vol");
	rig->out = memdisk_dir(rig->disk, "out");
}

/* Some steps and a flush: what is there then is in rig->want. */
static void work(struct rig *rig, unsigned steps)
{
	struct err err;

	for (unsigned i = 0; i < steps; i++)
		must(history_random_step(rig->history, rig->store, 200000, &err), &err);
	must(history_flush(rig->history, rig->store, &err), &err);
	history_last(rig->history, 0, rig->want, SIZE);
}

static void rig_new(struct rig *rig, uint64_t seed)
{
	struct err err;

	memset(rig, 0, sizeof(*rig));
	rig->disk = memdisk_new();
	rig_open(rig);
	rig->geometry = (struct store_geometry){.size_bytes = SIZE,
						.block_size = BS,
						.cipher = BLOCKCRYPT_AES_256_GCM,
						.segment_size = 4 << 20,
						.volume_id = VOLUME};
	rig->key = history_key();
	rig->history = history_new(SIZE, BS, seed);
	rig->want = malloc(SIZE);
	rig->got = malloc(SIZE);
	assert_non_null(rig->want);
	assert_non_null(rig->got);
	must(store_create_on(rig->vol, &rig->geometry, rig->key, &err), &err);
	must(voldir_put(rig->vol, "volume.json", HEADER, &err), &err);
	must(rig->vol->ops->sync_dir(rig->vol, "."), &err);
	must(store_open_on(rig->vol, &rig->geometry, rig->key, false, &rig->store, &err), &err);
	strcpy(rig->info.id, "snap-00000000000000001");
	strcpy(rig->info.volume_id, VOLUME);
	rig->info.size_bytes = SIZE;
	work(rig, 12);
}

static void rig_close(struct rig *rig)
{
	struct err err;

	(void)store_close(rig->store, &err); /* what is not tested here */
	rig->store = NULL;
}

static void rig_free(struct rig *rig)
{
	rig_close(rig);
	disk_free(rig->vol);
	disk_free(rig->out);
	memdisk_free(rig->disk);
	history_free(rig->history);
	secret_free(rig->key);
	free(rig->want);
	free(rig->got);
}

/* What the directory of a store holds, read without changing it. */
static int look(struct rig *rig, struct disk *dir, const struct store_geometry *geometry,
		struct err *err)
{
	struct store *store;
	int r = store_open_on(dir, geometry, rig->key, true, &store, err);

	if (r < 0)
		return r;
	r = history_read_all(rig->history, store, rig->got, err);
	(void)store_close(store, NULL); /* read-only */
	return r;
}

static bool is_there(struct disk *parent, const char *name)
{
	struct disk *dir;

	if (parent->ops->open_dir(parent, name, &dir) < 0)
		return false;
	disk_free(dir);
	return true;
}

/* The snapshot "S", which is there, is completed and holds what it must. */
static void check_snapshot(struct rig *rig, const char *when)
{
	uint8_t digest[SNAPSHOT_DIGEST_LEN], text[4096];
	struct snapshot_info info;
	struct disk_file *file;
	struct disk *dir;
	struct err err = {0};
	int64_t n;

	assert_int_equal(rig->out->ops->open_dir(rig->out, "S", &dir), 0);
	if (disk_open(dir, SNAPSHOT_NAME, DISK_READ, &file, &err) < 0)
		fail_msg("%s: %s", when, err.msg);
	n = disk_pread_some(file, text, sizeof(text), 0);
	disk_close(file);
	if (snapshot_parse((char *)text, (size_t)n, &info, &err) < 0 || !info.completed)
		fail_msg("%s: snapshot.json: %s", when, err.num ? err.msg : "not completed");
	if (snapshot_roots_digest(dir, digest, &err) < 0 ||
	    memcmp(digest, info.roots, sizeof(digest)) != 0)
		fail_msg("%s: its roots are not those that it was made with", when);
	if (look(rig, dir, &rig->geometry, &err) < 0)
		fail_msg("%s: %s", when, err.msg);
	if (memcmp(rig->got, rig->want, SIZE) != 0)
		fail_msg("%s: it does not hold what the volume held", when);
	disk_free(dir);
}

/* The volume opens for writing, and holds all that was flushed. */
static void check_volume(struct rig *rig, const char *when)
{
	struct err err = {0};

	if (store_open_on(rig->vol, &rig->geometry, rig->key, false, &rig->store, &err) < 0 ||
	    history_read_all(rig->history, rig->store, rig->got, &err) < 0)
		fail_msg("%s: volume: %s", when, err.msg);
	if (history_match(rig->history, rig->got, history_flushed(rig->history)) < 0)
		fail_msg("%s: volume: something that was flushed is gone", when);
	rig_close(rig);
}

/* The power goes; another machine sees what is left. */
static void crash(struct rig *rig, uint64_t seed)
{
	struct memdisk *after;

	memdisk_power_off_at(rig->disk, 0);
	rig_close(rig);
	after = memdisk_crash(rig->disk, seed);
	disk_free(rig->vol);
	disk_free(rig->out);
	memdisk_free(rig->disk);
	rig->disk = after;
	rig_open(rig);
}

static int make(struct rig *rig, struct err *err)
{
	struct snapshot_info info = rig->info;
	struct disk *stage;
	uint64_t held_ms;
	int r = snapshot_begin(rig->vol, &info, &stage, err);

	if (r < 0)
		return r;
	r = snapshot_fill(rig->vol, stage, rig->store, &info, NULL, NULL, &held_ms, err);
	if (r == 0)
		r = snapshot_publish(rig->vol, stage, &info, rig->out, "S", NULL, err);
	disk_free(stage);
	return r;
}

static int delete (struct rig *rig, struct err *err)
{
	int r = voldir_doom(rig->out, "S", "S.partial", err);

	return r < 0 ? r : voldir_remove(rig->out, "S.partial", err);
}

/* Restore "S" to "R"; *@ret_geometry as its volume.json would have it. */
static int restore(struct rig *rig, struct store_geometry *ret_geometry, struct err *err)
{
	struct disk *snapshot, *dir;
	struct store *store;
	int r = rig->out->ops->open_dir(rig->out, "S", &snapshot);

	if (r < 0)
		return err_set(err, -r, "S: %s", strerror(-r));
	r = store_open_on(snapshot, &rig->geometry, rig->key, true, &store, err);
	if (r == 0) {
		r = voldir_make(rig->out, "R.partial", &dir, err);
		if (r == 0) {
			r = store_restore(store, dir, RESTORED, rig->key, NULL, ret_geometry, err);
			if (r == 0)
				r = voldir_put(dir, "volume.json", HEADER, err);
			if (r == 0)
				r = voldir_finish(dir, rig->out, "R.partial", rig->out, "R", err);
			disk_free(dir);
		}
		(void)store_close(store, NULL); /* read-only */
	}
	disk_free(snapshot);
	return r;
}

static void check_restored(struct rig *rig, const struct store_geometry *geometry, const char *when)
{
	struct err err = {0};
	struct disk *dir;

	assert_int_equal(rig->out->ops->open_dir(rig->out, "R", &dir), 0);
	if (look(rig, dir, geometry, &err) < 0)
		fail_msg("%s: restored: %s", when, err.msg);
	if (memcmp(rig->got, rig->want, SIZE) != 0)
		fail_msg("%s: the restored volume does not hold what the snapshot held", when);
	disk_free(dir);
}

/* What is cut off leaves nothing that cannot be cleared away. */
static void check_clearing(struct rig *rig)
{
	char stage[SNAPSHOT_STAGE_LEN];
	struct err err;

	snapshot_stage_name(rig->info.id, stage);
	must(voldir_clear(rig->vol, stage, &err), &err);
	must(voldir_clear(rig->out, "S.partial", &err), &err);
	must(voldir_clear(rig->out, "R.partial", &err), &err);
	assert_false(is_there(rig->vol, stage));
	assert_false(is_there(rig->out, "S.partial"));
	assert_false(is_there(rig->out, "R.partial"));
}

enum state { OPEN, CLOSED, KILLED };

static void set_state(struct rig *rig, enum state state)
{
	if (state == CLOSED)
		rig_close(rig);
	if (state == KILLED)
		crash(rig, 7);
}

static void create_in(enum state state)
{
	uint64_t changes = 1, whole = 0;

	for (uint64_t n = 1; n <= changes + 1; n++) {
		for (uint64_t c = 0; c < CRASHES; c++) {
			struct rig rig;
			struct err err;
			char when[64];
			uint64_t before;
			int r;

			rig_new(&rig, 11 + c);
			set_state(&rig, state);
			before = memdisk_count(rig.disk, MEMDISK_CHANGES);
			memdisk_power_off_at(rig.disk, n);
			r = make(&rig, &err);
			if (r == 0 && memdisk_count(rig.disk, MEMDISK_CHANGES) - before > changes)
				changes = memdisk_count(rig.disk, MEMDISK_CHANGES) - before;
			else if (r < 0)
				changes = n + 1 > changes ? n + 1 : changes;
			crash(&rig, n * 100 + c);
			(void)snprintf(when, sizeof(when), "power cut at %d, %d", (int)n, (int)c);
			if (r == 0 && !is_there(rig.out, "S"))
				fail_msg("%s: it was acknowledged, and is not there", when);
			if (is_there(rig.out, "S")) {
				check_snapshot(&rig, when);
				whole++;
			}
			check_volume(&rig, when);
			check_clearing(&rig);
			if (!is_there(rig.out, "S")) { /* and it can be made now */
				must(make(&rig, &err), &err);
				check_snapshot(&rig, when);
			}
			rig_free(&rig);
		}
	}
	print_message("%d changes, %d whole\n", (int)changes, (int)whole);
	assert_true(changes > 20);
	assert_true(whole > 0);
}

static void create_of_an_open_volume_is_all_or_nothing(void **state)
{
	(void)state;
	create_in(OPEN);
}

static void create_of_a_closed_volume_is_all_or_nothing(void **state)
{
	(void)state;
	create_in(CLOSED);
}

static void create_of_a_killed_volume_is_all_or_nothing(void **state)
{
	(void)state;
	create_in(KILLED);
}

static void delete_is_all_or_nothing(void **state)
{
	unsigned gone = 0, whole = 0;
	bool done = false;

	(void)state;
	for (uint64_t n = 1; !done; n++) {
		for (uint64_t c = 0; c < CRASHES; c++) {
			struct rig rig;
			struct err err;
			char when[64];
			int r;

			rig_new(&rig, 23 + c);
			must(make(&rig, &err), &err);
			memdisk_power_off_at(rig.disk, n);
			r = delete (&rig, &err);
			done = r == 0;
			crash(&rig, n * 100 + c);
			(void)snprintf(when, sizeof(when), "power cut at %d, %d", (int)n, (int)c);
			if (is_there(rig.out, "S")) {
				assert_int_not_equal(r, 0);
				check_snapshot(&rig, when);
				whole++;
			} else {
				gone++;
			}
			check_volume(&rig, when);
			check_clearing(&rig);
			rig_free(&rig);
		}
	}
	assert_true(whole > 0);
	assert_true(gone > whole);
}

static void restore_is_all_or_nothing(void **state)
{
	unsigned whole = 0;
	bool done = false;

	(void)state;
	for (uint64_t n = 1; !done; n++) {
		for (uint64_t c = 0; c < CRASHES; c++) {
			struct store_geometry geometry = {0};
			struct rig rig;
			struct err err;
			char when[64];
			int r;

			rig_new(&rig, 37 + c);
			must(make(&rig, &err), &err);
			memdisk_power_off_at(rig.disk, n);
			r = restore(&rig, &geometry, &err);
			done = r == 0;
			crash(&rig, n * 100 + c);
			(void)snprintf(when, sizeof(when), "power cut at %d, %d", (int)n, (int)c);
			if (r == 0 && !is_there(rig.out, "R"))
				fail_msg("%s: it was acknowledged, and is not there", when);
			if (is_there(rig.out, "R")) {
				check_restored(&rig, &geometry, when);
				whole++;
			}
			check_snapshot(&rig, when);
			check_volume(&rig, when);
			check_clearing(&rig);
			rig_free(&rig);
		}
	}
	assert_true(whole > 0);
}

/* An error at each operation in turn: said, nothing under the name, and the volume goes on. */
static void faults_leave_nothing(int num)
{
	char stage[SNAPSHOT_STAGE_LEN];
	bool struck = true;
	unsigned failed = 0;

	for (uint64_t n = 1; struck; n++) {
		struct rig rig;
		struct err err = {0};
		int r;

		rig_new(&rig, 41);
		memdisk_fail(rig.disk, FAULT_OPS, n, 1, num);
		r = make(&rig, &err);
		struck = memdisk_failed(rig.disk) > 0;
		memdisk_fail(rig.disk, 0, 0, 0, 0);
		if (r < 0) {
			assert_true(struck);
			assert_true(err.num != 0 && *err.msg);
			failed++;
			snapshot_stage_name(rig.info.id, stage);
			must(voldir_remove(rig.vol, stage, &err), &err);
		}
		if (r == 0 && is_there(rig.out, "S"))
			check_snapshot(&rig, "no error");
		crash(&rig, n);
		if (is_there(rig.out, "S"))
			check_snapshot(&rig, "an error that came too late");
		check_volume(&rig, "an error");
		rig_free(&rig);
	}
	assert_true(failed > 20);
}

static void io_errors_leave_nothing(void **state)
{
	(void)state;
	faults_leave_nothing(EIO);
}

static void a_full_disk_leaves_nothing(void **state)
{
	(void)state;
	faults_leave_nothing(ENOSPC);
}

/* Overwritten many times over, with its segments cleaned and written anew. */
static void snapshot_stays_as_its_volume_goes_on(void **state)
{
	struct store_geometry geometry;
	struct rig rig;
	struct err err;

	(void)state;
	rig_new(&rig, 53);
	must(make(&rig, &err), &err);
	must(restore(&rig, &geometry, &err), &err);
	for (unsigned round = 0; round < 30; round++) {
		must(history_write(rig.history, rig.store, 0, SIZE, &err), &err);
		must(store_checkpoint(rig.store, &err), &err);
	}
	check_snapshot(&rig, "after its volume was overwritten");
	check_restored(&rig, &geometry, "after the volume was overwritten");
	must(delete (&rig, &err), &err);
	check_restored(&rig, &geometry, "after the snapshot was deleted");
	rig_free(&rig);
}

/* A thread that writes numbers, one after the other, round and round. */
#define RING 64

struct writer {
	struct store *store;
	atomic_bool end;
	atomic_uint_least64_t acknowledged;
	int r;
};

static void *write_numbers(void *arg)
{
	struct writer *w = arg;
	uint8_t block[BS] = {0};
	struct err err;

	for (uint64_t i = 1; !atomic_load(&w->end) && w->r == 0; i++) {
		put_be64(block, i);
		w->r = store_write(w->store, i % RING * BS, BS, block, &err);
		if (w->r == 0)
			atomic_store(&w->acknowledged, i);
	}
	return NULL;
}

/* The last number written when the volume was as in @bytes; 0: it never was. */
static uint64_t last_number(const uint8_t *bytes)
{
	uint64_t last = 0;

	for (uint64_t b = 0; b < RING; b++)
		if (get_be64(bytes + b * BS) > last)
			last = get_be64(bytes + b * BS);
	for (uint64_t i = last; i > 0 && i + RING > last; i--)
		if (get_be64(bytes + i % RING * BS) != i)
			return 0;
	return last;
}

static void snapshot_is_one_moment_of_a_busy_volume(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct writer w = {0};
		pthread_t thread;
		struct rig rig;
		struct err err;
		struct disk *dir;
		uint64_t before, after, last;

		rig_new(&rig, seed);
		w.store = rig.store;
		assert_int_equal(pthread_create(&thread, NULL, write_numbers, &w), 0);
		while (atomic_load(&w.acknowledged) < RING * seed)
			sched_yield();
		before = atomic_load(&w.acknowledged);
		must(make(&rig, &err), &err);
		after = atomic_load(&w.acknowledged);
		while (atomic_load(&w.acknowledged) < after + RING)
			sched_yield();
		atomic_store(&w.end, true);
		pthread_join(thread, NULL);
		assert_int_equal(w.r, 0);
		assert_int_equal(rig.out->ops->open_dir(rig.out, "S", &dir), 0);
		must(look(&rig, dir, &rig.geometry, &err), &err);
		disk_free(dir);
		last = last_number(rig.got);
		if (last < before || last > after + 1)
			fail_msg("it is of write %d, not of one of %d to %d", (int)last,
				 (int)before, (int)after + 1);
		rig_free(&rig);
	}
}

/* The map of an earlier snapshot in a later one, with or without its other files. */
static void an_older_map_is_noticed(void **state)
{
	static const char *const files[] = {"map", "root.0", "root.1", "flushed"};
	struct rig rig;
	struct err err;
	struct disk *dir;
	uint8_t *saved[4];
	size_t lens[4];

	(void)state;
	rig_new(&rig, 61);
	must(make(&rig, &err), &err);
	for (int i = 0; i < 4; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "out/S/%s", files[i]);
		uint8_t *bytes = memdisk_bytes(rig.disk, path, &lens[i]);
		saved[i] = malloc(lens[i]);
		assert_non_null(saved[i]);
		memcpy(saved[i], bytes, lens[i]);
	}
	must(delete (&rig, &err), &err);
	must(history_write(rig.history, rig.store, 0, SIZE, &err), &err);
	work(&rig, 1);
	must(make(&rig, &err), &err);
	check_snapshot(&rig, "the later one");
	assert_int_equal(rig.out->ops->open_dir(rig.out, "S", &dir), 0);
	for (unsigned which = 1; which < 8;
	     which++) { /* all but flushed, which would be all of it */
		uint8_t digest[2][SNAPSHOT_DIGEST_LEN];
		uint8_t *mine[4];
		size_t mine_lens[4];
		int r;

		must(snapshot_roots_digest(dir, digest[0], &err), &err);
		for (int i = 0; i < 3; i++) {
			char path[32];
			size_t len;

			(void)snprintf(path, sizeof(path), "out/S/%s", files[i]);
			uint8_t *bytes = memdisk_bytes(rig.disk, path, &len);
			mine[i] = malloc(len);
			assert_non_null(mine[i]);
			mine_lens[i] = len;
			memcpy(mine[i], bytes, len);
			if (which & 1u << i)
				memdisk_put(rig.disk, path, saved[i], lens[i]);
		}
		must(snapshot_roots_digest(dir, digest[1], &err), &err);
		r = look(&rig, dir, &rig.geometry, &err);
		/* The digest is what a command looks at first; the key would tell most of it, too. */
		if (memcmp(digest[0], digest[1], sizeof(digest[0])) == 0 && r == 0 &&
		    memcmp(rig.got, rig.want, SIZE) != 0)
			fail_msg("files %u of an earlier snapshot are taken for its own", which);
		for (int i = 0; i < 3; i++) {
			char path[32];

			(void)snprintf(path, sizeof(path), "out/S/%s", files[i]);
			memdisk_put(rig.disk, path, mine[i], mine_lens[i]);
			free(mine[i]);
		}
	}
	for (int i = 0; i < 4; i++)
		free(saved[i]);
	disk_free(dir);
	rig_free(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_of_an_open_volume_is_all_or_nothing),
		cmocka_unit_test(create_of_a_closed_volume_is_all_or_nothing),
		cmocka_unit_test(create_of_a_killed_volume_is_all_or_nothing),
		cmocka_unit_test(delete_is_all_or_nothing),
		cmocka_unit_test(restore_is_all_or_nothing),
		cmocka_unit_test(io_errors_leave_nothing),
		cmocka_unit_test(a_full_disk_leaves_nothing),
		cmocka_unit_test(snapshot_stays_as_its_volume_goes_on),
		cmocka_unit_test(snapshot_is_one_moment_of_a_busy_volume),
		cmocka_unit_test(an_older_map_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
