/*
 * HTTP by libcurl. Each exchange has an easy handle of its own, so that everything libcurl knows of
 * it (credentials, receive buffer) is freed, and so wiped, when it ends; connections live in the
 * multi handle. See kms_http.h.
 */
#include "kms_http.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "aws_creds.h"
#include "err.h"
#include "stop.h"

#define CONNECT_TIMEOUT_MS 5000
#define POLL_MS		   1000
#define CONNECTIONS_MAX	   4

struct kms_http {
	CURLM *multi;		 /* NULL until the first exchange */
	const struct stop *stop; /* fixed at open; borrowed */
};

/* libcurl's memory: all of it wiped when freed, since any of it may have held key material. */

static void wipe_free(void *p)
{
	if (!p)
		return;
	OPENSSL_cleanse(p, malloc_usable_size(p));
	free(p);
}

static void *wipe_realloc(void *p, size_t size)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	void *copy;

	if (p && size == 0) {
		wipe_free(p);
		return NULL;
	}
	copy = malloc(size);
	if (copy && p) {
		memcpy(copy, p, old < size ? old : size);
		wipe_free(p);
	}
	return copy;
}

static char *wipe_strdup(const char *text)
{
	return strdup(text);
}

static CURLcode global_result;

static void global_init(void)
{
	global_result = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_free, wipe_realloc,
					     wipe_strdup, calloc);
}

/* Before anything else of libcurl. */
static int start_libcurl(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, global_init); /* cannot fail */
	if (global_result != CURLE_OK)
		return err_set(err, ENOMEM, "libcurl does not start: %s",
			       curl_easy_strerror(global_result));
	return 0;
}

int kms_http_open(const struct stop *stop, struct kms_http **ret_http, struct err *err)
{
	struct kms_http *http;
	int r = start_libcurl(err);

	if (r < 0)
		return r;
	http = calloc(1, sizeof(*http));
	if (!http)
		return err_set(err, ENOMEM, "out of memory");
	http->stop = stop;
	*ret_http = http;
	return 0;
}

void kms_http_forget(struct kms_http *http)
{
	if (http->multi)
		(void)curl_multi_cleanup(http->multi); /* it holds no easy handle between calls */
	http->multi = NULL;
}

void kms_http_close(struct kms_http *http)
{
	if (!http)
		return;
	kms_http_forget(http);
	free(http);
}

void kms_http_answer_done(struct kms_http_answer *answer)
{
	buf_free(&answer->body);
}

/* One exchange under way. */
struct exchange {
	CURL *easy;
	struct curl_slist *headers;
	struct kms_http_answer answer;
	int body_error; /* what buf_append() said; 0: nothing */
	char reason[CURL_ERROR_SIZE];
};

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;

	x->body_error = buf_append(&x->answer.body, bytes, size * count);
	return x->body_error ? 0 : size * count;
}

/* Copy the value when the header line is of that name. */
static void take_header(const char *line, size_t len, const char *name, char *ret, size_t room)
{
	size_t n = strlen(name);

	if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return;
	line += n + 1;
	len -= n + 1;
	while (len && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len && strchr("\r\n \t", line[len - 1]))
		len--;
	if (len >= room)
		len = room - 1;
	memcpy(ret, line, len);
	ret[len] = '\0';
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	size_t len = size * count;
	char date[64] = "";

	take_header(line, len, "x-amzn-RequestId", x->answer.request_id,
		    sizeof(x->answer.request_id));
	take_header(line, len, "x-amzn-ErrorType", x->answer.error_type,
		    sizeof(x->answer.error_type));
	take_header(line, len, "Content-Type", x->answer.content_type,
		    sizeof(x->answer.content_type));
	take_header(line, len, "Date", date, sizeof(date));
	if (date[0])
		x->answer.date = curl_getdate(date, NULL);
	return len;
}

/* OpenSSL would keep the last plaintext it received in its buffer. */
static CURLcode on_tls(CURL *easy, void *ctx, void *arg)
{
	(void)easy;
	(void)arg;
	(void)SSL_CTX_set_options(ctx, SSL_OP_CLEANSE_PLAINTEXT); /* returns the options */
	return CURLE_OK;
}

static int add_header(struct exchange *x, const char *header)
{
	struct curl_slist *longer = curl_slist_append(x->headers, header);

	if (!longer)
		return -ENOMEM;
	x->headers = longer;
	return 0;
}

/*
 * The security token is a plain header: libcurl signs every header that it is given. libcurl
 * compares header lines to sort them, not names; of ours no name is the beginning of another.
 */
static int add_token(struct exchange *x, const char *token)
{
	struct buf line = {.max = AWS_TOKEN_MAX + 64};
	int r = buf_printf(&line, "X-Amz-Security-Token: %s", token);

	if (r == 0)
		r = add_header(x, (char *)line.bytes);
	buf_free(&line);
	return r;
}

#define SET(option, value) (bad |= curl_easy_setopt(x->easy, option, value) != CURLE_OK)

static int prepare_signature(struct exchange *x, const struct kms_http_request *request)
{
	char how[128];
	bool bad = false;

	if (snprintf(how, sizeof(how), "aws:amz:%s:%s", request->region, request->service) >=
	    (int)sizeof(how))
		return -EINVAL;
	SET(CURLOPT_AWS_SIGV4, how);
	SET(CURLOPT_USERNAME, request->creds->access_key_id);
	SET(CURLOPT_PASSWORD, aws_creds_text(request->creds->secret_key));
	if (request->creds->token)
		bad |= add_token(x, aws_creds_text(request->creds->token)) < 0;
	return bad ? -ENOMEM : 0;
}

