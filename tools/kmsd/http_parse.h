/*
 * HTTP/1.1 as far as a request needs it (RFC 9112), pure: bytes in, a head or a piece of body out. It
 * refuses what two readers could understand differently: a bare CR or LF, folded lines, white
 * space before a colon, a length given twice or together with chunks.
 */
#ifndef KMSD_HTTP_PARSE_H
#define KMSD_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sigv4.h"

struct buf;

#define HTTP_HEAD_MAX	 (32 * 1024)   /* bytes of request line and headers */
#define HTTP_BODY_MAX	 (1024 * 1024) /* bytes */
#define HTTP_TRAILER_MAX 8192	       /* bytes behind the last chunk */

/* A head taken apart; all texts lie in the head's own bytes. */
struct http_head {
	const char *method;
	const char *path;  /* as sent, up to '?' */
	const char *query; /* behind the '?'; "" for none */
	struct sigv4_header headers[SIGV4_HEADERS_MAX];
	size_t header_count;
	uint64_t body_len; /* announced; with chunks 0 */
	bool chunked;
	bool expects_continue;
	bool keep_alive;
	bool old; /* HTTP/1.0 */
};

/* Bytes of the head that begins at @text, its empty line included; 0: it is not whole yet. The first @seen bytes
 * were searched before. */
size_t http_head_len(const char *text, size_t len, size_t seen);

/*
 * Take a whole head of @len bytes apart; it is cut up in place. Returns 0, or the HTTP status that refuses it
 * (400, 417, 431, 501, 505), with the reason in *@ret_why.
 */
unsigned http_parse_head(char *text, size_t len, struct http_head *ret, const char **ret_why);

/* Where a reader of chunks is. All zero is the start. */
struct http_chunks {
	int state;
	uint64_t left;	/* bytes of the chunk; or its size as far as read */
	unsigned count; /* digits of a size; bytes of an extension or of the trailer */
};

/*
 * Decode @len bytes of a chunked body, appending to @body. 1: the body ended, *@ret_used bytes of
 * @bytes are its; 0: all are, and there is more to come. -EINVAL: not chunks; -EMSGSIZE: @body is full; -ENOMEM.
 */
int http_chunks_feed(struct http_chunks *c, const char *bytes, size_t len, struct buf *body,
		     size_t *ret_used);

#endif
