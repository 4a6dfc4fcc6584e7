/* A mounted volume: what its files can do, how it is mounted, asked and unmounted. */
#include "../lib/front_rig.h"

static void what_was_written_is_there_after_a_remount(void **state)
{
	int fd;

	(void)state;
	mount_for(KEYWATCH_HANG);
	fd = open_disk(O_RDWR);
	assert_int_equal(put(fd, 0, 3 * 1024 * 1024 + 512, 7), 0); /* more than one request */
	assert_int_equal(get(fd, 2 * 1024 * 1024), 7);
	assert_int_equal(fsync(fd), 0);
	close(fd);
	unmount();
	mount_for(KEYWATCH_HANG);
	fd = open_disk(O_RDONLY);
	assert_int_equal(get(fd, 3 * 1024 * 1024 - BLOCK), 7);
	close(fd);
	assert_int_equal(umount(mountpoint), 0); /* as umount(8) does */
	wait_daemon();
}

static void disk_is_an_image_of_fixed_size(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	mount_for(KEYWATCH_HANG);
	fd = open_disk(O_RDWR);
	assert_int_equal(put(fd, 0, 8 * BLOCK, 1), 0);
	assert_int_equal(put(fd, FAKE_SIZE - BLOCK, 2 * BLOCK, 2),
			 ENOSPC); /* the first half went */
	assert_int_equal(get(fd, FAKE_SIZE - BLOCK), 2);
	assert_int_equal(put(fd, FAKE_SIZE, 1, 2), ENOSPC);
	assert_int_equal(pread(fd, &st, 1, (off_t)FAKE_SIZE), 0);
	assert_int_equal(ftruncate(fd, 2 * BLOCK), 0);
	assert_int_equal(get(fd, BLOCK), 1);
	assert_int_equal(get(fd, 2 * BLOCK), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true((uint64_t)st.st_size == FAKE_SIZE);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(ftruncate(fd, (off_t)FAKE_SIZE + 1), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(fchmod(fd, 0644), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
	fd = open_disk(O_RDWR | O_TRUNC);
	assert_int_equal(get(fd, 0), 0);
	assert_true(lseek(fd, 0, SEEK_END) == (off_t)FAKE_SIZE);
	close(fd);
	assert_int_equal(unlink(disk_path), -1);
	assert_int_equal(errno, EPERM);
	unmount();
}

static void holes_are_made_and_found(void **state)
{
	int fd;

	(void)state;
	mount_for(KEYWATCH_HANG);
	fd = open_disk(O_RDWR);
	assert_int_equal(put(fd, 0, 16 * BLOCK, 1), 0);
	assert_int_equal(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * BLOCK, BLOCK), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_ZERO_RANGE, 5 * BLOCK, 3 * BLOCK), 0);
	assert_int_equal(get(fd, 3 * BLOCK), 1);
	assert_int_equal(get(fd, 4 * BLOCK), 0);
	assert_int_equal(get(fd, 7 * BLOCK), 0);
	assert_int_equal(get(fd, 8 * BLOCK), 1);
	assert_int_equal(lseek(fd, 0, SEEK_HOLE), 4 * BLOCK);
	assert_int_equal(lseek(fd, 4 * BLOCK, SEEK_DATA), 8 * BLOCK);
	assert_int_equal(lseek(fd, 16 * BLOCK, SEEK_DATA), -1);
	assert_int_equal(errno, ENXIO);
	assert_int_equal(fallocate(fd, 0, 0, BLOCK), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(fallocate(fd, FALLOC_FL_ZERO_RANGE, FAKE_SIZE - BLOCK, 2 * BLOCK), -1);
	assert_int_equal(errno, ENOSPC);
	close(fd);
	unmount();
}

static void a_second_mount_and_bad_places_are_refused(void **state)
{
	struct mount_options o = options(KEYWATCH_HANG);
	char second[96];
	struct err err;

	(void)state;
	mount_with(&o);
	snprintf(second, sizeof(second), "%s/second", dir);
	assert_int_equal(mkdir(second, 0700), 0);
	o.mountpoint = second;
	assert_int_equal(mount_run(&o, &err), -EBUSY);
	unmount();
	o.mountpoint = volume;
	assert_int_equal(mount_run(&o, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "would hide the volume"));
	o.mountpoint = "/nonexistent";
	assert_int_equal(mount_run(&o, &err), -ENOENT);
}

static void a_refused_key_fails_the_mount_with_its_error(void **state)
{
	struct mount_options o = options(KEYWATCH_HANG);
	struct err err;

	(void)state;
	fake_kms_says("refused");
	assert_int_equal(mount_run(&o, &err), -EKEYREJECTED);
	assert_string_equal(err.code, "DisabledException");
	assert_non_null(strstr(err.msg, volume));
	assert_true(daemon_ended());
}

static void reaction_none_never_asks_again(void **state)
{
	(void)state;
	mount_for(KEYWATCH_NONE);
	fake_kms_says("refused");
	wait_ms(300);
	assert_int_equal(number("kms_calls"), 1);
	assert_int_equal(result(spawn(WRITE, 0, 3)), 0);
	unmount();
}

static void unmount_does_not_wait_for_a_slow_kms(void **state)
{
	uint64_t before;

	(void)state;
	mount_for(KEYWATCH_HANG);
	fake_kms_says("slow"); /* a minute a call */
	wait_ms(300);
	before = clock_monotonic_ms();
	unmount();
	assert_true(clock_monotonic_ms() - before < 5000);
}

static void shared_mappings_are_refused(void **state)
{
	int fd;

	(void)state;
	mount_for(KEYWATCH_HANG);
	fd = open_disk(O_RDWR);
	assert_true(mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	close(fd);
	unmount();
}

static void nonsense_on_the_control_socket_is_answered(void **state)
{
	struct err err;
	int r;

	(void)state;
	mount_for(KEYWATCH_HANG);
	kms_json_free(ask("dance", false, &r, &err));
	assert_int_equal(r, -EINVAL);
	assert_non_null(strstr(err.msg, "no operation 'dance'"));
	unmount();
	kms_json_free(ask("status", false, &r, &err));
	assert_int_equal(r, -ENOTCONN);
	assert_non_null(strstr(err.msg, "is not mounted"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(what_was_written_is_there_after_a_remount),
		T(disk_is_an_image_of_fixed_size),
		T(holes_are_made_and_found),
		T(a_second_mount_and_bad_places_are_refused),
		T(a_refused_key_fails_the_mount_with_its_error),
		T(reaction_none_never_asks_again),
		T(unmount_does_not_wait_for_a_slow_kms),
		T(shared_mappings_are_refused),
		T(nonsense_on_the_control_socket_is_answered),
		T_URING(what_was_written_is_there_after_a_remount),
		T_URING(disk_is_an_image_of_fixed_size),
		T_URING(holes_are_made_and_found),
		T_URING(shared_mappings_are_refused),
	};

	choose(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
