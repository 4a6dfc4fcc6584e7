/* The store's formats; see format.h for the values and DESIGN.md for the bytes. */
#include "format.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bytes.h"
#include "crc32c.h"
#include "err.h"
#include "mac.h"

#define RECORD_MAGIC	  0x4b565243u /* "KVRC" */
#define RECORD_CRC_AT	  44
#define SEGMENT_MAGIC	  0x4b4d53565345474dULL /* "KMSVSEGM" */
#define SEGMENT_WRITER_AT 72
#define SEGMENT_MAC_AT	  (FORMAT_SEGMENT_LEN - MAC_LEN)
#define PAGE_MAGIC	  0x4b4d535650414745ULL /* "KMSVPAGE" */
#define PAGE_ENTRIES_AT	  32
#define PAGE_MAC_AT	  (FORMAT_PAGE_LEN - MAC_LEN)
#define ROOT_MAGIC	  0x4b4d5356524f4f54ULL /* "KMSVROOT" */
#define ROOT_GROUPS_AT	  80

/* A group: its index page's two slots, then the two slots of each of its leaves. */
#define GROUP_LEN ((2 + 2 * FORMAT_PAGE_ENTRIES) * (uint64_t)FORMAT_PAGE_LEN)

void format_record_put(const struct format_record *record, uint8_t bytes[FORMAT_RECORD_LEN])
{
	put_be32(bytes, RECORD_MAGIC);
	put_be32(bytes + 4, record->type);
	put_be64(bytes + 8, record->lba);
	put_be64(bytes + 16, record->count);
	put_be64(bytes + 24, record->seq);
	put_be64(bytes + 32, record->durable);
	put_be32(bytes + 40, 0);
	put_be32(bytes + RECORD_CRC_AT, crc32c(0, bytes, RECORD_CRC_AT));
}

int format_record_get(const uint8_t bytes[FORMAT_RECORD_LEN], uint64_t seq,
		      struct format_record *ret_record)
{
	if (get_be32(bytes) != RECORD_MAGIC || get_be64(bytes + 24) != seq ||
	    get_be32(bytes + RECORD_CRC_AT) != crc32c(0, bytes, RECORD_CRC_AT) ||
	    get_be32(bytes + 40) != 0)
		return -EBADMSG;
	ret_record->type = (enum format_record_type)get_be32(bytes + 4);
	ret_record->lba = get_be64(bytes + 8);
	ret_record->count = get_be64(bytes + 16);
	ret_record->seq = seq;
	ret_record->durable = get_be64(bytes + 32);
	return 0;
}

int format_segment_put(const struct format_segment *segment, const struct mac *mac,
		       uint8_t bytes[FORMAT_SEGMENT_LEN])
{
	memset(bytes, 0, FORMAT_SEGMENT_LEN);
	put_be64(bytes, SEGMENT_MAGIC);
	put_be32(bytes + 8, FORMAT_VERSION);
	put_be32(bytes + 12, segment->cipher);
	put_be32(bytes + 16, segment->block_size);
	put_be32(bytes + 20, segment->id);
	put_be32(bytes + 24, segment->previous);
	put_be64(bytes + 32, segment->created);
	memcpy(bytes + 40, segment->salt, FORMAT_SALT_LEN);
	memcpy(bytes + SEGMENT_WRITER_AT, segment->writer, FORMAT_WRITER_LEN);
	return mac_sign(mac, bytes, SEGMENT_MAC_AT, bytes + SEGMENT_MAC_AT);
}

int format_segment_get(const uint8_t bytes[FORMAT_SEGMENT_LEN], const struct mac *mac,
		       struct format_segment *ret_segment, struct err *err)
{
	struct format_segment s;

	if (get_be64(bytes) == SEGMENT_MAGIC && get_be32(bytes + 8) > FORMAT_VERSION &&
	    get_be32(bytes + 8) < 1000) /* else a flipped bit, which the tag reports better */
		return err_set(err, EUCLEAN,
			       "header is of format version %" PRIu32 ", this program reads %d",
			       get_be32(bytes + 8), FORMAT_VERSION);
	if (mac && mac_check(mac, bytes, SEGMENT_MAC_AT, bytes + SEGMENT_MAC_AT, MAC_LEN) < 0)
		return err_set(err, EBADMSG, "header is damaged or of another volume");
	if (get_be64(bytes) != SEGMENT_MAGIC || get_be32(bytes + 8) != FORMAT_VERSION)
		return err_set(err, EUCLEAN, "header makes no sense");
	s.cipher = (enum blockcrypt_cipher)get_be32(bytes + 12);
	s.block_size = get_be32(bytes + 16);
	s.id = get_be32(bytes + 20);
	s.previous = get_be32(bytes + 24);
	s.created = get_be64(bytes + 32);
	memcpy(s.salt, bytes + 40, FORMAT_SALT_LEN);
	memcpy(s.writer, bytes + SEGMENT_WRITER_AT, FORMAT_WRITER_LEN);
	s.writer[FORMAT_WRITER_LEN - 1] = '\0';
	*ret_segment = s;
	return 0;
}

int format_page_put(const struct format_page *page, const uint64_t entries[FORMAT_PAGE_ENTRIES],
		    const struct mac *mac, uint8_t bytes[FORMAT_PAGE_LEN])
{
	memset(bytes, 0, FORMAT_PAGE_LEN);
	put_be64(bytes, PAGE_MAGIC);
	put_be64(bytes + 8, page->index);
	put_be64(bytes + 16, page->version);
	put_be32(bytes + 24, page->level);
	for (size_t i = 0; i < FORMAT_PAGE_ENTRIES; i++)
		put_be64(bytes + PAGE_ENTRIES_AT + 8 * i, entries[i]);
	return mac_sign(mac, bytes, PAGE_MAC_AT, bytes + PAGE_MAC_AT);
}

