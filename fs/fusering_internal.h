/* What fusering.c (all threads) and fusering_worker.c (one) share. */
#ifndef FS_FUSERING_INTERNAL_H
#define FS_FUSERING_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <liburing.h>

#include "fusering.h"
#include "fusering_abi.h"

#define FUSERING_KICKERS_MAX 32 /* of a queue */

/*
 * state          | whose
 * lent           | the kernel's, which writes into it only while its owner is in io_uring_enter(2)
 * with a request | of the thread that serves it; of a waiter (parked); or in its queue's `handed`
 */
struct fusering_entry {
	struct fusering_header *header; /* on the page before the payload */
	uint8_t *payload;
	struct fusering_queue *queue; /* fixed at new */
	struct fusering_entry *all;   /* guarded by the ring's lock */
	struct fusering_entry *next;  /* ready or handed */
	struct fusering_entry *lent;  /* the next of the owner's; this and at are the owner's */
	struct fusering_entry **at;   /* NULL: not lent */
	uint64_t commit_id;	      /* of the request; 0: it was never lent */
	size_t dirty;		      /* bytes of payload that may hold plaintext */
	bool answered;		      /* in `handed`: to be committed, else to be served */
	bool extra;		      /* made for one that waited */
	struct iovec iov[2];
};

struct fusering_worker {
	struct fusering *ring;
	struct fusering_queue *queue;
	pthread_t thread;
	struct io_uring io;
	struct fusering_entry *lent;  /* what the kernel has by way of this thread */
	struct fusering_entry *ready; /* with a request */
	struct fusering_entry **ready_end;
	unsigned lent_count;
	struct fusering_entry *spare; /* not lent yet: for the next one that waits */
	uint64_t wake_value;	      /* what is read from the queue's wake_fd */
	int failed;		      /* errno: the kernel has ended the ring */
	atomic_uint forgot;
	atomic_bool ended;
};

struct fusering_queue {
	unsigned number; /* of the processor */
	pthread_mutex_t lock;
	struct fusering_entry
		*handed; /* guarded by lock: to be served or committed by whoever is free */
	struct fusering_entry **handed_end;
	atomic_uint handed_count;
	unsigned served; /* guarded by the ring's lock: workers whose entry the kernel has taken */
	int wake_fd;	 /* a semaphore: who is idle looks at `handed` */
	struct fusering *ring;
	pthread_t kickers
		[FUSERING_KICKERS_MAX]; /* this and what follows: guarded by the ring's lock */
	unsigned kicker_count, kickers_idle;
	bool kick; /* one of them is to go */
};

struct fusering {
	struct fusering_setup setup;
	unsigned queue_count, worker_count, started; /* workers */
	struct fusering_queue *queues;
	struct fusering_worker *workers;
	atomic_bool stop;
	atomic_uint forget; /* rounds of forgetting asked for */
	pthread_mutex_t lock;
	pthread_cond_t changed;	    /* reported, kick, kick_end */
	unsigned reported;	    /* guarded by lock: workers that have begun, well or not */
	int failed;		    /* guarded by lock: errno of the first that has not */
	struct fusering_entry *all; /* guarded by lock */
	uint64_t entries;	    /* guarded by lock */
	bool kick_end;		    /* guarded by lock */
};

/* A new entry, not lent. NULL: out of memory. */
struct fusering_entry *fusering_entry_new(struct fusering *ring, struct fusering_queue *queue);

/* Wipe its payload; with @give_back its memory goes, too. It is not lent, or its owner calls. */
void fusering_entry_wipe(struct fusering_entry *entry, bool give_back);

/* Let any thread of the entry's queue serve it, or with @answered commit its answer. */
void fusering_hand(struct fusering_entry *entry, bool answered);

/* Take the first that was handed. NULL: none. */
struct fusering_entry *fusering_take(struct fusering_queue *queue);

/* Have a request come and be answered on this queue, so that requests which the kernel holds back come. */
void fusering_kick(struct fusering_queue *queue);

/* A worker has begun (0), or has failed to. */
void fusering_report(struct fusering_worker *worker, int num);

void *fusering_worker_main(void *worker);

#endif
