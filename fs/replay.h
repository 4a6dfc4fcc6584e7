/*
 * Replay: bring the block map from its checkpoint to the end of the log, and tell a log that a crash
 * cut from one that is damaged.
 */
#ifndef FS_REPLAY_H
#define FS_REPLAY_H

#include <stdint.h>

#include "store.h"

struct blockmap;
struct disk;
struct err;
struct segment_table;

struct replay_result {
	uint32_t last_segment; /* where the log ends; 0: there was nothing to replay */
	uint64_t end_off;      /* and the offset there */
	uint64_t records;
	uint64_t bytes;
};

/*
 * Apply the records from seq @from on (0: none) to @map and sync what was read, so that a checkpoint may
 * name it. The log ends at the first record that is not whole, as long as nothing behind it says
 * that a flush had covered it.
 * -EBADMSG damaged: names segment and offset. -EUCLEAN, -EIO, -ENOMEM.
 */
int replay_run(struct disk *disk, struct segment_table *table,
	       const struct store_geometry *geometry, struct blockmap *map, uint64_t from,
	       struct replay_result *ret_result, struct err *err);

#endif
