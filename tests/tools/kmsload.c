/*
 * A load of signed requests for kmsd, as light as it can be since it shares the processors with the server:
 * one thread, one epoll, kept-alive connections with one request each under way. See usage() below.
 *
 * Latency in a run of a given rate counts from the moment when a request was due, not from when a
 * connection was free for it, so a server that stalls cannot hide it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "signed.h"

#define CONNECTIONS_MAX 1000
#define REPLY_MAX	65536
#define LATENCIES_MAX	(16 << 20)

struct request {
	char *bytes;
	size_t len;
};

struct connection {
	int fd;
	struct request *request; /* NULL: free */
	size_t number;		 /* of the request, in order of sending */
	int64_t due_ns;
	size_t got;
	char reply[REPLY_MAX];
};

struct load {
	struct signer signer;
	struct request *requests;
	size_t count, room;
	bool once; /* each request once, not for a time */
	double seconds, rate;
	const char *replies; /* where bodies go, in the order of the requests; NULL: not wanted */
	char **bodies;
	struct connection *connections;
	unsigned connection_count;
	int epoll;
	int64_t begun_ns, end_ns;
	size_t begun, done, failed;
	char first_failure[512];
	uint32_t *latencies_us;
};

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "kmsload: %s: %s\n", what, why); /* the last resort */
	exit(1);
}

static void *room_for(void *old, size_t bytes)
{
	void *p = realloc(old, bytes);

	if (!p)
		die("memory", strerror(ENOMEM));
	return p;
}

static int usage(void)
{
	printf("Usage: kmsload [--connections N] [--seconds S [--rate R] | --once [--replies "
	       "FILE]] "
	       "<REQUESTS\n"
	       "REQUESTS has lines of OPERATION, tab, JSON, which are sent in turn for S seconds, "
	       "as "
	       "fast as the\nserver answers or R a second; or each once. AWS_ENDPOINT_URL, "
	       "AWS_REGION, "
	       "AWS_ACCESS_KEY_ID and\nAWS_SECRET_ACCESS_KEY say where to and how they are "
	       "signed.\n"
	       "Prints: requests answered, requests a second, p50 and p99 in milliseconds.\n");
	return 2;
}

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock always is */
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void read_requests(struct load *l)
{
	struct err err = {0};
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		char *tab = strchr(line, '\t');
		struct request *q;

		if (!tab)
			die(line, "no tab");
		line[strcspn(line, "\n")] = '\0';
		*tab = '\0';
		if (l->count == l->room) {
			l->room = l->room ? 2 * l->room : 1024;
			l->requests = room_for(l->requests, l->room * sizeof(*l->requests));
		}
		q = &l->requests[l->count++];
		if (signer_request(&l->signer, line, tab + 1, &q->bytes, &q->len, &err) < 0)
			die(line, err.msg);
	}
	free(line);
	if (l->count == 0)
		die("standard input", "no request");
}

