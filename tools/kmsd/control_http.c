/* The control port. See control_http.h. */
#include "control_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <microhttpd.h>
#include <openssl/crypto.h>

#include "bytes.h"
#include "control.h"
#include "err.h"
#include "ids.h"
#include "kms_json.h"
#include "secret.h"

#define BODY_MAX	65536 /* bytes */
#define CONNECTIONS_MAX 32
#define TIMEOUT_S	10
#define FILE_TEMP	CONTROL_HTTP_FILE ".new"
#define SCHEME		"Bearer "

struct control_http {
	struct control *control;
	struct MHD_Daemon *daemon;
	int dir_fd; /* -1: there is no file to take away */
	char secret[CONTROL_HTTP_SECRET + 1];
};

static bool from_loopback(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = info ? info->client_addr : NULL;

	return a && a->sa_family == AF_INET &&
	       ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
}

static bool knows_secret(const struct control_http *http, struct MHD_Connection *connection)
{
	const char *given =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	size_t n = strlen(SCHEME);

	return given && strncmp(given, SCHEME, n) == 0 &&
	       strlen(given + n) == CONTROL_HTTP_SECRET &&
	       CRYPTO_memcmp(given + n, http->secret, CONTROL_HTTP_SECRET) == 0;
}

/* Takes @body over; NULL: out of memory. */
static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status,
			     struct kms_json *body)
{
	char *text = body ? kms_json_text(body) : NULL;
	struct MHD_Response *response;
	enum MHD_Result ok;

	kms_json_free(body);
	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	ok = MHD_add_response_header(response, "Content-Type", "application/json") == MHD_YES
		     ? MHD_queue_response(connection, status, response)
		     : MHD_NO;
	MHD_destroy_response(response);
	return ok;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
	struct kms_json *body = kms_json_new_object();

	if (body && kms_json_set_str(body, "error", why) < 0) {
		kms_json_free(body);
		body = NULL;
	}
	return reply(connection, status, body);
}

static enum MHD_Result answer(struct control_http *http, struct MHD_Connection *connection,
			      const char *method, const struct buf *body)
{
	AUTO(kms_json_freep) struct kms_json *request = NULL;
	struct err err = {0};
	int r = 0;

	if (strcmp(method, "POST") == 0) {
		r = kms_json_parse(body->bytes ? (const char *)body->bytes : "", body->len,
				   &request, &err);
		r = r ? r : control_apply(http->control, request, &err);
	} else if (strcmp(method, "GET") != 0) {
		return refuse(connection, 405, "only GET and POST");
	}
	if (r < 0)
		return refuse(connection, r == -EINVAL || r == -EUCLEAN ? 400 : 500, err.msg);
	return reply(connection, 200, control_status(http->control));
}

/* Called once for the headers, once for each piece of body, once at the end. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *piece,
			      size_t *piece_len, void **con_cls)
{
	struct control_http *http = arg;
	struct buf *body = *con_cls;

	(void)version;
	if (!body) {
		if (!from_loopback(connection))
			return refuse(connection, 403, "not from this machine");
		if (!knows_secret(http, connection))
			return refuse(connection, 403,
				      "wants the secret of the data directory's file "
				      "'" CONTROL_HTTP_FILE "'");
		if (strcmp(url, CONTROL_HTTP_PATH) != 0)
			return refuse(connection, 404, "the path is " CONTROL_HTTP_PATH);
		body = calloc(1, sizeof(*body));
		if (!body)
			return MHD_NO;
		body->max = BODY_MAX;
		*con_cls = body;
		return MHD_YES;
	}
	if (*piece_len == 0)
		return answer(http, connection, method, body);
	if (buf_append(body, piece, *piece_len) < 0)
		return MHD_NO;
	*piece_len = 0;
	return MHD_YES;
}

static void end(void *arg, struct MHD_Connection *connection, void **con_cls,
		enum MHD_RequestTerminationCode how)
{
	struct buf *body = *con_cls;

	(void)arg;
	(void)connection;
	(void)how;
	if (body)
		buf_free(body);
	free(body);
	*con_cls = NULL;
}

static int listen_on(uint16_t port, int *ret_fd, uint16_t *ret_port, struct err *err)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, num;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, CONNECTIONS_MAX) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		num = errno;
		if (fd >= 0)
			(void)close(fd); /* nothing was written */
		return err_set(err, num, "control: cannot listen on 127.0.0.1 port %u: %s", port,
			       strerror(num));
	}
	*ret_fd = fd;
	*ret_port = ntohs(a.sin_port);
	return 0;
}

static int write_file(const struct control_http *http, int dir_fd, uint16_t port, struct err *err)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "# kmsd's control port: curl -s -K FILE [-d JSON]; see kmsd(1)\n"
			 "url = \"http://127.0.0.1:%u" CONTROL_HTTP_PATH "\"\n"
			 "header = \"Authorization: " SCHEME "%s\"\n",
			 port, http->secret);
	int fd = openat(dir_fd, FILE_TEMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r = 0;

	if (fd < 0)
		return err_set(err, errno, "'" FILE_TEMP "': %s", strerror(errno));
	if (fchmod(fd, 0600) < 0 || write(fd, text, (size_t)n) != n)
		r = -(errno ? errno : EIO);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(dir_fd, FILE_TEMP, dir_fd, CONTROL_HTTP_FILE) < 0)
		r = -errno;
	OPENSSL_cleanse(text, sizeof(text));
	return r < 0 ? err_set(err, -r, "'" CONTROL_HTTP_FILE "': %s", strerror(-r)) : 0;
}

static int make_secret(struct control_http *http, struct err *err)
{
	uint8_t bytes[CONTROL_HTTP_SECRET / 2];
	int r = ids_random(bytes, sizeof(bytes), true, err);

	if (r < 0)
		return r;
	bytes_to_hex(bytes, sizeof(bytes), http->secret);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return 0;
}

int control_http_start(struct control *control, int dir_fd, uint16_t port,
		       struct control_http **ret_http, struct err *err)
{
	struct control_http *http = calloc(1, sizeof(*http));
	int fd = -1, r;

	if (!http)
		return err_set(err, ENOMEM, "control");
	http->control = control;
	http->dir_fd = -1;
	r = make_secret(http, err);
	r = r ? r : listen_on(port, &fd, &port, err);
	if (r == 0) {
		http->daemon =
			MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, http,
					 MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd,
					 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
					 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
					 MHD_OPTION_NOTIFY_COMPLETED, end, NULL, MHD_OPTION_END);
		if (!http->daemon) {
			(void)close(fd); /* nothing was written */
			r = err_set(err, EIO, "control: HTTP server does not start");
		}
	}
	r = r ? r : write_file(http, dir_fd, port, err);
	if (r < 0) {
		control_http_stop(http);
		return r;
	}
	http->dir_fd = dir_fd;
	*ret_http = http;
	return 0;
}

void control_http_stop(struct control_http *http)
{
	if (!http)
		return;
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	if (http->dir_fd >= 0)
		(void)unlinkat(http->dir_fd, CONTROL_HTTP_FILE,
			       0); /* stale, it names a dead port */
	OPENSSL_cleanse(http->secret, sizeof(http->secret));
	free(http);
}
