/* kmsd's HTTP server on real sockets: slow, idle, too many, too large, and what is no HTTP. */
#include "kmsd_rig.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "fault.h"
#include "http.h"
#include "http_conn.h"
#include "http_parse.h"

#define IDLE 1000

struct site {
	struct rig *rig;
	struct http_server *http;
	uint16_t port;
};

static void answer(void *arg, const struct flow_request *request, int64_t real_ms,
		   struct flow_reply *ret)
{
	(void)real_ms; /* the rig's clock counts */
	flow_handle(arg, request, RIG_NOW_MS, ret);
}

static void begin(void **state, struct site *s, unsigned timeout_s, unsigned connections)
{
	struct http_config config = {.address = "127.0.0.1",
				     .timeout_s = timeout_s,
				     .threads = 2,
				     .connections = connections};
	struct err err = {0};

	s->rig = *state;
	if (http_start(answer, &s->rig->kmsd, &config, &s->http, &s->port, &err) < 0)
		fail_msg("%s", err.msg);
}

static int dial(const struct site *s)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(s->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Read until @want stands in what came, or the end (NULL); the text is the next call's to overwrite. */
static const char *hear(int fd, const char *want)
{
	static char text[65536];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;

	text[0] = '\0';
	while (!want || !strstr(text, want)) {
		if (poll(&p, 1, 20000) != 1)
			fail_msg("nothing comes; so far: %s", text);
		n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0) {
			if (want)
				fail_msg("'%s' does not come, but: %s", want, text);
			return text;
		}
		text[len += (size_t)n] = '\0';
	}
	return text;
}

#define UNSIGNED                                                                                   \
	"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.ListKeys\r\nContent-Length: "    \
	"2\r\n\r\n{}"
#define MISSING "MissingAuthenticationTokenException"

/* The server answers a request on a connection of its own. */
static void serves(const struct site *s)
{
	int fd = dial(s);

	say(fd, UNSIGNED);
	(void)hear(fd, MISSING);
	close(fd);
}

static void requests_follow_each_other_on_a_connection(void **state)
{
	struct site s;
	const char *text;
	int fd;

	begin(state, &s, 30, 100);
	fd = dial(&s);
	say(fd, UNSIGNED);
	text = hear(fd, MISSING);
	assert_non_null(strstr(text, "HTTP/1.1 400 Bad Request\r\n"));
	assert_non_null(strstr(text, "\r\nDate: "));
	assert_null(strstr(text, "Connection: close"));
	say(fd, "\r\n" UNSIGNED); /* an empty line before it does no harm */
	(void)hear(fd, MISSING);
	say(fd, UNSIGNED UNSIGNED UNSIGNED); /* at once */
	text = hear(fd, MISSING "\",\"message\":\"Request is missing Authentication Token\"}");
	close(fd);
	fd = dial(&s);
	say(fd, UNSIGNED UNSIGNED
	    "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nTrailer: z\r\n\r\n");
	text = hear(fd, NULL);
	for (int i = 0; i < 2; i++) {
		text = strstr(text, MISSING);
		assert_non_null(text);
		text++;
	}
	assert_non_null(strstr(text, "UnknownOperationException"));
	assert_non_null(strstr(text, "Connection: close"));
	close(fd);
	http_stop(s.http);
}

static void what_is_no_request_is_answered_in_awss_form(void **state)
{
	static const char *const rows[][2] = {
		{"garbage\r\n\r\n", "HTTP/1.1 400 "},
		{"\x16\x03\x01\x02", "This is not HTTP."}, /* TLS; no end of a head comes */
		{"POST / HTTP/2.0\r\n\r\n", "HTTP/1.1 505 "},
		{"POST / HTTP/1.1\r\n\r\n", "One Host header is required."},
		{"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "One Host header is required."},
		{"POST / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "A header is malformed."},
		{"POST / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", "A header is malformed."},
		{"POST / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "does not belong there"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "length of the body"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		 "length of the body"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n",
		 "length of the body"},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 "},
		{"POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", "HTTP/1.1 417 "},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		 "The body's chunks are malformed."},
	};
	struct site s;

	begin(state, &s, 30, 100);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = dial(&s);
		const char *text;

		say(fd, rows[i][0]);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		text = hear(fd, NULL);
		if (!strstr(text, rows[i][1]))
			fail_msg("%s: %s", rows[i][0], text);
		assert_non_null(strstr(text, "{\"__type\":\"MalformedHttpRequestException\""));
		assert_non_null(strstr(text, "x-amzn-RequestId: "));
		assert_non_null(strstr(text, "Connection: close"));
		close(fd);
	}
	serves(&s);
	http_stop(s.http);
}

