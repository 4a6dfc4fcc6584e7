/*
 * One connection. See http_conn.h.
 *
 * phase     | waits for                             | leaves it when
 * HANDSHAKE | TLS                                   | TLS is up -> HEAD
 * HEAD      | a request's head, or nothing at all   | it is whole -> BODY or REPLY
 * BODY      | the rest of its body                  | it is whole -> REPLY
 * REPLY     | the client to take the reply          | all is sent -> HEAD, LINGER or closed
 * LINGER    | the client to stop sending            | it closes; only so can it read a reply that came too early
 */
#include "http_conn.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "fault.h"
#include "flow.h"
#include "http_parse.h"
#include "http_reply.h"
#include "http_tls.h"

#define LINGER_MAX   (UINT64_C(256) << 20) /* bytes that are read for nothing before a reset */
#define KEEP_CAP     HTTP_SMALL_BODY	   /* of a buffer, from one request to the next */
#define LAST_WORD_MS 1000		   /* for a reply to one who was too slow */
#define TURN_STEPS   64 /* reads, requests and replies before others have their turn */

enum phase { HANDSHAKE, HEAD, BODY, REPLY, LINGER };

struct http_conn {
	struct http_watch watch;
	struct http_tls_conn *tls; /* NULL: plain */
	char address[46];
	enum phase phase;
	enum http_want tls_want;

	struct buf unread; /* came, and was not looked at yet */
	struct buf head, body, out;
	struct http_head parsed; /* its texts lie in head */
	struct http_chunks chunks;
	atomic_size_t *all_held; /* the site's */
	size_t held;		 /* of it, this one's */
	size_t sent;		 /* of out */
	uint64_t lingered;	 /* bytes */
	bool answering;		 /* parsed is a request's */
	bool last;		 /* close behind the reply */
	bool linger;		 /* there may be more of the request to come */
};

int64_t http_now_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock always is */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct http_watch *http_conn_watch(struct http_conn *c)
{
	return &c->watch;
}

static void set_deadline(struct http_conn *c, int64_t ms_from_now)
{
	atomic_store(&c->watch.deadline_ms, http_now_ms() + ms_from_now);
}

struct http_conn *http_conn_new(int fd, const char *address, const struct http_site *site)
{
	struct http_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (site->tls && !(c->tls = http_tls_accept(site->tls, fd))) {
		free(c);
		return NULL;
	}
	c->all_held = site->held;
	c->watch.conn = c;
	c->watch.fd = fd;
	c->phase = c->tls ? HANDSHAKE : HEAD;
	c->unread.max = HTTP_SCRATCH_LEN;
	c->head.max = HTTP_HEAD_MAX;
	c->body.max = HTTP_BODY_MAX;
	c->out.max = SIZE_MAX;
	(void)snprintf(c->address, sizeof(c->address), "%s", address); /* fits */
	atomic_store(&c->watch.active_ms, http_now_ms());
	set_deadline(c, site->timeout_ms);
	return c;
}

/* The body has changed its size: whether there is memory for it, with all others. */
static bool count_body(struct http_conn *c)
{
	size_t more = c->body.cap - c->held; /* less: modulo 2^64, as the sum */
	size_t all = atomic_fetch_add(c->all_held, more) + more;

	c->held = c->body.cap;
	return all <= HTTP_HELD_MAX || c->body.len <= HTTP_SMALL_BODY;
}

void http_conn_free(struct http_conn *c)
{
	http_tls_conn_free(c->tls);
	(void)close(c->watch.fd); /* a reply that was not taken is lost either way */
	buf_free(&c->unread);
	buf_free(&c->head);
	buf_free(&c->body);
	(void)count_body(c); /* there is none */
	buf_free(&c->out);
	free(c);
}

/* --- the socket: bytes moved, 0 at the end, -EAGAIN, or what broke --- */

