/* The control port. See control_http.h. */
#include "control_http.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "control.h"
#include "err.h"
#include "flow.h"
#include "http.h"
#include "ids.h"
#include "kms_json.h"
#include "secret.h"
#include "service.h"
#include "textfile.h"

#define CONNECTIONS_MAX 64
#define TIMEOUT_S	10
#define SCHEME		"Bearer "

struct control_http {
	struct control *control;
	struct http_server *server;
	int dir_fd; /* -1: there is no file to take away */
	char secret[CONTROL_HTTP_SECRET + 1];
};

static bool knows_secret(const struct control_http *http, const struct flow_request *request)
{
	const char *given = service_header(&request->http, "Authorization");
	size_t n = strlen(SCHEME);

	return given && strncmp(given, SCHEME, n) == 0 &&
	       strlen(given + n) == CONTROL_HTTP_SECRET &&
	       CRYPTO_memcmp(given + n, http->secret, CONTROL_HTTP_SECRET) == 0;
}

/* Takes @body over; NULL: out of memory. */
static void reply(struct flow_reply *ret, unsigned status, struct kms_json *body)
{
	ret->status = status;
	ret->body = body ? kms_json_text(body) : NULL;
	ret->body_len = ret->body ? strlen(ret->body) : 0;
	kms_json_free(body);
	if (!ret->body)
		ret->status = 500;
}

static void refuse(struct flow_reply *ret, unsigned status, const char *why)
{
	struct kms_json *body = kms_json_new_object();

	if (body && kms_json_set_str(body, "error", why) < 0) {
		kms_json_free(body);
		body = NULL;
	}
	reply(ret, status, body);
}

static void answer(struct control_http *http, const struct flow_request *request,
		   struct flow_reply *ret)
{
	AUTO(kms_json_freep) struct kms_json *v = NULL;
	struct err err = {0};
	int r = 0;

	if (strcmp(request->http.method, "POST") == 0) {
		r = kms_json_parse(request->http.body, request->http.body_len, &v, &err);
		r = r ? r : control_apply(http->control, v, &err);
	} else if (strcmp(request->http.method, "GET") != 0) {
		refuse(ret, 405, "only GET and POST");
		return;
	}
	if (r < 0)
		refuse(ret,
		       r == -EINVAL || r == -EUCLEAN ? 400
		       : r == -ENOENT		     ? 404
						     : 500,
		       err.msg);
	else
		reply(ret, 200, control_status(http->control));
}

static void handle(void *arg, const struct flow_request *request, int64_t real_ms,
		   struct flow_reply *ret)
{
	struct control_http *http = arg;

	(void)real_ms;
	*ret = (struct flow_reply){.content_type = "application/json"};
	if (ids_uuid(ret->request_id, NULL) < 0)
		(void)snprintf(ret->request_id, sizeof(ret->request_id), "-"); /* fits */
	if (strncmp(request->address, "127.", 4) != 0)
		refuse(ret, 403, "not from this machine");
	else if (!knows_secret(http, request))
		refuse(ret, 403,
		       "wants the secret of the data directory's file '" CONTROL_HTTP_FILE "'");
	else if (strcmp(request->http.path, CONTROL_HTTP_PATH) != 0)
		refuse(ret, 404, "the path is " CONTROL_HTTP_PATH);
	else if (request->too_large)
		refuse(ret, 413, "the request is too large");
	else
		answer(http, request, ret);
}

static int write_file(const struct control_http *http, int dir_fd, uint16_t port, struct err *err)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "# kmsd's control port: curl -s -K FILE [-d JSON]; see kmsd(1)\n"
			 "url = \"http://127.0.0.1:%u" CONTROL_HTTP_PATH "\"\n"
			 "header = \"Authorization: " SCHEME "%s\"\n",
			 port, http->secret);
	int r = textfile_replace_bytes(dir_fd, CONTROL_HTTP_FILE, text, (size_t)n, 0600);

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
	const struct http_config config = {.address = "127.0.0.1",
					   .port = port,
					   .timeout_s = TIMEOUT_S,
					   .threads = 1,
					   .connections = CONNECTIONS_MAX};
	struct control_http *http = calloc(1, sizeof(*http));
	int r;

	if (!http)
		return err_set(err, ENOMEM, "control");
	http->control = control;
	http->dir_fd = -1;
	r = make_secret(http, err);
	if (r == 0 && http_start(handle, http, &config, &http->server, &port, err) < 0)
		r = err_prefix(err, "control");
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
	http_stop(http->server);
	if (http->dir_fd >= 0)
		(void)unlinkat(http->dir_fd, CONTROL_HTTP_FILE,
			       0); /* stale, it names a dead port */
	OPENSSL_cleanse(http->secret, sizeof(http->secret));
	free(http);
}
