/*
 * credential_process: a command whose output is credentials (AWS SDKs and Tools Reference Guide,
 * "Process credential provider"). It gets no file but standard error, no signal mask of ours, and a
 * process group of its own, so that all of it can be ended. See creds_provider.h.
 */
#include "creds_provider.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "aws_creds.h"
#include "err.h"
#include "kms_json.h"
#include "stop.h"

#define OUTPUT_MAX   65536
#define WAIT_STEP_MS 10
#define PROCESS	     "the AWS profile's credential_process"

static int spawn(const char *command, int out_fd, pid_t *ret_pid)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int e;

	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&files))
		return -ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		(void)posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	e = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	e = e ? e : posix_spawn_file_actions_adddup2(&files, out_fd, 1);
	e = e ? e : posix_spawn_file_actions_addclosefrom_np(&files, 3);
	e = e ? e : posix_spawnattr_setsigmask(&attr, &none);
	e = e ? e : posix_spawnattr_setsigdefault(&attr, &all);
	e = e ? e
	      : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
							POSIX_SPAWN_SETPGROUP);
	e = e ? e : posix_spawn(ret_pid, "/bin/sh", &files, &attr, argv, environ);
	(void)posix_spawn_file_actions_destroy(&files); /* cannot fail */
	(void)posix_spawnattr_destroy(&attr);
	return -e;
}

/* Read until the other end closes. -ETIMEDOUT, -ECANCELED, -EMSGSIZE, -ENOMEM. */
static int read_output(const struct stop *stop, int fd, int64_t end_ms, struct buf *out)
{
	uint8_t chunk[4096];
	int r = 0;

	while (r == 0) {
		struct pollfd p[] = {{.fd = fd, .events = POLLIN},
				     {.fd = stop->fd, .events = POLLIN}};
		int64_t left = end_ms - stop_now_ms();
		ssize_t n;

		if (left <= 0)
			r = -ETIMEDOUT;
		else if (poll(p, 2, (int)left) < 0 && errno != EINTR)
			r = -errno;
		else if (p[1].revents)
			r = -ECANCELED;
		if (r < 0 || !p[0].revents)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			break;
		if (n > 0)
			r = buf_append(out, chunk, (size_t)n);
		else if (errno != EINTR)
			r = -errno;
	}
	OPENSSL_cleanse(chunk, sizeof(chunk));
	return r;
}

/* Its exit status, waiting until @end_ms; -ETIMEDOUT, -ECANCELED. 0 when nobody can tell. */
static int reap(const struct stop *stop, pid_t pid, int64_t end_ms, int *ret_status)
{
	for (;;) {
		pid_t got = waitpid(pid, ret_status, WNOHANG);

		if (got == pid)
			return 0;
		if (got < 0 && errno != EINTR) { /* SIGCHLD is ignored: the kernel reaped it */
			*ret_status = 0;
			return 0;
		}
		if (stop_now_ms() >= end_ms)
			return -ETIMEDOUT;
		if (stop_sleep(stop, WAIT_STEP_MS))
			return -ECANCELED;
	}
}

static int run(struct creds_ask *ask, const char *command, struct buf *out, struct err *err)
{
	int64_t end_ms = stop_now_ms() + ask->process_limit_ms;
	int fds[2], status = 0, r;
	pid_t pid = -1;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, ENOMEM, PROCESS ": %s", strerror(errno));
	r = spawn(command, fds[1], &pid);
	(void)close(fds[1]); /* nothing was written */
	if (r < 0) {
		(void)close(fds[0]);
		return err_set(err, EACCES, PROCESS ": cannot run /bin/sh: %s", strerror(-r));
	}
	r = read_output(ask->stop, fds[0], end_ms, out);
	(void)close(fds[0]); /* only read from */
	if (r == 0)
		r = reap(ask->stop, pid, end_ms, &status);
	if (r < 0) {
		(void)kill(-pid, SIGKILL);	/* fails only when it has ended */
		(void)waitpid(pid, &status, 0); /* it has been killed */
	}
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, PROCESS " did not end within %u s",
			       ask->process_limit_ms / 1000);
	if (r == -ECANCELED)
		return err_set(err, ECANCELED, "canceled");
	if (r < 0)
		return err_set(err, r == -ENOMEM ? ENOMEM : EACCES, PROCESS ": its output: %s",
			       strerror(-r));
	if (WIFSIGNALED(status))
		return err_set(err, EACCES, PROCESS " was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		return err_set(err, EACCES, PROCESS " failed with exit status %d",
			       WEXITSTATUS(status));
	return 0;
}

static int parse(struct aws_creds *ret, const struct buf *out, struct err *err)
{
	struct kms_json *obj = NULL;
	int64_t version = 0;
	int r = kms_json_parse(out->bytes ? (const char *)out->bytes : "", out->len, &obj, err);

	if (r < 0)
		return err_set(err, r == -ENOMEM ? ENOMEM : EACCES,
			       PROCESS ": its output is not a JSON object");
	if (kms_json_i64(obj, "Version", &version, err) < 0 || version != 1)
		r = err_set(err, EACCES, PROCESS ": its output has no \"Version\": 1");
	else
		r = aws_creds_from_json(ret, PROCESS, obj, "SessionToken", err);
	kms_json_free(obj);
	return r;
}

int creds_from_process(struct creds_ask *ask, const char *command, struct aws_creds *ret,
		       struct err *err)
{
	struct buf out = {.max = OUTPUT_MAX};
	int r = run(ask, command, &out, err);

	if (r == 0)
		r = parse(ret, &out, err);
	buf_free(&out);
	return r < 0 ? r : 1;
}
