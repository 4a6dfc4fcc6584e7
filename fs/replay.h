/*
 * Replay: bring the block map from its checkpoint to the end of the log, and tell a log that a crash
 * cut from one that is damaged.
 */
#ifndef FS_REPLAY_H
#define FS_REPLAY_H

#include <stdint.h>

#include "store.h"

struct blockmap;
struct checkpoint_log;
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
 * Apply the records from @log's replay on to @map and sync what was read, so that a checkpoint may name
 * it. The log ends at the first record that is not whole, as long as nothing behind it says that a
 * flush had covered it. When there is nothing to replay, there may be no record in a segment that
 * the checkpoint does not know: it would be older than the log.
 * -EBADMSG damaged: names the segment. -EUCLEAN, -EIO, -ENOMEM.
 */
int replay_run(struct disk *disk, struct segment_table *table,
	       const struct store_geometry *geometry, struct blockmap *map,
	       const struct checkpoint_log *log, struct replay_result *ret_result, struct err *err);

#endif
