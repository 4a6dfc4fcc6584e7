/*
 * The keys of a store, each derived from a data key for one purpose (DESIGN.md, section 2).
 *
 * A volume's data keys travel as one secret: the newest, STORE_DATA_KEY_LEN bytes, and behind it, while the
 * volume is being written anew under that one, the one before.
 */
#ifndef FS_KEYS_H
#define FS_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "blockcrypt.h"
#include "mac.h"

struct err;
struct mac;
struct secret;

#define KEYS_SEGMENT_LEN (BLOCKCRYPT_KEY_LEN + MAC_KEY_LEN)

enum keys_age { KEYS_NEWEST, KEYS_PREVIOUS, KEYS_AGES };

/* Does @data_keys hold two? */
bool keys_has_previous(const struct secret *data_keys);

/* A copy of one of them, the caller's. *@ret_key is NULL when there is no previous one. */
int keys_pick(const struct secret *data_keys, enum keys_age age, struct secret **ret_key,
	      struct err *err);

/* Both as one secret, the caller's. Each is one data key, borrowed. */
int keys_join(const struct secret *newest, const struct secret *previous,
	      struct secret **ret_data_keys, struct err *err);

/* What seals segment headers, by each data key: NULL when there is no previous one. The caller's. */
int keys_segment_header(const struct secret *data_keys, struct mac *ret_macs[KEYS_AGES],
			struct err *err);

/* The same for a volume's files: @what is "map" (pages and roots) or "flushed". */
int keys_volume_file(const struct secret *data_keys, const char *what, const char *volume_id,
		     struct mac *ret_macs[KEYS_AGES], struct err *err);

/* mac_free() of both. */
void keys_free_macs(struct mac *macs[KEYS_AGES]);

/*
 * The keys of the segment with that salt, from its one data key: for blocks, then for records without blocks, KEYS_SEGMENT_LEN
 * bytes into locked memory of the caller; and a MAC made of the latter.
 */
int keys_segment(const struct secret *data_key, enum blockcrypt_cipher cipher, const uint8_t *salt,
		 uint8_t *ret_keys, struct mac **ret_mac, struct err *err);

#endif
