/*
 * The front with real mounts, real processes and the real store; KMS answers what a test tells it to.
 * Needs /dev/fuse (else every test is skipped).
 */
#include "main.c" /* what is tested: it is no part of the library */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../lib/fake_kms.h"
#include "clock.h"

#define BLOCK	4096
#define SOON_MS 15000 /* sanitizers on a busy machine */

static char dir[64], volume[80], mountpoint[80], disk_path[96];

static void wait_ms(unsigned ms)
{
	usleep(ms * 1000);
}

static int make_volume(void **state)
{
	struct secret *key = NULL;
	struct store_geometry g;
	struct err err;

	(void)state;
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return 0;
	strcpy(dir, "/tmp/kmsvol-mount-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(volume, sizeof(volume), "%s/volume", dir);
	snprintf(mountpoint, sizeof(mountpoint), "%s/mnt", dir);
	snprintf(disk_path, sizeof(disk_path), "%s/disk", mountpoint);
	snprintf(fake_answer_file, sizeof(fake_answer_file), "%s/kms", dir);
	fake_kms_says("ok");
	if (mkdir(volume, 0700) < 0 || mkdir(mountpoint, 0700) < 0 || fake_geometry(&g) < 0 ||
	    fake_data_key(&key, &err) < 0 || store_create(volume, &g, key, &err) < 0)
		return -1;
	secret_free(key);
	return 0;
}

static bool daemon_ended(void)
{
	struct err err;
	int fd;
	bool ended = volume_lock(volume, &fd, &err) == 0;

	close(fd);
	return ended;
}

static void wait_daemon(void)
{
	uint64_t until = clock_monotonic_ms() + SOON_MS;

	while (!daemon_ended()) {
		if (clock_monotonic_ms() > until)
			fail_msg("the daemon does not end");
		wait_ms(5);
	}
}

static int clean(void **state)
{
	char cmd[128];

	(void)state;
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return 0;
	(void)umount2(mountpoint, MNT_DETACH); /* there only when a test failed */
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static struct mount_options options(enum keywatch_reaction reaction)
{
	struct mount_options o = {
		.volume_dir = volume, .mountpoint = mountpoint, .watch = keywatch_config_default()};

	if (access("/dev/fuse", R_OK | W_OK) < 0)
		skip();
	o.watch.reaction = reaction;
	o.watch.check_interval_ms = 50;
	return o;
}

static void mount_with(const struct mount_options *o)
{
	struct err err = {0};

	if (mount_run(o, &err) < 0)
		fail_msg("%s", err.msg);
}

static void mount_for(enum keywatch_reaction reaction)
{
	struct mount_options o = options(reaction);

	mount_with(&o);
}

static struct kms_json *ask(const char *op, bool force, int *ret_r, struct err *err)
{
	struct kms_json *request = kms_json_new_object(), *reply = NULL;

	err_clear(err);
	assert_true(request != NULL);
	assert_int_equal(kms_json_set_str(request, "op", op), 0);
	if (force)
		assert_int_equal(kms_json_set_bool(request, "force", true), 0);
	*ret_r = mount_control(volume, request, &reply, err);
	kms_json_free(request);
	return reply;
}

static void do_op(const char *op, bool force)
{
	struct err err;
	int r;

	kms_json_free(ask(op, force, &r, &err));
	if (r < 0)
		fail_msg("%s: %s", op, err.msg);
}

static uint64_t number(const char *member)
{
	uint64_t v = 0;
	struct err err;
	int r;
	struct kms_json *reply = ask("status", false, &r, &err);

	if (r < 0)
		fail_msg("status: %s", err.msg);
	assert_int_equal(kms_json_u64(reply, member, &v, NULL), 0);
	kms_json_free(reply);
	return v;
}

static void wait_number(const char *member, uint64_t wanted)
{
	uint64_t until = clock_monotonic_ms() + SOON_MS;

	while (number(member) != wanted) {
		if (clock_monotonic_ms() > until)
			fail_msg("%s is %llu and not %llu", member,
				 (unsigned long long)number(member), (unsigned long long)wanted);
		wait_ms(5);
	}
}

static void wait_state(const char *wanted)
{
	uint64_t until = clock_monotonic_ms() + SOON_MS;
	char found[128] = "";
	struct err err;
	int r;

	while (strcmp(found, wanted) != 0) {
		struct kms_json *reply = ask("status", false, &r, &err);
		const char *s;

		if (r < 0)
			fail_msg("status: %s", err.msg);
		assert_int_equal(kms_json_str(reply, "state", &s, NULL), 0);
		snprintf(found, sizeof(found), "%s", s);
		kms_json_free(reply);
		if (clock_monotonic_ms() > until)
			fail_msg("state is '%s' and not '%s'", found, wanted);
		wait_ms(5);
	}
}

static const char unreachable[] = "inaccessible-encryption-credentials-recoverable";

static void unmount(void)
{
	do_op("unmount", false);
	wait_daemon();
}

static int open_disk(int flags)
{
	int fd = open(disk_path, flags | O_CLOEXEC);

	if (fd < 0)
		fail_msg("open: %s", strerror(errno));
	return fd;
}

/* Write @len bytes of @value at @off: 0 or the errno. */
static int put(int fd, uint64_t off, size_t len, int value)
{
	uint8_t *bytes = malloc(len);
	ssize_t n;
	int num;

	memset(bytes, value, len);
	n = pwrite(fd, bytes, len, (off_t)off);
	num = n < 0 ? errno : (size_t)n == len ? 0 : ENOSPC;
	free(bytes);
	return num;
}

/* The value of all bytes of the block at @off; -errno; -1000 when they differ. */
static int get(int fd, uint64_t off)
{
	uint8_t bytes[BLOCK];

	if (pread(fd, bytes, BLOCK, (off_t)off) != BLOCK)
		return -errno;
	for (int i = 1; i < BLOCK; i++)
		if (bytes[i] != bytes[0])
			return -1000;
	return bytes[0];
}

enum what { READ, WRITE, SYNC };

/* A process that does one request and exits with what get() or put() gave. */
static pid_t spawn(enum what what, uint64_t off, int value)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(disk_path, O_RDWR);
		int r = fd < 0		? 255
			: what == READ	? get(fd, off)
			: what == WRITE ? put(fd, off, BLOCK, value)
			: fsync(fd) < 0 ? errno
					: 0;

		_exit(r < 0 ? -r : r);
	}
	assert_true(pid > 0);
	return pid;
}