static ssize_t receive(struct http_conn *c, char *bytes, size_t len)
{
	ssize_t n;

	if (c->tls)
		return http_tls_read(c->tls, bytes, len, &c->tls_want);
	do
		n = recv(c->watch.fd, bytes, len, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t transmit(struct http_conn *c, const void *bytes, size_t len)
{
	ssize_t n;

	if (c->tls)
		return http_tls_write(c->tls, bytes, len, &c->tls_want);
	do
		n = send(c->watch.fd, bytes, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* What to wait for after -EAGAIN of one of these. */
static enum http_want wanted(const struct http_conn *c, enum http_want plain)
{
	return c->tls ? c->tls_want : plain;
}

static void reset(struct buf *b)
{
	if (b->cap > KEEP_CAP) {
		buf_free(b);
		return;
	}
	if (b->len)
		OPENSSL_cleanse(b->bytes, b->len);
	b->len = 0;
}

/* --- replies --- */

static enum http_want queue_reply(struct http_conn *c, const struct flow_reply *reply)
{
	bool headless = c->answering && strcmp(c->parsed.method, "HEAD") == 0;
	const char *connection = c->last			 ? "Connection: close\r\n"
				 : c->answering && c->parsed.old ? "Connection: keep-alive\r\n"
								 : "";
	int r;

	reset(&c->out);
	r = http_reply_head(reply, connection, &c->out);
	if (r == 0 && reply->body_len && !headless)
		r = buf_append(&c->out, reply->body, reply->body_len);
	c->sent = 0;
	c->phase = REPLY;
	return r < 0 ? HTTP_CLOSE : HTTP_WRITE;
}

/* A reply to what is no request, or not one that can be taken; the connection ends with it. */
static enum http_want refuse(struct http_conn *c, enum fault fault, unsigned status,
			     const char *why)
{
	struct flow_reply reply;
	enum http_want want;

	c->last = c->linger = true;
	flow_refuse(fault, status, why, &reply);
	want = queue_reply(c, &reply);
	flow_reply_free(&reply);
	return want;
}

/* What was asked for by a fault: the reply is ready, and goes out late, in part or not at all. */
static void note_faults(struct http_conn *c, const struct flow_reply *reply)
{
	c->watch.delay_ms = reply->delay_ms;
	if (reply->drop || (reply->cut && !reply->body_len))
		c->out.len = 0;
	else if (reply->cut)
		c->out.len -= reply->body_len - reply->body_len / 2;
}

/* The request is whole, or too large. */
static enum http_want answer(struct http_conn *c, const struct http_site *site, bool too_large)
{
	struct flow_request request = {
		.http = {.method = c->parsed.method,
			 .path = c->parsed.path,
			 .query = c->parsed.query,
			 .headers = c->parsed.headers,
			 .header_count = c->parsed.header_count,
			 .body = c->body.bytes ? (const void *)c->body.bytes : "",
			 .body_len = c->body.len},
		.address = c->address,
		.secure = c->tls != NULL,
		.too_large = too_large,
	};
	struct flow_reply reply;
	struct timespec now = {0};
	enum http_want want;

	c->last = too_large || !c->parsed.keep_alive;
	c->linger = too_large;
	c->answering = true;
	atomic_store(&c->watch.deadline_ms, INT64_MAX);
	(void)clock_gettime(CLOCK_REALTIME, &now); /* this clock always is */
	site->handler(site->arg, &request, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
		      &reply);
	c->last = c->last || reply.cut || reply.drop;
	want = queue_reply(c, &reply);
	note_faults(c, &reply);
	flow_reply_free(&reply);
	c->answering = false;
	reset(&c->body);
	(void)count_body(c); /* it became less */
	reset(&c->head);
	if (c->watch.delay_ms > 0)
		return HTTP_WAIT; /* no deadline: the client waits for us */
	set_deadline(c, site->timeout_ms);
	return want;
}

/* --- the phases; each returns what to do next, HTTP_WRITE also for a reply that now waits --- */

/* "100 Continue" goes out at once: before the body nothing else does, so there is room for it. */
static enum http_want say_continue(struct http_conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	return transmit(c, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 ? HTTP_READ
										: HTTP_CLOSE;
}

static enum http_want begin_body(struct http_conn *c, const struct http_site *site, bool body_came)
{
	c->chunks = (struct http_chunks){0};
	if (c->parsed.body_len > HTTP_BODY_MAX)
		return answer(c, site, true);
	if (!c->parsed.chunked && c->parsed.body_len == 0)
		return answer(c, site, false);
	c->phase = BODY;
	return c->parsed.expects_continue && !c->parsed.old && !body_came ? say_continue(c)
									  : HTTP_READ;
}

static enum http_want take_head(struct http_conn *c, const struct http_site *site,
				const char *bytes, size_t len, size_t *ret_used)
{
	size_t blank = 0, seen = c->head.len, n, whole;
	const char *why;
	unsigned status;

	if (seen == 0) {
		while (blank < len && (bytes[blank] == '\r' || bytes[blank] == '\n'))
			blank++; /* RFC 9112 section 2.2 */
		if (blank < len)
			set_deadline(c, site->timeout_ms); /* for all of the request */
	}
	n = len - blank < HTTP_HEAD_MAX - seen ? len - blank : HTTP_HEAD_MAX - seen;
	*ret_used = blank + n;
	if (n > 0 && buf_append(&c->head, bytes + blank, n) < 0)
		return HTTP_CLOSE;
	if (c->head.len && !isalpha(c->head.bytes[0])) /* TLS, perhaps: it will never be a head */
		return refuse(c, FAULT_MALFORMED_HTTP, 400, "This is not HTTP.");
	whole = http_head_len((const char *)c->head.bytes, c->head.len, seen);
	if (!whole)
		return c->head.len < HTTP_HEAD_MAX
			       ? HTTP_READ
			       : refuse(c, FAULT_MALFORMED_HTTP, 431, "The headers are too large.");
	*ret_used = blank + whole - seen;
	c->head.len = whole;
	status = http_parse_head((char *)c->head.bytes, whole, &c->parsed, &why);
	return status ? refuse(c, FAULT_MALFORMED_HTTP, status, why)
		      : begin_body(c, site, *ret_used < len);
}

/* More than all may have together; it may be otherwise when the client tries again, as AWS's do. */
static enum http_want refuse_body(struct http_conn *c)
{
	buf_free(&c->body);
	(void)count_body(c); /* there is none */
	return refuse(c, FAULT_SERVICE_UNAVAILABLE, 0, "Too many large requests at a time.");
}

static enum http_want take_body(struct http_conn *c, const struct http_site *site,
				const char *bytes, size_t len, size_t *ret_used)
{
	size_t n;
	int r;

	if (c->parsed.chunked) {
		r = http_chunks_feed(&c->chunks, bytes, len, &c->body, ret_used);
		if (r == -EINVAL)
			return refuse(c, FAULT_MALFORMED_HTTP, 400,
				      "The body's chunks are malformed.");
		if (r == -EMSGSIZE)
			return answer(c, site, true);
		if (r < 0)
			return HTTP_CLOSE;
		return !count_body(c) ? refuse_body(c)
		       : r == 0	      ? HTTP_READ
				      : answer(c, site, false);
	}
	n = (size_t)c->parsed.body_len - c->body.len;
	*ret_used = n = n < len ? n : len;
	if (buf_append(&c->body, bytes, n) < 0)
		return HTTP_CLOSE;
	if (!count_body(c))
		return refuse_body(c);
	return c->body.len < c->parsed.body_len ? HTTP_READ : answer(c, site, false);
}

/* Look at what came. *@ret_used of the bytes are done with. */
static enum http_want take(struct http_conn *c, const struct http_site *site, const char *bytes,
			   size_t len, size_t *ret_used)
{
	switch (c->phase) {
	case HEAD:
		return take_head(c, site, bytes, len, ret_used);
	case BODY:
		return take_body(c, site, bytes, len, ret_used);
	default: /* LINGER */
		*ret_used = len;
		c->lingered += len;
		return c->lingered > LINGER_MAX ? HTTP_CLOSE : HTTP_READ;
	}
}

static enum http_want take_unread(struct http_conn *c, const struct http_site *site)
{
	size_t used = 0;
	enum http_want want = take(c, site, (char *)c->unread.bytes, c->unread.len, &used);

	memmove(c->unread.bytes, c->unread.bytes + used, c->unread.len - used);
	c->unread.len -= used;
	if (c->unread.len == 0)
		OPENSSL_cleanse(c->unread.bytes, c->unread.cap);
	return want;
}

/* Read once, look at it; what is left over waits in unread. *@ret_dry: there is no more for now. */
static enum http_want read_on(struct http_conn *c, const struct http_site *site, char *scratch,
			      bool *ret_dry)
{
	ssize_t n = receive(c, scratch, HTTP_SCRATCH_LEN);
	enum http_want want;
	size_t used = 0;

	*ret_dry = n == -EAGAIN;
	if (n <= 0)
		return n == -EAGAIN ? wanted(c, HTTP_READ) : HTTP_CLOSE;
	*ret_dry = !c->tls && n < HTTP_SCRATCH_LEN;
	atomic_store(&c->watch.active_ms, http_now_ms());
	want = take(c, site, scratch, (size_t)n, &used);
	if (want != HTTP_CLOSE && used < (size_t)n &&
	    buf_append(&c->unread, scratch + used, (size_t)n - used) < 0)
		want = HTTP_CLOSE;
	OPENSSL_cleanse(scratch, (size_t)n);
	return want;
}

/* HTTP_READ: all is sent. */
static enum http_want send_on(struct http_conn *c, const struct http_site *site)
{
	while (c->sent < c->out.len) {
		ssize_t n = transmit(c, c->out.bytes + c->sent, c->out.len - c->sent);

		if (n == -EAGAIN)
			return wanted(c, HTTP_WRITE);
		if (n <= 0)
			return HTTP_CLOSE;
		c->sent += (size_t)n;
		atomic_store(&c->watch.active_ms, http_now_ms());
	}
	reset(&c->out);
	set_deadline(c, site->timeout_ms);
	if (!c->last) {
		c->phase = HEAD;
		return HTTP_READ;
	}
	http_tls_bye(c->tls);
	if (!c->linger)
		return HTTP_CLOSE;
	if (!c->tls && shutdown(c->watch.fd, SHUT_WR) < 0)
		return HTTP_CLOSE;
	c->phase = LINGER;
	return HTTP_READ;
}

/* The deadline is past: one who sent half a request is told, the others are not. */
static enum http_want give_up(struct http_conn *c)
{
	enum http_want want;

	if (c->phase != BODY && (c->phase != HEAD || c->head.len == 0))
		return HTTP_CLOSE;
	atomic_store(&c->watch.expired, false);
	set_deadline(c, LAST_WORD_MS);
	want = refuse(c, FAULT_REQUEST_TIMEOUT, 0, "The request did not arrive in time.");
	c->linger = false;
	return want;
}

enum http_want http_conn_run(struct http_conn *c, const struct http_site *site, char *scratch)
{
	enum http_want want = HTTP_READ;
	bool dry = false;
	int steps = 0;

	/* With the store at the end: what the thread before wrote is seen, whatever epoll promises. */
	(void)atomic_load(&c->watch.sends);
	if (c->watch.delay_ms > 0) { /* it is over */
		c->watch.delay_ms = 0;
		set_deadline(c, site->timeout_ms);
	}
	if (atomic_load(&c->watch.expired) && give_up(c) == HTTP_CLOSE)
		return HTTP_CLOSE;
	if (c->phase == HANDSHAKE) {
		int r = http_tls_handshake(c->tls, &c->tls_want);

		if (r < 0)
			return r == -EAGAIN ? c->tls_want : HTTP_CLOSE;
		c->phase = HEAD;
	}
	while (want != HTTP_CLOSE) {
		if (want == HTTP_WAIT)
			return want;
		if (c->phase == REPLY) {
			want = send_on(c, site);
			if (c->phase == REPLY)
				break;
		} else if (dry && c->unread.len == 0) {
			break;
		} else if (++steps > TURN_STEPS) {
			want = HTTP_TURN; /* one who sends without end must not keep the thread */
			break;
		} else if (c->unread.len) {
			want = take_unread(c, site);
		} else {
			want = read_on(c, site, scratch, &dry);
		}
	}
	atomic_store(&c->watch.sends, want == HTTP_WRITE);
	return want;
}
