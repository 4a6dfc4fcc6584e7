/* The process around a mounted volume. See daemon.h. */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "say.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

#define OPEN_FILES_WANTED 65536 /* segments, with a lot to spare; nothing here counts through fds */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* A large volume has more segments than the usual soft limit of 1,024 lets us open. */
static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= OPEN_FILES_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < OPEN_FILES_WANTED ? limit.rlim_max : OPEN_FILES_WANTED;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* opening says so where it is not enough */
}

void daemon_harden(void)
{
	raise_open_files();
#ifndef SANITIZED
	const struct rlimit none = {0, 0};

	/* Each is a second fence; key memory is locked and left out of core files by itself. */
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	if (geteuid() == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
#endif
}

void daemon_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer segments, then */
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

int daemon_foreground(daemon_run *run, void *arg, struct err *err)
{
	return run(arg, nothing, NULL, err);
}

/* What the child tells its parent. One write, shorter than a pipe holds; read until it is whole. */
struct word {
	int r;
	struct err err;
};

static void tell(int fd, int r, const struct err *err)
{
	struct word word = {.r = r};
	ssize_t n;

	if (err)
		word.err = *err;
	do
		n = write(fd, &word, sizeof(word));
	while (n < 0 && errno == EINTR);
	/* When the parent is gone, nobody wants to know. */
}

/* The child's end of the pipe; -1 once told. Nothing else is shared. */
static int told_fd = -1;

static void tell_ready(void *arg)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)arg;
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		(void)dup2(null, fd); /* fds 0 to 2 always fit */
	if (null > 2)
		(void)close(null);
	tell(told_fd, 0, NULL);
	(void)close(told_fd);
	told_fd = -1;
}

static void child(daemon_run *run, void *arg, int fd)
{
	struct err err = {0};
	sigset_t none;
	int r;

	told_fd = fd;
	/* The parent ends us by SIGTERM; whatever it ignored or blocked. */
	(void)signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
	if (fd > 3)
		(void)close_range(3, (unsigned)fd - 1, 0);
	(void)close_range((unsigned)fd + 1, ~0U, 0);
	(void)setsid(); /* cannot fail: we lead no group */
	(void)chdir("/");
	(void)signal(SIGPIPE, SIG_IGN);
	r = run(arg, tell_ready, NULL, &err);
	if (told_fd >= 0)
		tell(told_fd, r, &err);
	else if (r < 0)
		say_error("%s", err.msg);
	_exit(r < 0 ? 1 : 0);
}

/* Wait until there is something to read, or one of the signals came: true. */
static bool interrupted(int fd, int signals)
{
	struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo info;

	while (poll(fds, 2, -1) < 0)
		; /* EINTR, or out of memory for a moment */
	return fds[1].revents && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

/* Wait for the child's word. When a signal comes first, end the child with all that it has done. */
static int listen_to(pid_t pid, int fd, int signals, struct err *err)
{
	struct word word;
	size_t got = 0;
	int status = 0;
	bool cut = false;

	while (got < sizeof(word) && !(cut = interrupted(fd, signals))) {
		ssize_t n = read(fd, (char *)&word + got, sizeof(word) - got);

		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	if (!cut && got == sizeof(word) && word.r == 0)
		return 0;
	if (cut)
		(void)kill(pid, SIGTERM); /* it unmounts when it is as far as that */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (cut)
		return err_set(err, EINTR, "interrupted");
	if (got != sizeof(word))
		return err_set(err, EIO, "the daemon died at its start (%s %d)",
			       WIFSIGNALED(status) ? "signal" : "exit",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (err)
		*err = word.err;
	return word.r;
}

void daemon_ending_signals(sigset_t *ret_set)
{
	const int all[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;

	sigemptyset(ret_set);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (sigaction(all[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(ret_set, all[i]);
}

static int start(daemon_run *run, void *arg, int signals, struct err *err)
{
	int fds[2], r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		child(run, arg, fds[1]);
	(void)close(fds[1]);
	r = pid < 0 ? err_set(err, errno, "fork: %s", strerror(errno))
		    : listen_to(pid, fds[0], signals, err);
	(void)close(fds[0]);
	return r;
}

int daemon_background(daemon_run *run, void *arg, struct err *err)
{
	sigset_t set, before;
	int signals, r;

	daemon_ending_signals(&set);
	(void)sigprocmask(SIG_BLOCK, &set, &before); /* cannot fail with these arguments */
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = signals < 0 ? err_set(err, errno, "signalfd: %s", strerror(errno))
			: start(run, arg, signals, err);
	if (signals >= 0)
		(void)close(signals);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}
