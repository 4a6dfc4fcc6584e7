/* A request to the control port: one connection, one answer. See control_client.h. */
#include "control_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "control_http.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"

#define REPLY_MAX (4 << 20) /* bytes */
#define TIMEOUT_S 30

struct door {
	unsigned port;
	char secret[CONTROL_HTTP_SECRET + 1];
};

/* The file as control_http.c writes it. */
static int read_door(const char *dir, struct door *ret, struct err *err)
{
	char path[4096], text[512];
	const char *url, *bearer;
	int fd, n;

	n = snprintf(path, sizeof(path), "%s/" CONTROL_HTTP_FILE, dir);
	fd = n < (int)sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ENOENT,
			       "no kmsd that listens to control runs on data directory '%s'", dir);
	if (fd < 0)
		return err_set(err, errno, "'%s': %s", path, strerror(errno));
	n = (int)read(fd, text, sizeof(text) - 1);
	(void)close(fd); /* only read */
	text[n > 0 ? n : 0] = '\0';
	url = strstr(text, "url = \"http://127.0.0.1:");
	bearer = strstr(text, "Bearer ");
	if (!url || !bearer || sscanf(url, "url = \"http://127.0.0.1:%u/", &ret->port) != 1 ||
	    ret->port > 65535 || sscanf(bearer, "Bearer %64[0-9a-f]", ret->secret) != 1)
		n = -1;
	OPENSSL_cleanse(text, sizeof(text));
	return n > 0 ? 0 : err_set(err, EUCLEAN, "'%s' makes no sense", path);
}

static int dial(const struct door *door, const char *dir, int *ret_fd, struct err *err)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)door->port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), num;

	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
	    connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
		*ret_fd = fd;
		return 0;
	}
	num = errno;
	if (fd >= 0)
		(void)close(fd); /* nothing was written */
	if (num == ECONNREFUSED)
		return err_set(err, num, "no kmsd runs on data directory '%s'", dir);
	return err_set(err, num, "kmsd on 127.0.0.1 port %u: %s", door->port, strerror(num));
}

static int exchange(int fd, const struct buf *out, struct buf *in, struct err *err)
{
	char piece[4096];
	ssize_t n;

	for (size_t at = 0; at < out->len; at += (size_t)n) {
		n = send(fd, out->bytes + at, out->len - at, MSG_NOSIGNAL);
		if (n <= 0)
			return err_set(err, n < 0 ? errno : EIO, "kmsd does not take the request");
	}
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		if (buf_append(in, piece, (size_t)n) < 0)
			return err_set(err, EMSGSIZE, "kmsd's answer is too long");
	return n < 0 ? err_set(err, errno, "no answer of kmsd: %s", strerror(errno)) : 0;
}

static int take_answer(const struct buf *in, struct kms_json **ret, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *v = NULL;
	const char *text = in->bytes ? (const char *)in->bytes : "", *body, *why;
	unsigned status;

	body = strstr(text, "\r\n\r\n");
	if (!body || sscanf(text, "HTTP/1.%*u %u", &status) != 1 ||
	    kms_json_parse(body + 4, strlen(body + 4), &v, err) < 0)
		return err_set(err, EPROTO, "kmsd's answer makes no sense");
	if (status != 200) {
		why = kms_json_get(v, "error") ? kms_json_string_value(kms_json_get(v, "error"))
					       : "refused";
		return err_set(err, status == 400 ? EINVAL : EPERM, "%s", why);
	}
	*ret = v;
	v = NULL;
	return 0;
}

int control_client_ask(const char *dir, const struct kms_json *request,
		       struct kms_json **ret_status, struct err *err)
{
	AUTO(buf_free) struct buf out = {.max = 65536}, in = {.max = REPLY_MAX};
	AUTO(freep) char *body = request ? kms_json_text(request) : strdup("");
	struct door door = {0};
	int fd = -1, r = read_door(dir, &door, err);

	if (r < 0)
		return r;
	if (!body)
		return err_set(err, ENOMEM, "request");
	r = buf_printf(&out,
		       "%s " CONTROL_HTTP_PATH
		       " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
		       "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s",
		       request ? "POST" : "GET", door.secret, strlen(body), body);
	OPENSSL_cleanse(&door.secret, sizeof(door.secret));
	if (r < 0)
		return err_set(err, -r, "request");
	r = dial(&door, dir, &fd, err);
	if (r < 0)
		return r;
	r = exchange(fd, &out, &in, err);
	(void)close(fd); /* all was said */
	return r ? r : take_answer(&in, ret_status, err);
}
