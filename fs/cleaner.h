/*
 * The cleaner of an open store: a thread that gives the space of dead blocks back to the backing
 * filesystem. It moves what is live out of mostly dead segments, and has checkpoints made so that
 * these may go. Lazy while writers are at work, thorough when they rest, at once when one of them waits
 * for room.
 */
#ifndef FS_CLEANER_H
#define FS_CLEANER_H

#include <stdbool.h>
#include <stdint.h>

struct cleaner;
struct err;
struct store;

struct cleaner_stats {
	uint64_t moved_bytes; /* appended to the log by moves since the store was opened */
	uint64_t cleaned_segments;
	bool cleaning; /* at this moment */
	bool no_room;  /* for what is under the previous data key */
};

/* Starts the thread. @store outlives the cleaner, whose owner ends it with cleaner_free(). */
int cleaner_new(struct store *store, struct cleaner **ret_cleaner, struct err *err);

/* Stop, in the middle of a segment too, wipe, free. NULL is allowed. */
void cleaner_free(struct cleaner *cleaner);

/* @bytes were written or discarded by a user of the store. NULL is allowed. Any thread. */
void cleaner_stir(struct cleaner *cleaner, uint64_t bytes);

/*
 * A writer found the backing filesystem full: wait until room has been made. The writer has nothing
 * claimed. -ENOSPC: there is none to be made, or it takes too long; -EAGAIN: writers are not to wait.
 */
int cleaner_make_room(struct cleaner *cleaner);

/* From now on (@hurry), or no longer, writers do not wait for room. Any thread. NULL is allowed. */
void cleaner_hurry(struct cleaner *cleaner, bool hurry);

/* From now on who finds the disk full has -ENOSPC at once. Any thread. NULL is allowed. */
void cleaner_end_waiting(struct cleaner *cleaner);

/* Wait a moment when writers are faster than the cleaner and the log has become too large. */
void cleaner_slow_writer(struct cleaner *cleaner);

/* Clean all that has a dead block in it, now, by the caller's thread. Errors as store_flush(). */
int cleaner_clean_all(struct cleaner *cleaner, struct err *err);

void cleaner_stats(struct cleaner *cleaner, struct cleaner_stats *ret_stats);

#endif
