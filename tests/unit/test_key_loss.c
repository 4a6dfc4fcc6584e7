/* A mounted volume whose key goes and comes: what waits, what fails, what is dropped, what is kept. */
/* alone: it measures how soon a request ends */
#include "../lib/front_rig.h"

static void lost_key_makes_requests_wait_and_status_answers(void **state)
{
	pid_t pids[24];
	char text[64] = "", path[96];
	int fd;

	(void)state;
	mount_for(KEYWATCH_HANG);
	assert_int_equal(result(spawn(WRITE, 0, 9)), 0);
	fake_kms_says("refused");
	wait_state(unreachable);
	for (int i = 0; i < 24; i++)
		pids[i] = spawn(i % 2 ? READ : WRITE, (uint64_t)(i - i % 2) * BLOCK, 100 + i);
	wait_number("waiting_requests", 24);
	assert_int_equal(number("waiting_bytes"), 12 * BLOCK);
	snprintf(path, sizeof(path), "%s/status", mountpoint);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_non_null(strstr(text, "state: inaccessible-encryption-credentials-recoverable\n"));
	fake_kms_says("ok");
	for (int i = 0; i < 24; i++)
		(void)result(pids[i]);
	wait_state("available");
	assert_int_equal(result(spawn(READ, 22 * BLOCK, 0)), 122);
	unmount();
}

static void a_killed_or_terminated_waiter_goes_at_once(void **state)
{
	static const int signals[] = {SIGTERM, SIGKILL, SIGINT};

	(void)state;
	mount_for(KEYWATCH_HANG);
	fake_kms_says("refused");
	wait_state(unreachable);
	for (int what = READ; what <= SYNC; what++)
		for (int i = 0; i < 3; i++) {
			pid_t pid = spawn((enum what)what, 0, 1);
			int status;

			wait_number("waiting_requests", 1);
			kill(pid, signals[i]);
			status = reap(pid, 1000);
			assert_true(WIFSIGNALED(status));
			assert_int_equal(WTERMSIG(status), signals[i]);
			wait_number("waiting_requests", 0);
		}
	fake_kms_says("ok");
	wait_state("available");
	assert_int_equal(result(spawn(READ, 0, 0)), 0); /* what was killed was not written */
	unmount();
}

static void waiting_requests_are_executed_in_their_order(void **state)
{
	pid_t writers[10], readers[10];

	(void)state;
	mount_for(KEYWATCH_HANG);
	fake_kms_says("refused");
	wait_state(unreachable);
	for (int i = 0; i < 10; i++) {
		writers[i] = spawn(WRITE, 0, 10 + i);
		wait_number("waiting_requests", (uint64_t)i * 2 + 1);
		readers[i] = spawn(READ, 0, 0);
		wait_number("waiting_requests", (uint64_t)i * 2 + 2);
	}
	fake_kms_says("ok");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(result(writers[i]), 0);
		assert_int_equal(result(readers[i]), 10 + i);
	}
	unmount();
}

static void forced_unmount_ends_the_wait_with_eio(void **state)
{
	pid_t reader, writer;
	struct err err;
	int r;

	(void)state;
	mount_for(KEYWATCH_HANG);
	fake_kms_says("refused");
	wait_state(unreachable);
	reader = spawn(READ, 0, 0);
	writer = spawn(WRITE, 0, 1);
	wait_number("waiting_requests", 2);
	kms_json_free(ask("unmount", false, &r, &err));
	assert_int_equal(r, -EBUSY);
	assert_non_null(strstr(err.msg, "cannot unmount"));
	do_op("unmount", true);
	assert_int_equal(result(reader), EIO);
	assert_int_equal(result(writer), EIO);
	wait_daemon();
}

static void a_signal_unmounts_even_while_requests_wait(void **state)
{
	pid_t reader;

	(void)state;
	mount_for(KEYWATCH_HANG);
	assert_int_equal(result(spawn(WRITE, 0, 5)), 0);
	fake_kms_says("refused");
	wait_state(unreachable);
	reader = spawn(READ, 0, 0);
	wait_number("waiting_requests", 1);
	kill((pid_t)number("pid"), SIGTERM);
	assert_int_equal(result(reader), EIO);
	wait_daemon();
	fake_kms_says("ok");
	mount_for(KEYWATCH_HANG);
	assert_int_equal(result(spawn(READ, 0, 0)), 5); /* made durable when the key was lost */
	unmount();
}

