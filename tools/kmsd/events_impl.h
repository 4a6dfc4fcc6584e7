/* What the files of the event history share. Not for others. */
#ifndef KMSD_EVENTS_IMPL_H
#define KMSD_EVENTS_IMPL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "events.h"
#include "sql.h"

enum events_statement {
	STATE_LOAD = EVENTS_ATTRIBUTE_COUNT, /* below: a look-up by that attribute */
	STATE_SAVE,
	VERSION_LOAD,
	EVENT_INSERT,
	RESOURCE_INSERT,
	EVENT_PURGE,
	RESOURCE_PURGE,
	STATEMENT_COUNT
};

/*
 * Where a record lies: the number of its file (linefile.h) and the offset in it, as one number, so that
 * later is more.
 */
#define PLACE_BITS	      40
#define PLACE(number, offset) (((int64_t)(number) << PLACE_BITS) + (offset))

struct events {
	struct sql *sql; /* its lock guards the next four too */
	int dir_fd;	 /* borrowed; fixed at open */
	int trail;	 /* the file of the trail that is followed */
	uint32_t number; /* which */
	int64_t inode;	 /* of it */
	int64_t offset;	 /* it is indexed up to here */
	pthread_t thread;
	bool running;
	pthread_mutex_t stop_lock;
	pthread_cond_t stop_cond;
	bool stop; /* guarded by stop_lock */
};

/*
 * Follow file @number from @offset on; 1: it is there, and @inode (0: any) is its; 0: it is not.
 * The caller holds the lock, or is alone.
 */
int events_follow_file(struct events *ev, uint32_t number, int64_t inode, int64_t offset);

/*
 * One transaction, or a step to the next file. Returns more than 0 if there may be more, 0 if there is
 * no whole line more.
 */
ssize_t events_batch_locked(struct events *ev, struct err *err);

/* The thread that follows the trail. */
void *events_follow(void *arg);

/* A clock that nobody sets. */
int64_t events_monotonic_ms(void);

#endif
