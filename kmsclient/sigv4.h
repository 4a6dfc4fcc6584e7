/*
 * AWS Signature Version 4 (AWS General Reference, "Signing AWS API requests"): the canonical
 * request, the string to sign, the signing key and the signature, each a pure function. The one who
 * verifies builds them anew from what came in. Not S3's variant: paths are normalized and encoded.
 */
#ifndef KMSCLIENT_SIGV4_H
#define KMSCLIENT_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

#define SIGV4_ALGORITHM	   "AWS4-HMAC-SHA256"
#define SIGV4_TERMINATOR   "aws4_request"
#define SIGV4_KEY_LEN	   32  /* bytes */
#define SIGV4_HEX_LEN	   64  /* characters of a SHA-256 in hex, without the NUL */
#define SIGV4_DATE_LEN	   16  /* YYYYMMDDTHHMMSSZ */
#define SIGV4_DAY_LEN	   8   /* YYYYMMDD */
#define SIGV4_QUERY_MAX	   128 /* parameters of a query string */
#define SIGV4_HEADERS_MAX  128
#define SIGV4_SEGMENTS_MAX 256	/* of a path */
#define SIGV4_ID_MAX	   128	/* characters of an access key id, a region, a service */
#define SIGV4_SIGNED_MAX   4096 /* characters of a SignedHeaders list */

struct sigv4_header {
	const char *name; /* any case */
	const char *value;
};

/* A request as it travels. Headers stand in the order received; one name may stand twice. */
struct sigv4_request {
	const char *method;
	const char *path;  /* of the request line, up to '?' */
	const char *query; /* behind the '?', "" for none */
	const struct sigv4_header *headers;
	size_t header_count;
	const void *body;
	size_t body_len;
};

/* What a credential scope names: DAY/REGION/SERVICE/aws4_request. */
struct sigv4_scope {
	const char *day; /* YYYYMMDD */
	const char *region;
	const char *service;
};

/* An Authorization header in parts. A missing part is "". */
struct sigv4_authorization {
	char credential[4 * SIGV4_ID_MAX];
	char signed_headers[SIGV4_SIGNED_MAX];
	char signature[4 * SIGV4_HEX_LEN];
	bool repeated; /* a part stands twice; the first is here */
};

/* Lower-case hex of the SHA-256 of @bytes. */
int sigv4_sha256_hex(const void *bytes, size_t len, char ret_hex[SIGV4_HEX_LEN + 1],
		     struct err *err);

/*
 * Append the canonical request of @req to @ret. @signed_headers is the list "host;x-amz-date" as the
 * signer gave it: lower-case, sorted; a name in it that @req does not have makes an empty value.
 * -EINVAL: more segments, parameters or headers than the limits above.
 */
int sigv4_canonical_request(const struct sigv4_request *req, const char *signed_headers,
			    struct buf *ret, struct err *err);

/* Append the string to sign. @date is YYYYMMDDTHHMMSSZ. */
int sigv4_string_to_sign(const char *date, const struct sigv4_scope *scope,
			 const struct buf *canonical_request, struct buf *ret, struct err *err);

/* The signing key of @secret, which the caller wipes. Good for one day, region and service. */
int sigv4_signing_key(const char *secret, const struct sigv4_scope *scope,
		      uint8_t ret_key[SIGV4_KEY_LEN], struct err *err);

/* Lower-case hex of the HMAC-SHA256 of @text under the signing key. */
int sigv4_signature(const uint8_t key[SIGV4_KEY_LEN], const char *text, size_t len,
		    char ret_hex[SIGV4_HEX_LEN + 1], struct err *err);

/*
 * Take an Authorization header's value apart. Parts that are missing or too long are left "".
 * -EINVAL: it is not one of AWS4-HMAC-SHA256.
 */
int sigv4_parse_authorization(const char *value, struct sigv4_authorization *ret);

/* YYYYMMDDTHHMMSSZ to seconds since 1970 and back. -EINVAL: not of that form. */
int sigv4_parse_date(const char *text, int64_t *ret_seconds);
void sigv4_format_date(int64_t seconds, char ret_text[SIGV4_DATE_LEN + 1]);

#endif
