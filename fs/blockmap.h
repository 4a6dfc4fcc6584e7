/*
 * The block map: LBA -> seq of the live record slot, for all blocks of a volume, in memory, in leaves
 * of FORMAT_PAGE_ENTRIES. Knows which leaves changed since a checkpoint, and keeps the state of a
 * checkpoint readable while it is being written. Touches no disk.
 */
#ifndef FS_BLOCKMAP_H
#define FS_BLOCKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format.h"

struct blockmap;
struct err;
struct segment_table;

/*
 * An empty map of @blocks blocks whose slots are @slot_len bytes; it tells @table (NULL: nobody) of each
 * block that a segment gains or loses. Memory is taken only for leaves that are used: 8 bytes a mapped
 * block, plus some 200 to 400 bytes a leaf. The caller owns *@ret_map. -ENOMEM.
 */
int blockmap_new(uint64_t blocks, uint32_t slot_len, struct segment_table *table,
		 struct blockmap **ret_map, struct err *err);
void blockmap_free(struct blockmap *map); /* NULL is allowed */

/* Where block @lba is, 0 for a hole. Any thread; takes the leaf's lock where there may be a hole. */
uint64_t blockmap_get(const struct blockmap *map, uint64_t lba);

/*
 * Blocks @lba to @lba + @count - 1 now stand in consecutive slots from @seq on; with @seq 0 they are
 * holes. The caller has the range claimed (log.h): no two changes of one block at once.
 */
void blockmap_set(struct blockmap *map, uint64_t lba, uint64_t count, uint64_t seq);

/* First block at or behind @lba that is mapped, or, @hole, that is not; map's end if there is none. */
uint64_t blockmap_seek(const struct blockmap *map, uint64_t lba, int hole);

uint64_t blockmap_mapped(const struct blockmap *map);
uint64_t blockmap_leaves(const struct blockmap *map);
uint64_t blockmap_dirty(struct blockmap *map); /* leaves changed since the last freeze */

/*
 * Loading: leaf @leaf as the disk has it, with its version. Only before any other use of that leaf.
 * -EUCLEAN an entry behind the volume's end, -ENOENT an entry in a segment that does not exist,
 * *@ret_missing.
 */
int blockmap_load_leaf(struct blockmap *map, uint64_t leaf, uint64_t version,
		       const uint64_t entries[FORMAT_PAGE_ENTRIES], uint32_t *ret_missing);

/* The leaves that have a mapped block, sorted; the caller frees. No change may be under way. -ENOMEM. */
int blockmap_used(struct blockmap *map, uint64_t **ret_leaves, size_t *ret_count);

/* Version of a leaf at the last durable checkpoint, 0 for none. */
uint64_t blockmap_leaf_version(const struct blockmap *map, uint64_t leaf);

/*
 * Freeze: what the map holds now is what the checkpoint gets. No change may be under way during the
 * call. *@ret_leaves (the caller frees), sorted: the leaves changed since the last freeze.
 * -ENOMEM: nothing is frozen.
 */
int blockmap_freeze(struct blockmap *map, uint64_t **ret_leaves, size_t *ret_count);

/* The frozen content of leaf @leaf, one of blockmap_freeze()'s, each once. Returns mapped entries. */
unsigned blockmap_take(struct blockmap *map, uint64_t leaf,
		       uint64_t ret_entries[FORMAT_PAGE_ENTRIES]);

/* After a durable checkpoint: @leaf's version is now @version (0: the leaf is empty). */
void blockmap_commit(struct blockmap *map, uint64_t leaf, uint64_t version);

/* What was frozen could not all be kept, for want of memory: this checkpoint must be given up. */
bool blockmap_spoiled(const struct blockmap *map);

/* After a failed one: @leaf, taken or not, counts as changed again. */
void blockmap_thaw(struct blockmap *map, uint64_t leaf);

#endif
