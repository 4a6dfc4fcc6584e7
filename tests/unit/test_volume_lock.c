/* The lock of a volume's directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "volume.h"

static int set_up(void **state)
{
	char *dir = strdup("/tmp/test_volume_lock.XXXXXX");

	*state = dir;
	return dir && mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/lock", (char *)*state);
	(void)unlink(path);
	(void)rmdir(*state);
	free(*state);
	return 0;
}

static void second_lock_is_refused_naming_the_holder(void **state)
{
	const char *dir = *state;
	char expected[64];
	int fd = -1, second = -1;
	struct err err;

	assert_int_equal(volume_lock(dir, &fd, &err), 0);
	assert_int_equal(volume_lock(dir, &second, &err), -EBUSY);
	assert_int_equal(second, -1);
	(void)snprintf(expected, sizeof(expected), "in use by process %d", (int)getpid());
	assert_string_equal(err.msg, expected);
	close(fd);
	assert_int_equal(volume_lock(dir, &second, &err), 0);
	close(second);
}

/* A process that ends, however, gives the lock back. */
static void lock_ends_with_its_holder(void **state)
{
	const char *dir = *state;
	int fd = -1, status;
	struct err err;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(volume_lock(dir, &fd, NULL) == 0 ? 7 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(volume_lock(dir, &fd, &err), 0);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(second_lock_is_refused_naming_the_holder),
		TEST(lock_ends_with_its_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
