/*
 * The thread that lives the key watch: asks KMS, closes and opens the gate and the store, writes
 * events. It alone calls KMS after the mount, and it alone changes which store is open.
 */
#ifndef FS_WATCH_H
#define FS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "keywatch.h"

struct above;
struct err;
struct events;
struct gate;
struct hook;
struct kms;
struct secret;
struct store;
struct volume_header;
struct watch;
struct watch_status;

/* All borrowed and to outlive the watch. */
struct watch_setup {
	const char *dir;
	int dir_fd; /* the same directory, for outage.json */
	const struct volume_header *header;
	struct kms *kms;
	struct gate *gate;
	struct events *events;
	struct hook *hook;	/* told of each change of state; NULL: nobody is */
	struct above *above;	/* looks after the file system above; NULL: there is none */
	uint64_t write_down_ms; /* how long that may write down what is dirty */
	struct keywatch_config config;
	bool read_only;
	uint64_t hold_limit_ms; /* requests that wait for longer get EIO; 0: no limit */
};

/*
 * Take over @store (from then on the watch's), open at first. No thread yet. The caller keeps
 * *@setup's members, the struct is copied. On failure the store stays the caller's.
 */
int watch_new(const struct watch_setup *setup, struct store *store, struct watch **ret_watch,
	      struct err *err);

/*
 * Start the thread. @forget is called on it when the key is lost, with nothing inside the gate: wipe
 * what plaintext is kept outside the store.
 */
int watch_start(struct watch *watch, void (*forget)(void *arg), void *arg, struct err *err);

/* The store; only between gate_enter() and gate_leave(), in a waiter that the gate runs, or after watch_end(). */
struct store *watch_store(struct watch *watch);

/*
 * Call @fn with the store as it is now, NULL while the key is lost, and let nothing open or close it
 * meanwhile; I/O goes on. From any thread but the watch's. What @fn returned.
 */
int watch_with_store(struct watch *watch, int (*fn)(struct store *store, void *arg), void *arg);

/*
 * Have the watch's thread call @fn between its checks, while the volume is available, and wait for it. From
 * any other thread; several take turns. What @fn returned; -EAGAIN the volume is not available, -ECANCELED it
 * is being unmounted.
 */
int watch_do(struct watch *watch, int (*fn)(void *arg, struct err *err), void *arg,
	     struct err *err);

/*
 * From within watch_do(): an unmount cancels the calls of @kms, until this is called with NULL.
 */
void watch_errand_asks(struct watch *watch, struct kms *kms);

/*
 * From within watch_do(): unwrap the data keys, hold I/O, close the store, call @between, which may change the
 * header and put other keys in the place of these, and open the store with what there is then; also when @between fails, whose error is then returned. I/O that
 * came meanwhile goes on in its order. If the store cannot be opened again, the volume is as without its
 * key, and opening is tried again after each good check (reaction none: I/O fails with EIO).
 */
int watch_reopen(struct watch *watch,
		 int (*between)(void *arg, struct secret **data_keys, struct err *err), void *arg,
		 struct err *err);

/* A manual start: check the key now. -EINVAL with a sentence in a state where that means nothing. */
int watch_want_start(struct watch *watch, struct err *err);

/*
 * End the thread; a KMS call under way is cancelled, anything else it does it finishes. Requests inside
 * the gate may still run. The state stays what it is.
 */
void watch_end(struct watch *watch);

/* After watch_end(), with nothing inside the gate: close the store and wipe its key. What store_close()
 * said. Does nothing the second time. */
int watch_close(struct watch *watch, struct err *err);
void watch_free(struct watch *watch); /* after watch_close(); NULL is allowed */

/* From any thread, any time; never waits for KMS or the store. */
void watch_status(struct watch *watch, struct watch_status *ret_status);

#endif
