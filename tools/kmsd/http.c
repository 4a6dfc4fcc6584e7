/*
 * HTTP by libmicrohttpd: a pool of threads, each with its own epoll loop, kept-alive connections, a
 * limit on bodies and on the time a request may take. See http.h.
 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>
#include <openssl/crypto.h>

#include "bytes.h"
#include "err.h"
#include "flow.h"

#define CONNECTION_MEMORY (32 * 1024) /* request line and headers must fit */
#define BACKLOG		  1024

struct http_server {
	struct MHD_Daemon *daemon;
	struct kmsd *kmsd;
	unsigned timeout_s;
};

/* One request, from its first line to its end. */
struct exchange {
	char *path; /* as sent: libmicrohttpd's own are decoded */
	char *query;
	struct buf body;
	time_t began; /* monotonic */
	bool started;
	struct sigv4_header headers[SIGV4_HEADERS_MAX];
	size_t header_count;
	bool too_many_headers;
};

static int64_t clock_ms(clockid_t clock)
{
	struct timespec t = {0};

	(void)clock_gettime(clock, &t); /* these two clocks always are */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *begin_exchange(void *arg, const char *uri, struct MHD_Connection *connection)
{
	struct exchange *x = calloc(1, sizeof(*x));

	(void)arg;
	(void)connection;
	if (!x)
		return NULL;
	x->body.max = HTTP_BODY_MAX;
	x->began = clock_ms(CLOCK_MONOTONIC) / 1000;
	x->path = strdup(uri);
	if (x->path) {
		x->query = strchr(x->path, '?');
		if (x->query)
			*x->query++ = '\0';
	}
	return x;
}

static void end_exchange(void *arg, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode how)
{
	struct exchange *x = *con_cls;

	(void)arg;
	(void)connection;
	(void)how;
	if (!x)
		return;
	buf_free(&x->body);
	free(x->path);
	free(x);
	*con_cls = NULL;
}

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	struct exchange *x = arg;

	(void)kind;
	if (x->header_count == SIGV4_HEADERS_MAX) {
		x->too_many_headers = true;
		return MHD_NO;
	}
	x->headers[x->header_count++] = (struct sigv4_header){name, value ? value : ""};
	return MHD_YES;
}

static void free_body(void *arg)
{
	struct flow_reply *reply = arg;

	flow_reply_free(reply);
	free(reply);
}

/* Takes *@reply over. */
static enum MHD_Result send_reply(struct MHD_Connection *connection, struct flow_reply *reply,
				  bool last)
{
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
		reply->body_len, reply->body ? reply->body : "", free_body, reply);
	enum MHD_Result ok;

	if (!response) {
		free_body(reply);
		return MHD_NO;
	}
	ok = MHD_add_response_header(response, "x-amzn-RequestId", reply->request_id) == MHD_YES &&
			     MHD_add_response_header(response, "Content-Type",
						     reply->content_type) == MHD_YES &&
			     (!last ||
			      MHD_add_response_header(response, "Connection", "close") == MHD_YES)
		     ? MHD_queue_response(connection, reply->status, response)
		     : MHD_NO;
	MHD_destroy_response(response);
	return ok;
}

static void peer_address(struct MHD_Connection *connection, char *ret, socklen_t size)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const void *in = NULL;

	ret[0] = '\0';
	if (!info || !info->client_addr)
		return;
	if (info->client_addr->sa_family == AF_INET)
		in = &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr;
	else if (info->client_addr->sa_family == AF_INET6)
		in = &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr;
	if (!in || !inet_ntop(info->client_addr->sa_family, in, ret, size))
		ret[0] = '\0';
}

static enum MHD_Result answer(struct http_server *server, struct MHD_Connection *connection,
			      const char *method, struct exchange *x, bool too_large)
{
	char address[INET6_ADDRSTRLEN];
	struct flow_reply *reply = calloc(1, sizeof(*reply));
	struct flow_request request = {
		.http = {.method = method,
			 .path = x->path,
			 .query = x->query ? x->query : "",
			 .headers = x->headers,
			 .body = x->body.bytes ? (const void *)x->body.bytes : "",
			 .body_len = x->body.len},
		.address = address,
		.too_large = too_large,
	};

	if (!reply)
		return MHD_NO;
	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, x); /* counted */
	if (x->too_many_headers) {
		free(reply);
		return MHD_NO;
	}
	request.http.header_count = x->header_count;
	peer_address(connection, address, sizeof(address));
	flow_handle(server->kmsd, &request, clock_ms(CLOCK_REALTIME), reply);
	return send_reply(connection, reply, too_large);
}

/* Whether the client itself says that its body is too long. */
static bool announces_too_much(struct MHD_Connection *connection)
{
	const char *text =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

	return text && strtoull(text, NULL, 10) > HTTP_BODY_MAX;
}

/* libmicrohttpd calls it once for the headers, once for each piece of body, once at the end. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *piece,
			      size_t *piece_len, void **con_cls)
{
	struct http_server *server = arg;
	struct exchange *x = *con_cls;

	(void)url;
	(void)version;
	if (!x || !x->path) /* out of memory */
		return MHD_NO;
	if (!x->started) {
		x->started = true;
		return announces_too_much(connection) ? answer(server, connection, method, x, true)
						      : MHD_YES;
	}
	if (*piece_len == 0)
		return answer(server, connection, method, x, false);
	if (clock_ms(CLOCK_MONOTONIC) / 1000 - x->began > server->timeout_s)
		return MHD_NO; /* drop by drop is too slow as well */
	if (buf_append(&x->body, piece, *piece_len) < 0)
		return MHD_NO; /* unannounced and too large; a reply is not possible here */
	*piece_len = 0;
	return MHD_YES;
}

static int open_socket(const struct http_config *config, int *ret_fd, uint16_t *ret_port,
		       struct err *err)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = {0};
	socklen_t len = sizeof(a.in);
	int fd, one = 1, num;

	if (inet_pton(AF_INET, config->address, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(config->port);
	} else if (inet_pton(AF_INET6, config->address, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(config->port);
		len = sizeof(a.in6);
	} else {
		return err_set(err, EINVAL, "'%s' is not an IP address", config->address);
	}
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, &a.sa, len) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, &a.sa, &len) < 0) {
		num = errno;
		if (fd >= 0)
			(void)close(fd); /* nothing was written */
		return err_set(err, num, "cannot listen on %s port %u: %s", config->address,
			       config->port, strerror(num));
	}
	*ret_port = ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
	*ret_fd = fd;
	return 0;
}

int http_start(struct kmsd *kmsd, const struct http_config *config, struct http_server **ret_server,
	       uint16_t *ret_port, struct err *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int fd = -1, r;

	if (!server)
		return err_set(err, ENOMEM, "HTTP server");
	server->kmsd = kmsd;
	server->timeout_s = config->timeout_s;
	r = open_socket(config, &fd, ret_port, err);
	if (r < 0) {
		free(server);
		return r;
	}
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, server,
		MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd, MHD_OPTION_THREAD_POOL_SIZE,
		config->threads, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, config->timeout_s,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_URI_LOG_CALLBACK, begin_exchange, NULL, MHD_OPTION_NOTIFY_COMPLETED,
		end_exchange, NULL, MHD_OPTION_END);
	if (!server->daemon) {
		(void)close(fd); /* nothing was written */
		free(server);
		return err_set(err, EIO, "HTTP server does not start");
	}
	*ret_server = server;
	return 0;
}

void http_stop(struct http_server *server)
{
	if (!server)
		return;
	MHD_stop_daemon(server->daemon);
	free(server);
}
