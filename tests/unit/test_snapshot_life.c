/* Snapshots of volumes that go on: of one moment while they are busy, the same ever after, never mixed. */
#include "snapshot_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "bytes.h"

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
		cmocka_unit_test(snapshot_stays_as_its_volume_goes_on),
		cmocka_unit_test(snapshot_is_one_moment_of_a_busy_volume),
		cmocka_unit_test(an_older_map_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
