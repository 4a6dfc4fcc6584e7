/*
 * kmsvol keeper: the process that looks after the file system on a volume (mount --fs) while the volume's key
 * comes and goes. The daemon starts it and talks to it on its standard input (fs/above.h); nobody else does. What
 * to do when is a table (fs/above_plan.h); here the steps are taken, one after the other. When the daemon ends,
 * however it does, nothing is left frozen and nobody waiting.
 */
#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "above.h"
#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "kmsvol_cmd.h"
#include "kmsvol_detach.h"
#include "kmsvol_drop.h"
#include "kmsvol_fence.h"
#include "kmsvol_fs.h"
#include "kmsvol_fsctl.h"
#include "kmsvol_loop.h"
#include "kmsvol_place.h"
#include "secret.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define DROP_MS		4000 /* for the walk through all files */
#define DROP_OPEN_MS	2000
#define FROZEN_TRIES	100 /* another's freeze, as of a snapshot, is short */
#define IN_USE_TRIES	100 /* at the end: its users are ending, too */
#define FUSE_GONE_TRIES 500
#define PAUSE_MS	20

struct keeper {
	const char *volume_dir;
	enum above_state state;
	struct place place;
	int dir; /* of the file system; -1: not open, nothing is done to it */
	char type[16];
	bool was_read_only; /* mounted so by the user */
	bool cannot_shut;   /* it has to fail by itself */
	bool ended;	    /* the volume is being unmounted */
	struct fence *fence;
};

static void pause_a_little(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

static bool is_mounted(const struct keeper *k)
{
	return place_has(k->place.mountpoint, k->place.loop);
}

static void forget_fs(struct keeper *k)
{
	fence_free(k->fence);
	k->fence = NULL;
	if (k->dir >= 0)
		(void)close(k->dir); /* only read */
	k->dir = -1;
}

/* Find the file system. -ENODEV: none is mounted. */
static int find_fs(struct keeper *k, struct err *err)
{
	AUTO(freep) char *type = NULL;
	AUTO(freep) char *source = NULL;
	int r;

	if (k->dir >= 0)
		return 0;
	place_free(&k->place);
	r = place_find(k->volume_dir, &k->place, err);
	if (r < 0)
		return r;
	if (!k->place.mountpoint || !*k->place.loop || !is_mounted(k) ||
	    !place_mounted(k->place.mountpoint, &type, &source) || !type || !source)
		return err_set(err, ENODEV, "no file system is mounted on the volume");
	if (strcmp(source, k->place.loop) != 0)
		return err_set(err, EBUSY, "'%s' is covered by another mount", k->place.mountpoint);
	(void)snprintf(k->type, sizeof(k->type), "%s", type);
	r = fsctl_open(k->place.mountpoint, &k->dir, err);
	if (r == 0 && k->state == ABOVE_SERVED) {
		k->was_read_only = fsctl_is_read_only(k->dir);
		k->cannot_shut = false;
	}
	if (r != -EIO)
		return r;
	/* It was shut down, by a keeper before us. Nothing more can be done to it, and then it is replaced. */
	k->state = ABOVE_SHUT;
	return 0;
}

/*
 * It has the fence's descriptors, too, and the fence stands as long as anybody has: so it lets go of them first,
 * and does not outlive us. Else, were we killed, it would wait at a fence that nobody opens.
 */
static void drop_in_child(struct keeper *k, enum above_step step, uint64_t until_ms, pid_t parent)
{
	fence_free(k->fence);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail so */
	if (getppid() != parent)
		_exit(1);
	if (step == ABOVE_DROP_OPEN) {
		drop_open(k->place.mountpoint);
		_exit(0);
	}
	drop_open(k->place.mountpoint); /* the quick part, in case that time runs out */
	if (!drop_tree(k->dir, until_ms))
		_exit(1);
	drop_device(k->place.loop);
	_exit(0);
}

/*
 * A child drops, since what it closes last could be deleted with that and then wait for the thaw, which is our
 * work. It may pass the fence, and we let it.
 */
static int drop(struct keeper *k, enum above_step step, struct err *err)
{
	uint64_t until = clock_monotonic_ms() + (step == ABOVE_DROP ? DROP_MS : DROP_OPEN_MS);
	struct pollfd fd = {.fd = k->fence ? fence_fd(k->fence) : -1, .events = POLLIN};
	int status = 0;
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		drop_in_child(k, step, until, parent);
	if (pid < 0)
		return err_set(err, errno, "fork: %s", strerror(errno));
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_monotonic_ms() >= until + PAUSE_MS) {
			(void)kill(pid, SIGKILL);
			return err_set(err, ETIMEDOUT, "cached data of some files may be left");
		}
		(void)poll(&fd, 1, PAUSE_MS / 10);
		if (k->fence)
			fence_pass(k->fence, pid);
	}
	if (status)
		return err_set(err, ETIMEDOUT, "cached data of some files may be left");
	return 0;
}

