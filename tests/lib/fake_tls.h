/*
 * An HTTPS server for tests, in a process of its own, with a certificate that nobody trusts until
 * told to.
 */
#ifndef TESTS_FAKE_TLS_H
#define TESTS_FAKE_TLS_H

#include <sys/types.h>

/*
 * Fork a server for 127.0.0.1 that answers every request with status 200 and what @make_body
 * returns there. @ret_url gets "https://127.0.0.1:PORT"; the certificate is written to @cert_path.
 * The caller kills it. Aborts the test program when something is missing.
 */
pid_t fake_tls_start(const char *cert_path, char *(*make_body)(void), char ret_url[64]);

#endif
