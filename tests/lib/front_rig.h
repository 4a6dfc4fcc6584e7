/*
 * A rig for the front: real mounts, real processes and the real store; KMS answers what a test tells it
 * to. For one test program that includes it, first. Needs /dev/fuse (else every test is skipped).
 */
#ifndef TESTS_LIB_FRONT_RIG_H
#define TESTS_LIB_FRONT_RIG_H

#include "main.c" /* what is tested: it is no part of the library */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "fake_kms.h"
#include "kms_json.h"
#include "clock.h"
#include "profile.h"

#define BLOCK	4096
#define SOON_MS 15000 /* sanitizers on a busy machine */

/* The daemon's stderr is /dev/null, so what a sanitizer finds in it goes into files. */
#define SAN_REPORT "sanitizer"
void __sanitizer_set_report_path(const char *path) __attribute__((weak));

/* Over which transport the test at hand mounts; io_uring: see T_URING. */
static enum transport_wish rig_transport;

#define URING_SWITCH "/sys/module/fuse/parameters/enable_uring"
#define URING_LOCK   "/run/lock/kmsvol-enable-uring" /* who changes the switch has this locked */

static char dir[64], volume[80], mountpoint[80], disk_path[96];

static inline void wait_ms(unsigned ms)
{
	usleep(ms * 1000);
}

static inline int make_volume(void **state)
{
	struct secret *key = NULL;
	struct store_geometry g;
	struct err err;

	(void)state;
	rig_transport = TRANSPORT_DEV_FUSE;
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return 0;
	strcpy(dir, "/tmp/kmsvol-mount-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	if (__sanitizer_set_report_path) {
		snprintf(volume, sizeof(volume), "%s/" SAN_REPORT, dir);
		__sanitizer_set_report_path(volume);
	}
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

static inline int make_volume_uring(void **state)
{
	int r = make_volume(state);

	rig_transport = TRANSPORT_IO_URING;
	return r;
}

static inline bool daemon_ended(void)
{
	struct err err;
	int fd;
	bool ended = volume_lock(volume, &fd, &err) == 0;

	close(fd);
	return ended;
}

static inline void wait_daemon(void)
{
	uint64_t until = clock_monotonic_ms() + SOON_MS;

	while (!daemon_ended()) {
		if (clock_monotonic_ms() > until)
			fail_msg("the daemon does not end");
		wait_ms(5);
	}
}

static inline int clean(void **state)
{
	char cmd[512];

	(void)state;
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return 0;
	(void)umount2(mountpoint, MNT_DETACH); /* there only when a test failed */
	if (__sanitizer_set_report_path)
		__sanitizer_set_report_path("stderr");
	snprintf(cmd, sizeof(cmd),
		 "if ls %s/" SAN_REPORT ".* 2>/dev/null; then cat %s/" SAN_REPORT
		 ".*; rm -rf %s; exit 1; fi >&2; rm -rf %s",
		 dir, dir, dir, dir);
	return system(cmd);
}

static inline struct mount_options options(enum keywatch_reaction reaction)
{
	struct mount_options o = {.volume_dir = volume,
				  .mountpoint = mountpoint,
				  .watch = profile_config(PROFILE_DEFAULT, 1)};

	if (access("/dev/fuse", R_OK | W_OK) < 0)
		skip();
	if (rig_transport == TRANSPORT_IO_URING && access(URING_SWITCH, W_OK) < 0) {
		print_message("# io_uring cannot be switched on here\n");
		skip();
	}
	o.transport = rig_transport;
	o.watch.reaction = reaction;
	o.watch.check_interval_ms = 50;
	return o;
}

static inline char set_uring(char value)
{
	int fd = open(URING_SWITCH, O_RDWR | O_CLOEXEC);
	char before = 0;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, &before, 1), 1);
	assert_int_equal(pwrite(fd, &value, 1, 0), 1);
	close(fd);
	return before;
}

/* mount_run(), with io_uring switched on as long as it takes when @o wants it: only mounts look at it. */
static inline int run_mount(const struct mount_options *o, struct err *err)
{
	int lock, r;
	char before;

	if (o->transport != TRANSPORT_IO_URING)
		return mount_run(o, err);
	lock = open(URING_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	before = set_uring('Y');
	r = mount_run(o, err);
	(void)set_uring(before);
	close(lock);
	return r;
}

static inline void mount_with(const struct mount_options *o)
{
	struct err err = {0};

	if (run_mount(o, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void mount_for(enum keywatch_reaction reaction)
{
	struct mount_options o = options(reaction);

	mount_with(&o);
}

static inline struct kms_json *ask(const char *op, bool force, int *ret_r, struct err *err)
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

static inline void do_op(const char *op, bool force)
{
	struct err err;
	int r;

	kms_json_free(ask(op, force, &r, &err));
	if (r < 0)
		fail_msg("%s: %s", op, err.msg);
}

static inline uint64_t number(const char *member)
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

static inline void wait_number(const char *member, uint64_t wanted)
{
	uint64_t until = clock_monotonic_ms() + SOON_MS;

	while (number(member) != wanted) {
		if (clock_monotonic_ms() > until)
			fail_msg("%s is %llu and not %llu", member,
				 (unsigned long long)number(member), (unsigned long long)wanted);
		wait_ms(5);
	}
}

static inline void wait_state(const char *wanted)
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

static inline void unmount(void)
{
	do_op("unmount", false);
	wait_daemon();
}

static inline int open_disk(int flags)
{
	int fd = open(disk_path, flags | O_CLOEXEC);

	if (fd < 0)
		fail_msg("open: %s", strerror(errno));
	return fd;
}

/* Write @len bytes of @value at @off: 0 or the errno. */
static inline int put(int fd, uint64_t off, size_t len, int value)
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
static inline int get(int fd, uint64_t off)
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
static inline pid_t spawn(enum what what, uint64_t off, int value)
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
static inline int reap(pid_t pid, unsigned within_ms)
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

static inline int result(pid_t pid)
{
	int status = reap(pid, SOON_MS);

	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define T_URING(name)                                                                              \
	{                                                                                          \
#name "_over_io_uring", name, make_volume_uring, clean, NULL                       \
	}
#define T(name) cmocka_unit_test_setup_teardown(name, make_volume, clean)

/* main() of a test program: all tests, or the one named. */
static inline void choose(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
}

#endif
