/*
 * Bytes: big-endian integers as formats store them, hex, base64, and a growing buffer with a limit.
 */
#ifndef KMSCLIENT_BYTES_H
#define KMSCLIENT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

static inline void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	__builtin_memcpy(p, &v, sizeof(v));
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	__builtin_memcpy(p, &v, sizeof(v));
}

static inline uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

/* Lower-case hex of @len bytes into @ret_text, which has room for 2 * @len + 1. */
void bytes_to_hex(const uint8_t *bytes, size_t len, char *ret_text);

/* The value of a hex digit of either case, -1 for none. */
int bytes_hex_digit(char c);

/* Exactly 2 * @len hex digits (either case) and the end of @text into @ret_bytes; else -EINVAL. */
int bytes_from_hex(const char *text, uint8_t *ret_bytes, size_t len);

/* UTF-8 (RFC 3629): no overlong forms, no surrogates. */
bool bytes_utf8(const char *text, size_t len);

/* Base64 (RFC 4648 section 4, padded) of @len bytes; the caller frees. NULL: out of memory. */
char *bytes_to_base64(const uint8_t *bytes, size_t len);

/*
 * Decode padded base64 of @text_len characters, no white space. *@ret_bytes is the caller's to free
 * (and to wipe when secret); *@ret_len may be 0 (then *@ret_bytes is still one byte of memory).
 * -EINVAL bad text, -ENOMEM.
 */
int bytes_from_base64(const char *text, size_t text_len, uint8_t **ret_bytes, size_t *ret_len);

/* A growing buffer, always followed by a NUL that len does not count. All zero but max is a valid
 * empty one. */
struct buf {
	uint8_t *bytes; /* owned; NULL while empty */
	size_t len;
	size_t cap;
	size_t max; /* more than this is -EMSGSIZE */
};

/* Append; -EMSGSIZE past max, -ENOMEM. What it held stays on failure. Old copies are wiped. */
int buf_append(struct buf *buf, const void *bytes, size_t len);
int buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Wipe, free and make empty (max stays). */
void buf_free(struct buf *buf);

/* free() for AUTO(): frees *@p, a pointer to a pointer. */
void freep(void *p);

#endif
