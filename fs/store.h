/*
 * The volume store: the blocks of one volume, encrypted in a log, in a directory. Knows no KMS and no
 * FUSE; it is given the data key. See DESIGN.md.
 */
#ifndef FS_STORE_H
#define FS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blockcrypt.h"

struct err;
struct secret;
struct store;

#define STORE_DATA_KEY_LEN   64 /* bytes of one; a secret may hold two (keys.h) */
#define STORE_BLOCK_SIZE_MIN 4096
#define STORE_BLOCK_SIZE_MAX 65536
#define STORE_SIZE_MAX	     (64ULL << 40) /* bytes */
#define STORE_IO_MAX	     (1024 * 1024) /* bytes that one record holds; larger I/O is split */

#define STORE_LINEAGE_MAX 32

/* Another volume's segments in this one: it began as a snapshot of that one. */
struct store_origin {
	char volume_id[24]; /* who wrote them */
	uint32_t below;	    /* those with ids from the origin before on, below this one */
};

/* What is fixed when a volume is made, and stands in its header. */
struct store_geometry {
	uint64_t size_bytes; /* a multiple of block_size, 1 block to STORE_SIZE_MAX */
	uint32_t block_size; /* a power of two, STORE_BLOCK_SIZE_MIN to STORE_BLOCK_SIZE_MAX */
	enum blockcrypt_cipher cipher;
	uint64_t segment_size; /* bytes; 0: store_geometry_check() sets the default for the size */
	char volume_id[32];    /* "vol-..." */
	struct store_origin lineage[STORE_LINEAGE_MAX]; /* in rising order of below */
	size_t lineage_count;				/* 0: all segments are the volume's own */
	bool previous_key; /* some segments may be under the previous data key */
};

/* Id of the volume that wrote segment @segment of this one. The geometry's. */
const char *store_writer(const struct store_geometry *geometry, uint32_t segment);

/*
 * Check the members against each other and fill in segment_size when 0. -EINVAL with a sentence that
 * names the member and its limits.
 */
int store_geometry_check(struct store_geometry *geometry, struct err *err);

/*
 * Lay an empty store (segments/, map, roots) into the existing directory @dir, durably.
 * @data_key: STORE_DATA_KEY_LEN bytes, borrowed. What was made is left behind on failure.
 */
int store_create(const char *dir, const struct store_geometry *geometry,
		 const struct secret *data_key, struct err *err);

/*
 * Open: load the last checkpoint, replay the log behind it. The keys are derived from @data_keys
 * (borrowed, not kept): with a previous one exactly when the geometry says so. Then, open for writing, the
 * cleaner writes all that is under that one anew under the newest (store_stats.previous_bytes). The caller holds the volume's lock. @read_only: nothing on disk is changed
 * and writes are refused with -EROFS.
 * -EBADMSG damaged (tag, checksum), -EUCLEAN makes no sense, -ENOENT a part is missing, -EIO, ...
 */
int store_open(const char *dir, const struct store_geometry *geometry,
	       const struct secret *data_keys, bool read_only, struct store **ret_store,
	       struct err *err);

/*
 * Flush, write a checkpoint, wipe every key and free. No other call may be under way. NULL is
 * allowed. The store is gone also on failure, which says that what was not flushed may be lost
 * (-EIO, -ENOSPC: only the checkpoint is missing and the next open replays).
 */
int store_close(struct store *store, struct err *err);

/*
 * I/O in bytes, any offset and length within the volume (the caller clamps; past the end is -EINVAL).
 * Any thread, any number at once. Errors, with a sentence in @err: -EBADMSG data damaged (nothing
 * is served: @buf is wiped), -EIO the disk, -ENOSPC the backing filesystem is full (the volume stays
 * whole, later writes may succeed), -EAGAIN store_hurry(), -EROFS opened read-only or writing has stopped after an error.
 * A write or discard that fails part of the way may have changed some of its blocks.
 */
int store_read(struct store *store, uint64_t off, size_t len, uint8_t *buf, struct err *err);
int store_write(struct store *store, uint64_t off, size_t len, const uint8_t *buf, struct err *err);

/*
 * Who is about to close the store, or waits for writers to end: those that wait for the cleaner to make room
 * give up with -EAGAIN, now and until this is called with @hurry false. NULL is allowed. Any thread.
 */
void store_hurry(struct store *store, bool hurry);

/*
 * The store is about to be closed for good: who waits for room is told -ENOSPC, as is whoever finds the disk full
 * from now on. NULL is allowed. Any thread.
 */
void store_end_waiting(struct store *store);

/* The range reads as zeros from now on, and its space is dead. Parts of blocks are zeroed. */
int store_discard(struct store *store, uint64_t off, uint64_t len, struct err *err);

/* All that was acknowledged before this call is durable when it returns 0. */
int store_flush(struct store *store, struct err *err);

