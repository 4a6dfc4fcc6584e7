/* HTTP: libmicrohttpd below, the request flow above. The only file that knows libmicrohttpd. */
#ifndef KMSD_HTTP_H
#define KMSD_HTTP_H

#include <stdint.h>

struct err;
struct http_server;
struct kmsd;

#define HTTP_BODY_MAX	     (1024 * 1024) /* bytes */
#define HTTP_CONNECTIONS_MAX 4096

struct http_config {
	const char *address; /* IPv4 or IPv6, numbers only */
	uint16_t port;	     /* 0: any free one */
	unsigned timeout_s;  /* a request or an idle connection may take this long */
	unsigned threads;
};

/* Listen and serve @kmsd (borrowed) until http_stop(). *@ret_port is the port in use. */
int http_start(struct kmsd *kmsd, const struct http_config *config, struct http_server **ret_server,
	       uint16_t *ret_port, struct err *err);

/* No more requests; those under way are finished. NULL is allowed. */
void http_stop(struct http_server *server);

#endif
