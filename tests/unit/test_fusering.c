/*
 * FUSE over io_uring where it differs from /dev/fuse: an entry with a request that waits is not free. So
 * many more requests wait here than there were entries, and others are served all the same.
 */
#define _GNU_SOURCE 1
#include "../lib/front_rig.h"

#include <pthread.h>
#include <sched.h>

#define STACK_BYTES 65536
#define AT_ONCE	    3000 /* WAITERS=N: others */

static unsigned waiters(void)
{
	const char *n = getenv("WAITERS");

	return n ? (unsigned)strtoul(n, NULL, 10) : AT_ONCE;
}

/* Read or write the one block that is this thread's; NULL when that went well. */
static void *one_request(void *arg)
{
	uintptr_t i = (uintptr_t)arg;
	uint64_t off = i % 4096 * BLOCK;
	int fd = open(disk_path, O_RDWR | O_CLOEXEC), r;

	if (fd < 0)
		return arg;
	r = i % 2 ? get(fd, off) : put(fd, off, BLOCK, (int)(i % 251));
	close(fd);
	return r == 0 ? NULL : arg;
}

/* A process with many requests at once: exit code 0 when all went well. */
static pid_t spawn_crowd(unsigned n)
{
	pid_t pid = fork();
	pthread_attr_t attr;
	pthread_t *threads;
	void *result;
	int bad = 0;

	if (pid) {
		assert_true(pid > 0);
		return pid;
	}
	threads = calloc(n, sizeof(*threads));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (uintptr_t i = 0; i < n; i++)
		if (pthread_create(&threads[i], &attr, one_request, (void *)i) != 0)
			_exit(2);
	for (unsigned i = 0; i < n; i++)
		bad |= pthread_join(threads[i], &result) != 0 || result;
	_exit(bad);
}

/* The file `status`, asked for on each processor. */
static void status_is_served_everywhere(void)
{
	cpu_set_t all, one;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		pid_t pid;

		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pid = fork(); /* so that one which is not answered fails the test, and no more */
		if (pid == 0) {
			char path[96], text[64] = "";
			int fd;

			snprintf(path, sizeof(path), "%s/status", mountpoint);
			fd = sched_setaffinity(0, sizeof(one), &one) < 0 ? -1
									 : open(path, O_RDONLY);
			_exit(fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
			      !strstr(text, unreachable));
		}
		assert_true(pid > 0);
		assert_int_equal(result(pid), 0);
	}
}

static void lose_and_return_with_a_crowd(void)
{
	pid_t crowd;

	fake_kms_says("refused");
	wait_state(unreachable);
	crowd = spawn_crowd(waiters());
	wait_number("waiting_requests", waiters());
	status_is_served_everywhere();
	fake_kms_says("ok");
	assert_int_equal(result(crowd), 0);
	wait_state("available");
}

static void many_more_wait_than_there_were_entries(void **state)
{
	uint64_t at_first, then;
	int fd;

	(void)state;
	mount_for(KEYWATCH_HANG);
	at_first = number("request_buffer_bytes");
	lose_and_return_with_a_crowd();
	then = number("request_buffer_bytes");
	assert_true(then > at_first);
	/* What was lent for them is used again. */
	lose_and_return_with_a_crowd();
	assert_in_range(number("request_buffer_bytes"), then, 2 * then);
	fd = open_disk(O_RDWR);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(put(fd, (uint64_t)i * BLOCK, BLOCK, i), 0);
		assert_int_equal(get(fd, (uint64_t)i * BLOCK), i);
	}
	close(fd);
	unmount();
}

static void a_killed_crowd_leaves_nothing_behind(void **state)
{
	pid_t crowd;

	(void)state;
	mount_for(KEYWATCH_HANG);
	fake_kms_says("refused");
	wait_state(unreachable);
	crowd = spawn_crowd(waiters() / 10);
	wait_number("waiting_requests", waiters() / 10);
	kill(crowd, SIGKILL);
	assert_true(WIFSIGNALED(reap(crowd, SOON_MS)));
	wait_number("waiting_requests", 0);
	status_is_served_everywhere();
	fake_kms_says("ok");
	wait_state("available");
	assert_int_equal(result(spawn(WRITE, 0, 7)), 0);
	assert_int_equal(result(spawn(READ, 0, 0)), 7);
	unmount();
}

static void without_the_switch_it_says_what_to_do(void **state)
{
	struct mount_options o = options(KEYWATCH_ERROR);
	struct err err = {0};
	const char *text;
	struct kms_json *reply;
	int r, lock;
	char before;

	(void)state;
	lock = open(URING_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	before = set_uring('N');
	o.transport = TRANSPORT_IO_URING;
	r = mount_run(&o, &err);
	o.transport = TRANSPORT_AUTO;
	if (r < 0)
		mount_with(&o);
	(void)set_uring(before);
	close(lock);
	assert_int_equal(r, -EOPNOTSUPP);
	assert_non_null(strstr(err.msg, "echo Y > " URING_SWITCH));
	reply = ask("status", false, &r, &err);
	assert_int_equal(kms_json_str(reply, "transport", &text, NULL), 0);
	assert_string_equal(text, "/dev/fuse");
	assert_int_equal(kms_json_str(reply, "no_io_uring", &text, NULL), 0);
	assert_non_null(strstr(text, "echo Y > " URING_SWITCH));
	kms_json_free(reply);
	unmount();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T_URING(many_more_wait_than_there_were_entries),
		T_URING(a_killed_crowd_leaves_nothing_behind),
		T_URING(without_the_switch_it_says_what_to_do),
	};

	choose(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