/*
 * First offset at or behind @off with data (or, @hole, without), in steps of blocks; the end of the
 * volume counts as a hole. -ENXIO: none (@off at or past the end, or no data behind it).
 */
int store_seek(struct store *store, uint64_t off, bool hole, uint64_t *ret_off);

struct disk;

/*
 * store_create() and store_open() on a disk other than a directory, for tests. The store borrows
 * @disk.
 */
int store_create_on(struct disk *disk, const struct store_geometry *geometry,
		    const struct secret *data_key, struct err *err);
int store_open_on(struct disk *disk, const struct store_geometry *geometry,
		  const struct secret *data_keys, bool read_only, struct store **ret_store,
		  struct err *err);

struct store_snapshot {
	uint32_t next_segment; /* the snapshot's segments have smaller ids */
	uint64_t bytes;	       /* of the files of its segments */
	uint64_t held_ms;      /* how long writes were held */
};

/*
 * Put all that the volume holds now into @to, a directory with segments/ in it and nothing else of a
 * store: hard links to the segments, map, roots and flushed. I/O goes on but for a moment; @taken
 * (NULL: nobody) is called right after it. Files are synced, names are not. -ENOSPC, -EROFS: writing has
 * stopped; -EPERM, -EXDEV: no hard links there.
 */
int store_snapshot(struct store *store, struct disk *to, void (*taken)(void *arg), void *arg,
		   struct store_snapshot *ret_snapshot, struct err *err);

/* Was it opened for reading only? Then nothing changes what its directory holds. */
bool store_is_read_only(const struct store *store);

/* A unit that differs, as EBS's ListChangedBlocks has it. */
#define STORE_DIFF_UNIT (512u * 1024) /* bytes */

struct store_change {
	uint64_t off, len;	  /* bytes; the last unit may be shorter */
	bool in_first, in_second; /* whether it holds any data there */
};

/*
 * Call @change for each unit, in order, in which two stores of one volume, both open for reading only,
 * differ. A negative result of @change ends it. -EINVAL: of different volumes; else as store_read().
 */
int store_diff(struct store *first, struct store *second,
	       int (*change)(void *arg, const struct store_change *c), void *arg, struct err *err);

struct voldir_job;

/*
 * Make of @to, a directory with segments/ in it and nothing else of a store, a new volume @volume_id that
 * holds what the @store, open for reading only, holds, under the same data key: its segments are linked, or
 * copied where they cannot be. *@ret_geometry is the new one's, with its lineage. Files are synced, names are not. The
 * store's map is of no use for checkpoints afterwards. -E2BIG: the lineage is too long.
 */
int store_restore(struct store *store, struct disk *to, const char *volume_id,
		  const struct secret *data_key, const struct voldir_job *job,
		  struct store_geometry *ret_geometry, struct err *err);

/* Write a checkpoint now. It is done from time to time by itself. Errors as store_flush(). */
int store_checkpoint(struct store *store, struct err *err);

/*
 * Write anew all that is live in segments that are not being written, so that dead space goes and
 * neighbours stand together; with a previous data key, all that is under that. It is done where it is worth it by itself. Errors as store_flush(), and
 * -ENOSPC: the backing filesystem is full.
 */
int store_clean(struct store *store, struct err *err);

struct store_stats {
	uint64_t mapped_bytes; /* blocks that hold data, times the block size */
	uint64_t log_bytes;    /* of the files of segments in use, with room made ahead */
	uint64_t
		live_bytes; /* of log_bytes: blocks in files that may be cleaned, as they stand there */
	uint64_t dead_bytes;	   /* of log_bytes: may be given back */
	uint64_t pinned_bytes;	   /* of log_bytes: files shared with snapshots, or damaged */
	uint64_t appended_bytes;   /* to the log by users since the open */
	uint64_t moved_bytes;	   /* and by the cleaner */
	uint64_t cleaned_segments; /* since the open */
	uint64_t
		damaged_segments; /* that the cleaner leaves alone, since a block fails its check */
	bool cleaning;		  /* at this moment */
	uint64_t
		previous_bytes; /* of blocks that are still under the previous data key, in the log */
	uint64_t previous_segments; /* files that are */
	uint64_t
		previous_stuck_bytes; /* of previous_bytes: in segments with damage, so they stay */
	bool previous_no_room;	   /* the backing filesystem has none to write more of them anew */
	uint64_t segments;	   /* files */
	uint64_t checkpoint;	   /* number of the last one */
	uint64_t flushes;	   /* fsyncs that reached the disk */
	uint64_t replayed_records; /* at this open */
	uint64_t replayed_bytes;
	bool writing_stopped; /* after an I/O error, until opened anew */
	char notice[256];     /* what was found amiss and got around, "" for nothing */
};

/* Never waits for I/O of the store. Any thread. */
void store_stats(struct store *store, struct store_stats *ret_stats);

#endif