int format_page_get(const uint8_t bytes[FORMAT_PAGE_LEN], const struct format_page *want,
		    const struct mac *mac, uint64_t ret_entries[FORMAT_PAGE_ENTRIES])
{
	if (mac && mac_check(mac, bytes, PAGE_MAC_AT, bytes + PAGE_MAC_AT, MAC_LEN) < 0)
		return -EBADMSG;
	if (get_be64(bytes) != PAGE_MAGIC || get_be64(bytes + 8) != want->index ||
	    get_be64(bytes + 16) != want->version || get_be32(bytes + 24) != want->level)
		return -EBADMSG;
	for (size_t i = 0; i < FORMAT_PAGE_ENTRIES; i++)
		ret_entries[i] = get_be64(bytes + PAGE_ENTRIES_AT + 8 * i);
	return 0;
}

uint64_t format_index_off(uint64_t group, unsigned slot)
{
	return group * GROUP_LEN + slot * (uint64_t)FORMAT_PAGE_LEN;
}

uint64_t format_leaf_off(uint64_t leaf, unsigned slot)
{
	uint64_t in_group = leaf % FORMAT_PAGE_ENTRIES;

	return leaf / FORMAT_PAGE_ENTRIES * GROUP_LEN +
	       (2 + 2 * in_group + slot) * (uint64_t)FORMAT_PAGE_LEN;
}

size_t format_root_len(uint64_t groups)
{
	return FORMAT_ROOT_FIXED_LEN + (size_t)groups * 8 + MAC_LEN;
}

int format_root_put(const struct format_root *root, const struct mac *mac, uint8_t *ret_bytes)
{
	size_t mac_at = format_root_len(root->groups) - MAC_LEN;

	memset(ret_bytes, 0, FORMAT_ROOT_FIXED_LEN);
	put_be64(ret_bytes, ROOT_MAGIC);
	put_be32(ret_bytes + 8, FORMAT_VERSION);
	memcpy(ret_bytes + 16, root->volume_id, FORMAT_VOLUME_ID_LEN);
	put_be64(ret_bytes + 48, root->checkpoint);
	put_be64(ret_bytes + 56, root->replay);
	put_be64(ret_bytes + 64, root->next_segment);
	put_be64(ret_bytes + 72, root->mapped);
	put_be64(ret_bytes + ROOT_GROUPS_AT, root->groups);
	put_be64(ret_bytes + 88, root->created);
	put_be64(ret_bytes + 96, root->stamp);
	for (uint64_t i = 0; i < root->groups; i++)
		put_be64(ret_bytes + FORMAT_ROOT_FIXED_LEN + 8 * i, root->versions[i]);
	return mac_sign(mac, ret_bytes, mac_at, ret_bytes + mac_at);
}

int format_root_get(const uint8_t *bytes, size_t len, const struct format_root *want,
		    const struct mac *mac, struct format_root *ret_root, struct err *err)
{
	/* As long as this is not sealed it is only used to find the seal. */
	uint64_t groups = len >= format_root_len(0) ? get_be64(bytes + ROOT_GROUPS_AT) : 0;
	size_t mac_at;

	if (len < format_root_len(0))
		return err_set(err, EBADMSG, "is cut short: %zu bytes", len);
	if (groups > want->groups)
		groups = want->groups;
	if (len < format_root_len(groups))
		return err_set(err, EBADMSG, "is cut short: %zu of %zu bytes", len,
			       format_root_len(groups));
	mac_at = format_root_len(groups) - MAC_LEN;
	if (get_be64(bytes) == ROOT_MAGIC && get_be32(bytes + 8) > FORMAT_VERSION &&
	    get_be32(bytes + 8) < 1000) /* else a flipped bit, which the tag reports better */
		return err_set(err, EUCLEAN,
			       "is of format version %" PRIu32 ", this program reads %d",
			       get_be32(bytes + 8), FORMAT_VERSION);
	if (mac && mac_check(mac, bytes, mac_at, bytes + mac_at, MAC_LEN) < 0)
		return err_set(err, EBADMSG, "is damaged, torn or of another volume");
	if (get_be64(bytes) != ROOT_MAGIC || get_be32(bytes + 8) != FORMAT_VERSION ||
	    memcmp(bytes + 16, want->volume_id, FORMAT_VOLUME_ID_LEN) != 0 ||
	    get_be64(bytes + ROOT_GROUPS_AT) != groups)
		return err_set(err, EUCLEAN, "is of another volume or version");
	memcpy(ret_root->volume_id, want->volume_id, FORMAT_VOLUME_ID_LEN);
	ret_root->checkpoint = get_be64(bytes + 48);
	ret_root->replay = get_be64(bytes + 56);
	ret_root->next_segment = (uint32_t)get_be64(bytes + 64);
	ret_root->mapped = get_be64(bytes + 72);
	ret_root->groups = want->groups;
	ret_root->created = get_be64(bytes + 88);
	ret_root->stamp = get_be64(bytes + 96);
	for (uint64_t i = 0; i < want->groups; i++)
		ret_root->versions[i] =
			i < groups ? get_be64(bytes + FORMAT_ROOT_FIXED_LEN + 8 * i) : 0;
	return 0;
}

int format_root_peek(const uint8_t bytes[FORMAT_ROOT_FIXED_LEN], struct format_root *ret_root)
{
	if (get_be64(bytes) != ROOT_MAGIC || get_be32(bytes + 8) != FORMAT_VERSION)
		return -EUCLEAN;
	memset(ret_root, 0, sizeof(*ret_root));
	ret_root->checkpoint = get_be64(bytes + 48);
	ret_root->replay = get_be64(bytes + 56);
	return 0;
}
