/*
 * The inside of segments, shared by segment.c (one file), segment_table.c (all) and segment_keep.c (which
 * files go), and nobody else.
 */
#ifndef FS_SEGMENT_INTERNAL_H
#define FS_SEGMENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "keys.h"
#include "segment.h"

struct segment {
	struct segment_table *table;
	uint32_t id;
	uint32_t previous;		  /* fixed when file is set */
	_Atomic(struct disk_file *) file; /* NULL until first held */
	uint8_t *keys;			  /* SEGMENT_KEYS_LEN, fixed when file is set */
	struct mac *mac;		  /* fixed when file is set */
	enum keys_age age;		  /* of its data key; fixed when file is set */
	atomic_uint holds;		  /* one of them the table's */
	atomic_int_least64_t live;	  /* blocks that the map has here */
	atomic_uint_least64_t len;	  /* bytes of the file; 0: not held yet */
	atomic_bool damaged;		  /* the cleaner met something that it must not move */
	uint64_t end_off; /* of the furthest live block; guarded by the loader being alone */
	uint64_t room; /* bytes that the file had when it was made; fixed but for segment_cut() */
	uint64_t dead_at; /* the first checkpoint without a block of it; 0: none; guarded by the
			     table's lock */
};

/* Locked memory for the keys of SEGMENT_SLAB_KEYS segments. */
#define SEGMENT_KEYS_LEN  KEYS_SEGMENT_LEN
#define SEGMENT_SLAB_KEYS 40

struct key_slab {
	struct key_slab *next;
	struct secret *bytes;
	uint64_t used; /* a bit each */
};

/* A dead segment's file, kept to be written anew: its space need not be found again. */
struct recycled {
	struct disk_file *file;
	uint32_t id; /* that its name still says */
	uint64_t len;
};

struct segment_table {
	struct disk *disk;		/* fixed at open */
	struct store_geometry geometry; /* fixed at open */
	/* Fixed at open; the second of each is NULL where all segments are under one data key. */
	struct secret *data_keys[KEYS_AGES];
	struct mac *header_macs[KEYS_AGES];
	pthread_rwlock_t lock;	   /* guards the next four */
	struct segment **segments; /* by rising id */
	size_t count;
	size_t room;
	uint32_t last;
	pthread_mutex_t keep_lock; /* who unlinks, renames or cuts a file has it; guards the rest */
	unsigned pins;
	unsigned recycle_max;
	struct recycled recycled[SEGMENT_KEPT_MAX];
	unsigned recycled_count;
	pthread_mutex_t open_lock; /* guards slabs; one opens at a time */
	struct key_slab *slabs;
};

/* A segment not in the table yet, held once; NULL: out of memory. Free with segment_put(). */
struct segment *segment_new(struct segment_table *table, uint32_t id);
void segment_name(uint32_t id, char name[SEGMENT_NAME_MAX]);

/* Open the file of a segment of the table and check its header. The caller holds open_lock. */
int segment_open_locked(struct segment *segment, struct err *err);

/* Rename a recycled file, if there is one and it may be had, to @name. 1: *@ret is it. */
int segment_take_recycled(struct segment_table *table, const char *name, struct recycled *ret,
			  struct err *err);

/* Put a new segment into the table. -ENOMEM, -EUCLEAN (its id is not above all others). */
int segment_table_insert(struct segment_table *table, struct segment *segment);

#endif
