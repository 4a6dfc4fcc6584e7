/* Heads and chunks. See http_parse.h. */
#include "http_parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "bytes.h"

#define LENGTH_DIGITS	  15
#define CHUNK_SIZE_DIGITS 8
#define EXTENSION_MAX	  256

size_t http_head_len(const char *text, size_t len, size_t seen)
{
	size_t from = seen > 3 ? seen - 3 : 0;
	const char *end = len > from ? memmem(text + from, len - from, "\r\n\r\n", 4) : NULL;

	return end ? (size_t)(end - text) + 4 : 0;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(const char *text)
{
	const char *p = text;

	while ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
	       (*p && strchr("!#$%&'*+-.^_`|~", *p)))
		p++;
	return p > text && !*p;
}

/* Printable, or above ASCII. */
static bool is_visible(const char *text)
{
	while ((unsigned char)*text > ' ' && *text != 0x7f)
		text++;
	return !*text;
}

/* "http://host/path" is as good as "/path". */
static char *path_of(char *target)
{
	static char root[] = "/";
	char *slash;

	if (strncasecmp(target, "http://", 7) != 0 && strncasecmp(target, "https://", 8) != 0)
		return target;
	slash = strchr(strchr(target, ':') + 3, '/');
	return slash ? slash : root;
}

static unsigned parse_request_line(char *line, struct http_head *ret, const char **ret_why)
{
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
	char *question;

	*ret_why = "The request line is malformed.";
	if (!version)
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	target = path_of(target);
	if (!is_token(line) || !is_visible(target) || (*target != '/' && strcmp(target, "*") != 0))
		return 400;
	if (strncmp(version, "HTTP/", 5) != 0)
		return 400;
	*ret_why = "Only HTTP/1.0 and HTTP/1.1 are spoken here.";
	if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
		return 505;
	ret->old = version[7] == '0';
	ret->method = line;
	ret->path = target;
	question = strchr(target, '?');
	if (question)
		*question++ = '\0';
	ret->query = question ? question : "";
	return 0;
}

static unsigned parse_header(char *line, struct http_head *ret, const char **ret_why)
{
	char *colon = strchr(line, ':'), *value, *end;

	*ret_why = "A header is malformed.";
	if (!colon)
		return 400;
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	if (!is_token(line))
		return 400;
	for (const char *p = value; *p; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return 400;
	*ret_why = "There are too many headers.";
	if (ret->header_count == SIGV4_HEADERS_MAX)
		return 431;
	ret->headers[ret->header_count++] = (struct sigv4_header){line, value};
	return 0;
}

/* Whether the comma-separated @list has @word. */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (*list) {
		size_t len = strcspn(list, ","), last = len;

		while (last > 0 && (list[last - 1] == ' ' || list[last - 1] == '\t'))
			last--;
		if (last == n && strncasecmp(list, word, n) == 0)
			return true;
		list += len;
		list += strspn(list, ", \t");
	}
	return false;
}

static bool parse_length(const char *text, uint64_t *ret)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > LENGTH_DIGITS || text[n])
		return false;
	*ret = 0;
	for (; *text; text++)
		*ret = *ret * 10 + (uint64_t)(*text - '0');
	return true;
}

/* What the headers say of the message itself. */
static unsigned frame(struct http_head *ret, const char **ret_why)
{
	unsigned hosts = 0, lengths = 0, encodings = 0;
	bool bad_length = false, bad_encoding = false, bad_expect = false;

	ret->keep_alive = !ret->old;
	for (size_t i = 0; i < ret->header_count; i++) {
		const char *name = ret->headers[i].name, *value = ret->headers[i].value;

		if (strcasecmp(name, "Host") == 0) {
			hosts++;
		} else if (strcasecmp(name, "Content-Length") == 0) {
			lengths++;
			bad_length |= !parse_length(value, &ret->body_len);
		} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
			encodings++;
			bad_encoding |= strcasecmp(value, "chunked") != 0;
		} else if (strcasecmp(name, "Connection") == 0) {
			ret->keep_alive = !has_word(value, "close") &&
					  (ret->keep_alive || has_word(value, "keep-alive"));
		} else if (strcasecmp(name, "Expect") == 0) {
			ret->expects_continue = strcasecmp(value, "100-continue") == 0;
			bad_expect |= !ret->expects_continue;
		}
	}
	*ret_why = "One Host header is required.";
	if (hosts > 1 || (hosts == 0 && !ret->old))
		return 400;
	*ret_why = "The length of the body is not clear.";
	if (bad_length || lengths > 1 || encodings > 1 || (lengths && encodings) ||
	    (ret->old && encodings))
		return 400;
	*ret_why = "The only transfer encoding that is understood is chunked.";
	if (bad_encoding)
		return 501;
	*ret_why = "The only expectation that is understood is 100-continue.";
	if (bad_expect)
		return 417;
	ret->chunked = encodings == 1;
	return 0;
}