static int freeze(struct keeper *k, struct err *err)
{
	int r = fsctl_freeze(k->dir, err);

	for (int i = 0; r == -EBUSY && i < FROZEN_TRIES; i++) {
		pause_a_little();
		r = fsctl_freeze(k->dir, err);
	}
	return r;
}

static int shut_down(struct keeper *k, struct err *err)
{
	int r = fsctl_shut_down(k->dir, err);

	k->cannot_shut = r < 0;
	return r == -ENOTTY ? 0 : r; /* it fails when the gate refuses */
}

/*
 * The old one stays with those that have it open, on the old loop device, which the daemon does not serve any
 * more; there is a new one at its place. A kernel that still has the old one would mount just that, were the device
 * the same.
 */
static int replace(struct keeper *k, struct err *err)
{
	struct place *p = &k->place;
	AUTO(freep) char *disk = NULL;
	char *loop = NULL;
	int fd = -1, r;

	forget_fs(k);
	if (asprintf(&disk, "%s/disk", p->fuse_dir) < 0) {
		disk = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	r = detach_mount(p->mountpoint, p->loop, true, err);
	if (r == 0)
		r = loop_attach(disk, k->was_read_only, &fd, &loop, err);
	if (r < 0)
		return r;
	free(p->loop);
	p->loop = loop;
	r = place_record_save(p, err);
	if (r == 0)
		r = fs_mount_again(p->loop, p->mountpoint, k->type, k->was_read_only, err);
	(void)close(fd); /* the mount has it open, or it goes */
	return r;
}

static int unmount(struct keeper *k, struct err *err)
{
	const struct place *p = &k->place;
	int r = -EBUSY;

	forget_fs(k);
	for (int i = 0; r == -EBUSY && i < IN_USE_TRIES; i++) {
		r = is_mounted(k) ? umount2(p->mountpoint, UMOUNT_NOFOLLOW) : 0;
		if (r < 0 && (r = -errno) == -EBUSY)
			pause_a_little();
	}
	if (r < 0)
		r = detach_mount(p->mountpoint, p->loop, true, err);
	k->ended = r == 0;
	return r;
}

static int to_writable(struct keeper *k, struct err *err)
{
	int r = fsctl_thaw(k->dir, err); /* a keeper before us may have frozen it */

	return r < 0 || k->was_read_only ? r : fsctl_read_only(k->dir, false, err);
}

static int take_step(struct keeper *k, enum above_step step, struct err *err)
{
	bool open = k->dir >= 0;

	switch (step) {
	case ABOVE_WRITE:
		return fsctl_write(k->dir, err);
	case ABOVE_FENCE:
		return k->fence ? 0 : fence_new(k->dir, &k->fence, err);
	case ABOVE_UNFENCE:
		fence_free(k->fence);
		k->fence = NULL;
		return 0;
	case ABOVE_DROP:
	case ABOVE_DROP_OPEN:
		return open ? drop(k, step, err) : 0;
	case ABOVE_FREEZE:
		return freeze(k, err);
	case ABOVE_THAW:
		return fsctl_thaw(k->dir, err);
	case ABOVE_SHUT_DOWN:
		return shut_down(k, err);
	case ABOVE_FAIL:
		return open && k->cannot_shut ? fsctl_fail(k->dir, err) : 0;
	case ABOVE_TO_READ_ONLY:
		return fsctl_read_only(k->dir, true, err);
	case ABOVE_TO_READ_WRITE:
		return to_writable(k, err);
	case ABOVE_REPLACE:
		return replace(k, err);
	case ABOVE_UNMOUNT:
		return unmount(k, err);
	case ABOVE_DONE:
		break;
	}
	return 0;
}

/* All steps, whatever becomes of one; the first error counts. */
static int follow(struct keeper *k, enum above_event event, struct err *err)
{
	const struct above_plan *plan = above_plan(k->state, event);
	enum above_state next = plan->next;
	int result = 0;

	for (const enum above_step *step = plan->steps; *step != ABOVE_DONE; step++) {
		struct err why;
		int r = take_step(k, *step, &why);

		if (r == -EBUSY && *step == ABOVE_TO_READ_ONLY)
			return follow(k, ABOVE_BUSY, err);
		if (r < 0 && *step == ABOVE_REPLACE)
			next = ABOVE_SHUT;
		if (r < 0 && result == 0) {
			*err = why;
			(void)err_prefix(err, "%s", above_step_name(*step));
			result = r;
		}
	}
	k->state = next;
	if (next == ABOVE_SERVED)
		forget_fs(k);
	return result;
}

static int handle(struct keeper *k, enum above_event event, struct err *err)
{
	int r = find_fs(k, err);

	if (r < 0) {
		if (r == -ENODEV)
			k->state = ABOVE_SERVED; /* by nobody */
		return r;
	}
	return follow(k, event, err);
}

/* One message. False: the daemon has ended. */
static bool answer(struct keeper *k)
{
	char word[ABOVE_WORD_MAX], name[32];
	ssize_t n = recv(STDIN_FILENO, word, sizeof(word) - 1, 0);
	enum above_event event;
	struct err err = {0};
	uint64_t number;
	int r, len;

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	word[n] = '\0';
	if (sscanf(word, "%" SCNu64 " %31s", &number, name) != 2 ||
	    above_event_by_name(name, &event) < 0)
		return true; /* no daemon of ours says that */
	r = handle(k, event, &err);
	len = snprintf(word, sizeof(word), "%" PRIu64 " %d %s %s", number, -r,
		       above_state_name(k->state), r < 0 ? err.msg : "");
	if (len >= (int)sizeof(word))
		len = sizeof(word) - 1;
	(void)send(STDIN_FILENO, word, (size_t)len, MSG_NOSIGNAL); /* it may have ended */
	return true;
}

/* The user has unmounted it, in the middle of an outage: we alone keep it, so let it go. */
static void notice_unmount(struct keeper *k)
{
	struct err ignored;

	if (k->dir < 0 || is_mounted(k))
		return;
	(void)follow(k, ABOVE_RELEASE, &ignored); /* nobody is left to be told */
	forget_fs(k);
	k->state = ABOVE_SERVED;
}

static void serve(struct keeper *k)
{
	struct pollfd fds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), .events = POLLPRI}};

	for (;;) {
		(void)poll(fds, 2, -1); /* whatever woke us: look */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			; /* of those that were late */
		if (fds[1].revents)
			notice_unmount(k);
		if (fds[0].revents && !answer(k))
			break;
	}
	if (fds[1].fd >= 0)
		(void)close(fds[1].fd); /* only read */
}