static void errors_come_at_once_and_end_with_the_key(void **state)
{
	int fd;

	(void)state;
	mount_for(KEYWATCH_ERROR);
	fd = open_disk(O_RDWR);
	assert_int_equal(put(fd, 0, BLOCK, 3), 0);
	fake_kms_says("refused");
	wait_state(unreachable);
	assert_int_equal(get(fd, 0), -EIO);
	assert_int_equal(put(fd, 0, BLOCK, 4), EIO);
	assert_int_equal(fsync(fd), -1);
	assert_int_equal(errno, EIO);
	fake_kms_says("ok");
	wait_state("available");
	assert_int_equal(get(fd, 0), 3);
	assert_int_equal(put(fd, 0, BLOCK, 4), 0);
	close(fd);
	unmount();
}

static void read_only_serves_reads_and_refuses_writes(void **state)
{
	int fd;

	(void)state;
	mount_for(KEYWATCH_READ_ONLY_IO);
	fd = open_disk(O_RDWR);
	assert_int_equal(put(fd, 0, BLOCK, 3), 0);
	fake_kms_says("refused");
	wait_state("read-only");
	assert_int_equal(get(fd, 0), 3);
	assert_int_equal(put(fd, 0, BLOCK, 4), EROFS);
	assert_int_equal(fsync(fd), 0);
	fake_kms_says("ok");
	wait_state("available");
	assert_int_equal(put(fd, 0, BLOCK, 4), 0);
	close(fd);
	unmount();
}

static void an_outage_is_served_through_and_shown(void **state)
{
	struct kms_json *reply;
	const char *text;
	struct err err;
	int r;

	(void)state;
	mount_for(KEYWATCH_ERROR);
	fake_kms_says("down");
	wait_number("kms_calls", 3);
	assert_int_equal(result(spawn(WRITE, 0, 3)), 0);
	reply = ask("status", false, &r, &err);
	assert_int_equal(kms_json_str(reply, "last_check_result", &text, NULL), 0);
	assert_string_equal(text, "transient");
	kms_json_free(reply);
	wait_state("available");
	unmount();
}

static void manual_recovery_waits_for_start(void **state)
{
	struct mount_options o = options(KEYWATCH_ERROR);
	struct err err;
	int r;

	(void)state;
	o.watch.recover_manually = true;
	mount_with(&o);
	kms_json_free(ask("start", false, &r, &err));
	assert_int_equal(r, -EINVAL);
	assert_non_null(strstr(err.msg, "is in available state but expected it to be one of"));
	fake_kms_says("refused");
	wait_state(unreachable);
	fake_kms_says("ok");
	wait_ms(300);
	wait_state(unreachable);
	do_op("start", false);
	wait_state("available");
	unmount();
}

/* A process with a private mapping of the first block, touched. It tells so, and reads it again when
 * told: exit 0 when it still can. */
