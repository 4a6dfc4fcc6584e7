/* HTTP: a head and behind it a body in chunks, which comes out the same in whatever pieces it comes in. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "http_parse.h"

#define BODY_MAX 4096

/* Feed in pieces of @step bytes; the result is that of the last call. */
static int feed(const char *bytes, size_t len, size_t step, struct buf *body, size_t *ret_used)
{
	struct http_chunks c = {0};
	size_t at = 0, used;
	int r = 0;

	while (at < len && r == 0) {
		size_t n = len - at < step ? len - at : step;

		r = http_chunks_feed(&c, bytes + at, n, body, &used);
		if (used > n || (r == 0 && used != n))
			abort();
		at += used;
	}
	*ret_used = at;
	return r;
}

static void check_chunks(const char *bytes, size_t len)
{
	struct buf whole = {.max = BODY_MAX}, pieces = {.max = BODY_MAX};
	size_t used, used2;
	int r = feed(bytes, len, len, &whole, &used), r2 = feed(bytes, len, 1, &pieces, &used2);

	if (r != r2 || (r >= 0 && (used != used2 || whole.len != pieces.len)) ||
	    (r >= 0 && whole.len && memcmp(whole.bytes, pieces.bytes, whole.len) != 0))
		abort();
	buf_free(&whole);
	buf_free(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = http_head_len((const char *)data, size, 0);
	struct buf text = {.max = SIZE_MAX};
	const char *why = NULL;
	struct http_head head;
	unsigned status;

	if (!len) {
		if (size)
			check_chunks((const char *)data, size);
		return 0;
	}
	if (buf_append(&text, data, len) < 0)
		return 0;
	status = http_parse_head((char *)text.bytes, len, &head, &why);
	if (status ? status < 400 || status > 599 || !why
		   : !head.method || !head.path || !head.query ||
			     head.header_count > SIGV4_HEADERS_MAX ||
			     (head.chunked && head.body_len))
		abort();
	for (size_t i = 0; status == 0 && i < head.header_count; i++)
		if (!*head.headers[i].name || strpbrk(head.headers[i].value, "\r\n"))
			abort();
	if (size > len)
		check_chunks((const char *)data + len, size - len);
	buf_free(&text);
	return 0;
}
