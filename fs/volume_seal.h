/*
 * The seal of a volume's header: a MAC under the data key, so that nobody without the key can
 * change the size, the cipher or anything else in volume.json unseen.
 *
 * The MAC is HMAC-SHA256 (RFC 2104) over every member but itself, under HKDF-SHA256 (RFC 5869) of
 * the data key with an empty salt and the label VOLUME_SEAL_LABEL. Its input, with all
 * integers big-endian, is
 *   u32 number of fields (13; 14 with a previous data key), then for each member in the order of volume_header.h but mac:
 *       u32 length of the name, the name, u32 length of the value, the value
 * where a value is the bytes of the string (the data keys: of the decoded blob; parent_snapshot
 * null: none), a u64 for a number, and for the encryption context
 *       u32 number of pairs, then, sorted by the bytes of their names, for each:
 *       u32 length, name, u32 length, value
 * and for the lineage
 *       u32 number of elements, then for each: u32 length, volume_id, u64 below.
 * Every part carries its length, so no two headers have one input.
 */
#ifndef FS_VOLUME_SEAL_H
#define FS_VOLUME_SEAL_H

struct err;
struct secret;
struct volume_header;

#define VOLUME_SEAL_LABEL "kmsvol v1 volume header"

/* Compute the MAC with the newest of the data keys (keys.h; borrowed) and set header->mac. */
int volume_seal_set(struct volume_header *header, const struct secret *data_keys, struct err *err);

/* Check the MAC. -EBADMSG: the header is not what was sealed with this key. */
int volume_seal_check(const struct volume_header *header, const struct secret *data_keys,
		      struct err *err);

#endif
