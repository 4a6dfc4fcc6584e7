/* TLS. See http_tls.h. */
#include "http_tls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "err.h"

/* struct http_tls is OpenSSL's SSL_CTX and struct http_tls_conn its SSL, under names of our own. */
static SSL_CTX *ctx_of(struct http_tls *tls)
{
	return (SSL_CTX *)tls;
}

static SSL *ssl_of(struct http_tls_conn *t)
{
	return (SSL *)t;
}

static const char *reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "no PEM file of that";
}

static int load(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct err *err)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
		return err_set(err, EUCLEAN, "TLS certificate '%s': %s", cert_file, reason());
	if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
		return err_set(err, EUCLEAN, "TLS key '%s': %s", key_file, reason());
	if (SSL_CTX_check_private_key(ctx) != 1)
		return err_set(err, EUCLEAN, "TLS key '%s' is not that of '%s'", key_file,
			       cert_file);
	return 0;
}

int http_tls_new(const char *cert_file, const char *key_file, struct http_tls **ret_tls,
		 struct err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int r;

	if (!ctx)
		return err_set(err, ENOMEM, "TLS");
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					    SSL_MODE_RELEASE_BUFFERS); /* gives the modes */
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					       SSL_OP_IGNORE_UNEXPECTED_EOF); /* gives them */
	r = SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1
		    ? load(ctx, cert_file, key_file, err)
		    : err_set(err, EIO, "TLS 1.2 is not there");
	if (r < 0) {
		SSL_CTX_free(ctx);
		return r;
	}
	*ret_tls = (struct http_tls *)ctx;
	return 0;
}

void http_tls_free(struct http_tls *tls)
{
	SSL_CTX_free(ctx_of(tls));
}

struct http_tls_conn *http_tls_accept(struct http_tls *tls, int fd)
{
	SSL *ssl = SSL_new(ctx_of(tls));

	if (!ssl || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_accept_state(ssl);
	return (struct http_tls_conn *)ssl;
}

void http_tls_conn_free(struct http_tls_conn *t)
{
	SSL_free(ssl_of(t));
}

/* What the result @n of a call on @ssl means. */
static ssize_t result(SSL *ssl, int n, enum http_want *ret_want)
{
	if (n > 0)
		return n;
	switch (SSL_get_error(ssl, n)) {
	case SSL_ERROR_WANT_READ:
		*ret_want = HTTP_READ;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*ret_want = HTTP_WRITE;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -EPROTO;
	}
}

int http_tls_handshake(struct http_tls_conn *t, enum http_want *ret_want)
{
	ssize_t r;

	ERR_clear_error();
	r = result(ssl_of(t), SSL_do_handshake(ssl_of(t)), ret_want);
	return r > 0 ? 0 : r == 0 ? -EPROTO : (int)r;
}

static int clip(size_t len)
{
	return len < INT_MAX ? (int)len : INT_MAX;
}

ssize_t http_tls_read(struct http_tls_conn *t, void *bytes, size_t len, enum http_want *ret_want)
{
	ERR_clear_error();
	return result(ssl_of(t), SSL_read(ssl_of(t), bytes, clip(len)), ret_want);
}

ssize_t http_tls_write(struct http_tls_conn *t, const void *bytes, size_t len,
		       enum http_want *ret_want)
{
	ERR_clear_error();
	return result(ssl_of(t), SSL_write(ssl_of(t), bytes, clip(len)), ret_want);
}

void http_tls_bye(struct http_tls_conn *t)
{
	if (!t)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(ssl_of(t)); /* a client that is gone does not hear it */
}
