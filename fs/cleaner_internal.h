/* The inside of the cleaner, shared by cleaner.c and cleaner_renew.c, and nobody else. */
#ifndef FS_CLEANER_INTERNAL_H
#define FS_CLEANER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleaner.h"
#include "cleaner_pace.h"

#define CLEANER_IDLE_MS	 1000u		/* without a write: the users rest */
#define CLEANER_LIVE_MAX (128ULL << 20) /* moved in one step, unless a segment is larger */

struct cleaner_mover;
struct err;
struct segment_info;
struct store;

struct cleaner {
	struct store *store;	     /* fixed at new */
	struct cleaner_mover *mover; /* guarded by step_lock */
	pthread_mutex_t step_lock;   /* one step at a time */
	pthread_t thread;
	bool thread_runs;
	atomic_bool ending;
	uint64_t seen_appended, seen_ms; /* what that was when it last changed; the thread's own */
	uint64_t renew_from_ms;		 /* not before, while users write; the thread's own */
	uint64_t
		again_ms; /* after a step: when there is more to do; 0: not known; the thread's own */
	atomic_bool stirred;		/* a user changed something since the thread looked */
	atomic_uint_least64_t appended; /* by users */
	atomic_uint delay_us;
	atomic_uint_least64_t moved, cleaned;
	atomic_bool cleaning;
	atomic_bool no_room;  /* to write anew what is under the previous data key */
	atomic_bool pinned;   /* something is, so that looking whether it still is makes sense */
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t work;  /* for the thread */
	pthread_cond_t room;  /* for hungry writers */
	bool kicked;
	bool idle;
	bool settled;	   /* idle, and nothing is to be gained */
	bool hungry;	   /* writers wait */
	bool hurry;	   /* none may */
	bool over;	   /* none may any more: the store is about to be closed */
	uint64_t freed;	   /* how often room was made */
	uint64_t hopeless; /* how often there was none to be made */
};

/* What a step sees. */
struct cleaner_view {
	enum pace_mode mode;
	struct segment_info *info;
	size_t count;
	struct pace_log log;
	struct pace_space space;
	uint64_t head_off;
	uint64_t free_bytes, all_bytes; /* of the backing filesystem */
};

/* Move what is live in these segments. 1: done. */
int cleaner_move_all(struct cleaner *c, const uint32_t *ids, size_t n, struct err *err);

/* Checkpoints, so that the segments that wait may go. True: some are gone. */
bool cleaner_retire(struct cleaner *c);

/*
 * Write some of what is under the previous data key anew, and let its segments go when that was all. It
 * needs room, most of all where snapshots keep the segments; the reserve is not for it. 1: done.
 */
int cleaner_renew(struct cleaner *c, const struct cleaner_view *v, struct err *err);

#endif