/* The daemon has ended. What it did not end itself it can do no more. */
static void clean_up(struct keeper *k)
{
	struct err ignored;

	if (!k->ended) {
		if (k->dir >= 0)
			(void)follow(k, ABOVE_RELEASE, &ignored); /* nobody is left to be told */
		return;
	}
	for (int i = 0; place_has(k->place.fuse_dir, k->volume_dir) && i < FUSE_GONE_TRIES; i++)
		pause_a_little(); /* it is being unmounted */
	if (!place_has(k->place.fuse_dir, k->volume_dir)) {
		place_record_remove(&k->place);
		place_private_remove(&k->place);
	}
}

int cmd_keeper(int argc, char **argv)
{
	const int ending[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	struct keeper k = {.dir = -1};
	struct rlimit files;
	int first, code;
	const struct cmd cmd = {
		"keeper",
		"VOL STATE",
		2,
		"For mount --fs itself: looks after the file system while the key is "
		"lost.",
		NULL,
		0};

	code = cmd_parse(&cmd, argc, argv, &first);
	if (code != CMD_GO)
		return code;
	k.volume_dir = argv[first];
	if (above_state_by_name(argv[first + 1], &k.state) < 0)
		return CMD_WRONG_USAGE;
	for (size_t i = 0; i < sizeof(ending) / sizeof(*ending); i++)
		(void)signal(ending[i], SIG_IGN); /* when all are told to end we go last */
	(void)prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	(void)prctl(PR_SET_NAME, "kmsvol-keeper");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* one for each that waits at the fence */
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	serve(&k);
	clean_up(&k);
	forget_fs(&k);
	place_free(&k.place);
	return CMD_DONE;
}