static void oversize_is_answered_and_stops_nobody(void **state)
{
	char *much = malloc(2 << 20);
	struct site s;
	int fd;

	begin(state, &s, 30, 100);
	memset(much, 'a', 2 << 20);
	fd = dial(&s);
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nX: ");
	assert_int_equal(send(fd, much, 40000, MSG_NOSIGNAL), 40000);
	(void)hear(fd, "MalformedHttpRequestException");
	close(fd);

	fd = dial(&s); /* announced, and sent all the same without waiting for an answer */
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n");
	assert_int_equal(send(fd, much, 2 << 20, MSG_NOSIGNAL), 2 << 20);
	assert_non_null(strstr(hear(fd, NULL), "RequestEntityTooLargeException"));
	close(fd);

	fd = dial(&s); /* not announced */
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n");
	assert_int_equal(send(fd, much, 2 << 20, MSG_NOSIGNAL), 2 << 20);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_non_null(strstr(hear(fd, NULL), "RequestEntityTooLargeException"));
	close(fd);

	fd = dial(&s); /* one who waits is told to go on, or not to */
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	(void)hear(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "{}");
	(void)hear(fd, "UnknownOperationException");
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
		"2000000\r\n\r\n");
	assert_null(strstr(hear(fd, "RequestEntityTooLargeException"), "100 Continue"));
	close(fd);
	serves(&s);
	free(much);
	http_stop(s.http);
}

/* One byte every 50 ms: never idle, and never done. */
static void drip(const struct site *s, const char *head, const char *drop)
{
	int64_t began = http_now_ms(), took;
	struct pollfd p = {.fd = dial(s), .events = POLLIN};

	say(p.fd, head);
	while (poll(&p, 1, 50) == 0) {
		if (send(p.fd, drop, 1, MSG_NOSIGNAL) != 1)
			break;
		if (http_now_ms() - began > 15000)
			fail_msg("a drip-feeding client is not ended");
	}
	took = http_now_ms() - began;
	if (took < 900)
		fail_msg("it was ended after %d ms", (int)took);
	(void)hear(p.fd, "HTTP/1.1 408 Request Timeout");
	close(p.fd);
}

