/* The inside of segments, shared by segment.c (one file) and segment_table.c (all), and nobody else. */
#ifndef FS_SEGMENT_INTERNAL_H
#define FS_SEGMENT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "mac.h"
#include "segment.h"

struct segment {
	struct segment_table *table;
	uint32_t id;
	uint32_t previous;		  /* fixed when file is set */
	_Atomic(struct disk_file *) file; /* NULL until first held */
	uint8_t *keys;			  /* SEGMENT_KEYS_LEN, fixed when file is set */
	struct mac *mac;		  /* fixed when file is set */
	atomic_uint holds;		  /* one of them the table's */
	atomic_int_least64_t live;	  /* blocks that the map has here */
	uint64_t end_off;  /* of the furthest live block; guarded by the loader being alone */
	uint64_t room;	   /* bytes that the file had when it was made; fixed */
	unsigned dead_for; /* calls of segment_retire_dead(); guarded by table->lock */
};

/* Locked memory for the keys of SEGMENT_SLAB_KEYS segments. */
#define SEGMENT_KEYS_LEN  (BLOCKCRYPT_KEY_LEN + MAC_KEY_LEN)
#define SEGMENT_SLAB_KEYS 40

struct key_slab {
	struct key_slab *next;
	struct secret *bytes;
	uint64_t used; /* a bit each */
};

/* A dead segment's file, kept to be written anew: its space need not be found again. */
#define SEGMENT_RECYCLE_MAX 4

struct recycled {
	struct disk_file *file;
	uint32_t id; /* that its name still says */
	uint64_t len;
};

struct segment_table {
	struct disk *disk;		/* fixed at open */
	struct store_geometry geometry; /* fixed at open */
	struct secret *data_key;	/* fixed at open */
	struct mac *header_mac;		/* fixed at open */
	pthread_rwlock_t lock;		/* guards by_id to recycled_count */
	struct segment **by_id;		/* [id - first], NULL where there is none */
	uint32_t first;
	uint32_t room;
	uint32_t last;
	uint64_t count;
	struct recycled recycled[SEGMENT_RECYCLE_MAX];
	unsigned recycled_count;
	pthread_mutex_t open_lock; /* guards slabs; one opens at a time */
	struct key_slab *slabs;
};

/* A segment not in the table yet, held once; NULL: out of memory. Free with segment_put(). */
struct segment *segment_new(struct segment_table *table, uint32_t id);
void segment_name(uint32_t id, char name[SEGMENT_NAME_MAX]);

/* Open the file of a segment of the table and check its header. The caller holds open_lock. */
int segment_open_locked(struct segment *segment, struct err *err);

/* Take a recycled file out, if there is one. */
bool segment_table_take_recycled(struct segment_table *table, struct recycled *ret_recycled);

/* Put a new segment into the table. -ENOMEM, -EUCLEAN (an id below all others). */
int segment_table_insert(struct segment_table *table, uint32_t id, struct segment *segment);

#endif
