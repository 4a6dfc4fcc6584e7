/*
 * A second opinion on a request's signature, written for tests from the AWS Signature Version 4
 * documents alone, so that no code of the project judges itself.
 */
#ifndef TESTS_CHECK_SIGV4_H
#define TESTS_CHECK_SIGV4_H

#include <stddef.h>

/*
 * NULL when the signature in @head (request line and headers) over it and @body is right for
 * @secret_key; else why not.
 */
const char *check_sigv4(const char *head, const char *body, size_t body_len,
			const char *secret_key);

#endif
