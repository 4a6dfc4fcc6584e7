/*
 * The inside of the log, shared by log.c (claims, reservations), log_head.c (room and the next segment)
 * and log_flush.c (durability), and nobody else. Functions that end in _locked want log->lock.
 */
#ifndef FS_LOG_INTERNAL_H
#define FS_LOG_INTERNAL_H

#include <pthread.h>

#include "log.h"

#define LOG_HEADER_ONLY_LEN (FORMAT_RECORD_LEN + FORMAT_RECORD_TAG_LEN)

/* Kept free behind every record: for the seal. */
#define LOG_RESERVE_LEN LOG_HEADER_ONLY_LEN
#define LOG_WHY_MAX	256

/* A sealed segment whose last records are not synced yet. */
struct unsynced {
	struct segment *segment; /* held */
	struct unsynced *next;
};

struct log {
	struct disk *disk; /* fixed at new, as are the next three */
	struct segment_table *table;
	struct flushed *flushed;
	uint64_t segment_size;
	pthread_t thread;
	bool thread_runs;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t changed;
	pthread_cond_t work; /* for the thread */
	unsigned waiters;
	bool ending;
	struct segment *head;  /* held */
	uint64_t head_off;     /* where the next record goes */
	uint64_t room_end;     /* allocated up to here */
	struct segment *spare; /* held; NULL: not made yet */
	uint64_t spare_end;    /* its room is allocated up to here */
	bool spare_refused;    /* no more room is made in it */
	uint32_t next_id;
	struct log_claim *claims;
	bool frozen;	/* log_freeze() */
	bool rolling;	/* a writer changes head or room_end with the lock dropped */
	bool extending; /* the thread allocates behind room_end with the lock dropped */
	bool sparing;	/* the thread makes the spare, or changes its room, with the lock dropped */
	uint64_t durable;	 /* everything before this seq is synced */
	uint64_t dirty;		 /* end of the last record that a flush has to care for */
	struct unsynced *sealed; /* oldest first */
	struct unsynced **sealed_end;
	int stopped; /* positive errno */
	char why[LOG_WHY_MAX];
	uint64_t appended;
	uint64_t trimmed; /* what that was when log_trim() gave room back */
	uint64_t flushes;
	pthread_mutex_t flush_lock; /* one flush at a time; taken before lock */
};

uint64_t log_end_seq_locked(const struct log *log);
void log_wake_locked(struct log *log);
void log_wait_locked(struct log *log);
void log_stop_locked(struct log *log, int num, const char *why);
int log_stopped_err_locked(struct log *log, struct err *err);
void log_link_locked(struct log *log, struct log_claim *claim);
void log_unlink_locked(struct log *log, struct log_claim *claim);

/* A record without blocks, header and tag, as bytes. -EIO (libcrypto). */
int log_header_only(struct segment *segment, const struct format_record *record,
		    uint8_t bytes[LOG_HEADER_ONLY_LEN]);

/*
 * Get the head to where @len bytes fit with a seal behind them: allocate, or roll. The caller has set
 * rolling and dropped the lock, so head, head_off and room_end stand still. @into_reserve: as of a
 * claim.
 */
int log_advance(struct log *log, size_t len, bool into_reserve, struct err *err);

/* Is there work for the thread? */
bool log_wants_ahead_locked(const struct log *log);
void *log_keep_ahead(void *log);

#endif
