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
 * come from @data_keys (keys.h), which are copied. The caller owns *@ret_table.
 */
int segment_table_new(struct disk *disk, const struct store_geometry *geometry,
		      const struct secret *data_keys, struct segment_table **ret_table,
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

/* The smallest id in the table that is not below @id, 0 for none. */
uint32_t segment_table_next(struct segment_table *table, uint32_t id);

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

/* What there is to know of a segment for who chooses what to clean. */
struct segment_info {
	uint32_t id;
	uint64_t len; /* bytes of its file; 0: not looked at yet */
	uint64_t live_blocks;
	bool pinned; /* its file has a second name: a snapshot's. Cleaning it gives nothing back now */
	bool damaged;  /* the cleaner could not move all of it */
	bool previous; /* under the previous data key */
};

/* All of them, by rising id; the caller frees. -ENOMEM. */
int segment_table_survey(struct segment_table *table, struct segment_info **ret_info,
			 size_t *ret_count);

/*
 * From the return of this on until segment_table_unpin() no file of a segment is unlinked, renamed or
 * cut: who makes hard links to files pins them first. Pins are counted. A file with a second name is
 * never written anew nor cut, also later. Any thread; may wait for a file being unlinked.
 */
void segment_table_pin(struct segment_table *table);
void segment_table_unpin(struct segment_table *table);

/*
 * Called while the log is frozen for checkpoint number @checkpoint: segments without a live block will
 * not be named by it, nor by any later one.
 */
void segment_mark_dead(struct segment_table *table, uint64_t checkpoint);

/*
 * Retire the segments below @below that checkpoint @older, the number of the older root, does not name:
 * their files are unlinked, or kept to become new segments (DESIGN.md, invariant 5). Returns how many,
 * or a negative errno. None while a pin holds.
 */
int segment_retire_dead(struct segment_table *table, uint64_t older, uint32_t below,
			struct err *err);

/* Bytes of the segments below @below without a live block, that wait to be retired; 0: there are none. */
uint64_t segment_dead_bytes(struct segment_table *table, uint32_t below);

/* Unlink the files kept for new segments. Returns how many there were. */
unsigned segment_drop_recycled(struct segment_table *table);

/* Keep no more than @max from now on; what is kept already stays. Bytes of those that are. */
#define SEGMENT_KEPT_MAX 2
void segment_recycle_at_most(struct segment_table *table, unsigned max);
uint64_t segment_recycled_bytes(struct segment_table *table);

/* Bytes that the segment's file had from the start: room that is allocated already. */
uint64_t segment_room(const struct segment *segment);

/*
 * Give back the room behind @len of a segment that nobody writes to meanwhile; segment_trim() by its id.
 * False: it was not done, since somebody else may have the file, or could not be.
 */
bool segment_cut(struct segment *segment, uint64_t len);
void segment_trim(struct segment_table *table, uint32_t id, uint64_t end_off);

/* How long the file is now, for who allocates; what the cleaner could not move; blocks mapped here. */
void segment_set_len(struct segment *segment, uint64_t len);
void segment_set_damaged(struct segment *segment);
uint64_t segment_live(const struct segment *segment);

/* Bytes of the files of all segments that were held once. */
uint64_t segment_table_bytes(struct segment_table *table);

#endif
