/*
 * Checkpoints: a durable copy of the block map in the files `map`, `root.0` and `root.1`. Costs what
 * changed since the one before. Knows the map, not the log: a position is a number to it.
 */
#ifndef FS_CHECKPOINT_H
#define FS_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "store.h"

struct blockmap;
struct checkpoint;
struct disk;
struct err;
struct secret;

#define CHECKPOINT_NOTICE_MAX 256

/* Where the log stands that a checkpoint belongs to. */
struct checkpoint_log {
	uint64_t replay;       /* seq where replay starts; 0: nothing to replay */
	uint32_t next_segment; /* smallest segment id never used */
};

/* Lay the files of an empty map into @disk, durably. */
int checkpoint_create(struct disk *disk, const struct store_geometry *geometry,
		      const struct secret *data_keys, struct err *err);

/*
 * Open the files and read the roots; the newest that is whole counts. -EBADMSG neither is whole,
 * -EUCLEAN of another volume or version, -ENOENT. The caller owns *@ret_checkpoint; @disk must
 * outlive it.
 */
int checkpoint_open(struct disk *disk, const struct store_geometry *geometry,
		    const struct secret *data_keys, struct checkpoint **ret_checkpoint,
		    struct err *err);
void checkpoint_free(struct checkpoint *checkpoint); /* NULL is allowed */

/* Fill the empty @map. -EBADMSG names the page that is damaged or not of this checkpoint. */
int checkpoint_load(struct checkpoint *checkpoint, struct blockmap *map, struct err *err);

/* The last durable checkpoint: its log, its number; the replay of the one before it (0: unknown). */
const struct checkpoint_log *checkpoint_log(const struct checkpoint *checkpoint);
uint64_t checkpoint_number(const struct checkpoint *checkpoint);
uint64_t checkpoint_previous_replay(const struct checkpoint *checkpoint);

/* A sentence when a root was damaged and the other one is in use; "" else. The checkpoint's. */
const char *checkpoint_notice(const struct checkpoint *checkpoint);

/*
 * Write a checkpoint of the leaves that blockmap_freeze() gave. All that the map named at the freeze
 * has been synced. On failure the leaves count as changed again, and the last checkpoint stays valid:
 * -ENOSPC may pass; after any other error writing must stop.
 */
int checkpoint_write(struct checkpoint *checkpoint, struct blockmap *map, const uint64_t *leaves,
		     size_t count, const struct checkpoint_log *log, struct err *err);

/*
 * The last checkpoint as the whole of another directory's: its pages and two roots that say that there is
 * nothing to replay and that @next_segment is the first id not used. Everything is synced but the names.
 * @leaf is called with each leaf's entries. The caller lets no other checkpoint be written meanwhile.
 */
int checkpoint_copy(struct checkpoint *checkpoint, struct disk *to, uint32_t next_segment,
		    int (*leaf)(void *arg, const uint64_t *entries), void *arg, struct err *err);

/*
 * All of @map as the checkpoint of a new volume with @geometry in @disk, with roots as above. What the map
 * knows of its own checkpoints is lost: the store that it belongs to must be open for reading only.
 */
int checkpoint_write_new(struct disk *disk, const struct store_geometry *geometry,
			 const struct secret *data_keys, struct blockmap *map,
			 uint32_t next_segment, struct err *err);

#endif
