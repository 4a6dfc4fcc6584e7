/*
 * The store's formats: positions, record headers, segment headers, map pages, roots. Bytes in, values
 * out, and back; no I/O. DESIGN.md gives each byte. Who reads without the key gives no mac: then the
 * shape is checked, not the seal.
 */
#ifndef FS_FORMAT_H
#define FS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blockcrypt.h"

struct err;
struct mac;

#define FORMAT_VERSION 1

/*
 * A position in the log, and the seq of what stands there: segment id in the upper half, offset in
 * units of 16 bytes in the lower. Ids and offsets only rise, so seqs do. 0: nowhere (a hole).
 */
#define FORMAT_UNIT	   16
#define FORMAT_SEGMENT_MAX (1ULL << 30) /* bytes */

static inline uint64_t format_seq(uint32_t segment, uint64_t off)
{
	return (uint64_t)segment << 32 | off / FORMAT_UNIT;
}

static inline uint32_t format_seq_segment(uint64_t seq)
{
	return (uint32_t)(seq >> 32);
}

static inline uint64_t format_seq_off(uint64_t seq)
{
	return (seq & UINT32_MAX) * FORMAT_UNIT;
}

/* Record header. A write is followed by its block slots; the other types by a tag of 16 bytes. */
#define FORMAT_RECORD_LEN     48
#define FORMAT_RECORD_TAG_LEN 16

enum format_record_type {
	FORMAT_WRITE = 1,   /* count blocks from lba on */
	FORMAT_DISCARD = 2, /* count blocks from lba on read as zeros */
	FORMAT_SEAL = 3,    /* last record of a segment that another one follows */
};

struct format_record {
	enum format_record_type type;
	uint64_t lba;
	uint64_t count;
	uint64_t seq;	  /* its own position */
	uint64_t durable; /* all before this seq was synced when the record was made */
};

void format_record_put(const struct format_record *record, uint8_t bytes[FORMAT_RECORD_LEN]);

/* -EBADMSG: no record of position @seq stands there (magic, checksum, position). */
int format_record_get(const uint8_t bytes[FORMAT_RECORD_LEN], uint64_t seq,
		      struct format_record *ret_record);

/* Segment header, at offset 0; records start right behind it. */
#define FORMAT_SEGMENT_LEN 128
#define FORMAT_SALT_LEN	   32
#define FORMAT_WRITER_LEN  24

struct format_segment {
	enum blockcrypt_cipher cipher;
	uint32_t block_size;
	uint32_t id;
	uint32_t previous; /* the segment that was sealed before it; 0: none in this mount */
	uint64_t created;  /* seconds since 1970 */
	uint8_t salt[FORMAT_SALT_LEN];
	char writer[FORMAT_WRITER_LEN]; /* id of the volume that wrote it, NUL-padded */
};

int format_segment_put(const struct format_segment *segment, const struct mac *mac,
		       uint8_t bytes[FORMAT_SEGMENT_LEN]);

/* -EBADMSG damaged, -EUCLEAN of another version or not a segment; the sentence says which. */
int format_segment_get(const uint8_t bytes[FORMAT_SEGMENT_LEN], const struct mac *mac,
		       struct format_segment *ret_segment, struct err *err);

/* Map page: 512 entries of a level, in a slot of 4608 bytes, two slots a page. */
#define FORMAT_PAGE_ENTRIES 512
#define FORMAT_PAGE_LEN	    4608

enum format_level {
	FORMAT_LEAF = 0,  /* entry: seq of the block's slot, 0 for a hole */
	FORMAT_INDEX = 1, /* entry: version of a leaf (format_version_*), 0 for none */
};

/* Version of a page as its parent keeps it: stamp of the checkpoint and the slot it stands in. */
static inline uint64_t format_version(uint64_t stamp, unsigned slot)
{
	return stamp << 1 | slot;
}

static inline unsigned format_version_slot(uint64_t version)
{
	return (unsigned)(version & 1);
}

struct format_page {
	enum format_level level;
	uint64_t index;	  /* which page of its level */
	uint64_t version; /* as its parent has it */
};

int format_page_put(const struct format_page *page, const uint64_t entries[FORMAT_PAGE_ENTRIES],
		    const struct mac *mac, uint8_t bytes[FORMAT_PAGE_LEN]);

/* -EBADMSG: damaged, or not the page and version that @want says. */
int format_page_get(const uint8_t bytes[FORMAT_PAGE_LEN], const struct format_page *want,
		    const struct mac *mac, uint64_t ret_entries[FORMAT_PAGE_ENTRIES]);

/* Offsets in the file `map`: of the index page of group @group, of leaf @leaf, in slot @slot. */
uint64_t format_index_off(uint64_t group, unsigned slot);
uint64_t format_leaf_off(uint64_t leaf, unsigned slot);

/* Checkpoint root. */
#define FORMAT_ROOT_FIXED_LEN 128
#define FORMAT_VOLUME_ID_LEN  32

struct format_root {
	char volume_id[FORMAT_VOLUME_ID_LEN]; /* NUL-padded */
	uint64_t checkpoint;		      /* its number, from 1 */
	uint64_t stamp;			      /* of the newest page version; never used twice */
	uint64_t replay;		      /* seq where replay starts; 0: nothing to replay */
	uint32_t next_segment;		      /* smallest id never used */
	uint64_t mapped;		      /* blocks that are no holes */
	uint64_t groups;		      /* index pages */
	uint64_t created;		      /* seconds since 1970 */
	uint64_t *versions; /* of the index pages, groups of them, owned elsewhere */
};

/* Bytes of a root of @groups index pages. */
size_t format_root_len(uint64_t groups);

int format_root_put(const struct format_root *root, const struct mac *mac, uint8_t *ret_bytes);

/*
 * @want: volume id, and the number of groups that the volume's size makes; root->versions must have room
 * for @want->groups. A root of a volume that has grown since has fewer: the versions of the others are 0.
 * -EBADMSG damaged (or torn), cut short; -EUCLEAN another volume's or version's.
 */
int format_root_get(const uint8_t *bytes, size_t len, const struct format_root *want,
		    const struct mac *mac, struct format_root *ret_root, struct err *err);

/* What a root says of its checkpoint and of the log, its tag not looked at: it may be a lie. -EUCLEAN. */
int format_root_peek(const uint8_t bytes[FORMAT_ROOT_FIXED_LEN], struct format_root *ret_root);

#endif
