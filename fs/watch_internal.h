/* The inside of the key watch, shared by watch.c and watch_errand.c, and nobody else. */
#ifndef FS_WATCH_INTERNAL_H
#define FS_WATCH_INTERNAL_H

#include <pthread.h>

#include "err.h"
#include "outage.h"
#include "status.h"
#include "watch.h"

#define WATCH_DRAIN_SAY_MS 10000 /* say that requests inside the gate do not end */

/* What another thread wants the watch's thread to do. */
struct watch_errand {
	int (*run)(void *arg, struct err *err);
	void *arg;
	struct err *err;
	int result;
	bool taken, done;
};

struct watch {
	struct watch_setup setup; /* fixed at open */
	void (*forget)(void *arg);
	void *forget_arg;
	pthread_t thread;
	bool started;
	/* Changed by the thread while the gate is closed and drained, and with store_lock. */
	struct store *store;
	pthread_mutex_t store_lock; /* taken before lock */
	struct outage outage;	    /* as the file has it; the thread's own */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool quit; /* these: guarded by lock */
	bool start_wanted;
	struct keywatch key;
	struct watch_status status;
	bool held_too_long_said;
	struct watch_errand *errand; /* what watch_do() wants done; NULL: nothing */
	pthread_cond_t errand_done;
	struct kms *errand_kms; /* that an errand asks; NULL: none */
	struct err lost; /* num not 0: why an errand left the store closed; the thread's own */
};

/* Ask KMS for the data keys (keys.h), and keep what it says for the status. */
int watch_unwrap(struct watch *w, struct secret **ret_keys, struct err *err);

/* Open the store with the header as it is now, or close it: flushed, keys wiped. The gate is closed. */
int watch_open_store(struct watch *w, const struct secret *key, struct err *err);
int watch_close_store(struct watch *w, struct err *err);

/* Do what the bits of enum keywatch_action say about access, in their order. */
void watch_act(struct watch *w, unsigned actions);

/* Do the errand. Called and left with the lock held, by the watch's thread. */
void watch_run_errand_locked(struct watch *w);

#endif
