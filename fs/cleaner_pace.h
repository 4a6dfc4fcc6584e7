/*
 * What to clean and when, by numbers alone: no disk, no lock, no clock. The cleaner (cleaner.h) measures,
 * asks here, and does it.
 */
#ifndef FS_CLEANER_PACE_H
#define FS_CLEANER_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "segment.h"

enum pace_mode {
	PACE_LOAD, /* writers are at work: lazily, since what waits longer has less left to move */
	PACE_IDLE, /* nobody writes: down to the target */
	PACE_LOW,  /* the backing filesystem is nearly full */
	PACE_HUNGRY, /* a writer waits for room: whatever gives some */
	PACE_ALL,    /* all that has a dead block in it */
};

/* What the log is like; all fixed but for head. */
struct pace_log {
	uint64_t segment_size;
	uint32_t slot_len; /* bytes of a block in the log */
	uint32_t head;	   /* this segment and those behind it are being written */
};

struct pace_space {
	uint64_t total;	  /* bytes of all files, those kept for new segments too */
	uint64_t live;	  /* slots of the map in segments that may be cleaned, or are written */
	uint64_t pinned;  /* files that are left as they are: shared with a snapshot, or damaged */
	uint64_t waiting; /* files without a live block, that go at a checkpoint */
	uint64_t dead;	  /* what cleaning could give back: the rest of total */
	unsigned crumbs;  /* segments that are short because a mount ended */
	unsigned damaged;
	uint64_t previous;	    /* slots of the map under the previous data key */
	uint64_t previous_movable;  /* of them, in segments that are not damaged */
	unsigned previous_segments; /* files under it, also without a live block */
};

void pace_measure(const struct segment_info *info, size_t count, uint64_t kept,
		  const struct pace_log *log, struct pace_space *ret_space);

/* Bytes that the files may have before cleaning begins in this mode; what waits does not count. */
uint64_t pace_limit(const struct pace_space *space, const struct pace_log *log,
		    enum pace_mode mode);

#define PACE_PICK_MAX 64 /* segments cleaned together */

/*
 * The segments to be cleaned next, together, best first: what they give for what they cost, older ones
 * preferred (cost-benefit, Rosenblum and Ousterhout 1992). As many as bring the space below the mode's
 * limit, with at most @live_max bytes to move; and where space is not short, shared ones that are mostly
 * dead. Returns how many.
 */
size_t pace_pick(const struct segment_info *info, size_t count, const struct pace_space *space,
		 const struct pace_log *log, enum pace_mode mode, uint64_t live_max,
		 uint32_t ret_ids[PACE_PICK_MAX]);

/*
 * The segments to be written anew next because they are under the previous data key, by rising id: shared
 * ones too, since what counts is the key and not the space. With at most @live_max bytes to move, unless
 * one alone has more. Returns how many.
 */
size_t pace_pick_previous(const struct segment_info *info, size_t count, const struct pace_log *log,
			  uint64_t live_max, uint32_t ret_ids[PACE_PICK_MAX]);

/* By how much each write is to be delayed since cleaning does not keep up, in microseconds. */
unsigned pace_delay_us(const struct pace_space *space, const struct pace_log *log);

/* Is it worth to seal the head, written up to @off with @live_blocks, so that it can be cleaned? */
bool pace_wants_roll(const struct pace_log *log, uint64_t off, uint64_t live_blocks,
		     enum pace_mode mode);

/* Are checkpoints worth making for what waits, when they write @dirty_leaves pages? */
bool pace_wants_checkpoint(const struct pace_space *space, const struct pace_log *log,
			   uint64_t dirty_leaves, enum pace_mode mode);

#endif