static void dripping_does_not_prolong_a_request(void **state)
{
	struct site s;
	int fd;

	begin(state, &s, 1, 100);
	drip(&s, "POST / HTTP/1.1\r\nHost: ", "x");
	serves(&s);
	drip(&s, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", " ");
	drip(&s, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", " ");
	fd = dial(&s); /* idle: ended without a word */
	assert_string_equal(hear(fd, NULL), "");
	close(fd);
	http_stop(s.http);
}

static void a_client_that_does_not_read_is_ended(void **state)
{
	static const char request[] = "GET /%7f HTTP/1.1\r\nHost: x\r\n\r\n";
	char *many = malloc(100000 * sizeof(request));
	struct site s;
	size_t len = 0;
	ssize_t n = 1;
	struct pollfd p = {0};
	int fd, small = 4096;

	begin(state, &s, 1, 100);
	for (int i = 0; i < 100000; i++, len += sizeof(request) - 1)
		memcpy(many + len, request, sizeof(request));
	fd = dial(&s);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	for (size_t sent = 0; sent < len && n > 0; sent += (size_t)n)
		n = send(fd, many + sent, len - sent, MSG_NOSIGNAL); /* until it is reset */
	serves(&s);
	p.fd = fd;
	assert_int_equal(poll(&p, 1, 20000), 1); /* nothing is asked for but this: it was reset */
	close(fd);
	free(many);
	http_stop(s.http);
}

static bool ended(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	return poll(&p, 1, 0) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

static void a_thousand_idle_connections_stop_nobody(void **state)
{
	struct rlimit limit;
	int fds[IDLE];
	struct site s;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	begin(state, &s, 60, 4096);
	for (int i = 0; i < IDLE; i++) {
		fds[i] = dial(&s);
		if (i % 2)
			say(fds[i], "POST / HTTP/1.1\r\nHost: "); /* half of them half a request */
	}
	for (int i = 0; i < 20; i++)
		serves(&s);
	for (int i = 0; i < IDLE; i++)
		assert_false(ended(fds[i]));
	for (int i = 0; i < IDLE; i += 100) { /* each can still be used */
		say(fds[i], UNSIGNED);
		(void)hear(fds[i], MISSING);
	}
	for (int i = 0; i < IDLE; i++)
		close(fds[i]);
	http_stop(s.http);
}

static void at_the_limit_the_idlest_makes_room(void **state)
{
	struct site s;
	int a, b, c;

	begin(state, &s, 60, 2);
	a = dial(&s);
	say(a, UNSIGNED);
	(void)hear(a, MISSING);
	usleep(20000); /* the clock that tells which is the idlest has milliseconds */
	b = dial(&s);
	say(b, UNSIGNED);
	(void)hear(b, MISSING);
	usleep(20000);
	say(a, UNSIGNED); /* now b is the idlest */
	(void)hear(a, MISSING);
	c = dial(&s);
	say(c, UNSIGNED);
	(void)hear(c, MISSING);
	assert_string_equal(hear(b, NULL), "");
	say(a, UNSIGNED);
	(void)hear(a, MISSING);
	close(a);
	close(b);
	close(c);
	http_stop(s.http);
}

static void count(void *arg, const struct flow_request *request, int64_t real_ms,
		  struct flow_reply *ret)
{
	(void)request;
	(void)real_ms;
	++*(int *)arg;
	flow_refuse(FAULT_MALFORMED_HTTP, 400, "", ret);
}

/* Else one who never stops to send keeps a thread for good, and the server from its end. */
static void many_requests_at_once_leave_others_their_turn(void **state)
{
	char many[300 * (sizeof(UNSIGNED) - 1) + 1] = "";
	int answered = 0, fds[2];
	atomic_size_t held = 0;
	struct http_site site = {
		.handler = count, .arg = &answered, .timeout_ms = 20000, .held = &held};
	char scratch[HTTP_SCRATCH_LEN], replies[8192];
	struct http_conn *c;
	enum http_want want;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	c = http_conn_new(fds[0], "127.0.0.1", &site);
	assert_non_null(c);
	for (size_t i = 0; i < 300; i++)
		memcpy(many + i * (sizeof(UNSIGNED) - 1), UNSIGNED, sizeof(UNSIGNED));
	say(fds[1], many);
	for (int before = 0; (want = http_conn_run(c, &site, scratch)) != HTTP_READ;
	     before = answered) {
		assert_int_equal(want, HTTP_TURN);
		assert_in_range(answered - before, 1, 64);
		while (recv(fds[1], replies, sizeof(replies), 0) > 0)
			;
	}
	assert_int_equal(answered, 300);
	http_conn_free(c);
	close(fds[1]);
}

/* One run of a connection to which the head of a request and @len bytes of its body came; its reply. */
static void run_body(atomic_size_t *held, size_t len, char ret[512])
{
	int answered = 0, fds[2];
	struct http_site site = {
		.handler = count, .arg = &answered, .timeout_ms = 20000, .held = held};
	char scratch[HTTP_SCRATCH_LEN], head[128];
	char *body = calloc(1, len);
	struct http_conn *c;
	ssize_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	c = http_conn_new(fds[0], "127.0.0.1", &site);
	assert_non_null(c);
	(void)snprintf(head, sizeof(head),
		       "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", len);
	say(fds[1], head);
	assert_int_equal(send(fds[1], body, len, 0), len);
	(void)http_conn_run(c, &site, scratch);
	n = recv(fds[1], ret, 511, 0);
	assert_true(n > 0);
	ret[n] = '\0';
	http_conn_free(c);
	close(fds[1]);
	free(body);
}

static void bodies_have_a_limit_together(void **state)
{
	atomic_size_t held = 0;
	char reply[512];

	(void)state;
	run_body(&held, 40000, reply);
	assert_non_null(strstr(reply, "HTTP/1.1 400 ")); /* the handler's */
	assert_int_equal(held, 0);
	held = HTTP_HELD_MAX; /* others' */
	run_body(&held, 40000, reply);
	assert_non_null(strstr(reply, "HTTP/1.1 503 Service Unavailable\r\n"));
	assert_non_null(strstr(reply, "Too many large requests at a time."));
	run_body(&held, 10000, reply);
	assert_non_null(strstr(reply, "HTTP/1.1 400 "));
	assert_int_equal(held, HTTP_HELD_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_follow_each_other_on_a_connection),
		TEST(what_is_no_request_is_answered_in_awss_form),
		TEST(oversize_is_answered_and_stops_nobody),
		TEST(dripping_does_not_prolong_a_request),
		TEST(a_client_that_does_not_read_is_ended),
		TEST(a_thousand_idle_connections_stop_nobody),
		TEST(at_the_limit_the_idlest_makes_room),
		TEST(many_requests_at_once_leave_others_their_turn),
		TEST(bodies_have_a_limit_together),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
