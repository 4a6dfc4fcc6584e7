/*
 * The HTTP server: a socket, threads, connections. One epoll holds all connections, each armed for one event; whichever
 * thread is free takes the next that is ready, so one that waits for the disk holds up no other
 * connection.
 */
#ifndef KMSD_HTTP_H
#define KMSD_HTTP_H

#include <stdint.h>

struct err;
struct flow_reply;
struct flow_request;
struct http_server;
struct http_tls;

#define HTTP_CONNECTIONS_DEFAULT 4096
#define HTTP_FILES_BESIDE	 64 /* open files that are no connections */

struct http_config {
	const char *address; /* IPv4 or IPv6, numbers only */
	uint16_t port;	     /* 0: any free one */
	unsigned timeout_s;  /* a request, a client that reads its reply, or an idle connection */
	unsigned threads;
	unsigned connections; /* at most; one more ends the idlest */
	struct http_tls *tls; /* borrowed; NULL: plain HTTP */
};

/* Answers a request that came at @real_ms; always fills *@ret. From any thread of the server. */
typedef void http_handler(void *arg, const struct flow_request *request, int64_t real_ms,
			  struct flow_reply *ret);

/* Listen, and let @handler answer until http_stop(). *@ret_port is the port in use. */
int http_start(http_handler *handler, void *arg, const struct http_config *config,
	       struct http_server **ret_server, uint16_t *ret_port, struct err *err);

/* No more requests; those under way are finished. NULL is allowed. */
void http_stop(struct http_server *server);

#endif
