/*
 * AWS credentials as a value: an access key, perhaps with a session token and an end.
 */
#ifndef KMSCLIENT_AWS_CREDS_H
#define KMSCLIENT_AWS_CREDS_H

#include <stdint.h>

struct err;
struct kms_json;
struct secret;

#define AWS_ACCESS_KEY_ID_MAX 128   /* characters */
#define AWS_SECRET_KEY_MAX    256   /* characters */
#define AWS_TOKEN_MAX	      16384 /* characters */
#define AWS_CREDS_SOURCE_MAX  256

/* All zero is a valid empty one. Secrets are text, with their NUL. */
struct aws_creds {
	char access_key_id[AWS_ACCESS_KEY_ID_MAX + 1];
	struct secret *secret_key; /* owned */
	struct secret *token;	   /* owned; NULL: none */
	int64_t expires_at;	   /* seconds since 1970; 0: never */
	char source[AWS_CREDS_SOURCE_MAX];
};

/*
 * Fill the empty @ret from texts; @token and @expiration may be NULL. -EACCES with a sentence that
 * begins with @source when a text is missing, too long or has characters no credential has. No
 * secret is ever part of the sentence.
 */
int aws_creds_set(struct aws_creds *ret, const char *source, const char *access_key_id,
		  const char *secret_key, const char *token, const char *expiration,
		  struct err *err);

/*
 * Fill the empty @ret from the JSON object of a credential process, container or instance; the
 * token's member is called @token_name there. -EACCES as above.
 */
int aws_creds_from_json(struct aws_creds *ret, const char *source, const struct kms_json *obj,
			const char *token_name, struct err *err);

/* Wipe and free what it holds, make it empty. */
void aws_creds_clear(struct aws_creds *creds);

/* The text of one of its secrets; NULL for NULL. */
const char *aws_creds_text(const struct secret *secret);

/* ISO 8601 in UTC or with an offset ("2026-01-01T00:00:00Z") as seconds since 1970; -1: is none. */
int64_t aws_creds_time(const char *text);

#endif
