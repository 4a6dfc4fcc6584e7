/* TLS for the server's side of connections, by OpenSSL. The certificate comes from tls_cert.h or from the user. */
#ifndef KMSD_HTTP_TLS_H
#define KMSD_HTTP_TLS_H

#include <stddef.h>
#include <sys/types.h>

#include "http_conn.h"

struct err;
struct http_tls;
struct http_tls_conn;

/*
 * TLS 1.2 and later with the certificate (and what its issuer adds) of @cert_file and the key of
 * @key_file, both PEM. The sentence names the file. NULL is allowed to http_tls_free().
 */
int http_tls_new(const char *cert_file, const char *key_file, struct http_tls **ret_tls,
		 struct err *err);
void http_tls_free(struct http_tls *tls);

/* A connection on @fd, which stays the caller's. NULL: out of memory. */
struct http_tls_conn *http_tls_accept(struct http_tls *tls, int fd);
void http_tls_conn_free(struct http_tls_conn *t); /* NULL is allowed */

/* 0: TLS is up. -EAGAIN: the socket must be as in *@ret_want first. -EPROTO: it failed. */
int http_tls_handshake(struct http_tls_conn *t, enum http_want *ret_want);

/* Bytes moved, 0 at the end, -EAGAIN as above (a write is then to be tried again as it was), -EPROTO. */
ssize_t http_tls_read(struct http_tls_conn *t, void *bytes, size_t len, enum http_want *ret_want);
ssize_t http_tls_write(struct http_tls_conn *t, const void *bytes, size_t len,
		       enum http_want *ret_want);

/* Say that no more will be sent. NULL is allowed. */
void http_tls_bye(struct http_tls_conn *t);

#endif
