/*
 * Moving what is live out of segments: each block by an ordinary write to the log's head, see DESIGN.md,
 * "Moves". Used by the cleaner, one call at a time.
 */
#ifndef FS_CLEANER_MOVE_H
#define FS_CLEANER_MOVE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct cleaner_mover;
struct err;
struct store;

/* *@stop, the caller's, ends a move in the middle when it becomes true. -ENOMEM. */
int cleaner_mover_new(struct store *store, const atomic_bool *stop,
		      struct cleaner_mover **ret_mover, struct err *err);
void cleaner_mover_free(struct cleaner_mover *mover); /* wipes; NULL is allowed */

/*
 * Move all that is live in segments @ids, in the order of LBAs, so that neighbours become one record. What
 * others change meanwhile is left to them. A segment with a block that fails its check, or with one that
 * is not found, is marked damaged and keeps what it has. *@ret_bytes: appended to the log, also on
 * failure. -ENOSPC also the reserve is used up, -EINTR it was to stop, -EROFS, -EIO, -ENOMEM.
 */
int cleaner_move(struct cleaner_mover *mover, const uint32_t *ids, size_t count,
		 uint64_t *ret_bytes, struct err *err);

#endif
