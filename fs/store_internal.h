/*
 * The inside of a store, shared by store.c (its life), store_checkpoint.c, store_read.c, store_write.c,
 * store_worker.c and the cleaner, and nobody else.
 */
#ifndef FS_STORE_INTERNAL_H
#define FS_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store.h"

#define STORE_WORKERS_MAX 64		/* I/O under way at once; more wait */
#define STORE_CHUNK_BYTES (128u * 1024) /* encrypted or decrypted at a time: stays in the cache */

struct blockcrypt;
struct blockmap;
struct cleaner;
struct checkpoint;
struct crew;
struct disk;
struct flushed;
struct log;
struct log_claim;
struct segment;
struct segment_table;

/* What one I/O needs, allocated once. Lent by store_worker_get(). */
struct store_worker {
	struct store_worker *next;
	struct blockcrypt *encrypt, *decrypt;
	uint32_t encrypt_for, decrypt_for; /* ids of the segments whose keys are in use; 0: none */
	uint8_t *slots;			   /* a record header and a chunk of slots */
	uint8_t *edges[2];		   /* first and last block of a write, plain */
};

struct store {
	struct store_geometry geometry; /* fixed at open, as is all up to log */
	bool read_only;
	bool owns_disk;
	uint32_t slot_len; /* bytes of a block in the log */
	uint32_t chunk_blocks;
	struct disk *disk;
	struct segment_table *table;
	struct blockmap *map;
	struct checkpoint *checkpoint;		 /* guarded by checkpoint_lock */
	atomic_uint_least64_t checkpoint_number; /* of the last one, for who must not wait */
	struct flushed *flushed;
	struct log *log;	   /* NULL when read-only */
	struct crew *crew;	   /* helps with large I/O */
	struct cleaner *cleaner;   /* NULL when read-only */
	struct store_stats opened; /* what replay found; fixed at open */
	pthread_mutex_t checkpoint_lock;
	uint64_t held_ms; /* writers, by the last checkpoint's freeze; guarded by checkpoint_lock */
	atomic_uint_least64_t since_checkpoint; /* bytes appended */
	pthread_mutex_t worker_lock;		/* guards the next three */
	pthread_cond_t worker_back;
	struct store_worker *workers; /* idle ones */
	unsigned worker_count;	      /* all */
	pthread_t thread;	      /* writes checkpoints */
	bool thread_runs;
	pthread_mutex_t thread_lock; /* guards ending and due */
	pthread_cond_t thread_work;
	bool ending;
	bool due;
};

/*
 * Lend a worker. When STORE_WORKERS_MAX are out it waits for one, unless a @helper asks: a thread that
 * works on a part of an I/O whose caller has one, and must not wait for another such caller.
 */
int store_worker_get(struct store *store, bool helper, struct store_worker **ret_worker,
		     struct err *err);
void store_worker_put(struct store *store, struct store_worker *worker);
void store_workers_free(struct store *store);

/* Have @crypt use the key of @segment; *@id is the one whose key it uses. -EIO (libcrypto). */
int store_use_key(struct blockcrypt *crypt, uint32_t *id, const struct segment *segment);

/*
 * store_checkpoint() by the one that holds checkpoint_lock. @sealed: it begins a new segment, so the
 * checkpoint's seq is that one's beginning.
 */
int store_checkpoint_locked(struct store *store, bool sealed, struct err *err);

/* Bytes were appended: a checkpoint may be due. */
void store_appended(struct store *store, uint64_t bytes);

/* The thread that writes checkpoints when they are due. */
int store_checkpoints_begin(struct store *store, struct err *err);
void store_checkpoints_end(struct store *store);

/* -EINVAL when the range, in bytes, ends behind the volume. */
int store_check_range(const struct store *store, uint64_t off, uint64_t len, struct err *err);

/* store_read() of whole blocks, in chunks, by the caller alone. */
int store_read_blocks(struct store *store, struct store_worker *worker, uint64_t lba,
		      uint64_t count, uint8_t *buf, struct err *err);

/* One record's worth of a write. */
struct store_piece {
	uint64_t lba;
	uint64_t count;			  /* blocks */
	uint32_t skip;			  /* bytes of the first block before the data */
	size_t len;			  /* bytes of data */
	const uint8_t *buf;		  /* NULL: zeros */
	bool first_partial, last_partial; /* these blocks, whole, are the worker's edges */
};

/*
 * Encrypt @piece to the log's head and show it in the map. The caller has its range claimed. -ENOSPC:
 * nothing happened; any other failure has stopped writing, or found it stopped.
 */
int store_append_piece(struct store *store, struct store_worker *worker,
		       const struct store_piece *piece, struct log_claim *claim, struct err *err);

/* A large I/O is done in chunks: how many, and the blocks of chunk @part. */
static inline unsigned store_chunk_count(const struct store *store, uint64_t blocks)
{
	return (unsigned)((blocks + store->chunk_blocks - 1) / store->chunk_blocks);
}

static inline uint64_t store_chunk_len(const struct store *store, uint64_t blocks, unsigned part)
{
	uint64_t left = blocks - (uint64_t)part * store->chunk_blocks;

	return left < store->chunk_blocks ? left : store->chunk_blocks;
}

#endif
