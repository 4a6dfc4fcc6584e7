/*
 * Segments: the append-only files of the log, their headers and keys, and the table of all of one
 * store. Knows records and volumes not.
 */
#ifndef FS_SEGMENT_H
#define FS_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

struct disk;
struct disk_file;
struct err;
struct mac;
struct secret;
struct segment;
struct segment_table;

#define SEGMENT_NAME_MAX 32 /* "segments/0000002a" and its NUL */

/*
 * The table of the segments in @disk, empty until segment_table_scan(). @disk must outlive it; keys
 * come from @data_key, which is copied. The caller owns *@ret_table.
 */
int segment_table_new(struct disk *disk, const struct store_geometry *geometry,
		      const struct secret *data_key, struct segment_table **ret_table,
		      struct err *err);

/* Close all files, wipe all keys, free. No segment may be held. NULL is allowed. */
void segment_table_free(struct segment_table *table);

/*
 * Find the segment files that exist; files with other names are left alone. -EUCLEAN: ids too far apart
 * for one volume.
 */
int segment_table_scan(struct segment_table *table, struct err *err);

/* The largest id in the table, 0 for none; how many there are. */
uint32_t segment_table_last(struct segment_table *table);
uint64_t segment_table_count(struct segment_table *table);

/*
 * Make segment @id, larger than all before, with a salt of its own, and make it durable: file, header,
 * name. Behind the header may stand what an older segment left. It is in the table and held for the
 * caller. -ENOSPC, -EIO, ...; nothing is left then.
 */
int segment_create(struct segment_table *table, uint32_t id, uint32_t previous,
		   struct segment **ret_segment, struct err *err);

/*
 * Hold segment @id, opening it and checking its header where that was not done yet. Give it back
 * with segment_put(). -ENOENT not there, -EBADMSG, -EUCLEAN, -EIO. Any thread.
 */
int segment_get(struct segment_table *table, uint32_t id, struct segment **ret_segment,
		struct err *err);
void segment_put(struct segment *segment); /* NULL is allowed */

uint32_t segment_id(const struct segment *segment);
uint32_t segment_previous(const struct segment *segment);
struct disk_file *segment_file(const struct segment *segment);
const uint8_t *segment_key(const struct segment *segment); /* BLOCKCRYPT_KEY_LEN bytes */
int segment_record_mac(const struct segment *segment, const uint8_t *header, size_t len,
		       uint8_t *ret_tag); /* 16 bytes for a record without blocks */

/*
 * Blocks that the map has in segment @id: @delta more (or fewer). -ENOENT: no such segment.
 * @end_off: where the last of them ends, so that a file cut short is noticed; 0: does not matter.
 */
int segment_live_add(struct segment_table *table, uint32_t id, int64_t delta, uint64_t end_off);

/*
 * Check that each segment with live blocks is as long as they need. -EBADMSG names the first that is
 * not.
 */
int segment_table_check(struct segment_table *table, struct err *err);

/*
 * Retire the segments below @below that have had no live block at this call and the two before: their
 * files are unlinked, or kept to become new segments. The caller has just made a checkpoint durable
 * (DESIGN.md, invariant 5): what was dead at the first of those calls is needed by neither of the
 * roots that are there at the third. Returns how many, or a negative errno.
 */
int segment_retire_dead(struct segment_table *table, uint32_t below, struct err *err);

/* Is there a segment below @below without a live block, that waits to be retired? */
bool segment_table_has_dead(struct segment_table *table, uint32_t below);

/* Unlink the files kept for new segments. Returns how many there were. */
unsigned segment_drop_recycled(struct segment_table *table);

/* Bytes that the segment's file had from the start: room that is allocated already. */
uint64_t segment_room(const struct segment *segment);

/* Give back the room behind the last record of segment @id, which is not written to any more. */
void segment_trim(struct segment_table *table, uint32_t id, uint64_t end_off);

/* Bytes of the files of all segments that were held once. */
uint64_t segment_table_bytes(struct segment_table *table);

#endif
