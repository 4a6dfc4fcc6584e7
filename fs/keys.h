/* The keys of a store, each derived from the data key for one purpose (DESIGN.md, section 2). */
#ifndef FS_KEYS_H
#define FS_KEYS_H

#include <stdint.h>

#include "blockcrypt.h"
#include "mac.h"

struct err;
struct mac;
struct secret;

#define KEYS_SEGMENT_LEN (BLOCKCRYPT_KEY_LEN + MAC_KEY_LEN)

/* What seals segment headers. The caller owns *@ret_mac. */
int keys_segment_header(const struct secret *data_key, struct mac **ret_mac, struct err *err);

/* What seals a volume's files: @what is "map" (pages and roots) or "flushed". */
int keys_volume_file(const struct secret *data_key, const char *what, const char *volume_id,
		     struct mac **ret_mac, struct err *err);

/*
 * The keys of the segment with that salt: for blocks, then for records without blocks, KEYS_SEGMENT_LEN
 * bytes into locked memory of the caller; and a MAC made of the latter.
 */
int keys_segment(const struct secret *data_key, enum blockcrypt_cipher cipher, const uint8_t *salt,
		 uint8_t *ret_keys, struct mac **ret_mac, struct err *err);

#endif
