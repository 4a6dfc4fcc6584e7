/*
 * The inside of the block map, shared by blockmap.c and blockmap_frozen.c (what a checkpoint gets), and nobody
 * else.
 */
#ifndef FS_BLOCKMAP_INTERNAL_H
#define FS_BLOCKMAP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "blockmap.h"

struct packed;

#define BLOCKMAP_LOCKS 256
#define ENTRIES	       FORMAT_PAGE_ENTRIES
#define LEAF_BYTES     (ENTRIES * sizeof(uint64_t))

/* A page pays from DENSE_FROM entries on, and is kept down to DENSE_MIN. */
#define DENSE_FROM 448
#define DENSE_MIN  384
struct leaf {
	uint64_t version; /* at the last durable checkpoint; changed by the checkpointer only */
	struct packed *frozen; /* guarded by the leaf's lock, as is the rest */
	struct packed *packed; /* NULL: its entries are in the page */
	uint32_t epoch;
	uint32_t mapped; /* read without the lock by blockmap_seek() */
};

struct leaf_list {
	uint64_t *leaves;
	size_t count;
	size_t room;
};

struct blockmap {
	uint64_t blocks;	      /* fixed at new */
	uint64_t leaf_count;	      /* fixed at new */
	uint32_t slot_units;	      /* fixed at new */
	struct segment_table *table;  /* fixed at new */
	_Atomic(uint64_t) *entries;   /* entries of a leaf are written under its lock */
	struct leaf *leaves;	      /* see struct leaf */
	atomic_uchar *has_packed;     /* one for ENTRIES leaves: one of them was packed once */
	atomic_uint_least64_t mapped; /* in all leaves */
	atomic_uint epoch;	      /* from 1; changed by blockmap_freeze() only */
	pthread_mutex_t locks[BLOCKMAP_LOCKS];
	pthread_mutex_t dirty_lock; /* guards the rest; taken inside a leaf's lock */
	struct leaf_list dirty;
	bool overflowed;     /* dirty is not complete: no memory for it */
	atomic_bool spoiled; /* a frozen leaf could not be kept: that checkpoint must fail */
};

int blockmap_list_add(struct leaf_list *list, uint64_t leaf); /* -ENOMEM */

/* All entries of a leaf, whose lock the caller holds. */
void blockmap_copy_locked(const struct blockmap *map, uint64_t index, uint64_t ret[ENTRIES]);

/*
 * Before a leaf changes: put it on the dirty list, and keep what a checkpoint under way still has
 * to take. The caller holds the leaf's lock.
 */
void blockmap_touch_locked(struct blockmap *map, uint64_t index);

#endif