static int prepare(struct exchange *x, const struct kms_http_request *request)
{
	bool bad = false;

	x->easy = curl_easy_init();
	if (!x->easy)
		return -ENOMEM;
	SET(CURLOPT_ERRORBUFFER, x->reason);
	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* nghttp2 would not wipe */
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_CTX_FUNCTION, on_tls);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver that hangs */
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's headers are not KMS's */
	SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	SET(CURLOPT_USERAGENT, "kmsvol/" KMSVOL_VERSION);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, x);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, x);
	if (request->no_proxy)
		SET(CURLOPT_NOPROXY, "*");
	if (request->ca_file)
		SET(CURLOPT_CAINFO, request->ca_file);
	if (strcmp(request->method, "GET") != 0) {
		SET(CURLOPT_POSTFIELDSIZE, (long)request->body_len);
		SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
		SET(CURLOPT_CUSTOMREQUEST, request->method);
	}
	for (size_t i = 0; i < KMS_HTTP_HEADERS_MAX && request->headers[i]; i++)
		bad |= add_header(x, request->headers[i]) < 0;
	if (!bad && request->creds) {
		int r = prepare_signature(x, request);

		if (r < 0)
			return r;
	}
	SET(CURLOPT_HTTPHEADER, x->headers);
	return bad ? -ENOMEM : 0;
}

/* Run the transfer to its end. 0 with what libcurl says of it, -ECANCELED, -ENOMEM. */
static int drive(struct kms_http *http, struct exchange *x, CURLcode *ret_code)
{
	struct curl_waitfd also = {.fd = http->stop->fd, .events = CURL_WAIT_POLLIN};
	int running = 1, left;
	CURLMsg *msg;

	while (running) {
		if (stop_raised(http->stop))
			return -ECANCELED;
		if (curl_multi_perform(http->multi, &running) != CURLM_OK)
			return -ENOMEM;
		if (running && curl_multi_poll(http->multi, &also, 1, POLL_MS, NULL) != CURLM_OK)
			return -ENOMEM;
	}
	while ((msg = curl_multi_info_read(http->multi, &left)))
		if (msg->msg == CURLMSG_DONE && msg->easy_handle == x->easy) {
			*ret_code = msg->data.result;
			return 0;
		}
	return -ENOMEM;
}

/* Turn libcurl's verdict into ours. */
static int judge(struct exchange *x, CURLcode code, struct err *err)
{
	const char *why = x->reason[0] ? x->reason : curl_easy_strerror(code);
	long os_errno = 0;

	(void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os_errno); /* else stays 0 */
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OUT_OF_MEMORY:
		return err_set(err, ENOMEM, "out of memory");
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(err, ETIMEDOUT, "%s", why);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_SSL_CACERT_BADFILE:
		return err_set(err, EINVAL, "%s", why);
	case CURLE_WRITE_ERROR:
		if (x->body_error == -EMSGSIZE)
			return err_set(err, EMSGSIZE, "the answer is larger than %d bytes",
				       KMS_HTTP_ANSWER_MAX);
		return err_set(err, ENOMEM, "out of memory");
	case CURLE_COULDNT_CONNECT:
		if (os_errno)
			why = strerror((int)os_errno);
		return err_set(err, ECONNRESET, "%s", why);
	default:
		return err_set(err, ECONNRESET, "%s", why);
	}
}

static int run(struct kms_http *http, struct exchange *x, struct err *err)
{
	CURLcode code = CURLE_OK;
	long status = 0;
	int r;

	if (!http->multi) {
		http->multi = curl_multi_init();
		if (!http->multi)
			return err_set(err, ENOMEM, "out of memory");
		(void)curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
	}
	if (curl_multi_add_handle(http->multi, x->easy) != CURLM_OK)
		return err_set(err, ENOMEM, "out of memory");
	r = drive(http, x, &code);
	if (r < 0)
		r = err_set(err, -r, r == -ECANCELED ? "canceled" : "libcurl fails");
	else
		r = judge(x, code, err);
	if (r == 0 && curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
		x->answer.status = (int)status;
	(void)curl_multi_remove_handle(http->multi, x->easy); /* it is in there */
	return r;
}

int kms_http_do(struct kms_http *http, const struct kms_http_request *request,
		struct kms_http_answer *ret_answer, struct err *err)
{
	struct exchange x = {.answer = {.date = -1, .body = {.max = KMS_HTTP_ANSWER_MAX}}};
	int r = prepare(&x, request);

	if (r < 0)
		r = err_set(err, -r,
			    r == -ENOMEM ? "out of memory" : "region or service is too long");
	else
		r = run(http, &x, err);
	if (x.easy)
		curl_easy_cleanup(x.easy);
	curl_slist_free_all(x.headers);
	if (r < 0)
		kms_http_answer_done(&x.answer);
	else
		*ret_answer = x.answer;
	return r;
}

/* One part of a URL that must not be there. */
static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

int kms_http_check_url(const char *url, bool *ret_tls, char *ret_host, struct err *err)
{
	char *scheme = NULL, *host = NULL;
	const char *why = NULL;
	int r = start_libcurl(err);
	CURLU *u;

	if (r < 0)
		return r;
	u = curl_url();
	if (!u)
		return err_set(err, ENOMEM, "out of memory");
	if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		why = "it must be http://HOST[:PORT] or https://HOST[:PORT]";
	else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		why = "only http and https are known";
	else if (strlen(host) > 255)
		why = "the host name is too long";
	else if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
		why = "it must not have a user name";
	else if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
		why = "it must not have a query or a fragment";
	if (!why) {
		*ret_tls = strcmp(scheme, "https") == 0;
		strcpy(ret_host, host);
	}
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return why ? err_set(err, EINVAL, "%s", why) : 0;
}