static void connect_all(struct load *l)
{
	struct err err = {0};

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		die("epoll", strerror(errno));
	l->connections = room_for(NULL, l->connection_count * sizeof(*l->connections));
	for (unsigned i = 0; i < l->connection_count; i++) {
		struct connection *c = &l->connections[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

		c->request = NULL;
		c->got = 0;
		c->fd = signer_connect(&l->signer, &err);
		if (c->fd < 0)
			die("connection", err.msg);
		if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
			die("epoll", strerror(errno));
	}
}

/* Requests are small: a blocking write takes one whole. */
static void send_on(struct load *l, struct connection *c, int64_t due_ns)
{
	c->number = l->begun++;
	c->request = &l->requests[c->number % l->count];
	c->due_ns = due_ns;
	c->got = 0;
	if (write(c->fd, c->request->bytes, c->request->len) != (ssize_t)c->request->len)
		die(l->signer.host, "it closed a connection");
}

/* When the next request is due; INT64_MAX: there is none. */
static int64_t next_due(const struct load *l, int64_t now)
{
	int64_t due = now;

	if (l->once)
		return l->begun < l->count ? now : INT64_MAX;
	if (l->rate > 0)
		due = l->begun_ns + (int64_t)((double)l->begun / l->rate * 1e9);
	return due < l->end_ns ? due : INT64_MAX;
}

static void take_reply(struct load *l, struct connection *c, const char *body, bool ok)
{
	int64_t us = (now_ns() - c->due_ns) / 1000;

	if (!ok && l->failed++ == 0)
		(void)snprintf(l->first_failure, sizeof(l->first_failure), "%s", body); /* cut */
	if (l->done < LATENCIES_MAX)
		l->latencies_us[l->done] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
	if (l->replies)
		l->bodies[c->number] = strdup(body);
	l->done++;
	c->request = NULL;
}

static void receive(struct load *l, struct connection *c)
{
	ssize_t n = read(c->fd, c->reply + c->got, sizeof(c->reply) - 1 - c->got);
	const char *body;
	int ok;

	if (n <= 0)
		die(l->signer.host, n < 0 ? strerror(errno) : "it closed a connection");
	c->got += (size_t)n;
	c->reply[c->got] = '\0';
	body = signer_reply_body(c->reply, c->got, &ok);
	if (body)
		take_reply(l, c, body, ok);
	else if (c->got == sizeof(c->reply) - 1)
		die("reply", "too long");
}

static void show_progress(const struct load *l, int64_t now)
{
	static int64_t shown;

	if (!l->once || !isatty(STDERR_FILENO) || now - shown < 500000000)
		return;
	shown = now;
	(void)fprintf(stderr, "\r%zu of %zu, %.0f s to go   ", l->done, l->count,
		      (double)(now - l->begun_ns) / 1e9 * (double)(l->count - l->done) /
			      (double)(l->done + 1)); /* for the eye only */
}

/* Give each free connection a request that is due. Whether one is under way; *@ret_wait: until when to wait. */
static bool send_due(struct load *l, int64_t now, int64_t *ret_wait_ns)
{
	bool busy = false;

	*ret_wait_ns = INT64_MAX;
	for (unsigned i = 0; i < l->connection_count; i++) {
		struct connection *c = &l->connections[i];
		int64_t due;

		if (!c->request) {
			due = next_due(l, now);
			if (due <= now)
				send_on(l, c, due);
			else if (due < *ret_wait_ns)
				*ret_wait_ns = due;
		}
		busy = busy || c->request;
	}
	return busy;
}

static void run(struct load *l)
{
	struct epoll_event events[64];
	int64_t now = now_ns(), wait_ns;
	struct timespec timeout;
	int n;

	l->begun_ns = now;
	l->end_ns = l->once ? INT64_MAX : now + (int64_t)(l->seconds * 1e9);
	while (send_due(l, now, &wait_ns) || wait_ns != INT64_MAX) {
		wait_ns = wait_ns == INT64_MAX ? 1000000000 : wait_ns - now;
		timeout = (struct timespec){wait_ns / 1000000000, wait_ns % 1000000000};
		n = epoll_pwait2(l->epoll, events, 64, &timeout, NULL);
		for (int i = 0; i < n; i++)
			receive(l, events[i].data.ptr);
		now = now_ns();
		show_progress(l, now);
	}
	l->end_ns = now;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void write_replies(const struct load *l)
{
	FILE *f = fopen(l->replies, "w");

	for (size_t i = 0; f && i < l->count; i++)
		(void)fprintf(f, "%s\n", l->bodies[i]); /* ferror() */
	if (!f || ferror(f) || fclose(f) != 0)
		die(l->replies, strerror(errno));
}

static int report(struct load *l)
{
	size_t n = l->done < LATENCIES_MAX ? l->done : LATENCIES_MAX;

	qsort(l->latencies_us, n, sizeof(*l->latencies_us), by_value);
	if (l->once && isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\r%40s\r", ""); /* for the eye only */
	printf("%zu %.0f %.3f %.3f\n", l->done,
	       (double)l->done / ((double)(l->end_ns - l->begun_ns) / 1e9),
	       l->latencies_us[n / 2] / 1e3, l->latencies_us[n * 99 / 100] / 1e3);
	if (!l->failed)
		return 0;
	(void)fprintf(stderr, "kmsload: %zu of %zu refused, the first: %s\n", l->failed, l->done,
		      l->first_failure); /* the last resort */
	return 1;
}

static bool read_options(struct load *l, char **argv)
{
	for (; *argv; argv++) {
		if (strcmp(*argv, "--once") == 0) {
			l->once = true;
			continue;
		}
		if (!argv[1])
			return false;
		if (strcmp(*argv, "--connections") == 0)
			l->connection_count = (unsigned)atoi(argv[1]);
		else if (strcmp(*argv, "--seconds") == 0)
			l->seconds = atof(argv[1]);
		else if (strcmp(*argv, "--rate") == 0)
			l->rate = atof(argv[1]);
		else if (strcmp(*argv, "--replies") == 0)
			l->replies = argv[1];
		else
			return false;
		argv++;
	}
	return l->connection_count > 0 && l->connection_count <= CONNECTIONS_MAX &&
	       (l->once ? l->seconds == 0 : l->seconds > 0 && !l->replies);
}

int main(int argc, char **argv)
{
	struct load l = {.connection_count = 16};
	struct err err = {0};

	(void)argc;
	if (!read_options(&l, argv + 1))
		return usage();
	if (signer_init(&l.signer, &err) < 0)
		die("environment", err.msg);
	read_requests(&l);
	connect_all(&l);
	l.latencies_us = room_for(NULL, LATENCIES_MAX * sizeof(*l.latencies_us));
	if (l.replies)
		l.bodies = room_for(NULL, l.count * sizeof(*l.bodies));
	run(&l);
	if (l.replies)
		write_replies(&l);
	return report(&l);
}
