/*
 * What the tests of snapshots share: a machine in memory with a volume, and what is made of it. For the tests'
 * own files only, which have cmocka's headers before it.
 */
#ifndef TESTS_SNAPSHOT_RIG_H
#define TESTS_SNAPSHOT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "snapshot.h"
#include "snapshot_make.h"
#include "store.h"
#include "voldir.h"

#define SIZE	 (2u << 20)
#define BS	 4096u
#define HEADER	 "{}\n" /* volume.json: nobody looks into it here */
#define RESTORED "vol-000000000000000ff"
#define VOLUME	 "vol-00000000000000001"

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

static inline void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->msg);
}

static inline void rig_open(struct rig *rig)
{
	rig->vol = memdisk_dir(rig->disk, "vol");
	rig->out = memdisk_dir(rig->disk, "out");
}

/* Some steps and a flush: what is there then is in rig->want. */
static inline void work(struct rig *rig, unsigned steps)
{
	struct err err;

	for (unsigned i = 0; i < steps; i++)
		must(history_random_step(rig->history, rig->store, 200000, &err), &err);
	must(history_flush(rig->history, rig->store, &err), &err);
	history_last(rig->history, 0, rig->want, SIZE);
}

static inline void rig_new(struct rig *rig, uint64_t seed)
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

static inline void rig_close(struct rig *rig)
{
	struct err err;

	(void)store_close(rig->store, &err); /* what is not tested here */
	rig->store = NULL;
}

static inline void rig_free(struct rig *rig)
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
static inline int look(struct rig *rig, struct disk *dir, const struct store_geometry *geometry,
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

/* The snapshot "S", which is there, is completed and holds what it must. */
static inline void check_snapshot(struct rig *rig, const char *when)
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

static inline int make(struct rig *rig, struct err *err)
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

static inline int delete (struct rig *rig, struct err *err)
{
	int r = voldir_doom(rig->out, "S", "S.partial", err);

	return r < 0 ? r : voldir_remove(rig->out, "S.partial", err);
}

/* Restore "S" to "R"; *@ret_geometry as its volume.json would have it. */
static inline int restore(struct rig *rig, struct store_geometry *ret_geometry, struct err *err)
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

static inline void check_restored(struct rig *rig, const struct store_geometry *geometry,
				  const char *when)
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

#endif
