/* HMAC-SHA256 (RFC 2104, FIPS 180-4) under one key, for all metadata that is not encrypted. */
#ifndef FS_MAC_H
#define FS_MAC_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct mac;

#define MAC_LEN	    32 /* bytes of a whole tag */
#define MAC_KEY_LEN 32

/* @key: MAC_KEY_LEN bytes, copied. The caller owns *@ret_mac. -ENOMEM, -EIO (libcrypto). */
int mac_new(const uint8_t *key, struct mac **ret_mac, struct err *err);

/* Wipe and free. NULL is allowed. */
void mac_free(struct mac *mac);

/* The tag of @len bytes into @ret_tag (MAC_LEN). -EIO (libcrypto). Safe from any thread. */
int mac_sign(const struct mac *mac, const void *bytes, size_t len, uint8_t *ret_tag);

/* Compare with the first @tag_len bytes of the right tag, in constant time; -EBADMSG. */
int mac_check(const struct mac *mac, const void *bytes, size_t len, const uint8_t *tag,
	      size_t tag_len);

#endif
