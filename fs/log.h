/*
 * The log: its head, who may change which blocks, what is durable. All that changes a block goes
 * claim -> reserve -> write -> publish in the map -> done -> release; see DESIGN.md, "One ordering rule".
 */
#ifndef FS_LOG_H
#define FS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format.h"

struct disk;
struct err;
struct flushed;
struct log;
struct segment;
struct segment_table;

/* A range of blocks that one thread is changing. On its stack, all members but one the log's. */
struct log_claim {
	uint64_t lba;
	uint64_t count;
	uint64_t seq; /* of the record being written; 0: none */
	bool into_reserve; /* set by its owner: its records make room, and may use what is kept for that */
	struct log_claim *next, **at;
};

/* Where a record goes. */
struct log_place {
	struct segment *segment; /* stays open until log_done() */
	uint64_t off;		 /* in the segment's file */
	uint64_t seq;
	uint64_t durable; /* for its header */
};

/* What a log is made of; all must outlive it. */
struct log_setup {
	struct disk *disk;
	struct segment_table *table;
	struct flushed *flushed; /* told after each flush; NULL: nobody is */
	uint64_t segment_size;
	uint32_t first; /* id of the segment that becomes its head */
};

/*
 * A log with a new segment. *@ret_log is the caller's. A thread of its own keeps a spare segment and
 * room ahead of the head.
 */
int log_new(const struct log_setup *setup, struct log **ret_log, struct err *err);

/* Stop the thread, cut the head to its length, drop the spare, free. NULL is allowed. */
void log_free(struct log *log);

/*
 * Claim a range; waits while another claim overlaps it, so there is at most one change under way per
 * block. A thread holds one claim at a time.
 */
void log_claim(struct log *log, struct log_claim *claim, uint64_t lba, uint64_t count);
void log_release(struct log *log, struct log_claim *claim);

/*
 * The next @len bytes of the log for the claim's next record; @len is a multiple of FORMAT_UNIT. The
 * record counts as being written until log_done(), which every flush behind it waits for.
 * -ENOSPC the backing filesystem is full, but for what is kept for claims that make room (nothing is
 * reserved, later calls may succeed), -EROFS
 * writing has stopped, -EIO and others: the next segment could not be made.
 */
int log_reserve(struct log *log, struct log_claim *claim, size_t len, struct log_place *ret_place,
		struct err *err);

/*
 * The record is written and the map shows it; or, with @result negative, it could not be written, and
 * writing stops for good (the log has a hole that no replay gets across).
 */
void log_done(struct log *log, struct log_claim *claim, struct log_place *place, int result);

/* Everything done before this call is durable when it returns 0. -EROFS, -EIO: writing has stopped. */
int log_flush(struct log *log, struct err *err);

/*
 * Wait until nothing is being written and hold all reservations until log_thaw(). *@ret_seq: the end of
 * the log, where replay starts after a checkpoint made of the map as it is now.
 */
void log_freeze(struct log *log, uint64_t *ret_seq);
void log_thaw(struct log *log);

/*
 * As log_freeze(), and the head is sealed, so that *@ret_seq is the beginning of a new segment: what is
 * before it is in files that nothing is appended to any more. *@ret_began_ms: when the freeze began
 * (monotonic). On failure nothing is frozen: as log_reserve().
 */
int log_freeze_sealed(struct log *log, uint64_t *ret_seq, uint64_t *ret_began_ms, struct err *err);

/* Seal the head, if there is a record in it, and go on in the next segment. Errors as log_reserve(). */
int log_roll(struct log *log, struct err *err);

/* Give back the room that was made ahead; the next records make it anew. */
void log_trim(struct log *log);

/* Bytes of a filesystem of @all bytes that only claims into the reserve may use. */
uint64_t log_reserve_bytes(const struct log *log, uint64_t all);

/* 0, or the reason (positive errno) why writing has stopped. */
int log_stopped(struct log *log);
void log_stop(struct log *log, int num, const char *why);
/* The sentence for it. */
int log_stopped_err(struct log *log, struct err *err);

/* The head's id and how far it is written; the smallest id not used, the spare counted; bytes appended since log_new(); flushes done. */
uint32_t log_head(struct log *log, uint64_t *ret_off);
uint32_t log_next_segment(struct log *log);
uint64_t log_appended(struct log *log);
uint64_t log_flushes(struct log *log);

#endif
