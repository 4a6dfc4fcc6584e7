/*
 * Snapshots, deletions and restores that are cut off at every point, and that fail at every operation: a
 * directory under its own name is always whole, and no other one is touched.
 */
#include "snapshot_rig.h"

#define CRASHES	  3 /* power cuts tried at each point */
#define FAULT_OPS (MEMDISK_ALL & ~(unsigned)MEMDISK_SIZE)

static bool is_there(struct disk *parent, const char *name)
{
	struct disk *dir;

	if (parent->ops->open_dir(parent, name, &dir) < 0)
		return false;
	disk_free(dir);
	return true;
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