static pid_t spawn_mapper(int ready, int go)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(disk_path, O_RDWR);
		sighandler_t old = signal(SIGBUS, SIG_DFL); /* cmocka's */
		volatile char *p = mmap(NULL, BLOCK, PROT_READ, MAP_PRIVATE, fd, 0);
		char c;

		if (old == SIG_ERR || p == MAP_FAILED || *p != 6)
			_exit(1);
		if (write(ready, "x", 1) != 1 || read(go, &c, 1) != 1)
			_exit(2);
		c = *p;
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void pages_of_a_private_mapping_go_with_the_key(void **state)
{
	int ready[2], go[2], status;
	char c;
	pid_t pid;

	(void)state;
	mount_for(KEYWATCH_HANG);
	assert_int_equal(result(spawn(WRITE, 0, 6)), 0);
	assert_int_equal(pipe(ready) | pipe(go), 0);
	pid = spawn_mapper(ready[1], go[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	fake_kms_says("refused");
	wait_state(unreachable);
	assert_int_equal(write(go[1], "x", 1), 1);
	status = reap(pid, SOON_MS);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	fake_kms_says("ok");
	wait_state("available");
	unmount();
}

static void events_tell_the_story(void **state)
{
	static const char *const words[] = {"\"mounted\"",  "RDS-EVENT-0419", "DisabledException",
					    "\"starting\"", "RDS-EVENT-0420", "\"unmounting\""};
	char path[128], text[8192];
	const char *p = text;
	FILE *f;
	size_t n;

	(void)state;
	mount_for(KEYWATCH_ERROR);
	fake_kms_says("refused");
	wait_state(unreachable);
	fake_kms_says("ok");
	wait_state("available");
	unmount();
	snprintf(path, sizeof(path), "%s/events.jsonl", volume);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		p = strstr(p, words[i]);
		if (!p)
			fail_msg("no %s, or not in order: %s", words[i], text);
	}
	p = text;
	while (*p) { /* each line is a whole object */
		struct kms_json *obj = NULL;
		const char *end = strchr(p, '\n');

		assert_non_null(end);
		assert_int_equal(kms_json_parse(p, (size_t)(end - p), &obj, NULL), 0);
		kms_json_free(obj);
		p = end + 1;
	}
}

static void traffic_across_losses_keeps_every_acknowledged_write(void **state)
{
	pid_t pids[4];
	int fd;

	(void)state;
	mount_for(KEYWATCH_HANG);
	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			int child_fd = open(disk_path, O_RDWR);

			for (int n = 0; n < 300; n++) {
				uint64_t off = (uint64_t)(i * 64 + n % 64) * BLOCK;

				if (put(child_fd, off, BLOCK, n & 0x7f) != 0 ||
				    get(child_fd, off) != (n & 0x7f))
					_exit(1);
			}
			_exit(0);
		}
	}
	for (int round = 0; round < 3; round++) {
		fake_kms_says("refused");
		wait_state(unreachable);
		fake_kms_says("ok");
		wait_state("available");
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(result(pids[i]), 0);
	unmount();
	mount_for(KEYWATCH_HANG);
	fd = open_disk(O_RDONLY);
	for (int i = 0; i < 4 * 64; i++) {
		int n = 299 - (299 - i % 64) % 64;

		assert_int_equal(get(fd, (uint64_t)i * BLOCK), n & 0x7f);
	}
	close(fd);
	unmount();
}

static void a_request_never_outlives_the_limit_of_the_kernel(void **state)
{
	uint64_t before;
	char path[96];
	pid_t reader;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/max_request_timeout", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("5\n", f); /* seconds; ours then is 4 */
	fclose(f);
	fuse_sysctl_dir = dir;
	mount_for(KEYWATCH_HANG);
	fake_kms_says("refused");
	wait_state(unreachable);
	before = clock_monotonic_ms();
	reader = spawn(READ, 0, 0);
	assert_int_equal(result(reader), EIO);
	assert_in_range(clock_monotonic_ms() - before, 3900, 4900);
	fake_kms_says("ok");
	wait_state("available");
	assert_int_equal(result(spawn(READ, 0, 0)), 0);
	unmount();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(lost_key_makes_requests_wait_and_status_answers),
		T(a_killed_or_terminated_waiter_goes_at_once),
		T(waiting_requests_are_executed_in_their_order),
		T(forced_unmount_ends_the_wait_with_eio),
		T(a_signal_unmounts_even_while_requests_wait),
		T(errors_come_at_once_and_end_with_the_key),
		T(read_only_serves_reads_and_refuses_writes),
		T(an_outage_is_served_through_and_shown),
		T(manual_recovery_waits_for_start),
		T(pages_of_a_private_mapping_go_with_the_key),
		T(events_tell_the_story),
		T(traffic_across_losses_keeps_every_acknowledged_write),
		T(a_request_never_outlives_the_limit_of_the_kernel),
		T_URING(lost_key_makes_requests_wait_and_status_answers),
		T_URING(a_killed_or_terminated_waiter_goes_at_once),
		T_URING(waiting_requests_are_executed_in_their_order),
		T_URING(forced_unmount_ends_the_wait_with_eio),
		T_URING(a_signal_unmounts_even_while_requests_wait),
		T_URING(errors_come_at_once_and_end_with_the_key),
		T_URING(pages_of_a_private_mapping_go_with_the_key),
		T_URING(traffic_across_losses_keeps_every_acknowledged_write),
		T_URING(a_request_never_outlives_the_limit_of_the_kernel),
	};

	choose(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
