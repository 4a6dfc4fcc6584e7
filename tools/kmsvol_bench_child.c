/* Running other programs. See kmsvol_bench_child.h. */
#include "kmsvol_bench_child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "secret.h"
#include "textfile.h"

#define PAUSE_MS     5
#define END_MS	     10000
#define OUTPUT_MAX   (1024 * 1024)
#define SAID_AT_MOST 400

static void pause_ms(unsigned ms)
{
	const struct timespec t = {.tv_nsec = (long)ms * 1000000L};

	(void)nanosleep(&t, NULL);
}

bool child_find(const char *program, char *ret)
{
	const char *path = getenv("PATH");
	char *dirs = NULL, *save = NULL;
	bool found = false;

	if (strchr(program, '/')) {
		(void)snprintf(ret, PATH_MAX, "%s", program);
		return access(ret, X_OK) == 0;
	}
	if (asprintf(&dirs, "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin") < 0)
		return false;
	for (char *dir = strtok_r(dirs, ":", &save); dir && !found;
	     dir = strtok_r(NULL, ":", &save))
		found = snprintf(ret, PATH_MAX, "%s/%s", dir, program) < PATH_MAX &&
			access(ret, X_OK) == 0;
	free(dirs);
	return found;
}

/* In the child, where only few functions may be called. Does not return. */
static void become(pid_t parent, const char *path, const char *const argv[], int out_fd, int err_fd)
{
	sigset_t none;
	int null_fd = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	(void)setpgid(0, 0); /* Ctrl-C is for the bench, which ends us in order */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent && null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 &&
	    dup2(out_fd, STDOUT_FILENO) >= 0 && dup2(err_fd, STDERR_FILENO) >= 0) {
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)close_range(3, ~0U, 0);
		execv(path, (char *const *)(uintptr_t)argv);
	}
	_exit(127);
}

static int output_open(const char *dir, const char *name, const char *kind)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s.%s", dir, name, kind) >= (int)sizeof(path))
		return -1;
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

int child_start(const char *dir, const char *name, const char *const argv[], pid_t *ret_pid,
		struct err *err)
{
	pid_t parent = getpid(), pid = -1;
	char path[PATH_MAX];
	int out_fd, err_fd, num = EIO;

	if (!child_find(argv[0], path))
		return err_set(err, ENOENT, "there is no '%s' here", argv[0]);
	out_fd = output_open(dir, name, "out");
	err_fd = output_open(dir, name, "err");
	if (out_fd >= 0 && err_fd >= 0) {
		pid = fork();
		if (pid == 0)
			become(parent, path, argv, out_fd, err_fd);
	}
	if (pid < 0)
		num = errno;
	if (out_fd >= 0)
		(void)close(out_fd); /* ours were not written through */
	if (err_fd >= 0)
		(void)close(err_fd);
	if (pid < 0)
		return err_set(err, num, "cannot start '%s': %s", argv[0], strerror(num));
	*ret_pid = pid;
	return 0;
}

bool child_ended(pid_t pid, int *ret_status)
{
	pid_t r;

	do
		r = waitpid(pid, ret_status, WNOHANG);
	while (r < 0 && errno == EINTR);
	return r != 0;
}

void child_end(pid_t pid)
{
	uint64_t begun = clock_monotonic_ms();
	int status;

	if (pid <= 0 || child_ended(pid, &status))
		return;
	(void)kill(pid, SIGTERM);
	while (!child_ended(pid, &status)) {
		if (clock_monotonic_ms() - begun > END_MS)
			(void)kill(pid, SIGKILL);
		pause_ms(PAUSE_MS);
	}
}

void child_last_line(const char *dir, const char *name, char *ret, size_t room)
{
	AUTO(freep) char *text = NULL;
	char path[PATH_MAX];
	char *line;
	size_t len;

	ret[0] = '\0';
	if (snprintf(path, sizeof(path), "%s/%s.err", dir, name) >= (int)sizeof(path) ||
	    textfile_read(AT_FDCWD, path, OUTPUT_MAX, &text) < 0)
		return;
	len = strlen(text);
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	line = strrchr(text, '\n');
	(void)snprintf(ret, room, "%s", line ? line + 1 : text); /* may be cut */
}

int child_run(const char *dir, const char *name, const char *const argv[], uint64_t timeout_ms,
	      const atomic_bool *stop, struct err *err)
{
	uint64_t begun = clock_monotonic_ms();
	char said[SAID_AT_MOST];
	pid_t pid;
	int status = 0, r = child_start(dir, name, argv, &pid, err);

	if (r < 0)
		return r;
	while (!child_ended(pid, &status)) {
		bool late = clock_monotonic_ms() - begun > timeout_ms;

		if (late || atomic_load(stop)) {
			child_end(pid);
			return late ? err_set(err, ETIMEDOUT, "'%s' takes too long", argv[0])
				    : err_set(err, EINTR, "interrupted");
		}
		pause_ms(PAUSE_MS);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	child_last_line(dir, name, said, sizeof(said));
	return err_set(err, EIO, "'%s' fails: %s", argv[0], said);
}

double child_cpu_s(pid_t pid)
{
	AUTO(freep) char *text = NULL;
	unsigned long long user, system;
	const char *behind_name;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid); /* fits */
	if (pid <= 0 || textfile_read(AT_FDCWD, path, 4096, &text) < 0)
		return -1;
	behind_name = strrchr(text, ')'); /* which may have anything in it */
	if (!behind_name ||
	    sscanf(behind_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
		   &system) != 2)
		return -1;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}
