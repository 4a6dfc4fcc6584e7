/*
 * How long kmsd takes from its start to its first reply: starts the command given, reads what it exports, sends one
 * signed request, ends it. Prints milliseconds.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "signed.h"

static int die(const char *what, const char *why)
{
	(void)fprintf(stderr, "kmsdstart: %s: %s\n", what, why); /* the last resort */
	exit(1);
}

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock always is */
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static pid_t start(char **argv, FILE **ret_out)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds) < 0)
		die("pipe", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork", strerror(errno));
	if (pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO); /* what fails shows in what is read */
		(void)close(fds[0]);
		(void)close(fds[1]);
		(void)execv(argv[0], argv);
		_exit(127);
	}
	(void)close(fds[1]); /* ours only */
	*ret_out = fdopen(fds[0], "r");
	return pid;
}

/* Take over what it exports, until it is ready. */
static void read_exports(FILE *out)
{
	char line[1024], name[64], value[512];

	while (out && fgets(line, sizeof(line), out)) {
		if (sscanf(line, "export %63[A-Z_]=%511s", name, value) == 2)
			(void)setenv(name, value, 1); /* else signer_init() misses it */
		if (strncmp(line, "kmsd: ready", strlen("kmsd: ready")) == 0)
			return;
	}
	die("kmsd", "it ended before it was ready");
}

static void ask(void)
{
	char reply[65536] = "", *request;
	struct signer signer;
	struct err err = {0};
	size_t len, got = 0;
	const char *body = NULL;
	int ok = 0, fd;

	if (signer_init(&signer, &err) < 0 ||
	    signer_request(&signer, "ListKeys", "{\"Limit\":1}", &request, &len, &err) < 0)
		die("request", err.msg);
	fd = signer_connect(&signer, &err);
	if (fd < 0 || write(fd, request, len) != (ssize_t)len)
		die("connection", fd < 0 ? err.msg : strerror(errno));
	while (!body && got < sizeof(reply) - 1) {
		ssize_t n = read(fd, reply + got, sizeof(reply) - 1 - got);

		if (n <= 0)
			die("reply", "it is not whole");
		got += (size_t)n;
		reply[got] = '\0';
		body = signer_reply_body(reply, got, &ok);
	}
	if (!ok)
		die("reply", reply);
	free(request);
	(void)close(fd); /* nothing is lost */
}

int main(int argc, char **argv)
{
	double begun = now_ms();
	FILE *out = NULL;
	pid_t pid;
	int status;

	if (argc < 2)
		return die("usage", "kmsdstart KMSD OPTION...");
	pid = start(argv + 1, &out);
	read_exports(out);
	ask();
	printf("%.1f\n", now_ms() - begun);
	(void)kill(pid, SIGTERM); /* waitpid() tells */
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return die("kmsd", "it did not end well");
	return 0;
}
