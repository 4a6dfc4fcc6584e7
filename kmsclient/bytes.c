/* Hex, base64 and the growing buffer. See bytes.h. */
#include "bytes.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

void bytes_to_hex(const uint8_t *bytes, size_t len, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * len] = '\0';
}

int bytes_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int bytes_from_hex(const char *text, uint8_t *ret_bytes, size_t len)
{
	if (strlen(text) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < 2 * len; i++)
		if (bytes_hex_digit(text[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < len; i++)
		ret_bytes[i] = (uint8_t)(bytes_hex_digit(text[2 * i]) << 4 |
					 bytes_hex_digit(text[2 * i + 1]));
	return 0;
}

/* Bytes that continue a sequence which began with @lead; -1: none begins so. */
static int continuation(unsigned char lead)
{
	if (lead < 0x80)
		return 0;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 1;
	if (lead >= 0xe0 && lead <= 0xef)
		return 2;
	return lead >= 0xf0 && lead <= 0xf4 ? 3 : -1;
}

bool bytes_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;

	while (p < end) {
		unsigned char lead = *p++;
		int more = continuation(lead);

		if (more == 0)
			continue;
		if (more < 0 || end - p < more || (lead == 0xe0 && *p < 0xa0) ||
		    (lead == 0xed && *p > 0x9f) || (lead == 0xf0 && *p < 0x90) ||
		    (lead == 0xf4 && *p > 0x8f))
			return false;
		for (; more > 0; more--)
			if ((*p++ & 0xc0) != 0x80)
				return false;
	}
	return true;
}

char *bytes_to_base64(const uint8_t *bytes, size_t len)
{
	char *text;

	if (len > INT_MAX / 2)
		return NULL;
	text = malloc((len + 2) / 3 * 4 + 1);
	if (text)
		(void)EVP_EncodeBlock((unsigned char *)text, bytes, (int)len); /* its length */
	return text;
}

static bool base64_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

int bytes_from_base64(const char *text, size_t text_len, uint8_t **ret_bytes, size_t *ret_len)
{
	size_t pad = 0;
	uint8_t *out;
	int n;

	if (text_len % 4 != 0 || text_len > INT_MAX)
		return -EINVAL;
	while (pad < 2 && pad < text_len && text[text_len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < text_len - pad; i++) /* EVP_DecodeBlock would skip white space */
		if (!base64_char(text[i]))
			return -EINVAL;
	out = malloc(text_len / 4 * 3 + 1);
	if (!out)
		return -ENOMEM;
	n = text_len ? EVP_DecodeBlock(out, (const unsigned char *)text, (int)text_len) : 0;
	if (n < 0 || (size_t)n < pad) {
		free(out);
		return -EINVAL;
	}
	*ret_bytes = out;
	*ret_len = (size_t)n - pad;
	return 0;
}

static int buf_reserve(struct buf *buf, size_t more)
{
	size_t need, cap;
	uint8_t *p;

	if (__builtin_add_overflow(buf->len, more, &need) || need > buf->max)
		return -EMSGSIZE;
	if (need < buf->cap)
		return 0;
	cap = buf->cap ? buf->cap : 256;
	while (cap <= need)
		cap *= 2;
	p = malloc(cap); /* not realloc(): the old copy must be wiped */
	if (!p)
		return -ENOMEM;
	if (buf->bytes) {
		memcpy(p, buf->bytes, buf->len);
		OPENSSL_cleanse(buf->bytes, buf->cap);
		free(buf->bytes);
	}
	buf->bytes = p;
	buf->cap = cap;
	return 0;
}

int buf_append(struct buf *buf, const void *bytes, size_t len)
{
	int r = buf_reserve(buf, len);

	if (r < 0)
		return r;
	if (len)
		memcpy(buf->bytes + buf->len, bytes, len);
	buf->len += len;
	buf->bytes[buf->len] = '\0';
	return 0;
}

int buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	r = buf_reserve(buf, (size_t)n);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	(void)vsnprintf((char *)buf->bytes + buf->len, (size_t)n + 1, fmt, ap); /* measured above */
	va_end(ap);
	buf->len += (size_t)n;
	return 0;
}

void buf_free(struct buf *buf)
{
	if (buf->bytes) {
		OPENSSL_cleanse(buf->bytes, buf->cap);
		free(buf->bytes);
	}
	buf->bytes = NULL;
	buf->len = buf->cap = 0;
}

void freep(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}
