/* A blocking TLS server, one connection at a time. See fake_tls.h. */
#include "fake_tls.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

/* A certificate for 127.0.0.1, signed by itself, good for an hour. */
static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	X509_NAME *name;

	need(cert && san, "X509_new");
	name = X509_get_subject_name(cert);
	need(X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
		     X509_gmtime_adj(X509_getm_notBefore(cert), -60) &&
		     X509_gmtime_adj(X509_getm_notAfter(cert), 3600) &&
		     X509_set_pubkey(cert, key) &&
		     X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
						(const unsigned char *)"127.0.0.1", -1, -1, 0) &&
		     X509_set_issuer_name(cert, name) && X509_add_ext(cert, san, -1) &&
		     X509_sign(cert, key, EVP_sha256()),
	     "certificate");
	X509_EXTENSION_free(san);
	return cert;
}

static void serve_connection(SSL *ssl, const char *body)
{
	char request[65536], *end;
	size_t len = 0;
	int n;

	while ((n = SSL_read(ssl, request + len, (int)(sizeof(request) - 1 - len))) > 0) {
		char head[128];
		const char *length;

		len += (size_t)n;
		request[len] = '\0';
		end = strstr(request, "\r\n\r\n");
		length = strcasestr(request, "\r\nContent-Length:");
		if (!end || len < (size_t)(end + 4 - request) +
					    (length ? strtoul(length + 17, NULL, 10) : 0))
			continue;
		len = 0;
		n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
			     strlen(body));
		if (SSL_write(ssl, head, n) <= 0 || SSL_write(ssl, body, (int)strlen(body)) <= 0)
			return;
	}
}

static void serve(int fd, SSL_CTX *ctx, const char *body)
{
	for (;;) {
		int peer = accept(fd, NULL, NULL), one = 1;
		SSL *ssl = SSL_new(ctx);

		need(peer >= 0 && ssl && SSL_set_fd(ssl, peer), "accept");
		(void)setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (SSL_accept(ssl) > 0)
			serve_connection(ssl, body);
		SSL_free(ssl);
		close(peer);
	}
}

pid_t fake_tls_start(const char *cert_path, char *(*make_body)(void), char ret_url[64])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = make_certificate(key);
	FILE *f = fopen(cert_path, "w");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL_CTX *ctx;
	pid_t pid;

	need(f && PEM_write_X509(f, cert) && fclose(f) == 0, cert_path);
	need(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 16) == 0 &&
		     getsockname(fd, (struct sockaddr *)&a, &len) == 0,
	     "socket");
	snprintf(ret_url, 64, "https://127.0.0.1:%u", ntohs(a.sin_port));
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		ctx = SSL_CTX_new(TLS_server_method());
		need(ctx && SSL_CTX_use_certificate(ctx, cert) == 1 &&
			     SSL_CTX_use_PrivateKey(ctx, key) == 1,
		     "SSL_CTX_new");
		serve(fd, ctx, make_body());
	}
	close(fd);
	X509_free(cert);
	EVP_PKEY_free(key);
	return pid;
}