unsigned http_parse_head(char *text, size_t len, struct http_head *ret, const char **ret_why)
{
	char *end = text + len - 2; /* of the empty line */
	unsigned status = 0;

	memset(ret, 0, sizeof(*ret));
	*ret_why = "The head has a byte that does not belong there.";
	if (memchr(text, '\0', len))
		return 400;
	for (char *line = text, *next; line < end && status == 0; line = next) {
		next = strstr(line, "\r\n");
		*next = '\0';
		next += 2;
		*ret_why = "The head has a byte that does not belong there.";
		if (strpbrk(line, "\r\n"))
			return 400;
		status = ret->method ? parse_header(line, ret, ret_why)
				     : parse_request_line(line, ret, ret_why);
	}
	return status ? status : frame(ret, ret_why);
}

/* --- chunks --- */

/*
 * state	| next byte is
 * SIZE		| a digit of a chunk's size, or what ends it
 * EXTENSION	| behind a size and before its CR
 * SIZE_LF	| the LF of a size's line
 * DATA		| one of `left` bytes of body
 * DATA_CR, _LF | the line end behind a chunk
 * TRAILER	| the first of a line behind the last chunk
 * TRAILER_TEXT	| inside of such a line
 * TRAILER_LF	| the LF of such a line
 * LAST_LF	| the LF of the empty line that ends all
 */
enum {
	SIZE,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER,
	TRAILER_TEXT,
	TRAILER_LF,
	LAST_LF
};

static int feed_size(struct http_chunks *c, char byte)
{
	int digit = bytes_hex_digit(byte);

	if (digit >= 0) {
		if (++c->count > CHUNK_SIZE_DIGITS)
			return -EINVAL;
		c->left = c->left * 16 + (uint64_t)digit;
		return 0;
	}
	if (c->count == 0 || (byte != ';' && byte != '\r'))
		return -EINVAL;
	c->count = 0;
	c->state = byte == '\r' ? SIZE_LF : EXTENSION;
	return 0;
}

static int feed_text(struct http_chunks *c, char byte, int then, unsigned max)
{
	if (byte == '\r')
		c->state = then;
	else if (byte == '\n' || ++c->count > max)
		return -EINVAL;
	return 0;
}

/* One byte of what is around the data. */
static int feed_frame(struct http_chunks *c, char byte)
{
	switch (c->state) {
	case SIZE:
		return feed_size(c, byte);
	case EXTENSION:
		return feed_text(c, byte, SIZE_LF, EXTENSION_MAX);
	case TRAILER:
		c->state = byte == '\r' ? LAST_LF : TRAILER_TEXT;
		return byte == '\r' ? 0 : feed_text(c, byte, TRAILER_LF, HTTP_TRAILER_MAX);
	case TRAILER_TEXT:
		return feed_text(c, byte, TRAILER_LF, HTTP_TRAILER_MAX);
	case DATA_CR:
		c->state = DATA_LF;
		return byte == '\r' ? 0 : -EINVAL;
	default:
		break;
	}
	if (byte != '\n')
		return -EINVAL;
	if (c->state == LAST_LF)
		return 1;
	if (c->state == DATA_LF)
		c->left = c->count = 0;
	c->state = c->state == DATA_LF	 ? SIZE
		   : c->state == SIZE_LF ? (c->left > 0 ? DATA : TRAILER)
					 : TRAILER;
	return 0;
}

int http_chunks_feed(struct http_chunks *c, const char *bytes, size_t len, struct buf *body,
		     size_t *ret_used)
{
	size_t i = 0;
	int r = 0;

	while (i < len && r == 0) {
		if (c->state == DATA) {
			size_t n = c->left < len - i ? (size_t)c->left : len - i;

			r = buf_append(body, bytes + i, n);
			i += n;
			c->left -= n;
			if (c->left == 0)
				c->state = DATA_CR;
		} else {
			r = feed_frame(c, bytes[i++]);
		}
	}
	*ret_used = i;
	return r;
}
