/*
 * Copies of snapshots under another data key that are cut off at every point, and that fail at every operation:
 * a directory under its own name is always whole, what else is left can be cleared away, and the source is
 * what it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "reencrypt.h"
#include "secret.h"
#include "snapshot_copy.h"
#include "store.h"
#include "voldir.h"

#define SIZE	  (2u << 20)
#define BS	  4096u
#define CRASHES	  3 /* power cuts tried at each point */
#define COPY	  "snap-000000000000000ff"
#define VOLUME	  "vol-00000000000000001"
#define FAULT_OPS (MEMDISK_ALL & ~(unsigned)MEMDISK_SIZE)

/* A machine: the source in "src", its copy made in "out". */
struct rig {
	struct memdisk *disk;
	struct disk *src, *out;
	struct store_geometry geometry, copy_geometry;
	struct secret *key, *copy_key;
	struct history *history;
	struct store *store;
	uint8_t *want, *got;
};

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->msg);
}

static void rig_open(struct rig *rig)
{
	rig->src = memdisk_dir(rig->disk, "src");
	rig->out = memdisk_dir(rig->disk, "out");
}

/* The source: some steps, closed, and open for reading. */
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
	rig->copy_geometry = rig->geometry;
	strcpy(rig->copy_geometry.volume_id, COPY);
	rig->key = history_key();
	must(secret_new(STORE_DATA_KEY_LEN, &rig->copy_key, &err), &err);
	memset(secret_bytes(rig->copy_key), 0x5a, STORE_DATA_KEY_LEN);
	rig->history = history_new(SIZE, BS, seed);
	rig->want = malloc(SIZE);
	rig->got = malloc(SIZE);
	assert_non_null(rig->want);
	assert_non_null(rig->got);
	must(store_create_on(rig->src, &rig->geometry, rig->key, &err), &err);
	must(rig->src->ops->sync_dir(rig->src, "."), &err);
	must(store_open_on(rig->src, &rig->geometry, rig->key, false, &rig->store, &err), &err);
	for (int i = 0; i < 12; i++)
		must(history_random_step(rig->history, rig->store, 200000, &err), &err);
	must(history_flush(rig->history, rig->store, &err), &err);
	history_last(rig->history, 0, rig->want, SIZE);
	must(store_close(rig->store, &err), &err);
	must(store_open_on(rig->src, &rig->geometry, rig->key, true, &rig->store, &err), &err);
}

static void rig_close(struct rig *rig)
{
	(void)store_close(rig->store, NULL); /* read-only */
	rig->store = NULL;
}

static void rig_free(struct rig *rig)
{
	rig_close(rig);
	disk_free(rig->src);
	disk_free(rig->out);
	memdisk_free(rig->disk);
	history_free(rig->history);
	secret_free(rig->key);
	secret_free(rig->copy_key);
	free(rig->want);
	free(rig->got);
}

/* The power goes; another machine sees what is left. */
static void crash(struct rig *rig, uint64_t seed)
{
	struct memdisk *after;

	memdisk_power_off_at(rig->disk, 0);
	rig_close(rig);
	after = memdisk_crash(rig->disk, seed);
	disk_free(rig->src);
	disk_free(rig->out);
	memdisk_free(rig->disk);
	rig->disk = after;
	rig_open(rig);
}

