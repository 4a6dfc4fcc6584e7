/*
 * One connection: bytes in, requests to the request flow, replies out. Never waits: it goes as far as the socket
 * allows and says what it wants next. One thread at a time runs it; the server (http.c) watches
 * its times from another by struct http_watch.
 */
#ifndef KMSD_HTTP_CONN_H
#define KMSD_HTTP_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http.h"

struct http_conn;
struct http_tls;

#define HTTP_SCRATCH_LEN 16384
#define HTTP_SMALL_BODY	 16384 /* bytes that a body may always have */
#define HTTP_HELD_MAX                                                                              \
	((size_t)256 << 20) /* bytes of all bodies; beyond, only small ones are taken */

/* What all connections of a server share. Fixed at start, but for the count. */
struct http_site {
	http_handler *handler;
	void *arg;	      /* the handler's */
	struct http_tls *tls; /* NULL: plain HTTP */
	int64_t timeout_ms;   /* for a request to come, a reply to be read, an idle connection */
	atomic_size_t *held;  /* bytes that bodies have allocated; HTTP_HELD_MAX */
};

/* What the server sees of a connection. The links are guarded by the server's lock. */
struct http_watch {
	struct http_watch *prev, *next;
	struct http_conn *conn;
	int fd;
	bool dropped;		     /* the server has given it up; guarded as the links */
	_Atomic int64_t deadline_ms; /* monotonic; INT64_MAX: a request is being answered */
	_Atomic int64_t active_ms;   /* when bytes last moved */
	atomic_bool sends;	     /* it waits for the client to read */
	atomic_bool expired;	     /* set by the server when the deadline is past */
	int64_t delay_ms;	     /* behind HTTP_WAIT: how long; the running thread's */
	int64_t resume_ms;	     /* monotonic; 0: it is not waiting; guarded as the links */
};

/* HTTP_TURN: nothing is waited for, but the others that are ready come first. */
enum http_want { HTTP_CLOSE, HTTP_READ, HTTP_WRITE, HTTP_WAIT, HTTP_TURN };

/* Milliseconds of the clock that deadlines are told by. */
int64_t http_now_ms(void);

/* Takes @fd over. @address is the client's. NULL: out of memory, @fd is still the caller's. */
struct http_conn *http_conn_new(int fd, const char *address, const struct http_site *site);

/* Close and wipe; the server has taken it out of its list. */
void http_conn_free(struct http_conn *c);

struct http_watch *http_conn_watch(struct http_conn *c);

/* Go on as far as possible. HTTP_WAIT: not before watch.delay_ms are over. @scratch has HTTP_SCRATCH_LEN bytes, which are wiped. */
enum http_want http_conn_run(struct http_conn *c, const struct http_site *site, char *scratch);

#endif
