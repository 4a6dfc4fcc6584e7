/* Keys from keys: HKDF-SHA256 (RFC 5869), by OpenSSL. */
#ifndef FS_HKDF_H
#define FS_HKDF_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct secret;

/*
 * @ret_len bytes (1 to 8160) derived from @key with @salt (NULL and 0: none) and the text @label as
 * RFC 5869's info. @ret is the caller's to wipe. -EIO when libcrypto fails.
 */
int hkdf_sha256(const struct secret *key, const uint8_t *salt, size_t salt_len, const char *label,
		uint8_t *ret, size_t ret_len, struct err *err);

#endif
