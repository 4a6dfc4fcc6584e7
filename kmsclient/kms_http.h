/*
 * One HTTP exchange, optionally signed with AWS Signature Version 4. The only module that knows
 * libcurl. TLS is verified, redirects are not followed, proxies are those of the environment.
 */
#ifndef KMSCLIENT_KMS_HTTP_H
#define KMSCLIENT_KMS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct aws_creds;
struct err;
struct kms_http;
struct stop;

#define KMS_HTTP_ANSWER_MAX  (1024 * 1024) /* bytes of a body */
#define KMS_HTTP_HEADERS_MAX 8		   /* of a request */

struct kms_http_request {
	const char *method; /* "GET", "POST", "PUT" */
	const char *url;
	const char *headers[KMS_HTTP_HEADERS_MAX + 1]; /* "Name: value", NULL-terminated; no empty
							  values: libcurl would leave them out */
	const char *body;			       /* NULL: none */
	size_t body_len;
	unsigned timeout_ms;	       /* of the whole exchange; not 0 */
	bool no_proxy;		       /* link-local addresses are never reached through one */
	const struct aws_creds *creds; /* NULL: not signed */
	const char *region;	       /* of the signature */
	const char *service;	       /* of the signature: "kms" */
	const char *ca_file;	       /* NULL: the system's certificates */
};

/* What came back. Values cut to their room; "" when absent. */
struct kms_http_answer {
	int status;
	struct buf body;	/* owned; always followed by a NUL; bytes may be NULL when empty */
	char request_id[96];	/* x-amzn-RequestId */
	char error_type[256];	/* x-amzn-ErrorType */
	char content_type[128]; /* Content-Type */
	int64_t date;		/* Date, seconds since 1970; -1: none */
};

/* Wipe and free the body. */
void kms_http_answer_done(struct kms_http_answer *answer);

/* @stop (borrowed) ends waiting early. No network yet. -ENOMEM. */
int kms_http_open(const struct stop *stop, struct kms_http **ret_http, struct err *err);
void kms_http_close(struct kms_http *http);

/* Close kept connections and wipe what they held. The next exchange makes new ones. */
void kms_http_forget(struct kms_http *http);

/*
 * Do one exchange; one thread at a time. 0: an answer with any status came, complete, and is the
 * caller's. -ETIMEDOUT too slow; -ECONNRESET no connection, or it broke (TLS too); -EMSGSIZE the
 * body is larger than KMS_HTTP_ANSWER_MAX; -ECANCELED stopped; -EINVAL a URL that is none; -ENOMEM.
 * The sentence is the bare reason ("Connection refused").
 */
int kms_http_do(struct kms_http *http, const struct kms_http_request *request,
		struct kms_http_answer *ret_answer, struct err *err);

/*
 * Take a URL apart as libcurl would: http or https, with a host, without user name, query and
 * fragment. @ret_host has room for 256. -EINVAL with the reason.
 */
int kms_http_check_url(const char *url, bool *ret_tls, char *ret_host, struct err *err);

#endif
