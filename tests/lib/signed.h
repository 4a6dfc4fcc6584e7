/*
 * Requests to kmsd as bytes, signed and ready to be written to a connection: for programs that measure, and so
 * sign before the clock starts.
 */
#ifndef TESTS_LIB_SIGNED_H
#define TESTS_LIB_SIGNED_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "sigv4.h"

struct err;

/* Where requests go and how they are signed. */
struct signer {
	struct sockaddr_in address;
	const char *host; /* "127.0.0.1:8080" */
	const char *id;	  /* of the access key */
	const char *region;
	uint8_t key[SIGV4_KEY_LEN];
	char date[SIGV4_DATE_LEN + 1]; /* of the signatures: the time of signer_init() */
	char day[SIGV4_DAY_LEN + 1];
};

/*
 * By AWS_ENDPOINT_URL (http://ADDRESS:PORT), AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, whose
 * texts it borrows. -EINVAL: one is missing or wrong.
 */
int signer_init(struct signer *signer, struct err *err);

/* The bytes of a request of KMS, which the caller frees. */
int signer_request(const struct signer *signer, const char *operation, const char *body,
		   char **ret_bytes, size_t *ret_len, struct err *err);

/* A blocking connection to the server: a file descriptor. */
int signer_connect(const struct signer *signer, struct err *err);

/*
 * The body in the NUL-terminated bytes of a reply so far, and whether its status is 200. NULL: there is more to
 * come. All replies of kmsd have a Content-Length.
 */
const char *signer_reply_body(const char *reply, size_t len, int *ret_ok);

#endif
