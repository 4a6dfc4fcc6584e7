/*
 * An HTTP server for tests: real sockets on 127.0.0.1, a thread of its own, scripted answers, and a
 * record of what it was asked.
 */
#ifndef TESTS_FAKE_HTTP_H
#define TESTS_FAKE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct fake_http;

enum fake_how {
	FAKE_WHOLE, /* answer as HTTP wants it */
	FAKE_DROP,  /* close the connection without a byte */
	FAKE_CUT,   /* promise the whole body, send half of it, close */
	FAKE_STALL, /* never answer */
	FAKE_FILL,  /* a body of body_len times 'x' */
	FAKE_CLOSE, /* as FAKE_WHOLE, and then close the connection without saying so */
};

struct fake_reply {
	int status;
	const char *headers; /* "Name: value\r\n..."; NULL: none */
	const char *body;    /* NULL: empty */
	size_t body_len;     /* FAKE_FILL only */
	enum fake_how how;
};

struct fake_request {
	const char *head; /* request line and headers; the server's */
	const char *body;
	size_t body_len;
	unsigned connection; /* counted from 0 */
};

/* Aborts the test program when there is no socket to be had. */
struct fake_http *fake_http_start(void);
void fake_http_stop(struct fake_http *server);

/* "http://127.0.0.1:PORT" */
const char *fake_http_url(const struct fake_http *server);

/* Add one answer (copied); the last one is given again and again. Without any: status 599. */
void fake_http_add(struct fake_http *server, const struct fake_reply *reply);

/* Forget all answers and requests. */
void fake_http_reset(struct fake_http *server);

/* How many requests came, and one of them. */
unsigned fake_http_count(struct fake_http *server);
struct fake_request fake_http_request(struct fake_http *server, unsigned n);

/* Wait up to 10 s until @count requests have come. */
bool fake_http_wait(struct fake_http *server, unsigned count);

/* The value of a header of @head into @ret; false when absent. */
bool fake_http_header(const char *head, const char *name, char *ret, size_t room);

#endif
