/* The real disk in a directory, and the loops that make reads and writes whole. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "err.h"
#include "memdisk.h"

static char dir[64];
static struct disk *disk;

static int set_up(void **state)
{
	struct err err;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_disk.XXXXXX");
	return mkdtemp(dir) ? disk_open_dir(dir, &disk, &err) : -1;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	disk_free(disk);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void file_is_made_written_and_read(void **state)
{
	struct disk_file *f;
	struct err err;
	char buf[16] = "";
	uint64_t len;

	(void)state;
	assert_int_equal(disk_open(disk, "a", DISK_CREATE, &f, &err), 0);
	assert_int_equal(disk_pwrite(f, "hello", 5, 10), 0);
	assert_int_equal(disk->ops->sync(f), 0);
	assert_int_equal(disk->ops->size(f, &len), 0);
	assert_int_equal(len, 15);
	assert_int_equal(disk->ops->allocate(f, 0, 100), 0);
	assert_int_equal(disk->ops->size(f, &len), 0);
	assert_int_equal(len, 100);
	assert_int_equal(disk->ops->truncate(f, 13), 0);
	disk_close(f);
	assert_int_equal(disk_open(disk, "a", DISK_READ, &f, &err), 0);
	assert_int_equal(disk_pread(f, buf, 3, 10), 0);
	assert_string_equal(buf, "hel");
	assert_int_equal(disk_pread(f, buf, 4, 10), -ENODATA);
	assert_int_equal(disk_pread_some(f, buf, 4, 10), 3);
	assert_int_equal(disk_pread_some(f, buf, 4, 13), 0);
	assert_int_equal(disk_pwrite(f, "x", 1, 0), -EBADF);
	disk_close(f);
}

static void wrong_opens_are_refused_with_a_sentence(void **state)
{
	struct disk_file *f;
	struct err err;
	char path[128];

	(void)state;
	assert_int_equal(disk_open(disk, "none", DISK_WRITE, &f, &err), -ENOENT);
	assert_string_equal(err.msg, "none: cannot open: No such file or directory");
	assert_int_equal(disk_open(disk, "b", DISK_CREATE, &f, &err), 0);
	disk_close(f);
	assert_int_equal(disk_open(disk, "b", DISK_CREATE, &f, &err), -EEXIST);
	assert_string_equal(err.msg, "b: cannot create: File exists");
	(void)snprintf(path, sizeof(path), "%s/link", dir);
	assert_int_equal(symlink("b", path), 0);
	assert_int_equal(disk_open(disk, "link", DISK_READ, &f, &err), -ELOOP);
	(void)snprintf(path, sizeof(path), "%s/sub", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(disk_open(disk, "sub", DISK_READ, &f, &err), -EUCLEAN);
	assert_non_null(strstr(err.msg, "not a regular file"));
	assert_int_equal(disk_open_dir("/nowhere/at/all", &disk, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "'/nowhere/at/all'"));
}

/* A fifo without a writer must not make the open wait for ever. */
static void fifo_is_refused_at_once(void **state)
{
	struct disk_file *f;
	struct err err;
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)alarm(5); /* ends the test if it does */
	assert_int_equal(disk_open(disk, "fifo", DISK_READ, &f, &err), -EUCLEAN);
	(void)alarm(0);
}

static int count_entry(const char *entry, void *arg)
{
	assert_string_equal(entry, "two");
	++*(int *)arg;
	return 0;
}

static int stop(const char *entry, void *arg)
{
	(void)entry;
	(void)arg;
	return -EDOM;
}

static void directories_are_made_listed_and_synced(void **state)
{
	struct disk_file *f;
	struct err err;
	int n = 0;

	(void)state;
	assert_int_equal(disk->ops->mkdir(disk, "d"), 0);
	assert_int_equal(disk->ops->mkdir(disk, "d"), -EEXIST);
	assert_int_equal(disk_open(disk, "d/one", DISK_CREATE, &f, &err), 0);
	disk_close(f);
	assert_int_equal(disk->ops->rename(disk, "d/one", "d/two"), 0);
	assert_int_equal(disk->ops->sync_dir(disk, "d"), 0);
	assert_int_equal(disk->ops->sync_dir(disk, "."), 0);
	assert_int_equal(disk->ops->sync_dir(disk, "none"), -ENOENT);
	assert_int_equal(disk->ops->list(disk, "d", count_entry, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(disk->ops->list(disk, "d", stop, NULL), -EDOM);
	assert_int_equal(disk->ops->list(disk, "none", stop, NULL), -ENOENT);
	assert_int_equal(disk->ops->unlink(disk, "d/two"), 0);
	assert_int_equal(disk->ops->unlink(disk, "d/two"), -ENOENT);
}

static void short_and_interrupted_calls_are_gone_on_with(void **state)
{
	struct memdisk *m = memdisk_new();
	char text[3000], back[3000];
	struct disk_file *f;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 5);
	assert_int_equal(disk_open(memdisk_disk(m), "f", DISK_CREATE, &f, &err), 0);
	memdisk_short(m, 7, 1);
	assert_int_equal(disk_pwrite(f, text, sizeof(text), 3), 0);
	assert_int_equal(disk_pread(f, back, sizeof(back), 3), 0);
	assert_memory_equal(text, back, sizeof(text));
	memdisk_short(m, 0, 0);
	memdisk_fail(m, MEMDISK_PWRITE, 1, 1, ENOSPC);
	assert_int_equal(disk_pwrite(f, text, 5, 0), -ENOSPC);
	memdisk_fail(m, MEMDISK_PREAD, 1, 1, EIO);
	assert_int_equal(disk_pread(f, back, 5, 0), -EIO);
	disk_close(f);
	memdisk_free(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(file_is_made_written_and_read),
		TEST(wrong_opens_are_refused_with_a_sentence),
		TEST(fifo_is_refused_at_once),
		TEST(directories_are_made_listed_and_synced),
		cmocka_unit_test(short_and_interrupted_calls_are_gone_on_with),
	};

	return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