/* Its wait status, which must come soon. */
static int reap(pid_t pid, unsigned within_ms)
{
	uint64_t until = clock_monotonic_ms() + within_ms;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_monotonic_ms() > until)
			fail_msg("process %d still waits after %u ms", (int)pid, within_ms);
		wait_ms(2);
	}
	return status;
}

static int result(pid_t pid)
{
	int status = reap(pid, SOON_MS);

	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

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

#define T(name) cmocka_unit_test_setup_teardown(name, make_volume, clean)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(what_was_written_is_there_after_a_remount),
		T(disk_is_an_image_of_fixed_size),
		T(holes_are_made_and_found),
		T(a_second_mount_and_bad_places_are_refused),
		T(a_refused_key_fails_the_mount_with_its_error),
		T(lost_key_makes_requests_wait_and_status_answers),
		T(a_killed_or_terminated_waiter_goes_at_once),
		T(waiting_requests_are_executed_in_their_order),
		T(forced_unmount_ends_the_wait_with_eio),
		T(a_signal_unmounts_even_while_requests_wait),
		T(errors_come_at_once_and_end_with_the_key),
		T(read_only_serves_reads_and_refuses_writes),
		T(reaction_none_never_asks_again),
		T(an_outage_is_served_through_and_shown),
		T(unmount_does_not_wait_for_a_slow_kms),
		T(manual_recovery_waits_for_start),
		T(pages_of_a_private_mapping_go_with_the_key),
		T(shared_mappings_are_refused),
		T(events_tell_the_story),
		T(traffic_across_losses_keeps_every_acknowledged_write),
		T(nonsense_on_the_control_socket_is_answered),
	};

	if (argc > 1) /* one test, by its name */
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