static int copy(struct rig *rig, const atomic_bool *stop, struct err *err)
{
	const struct reencrypt_job job = {.stop = stop};
	const struct snapshot_copy_parts parts = {.from = rig->store,
						  .geometry = &rig->copy_geometry,
						  .data_key = rig->copy_key,
						  .header_text = "{}\n"};
	struct snapshot_info info = {.id = COPY,
				     .volume_id = VOLUME,
				     .source_id = "snap-00000000000000001",
				     .size_bytes = SIZE};
	struct disk *dir;
	int r = voldir_make(rig->out, "C.partial", &dir, err);

	if (r < 0)
		return r;
	r = snapshot_copy_fill(&parts, dir, &info, &job, err);
	if (r == 0)
		r = voldir_finish(dir, rig->out, "C.partial", rig->out, "C", err);
	disk_free(dir);
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

/* A store holds what the source held. */
static void check_store(struct rig *rig, struct disk *dir, const struct store_geometry *geometry,
			const struct secret *key, const char *when)
{
	struct store *store;
	struct err err;

	if (store_open_on(dir, geometry, key, true, &store, &err) < 0 ||
	    history_read_all(rig->history, store, rig->got, &err) < 0)
		fail_msg("%s: %s", when, err.msg);
	(void)store_close(store, NULL); /* read-only */
	if (memcmp(rig->got, rig->want, SIZE) != 0)
		fail_msg("%s: %s does not hold what the source held", when, geometry->volume_id);
}

/* The copy, which is there, is completed, whole, and under its own key. */
static void check_copy(struct rig *rig, const char *when)
{
	uint8_t digest[SNAPSHOT_DIGEST_LEN], text[4096];
	struct snapshot_info info;
	struct disk_file *file;
	struct disk *dir;
	struct err err = {0};
	struct store *store;
	uint64_t bytes;
	int64_t n;

	assert_int_equal(rig->out->ops->open_dir(rig->out, "C", &dir), 0);
	must(disk_open(dir, SNAPSHOT_NAME, DISK_READ, &file, &err), &err);
	n = disk_pread_some(file, text, sizeof(text), 0);
	disk_close(file);
	if (snapshot_parse((char *)text, (size_t)n, &info, &err) < 0 || !info.completed)
		fail_msg("%s: snapshot.json: %s", when, err.num ? err.msg : "not completed");
	must(snapshot_roots_digest(dir, digest, &err), &err);
	assert_memory_equal(digest, info.roots, sizeof(digest));
	must(voldir_bytes(dir, &bytes, &err), &err);
	assert_true(info.data_bytes > 0);
	assert_true(bytes >= info.data_bytes); /* room behind the data may be back */
	must(disk_open(dir, "volume.json", DISK_READ, &file, &err), &err);
	assert_int_equal(disk_pread_some(file, text, sizeof(text), 0), 3);
	disk_close(file);
	check_store(rig, dir, &rig->copy_geometry, rig->copy_key, when);
	assert_true(store_open_on(dir, &rig->copy_geometry, rig->key, true, &store, &err) < 0);
	disk_free(dir);
}

static void check_clearing(struct rig *rig)
{
	struct err err;

	must(voldir_clear(rig->out, "C.partial", &err), &err);
	assert_false(is_there(rig->out, "C.partial"));
}

static void copy_is_all_or_nothing(void **state)
{
	unsigned whole = 0, cuts = 0;
	bool done = false;

	(void)state;
	for (uint64_t n = 1; !done; n++) {
		for (uint64_t c = 0; c < CRASHES; c++) {
			struct rig rig;
			struct err err;
			char when[64];
			int r;

			rig_new(&rig, 71 + c);
			memdisk_power_off_at(rig.disk, n);
			r = copy(&rig, NULL, &err);
			done = r == 0;
			cuts += r < 0;
			crash(&rig, n * 100 + c);
			(void)snprintf(when, sizeof(when), "power cut at %d, %d", (int)n, (int)c);
			if (r == 0 && !is_there(rig.out, "C"))
				fail_msg("%s: it was acknowledged, and is not there", when);
			if (is_there(rig.out, "C")) {
				check_copy(&rig, when);
				whole++;
			}
			check_store(&rig, rig.src, &rig.geometry, rig.key, when);
			check_clearing(&rig);
			rig_free(&rig);
		}
	}
	print_message("%u cuts, %u whole\n", cuts, whole);
	assert_true(cuts > 60);
	assert_true(whole > 0);
}

/* An error at each operation in turn: said, and nothing under the name. */
static void faults_leave_nothing(int num)
{
	bool struck = true;
	unsigned failed = 0;

	for (uint64_t n = 1; struck; n++) {
		struct rig rig;
		struct err err = {0};
		int r;

		rig_new(&rig, 83);
		memdisk_fail(rig.disk, FAULT_OPS, n, 1, num);
		r = copy(&rig, NULL, &err);
		struck = memdisk_failed(rig.disk) > 0;
		memdisk_fail(rig.disk, 0, 0, 0, 0);
		if (r < 0) {
			assert_true(struck);
			assert_true(err.num != 0 && *err.msg);
			failed++;
			must(voldir_remove(rig.out, "C.partial", &err), &err);
		}
		if (is_there(rig.out, "C"))
			check_copy(&rig, "an error");
		else
			assert_true(r < 0);
		check_store(&rig, rig.src, &rig.geometry, rig.key, "an error");
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

static void it_stops_when_told(void **state)
{
	atomic_bool stop = true;
	struct rig rig;
	struct err err;

	(void)state;
	rig_new(&rig, 97);
	assert_int_equal(copy(&rig, &stop, &err), -EINTR);
	assert_false(is_there(rig.out, "C"));
	check_clearing(&rig);
	rig_free(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copy_is_all_or_nothing),
		cmocka_unit_test(io_errors_leave_nothing),
		cmocka_unit_test(a_full_disk_leaves_nothing),
		cmocka_unit_test(it_stops_when_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
