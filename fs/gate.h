/*
 * The gate between requests and the store. Open, requests pass at the price of two atomic
 * additions; closed, they wait in order, or are refused. Who closes it can wait until all that
 * passed has ended, and then owns the store. Knows neither FUSE nor the store.
 *
 * Why nothing passes a closed gate: gate_enter() counts itself in, then reads the mode;
 * gate_close() sets the mode, then reads the counts, all in one total order (C11 seq_cst). So
 * either the request sees the closed gate, or the closer sees the request and waits for it.
 */
#ifndef FS_GATE_H
#define FS_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate;

#define GATE_WAITERS_MAX      65536
#define GATE_WAITER_BYTES_MAX (512ULL * 1024 * 1024) /* payload of waiting writes */

enum gate_mode {
	GATE_OPEN,
	GATE_READ_ONLY, /* what changes something is refused with -EROFS */
	GATE_HOLD,	/* requests wait */
	GATE_REFUSE,	/* requests are refused with -EIO */
};

#define GATE_MUST_WAIT 1 /* gate_enter(), gate_wait() */

enum gate_waiter_state { GATE_NEW, GATE_QUEUED, GATE_TAKEN, GATE_GONE };

/*
 * A request that waits; embedded in the caller's own. Set the first four members and zero the rest.
 * Exactly one of run, fail and a true gate_interrupt() comes for a waiter that was queued; each
 * then owns it. They are called without locks.
 */
struct gate_waiter {
	void (*run)(struct gate_waiter *waiter);	   /* execute and answer */
	void (*fail)(struct gate_waiter *waiter, int num); /* answer with this errno */
	size_t bytes;					   /* of payload */
	bool changes;
	/* the gate's; guarded by its lock */
	enum gate_waiter_state state;
	bool interrupted; /* before it was queued */
	uint64_t number;
	uint64_t since_ms;
	struct gate_waiter *next, *prev;
};

struct gate_stats {
	uint64_t waiting;	/* requests */
	uint64_t waiting_bytes; /* their payload */
	uint64_t over_limit;	/* refused because a limit was reached */
};

/* Open at first. NULL: out of memory. */
struct gate *gate_new(void);
void gate_free(struct gate *gate); /* nobody waits and nobody is inside; NULL is allowed */

/*
 * May a request go on? 0: yes, and gate_leave() with the same @changes follows. GATE_MUST_WAIT:
 * make a waiter and gate_wait(). -EROFS, -EIO: refused. Never blocks.
 */
int gate_enter(struct gate *gate, bool changes);
void gate_leave(struct gate *gate, bool changes);

/*
 * Queue @waiter. GATE_MUST_WAIT: it waits, and may be gone already. The other results leave it the
 * caller's: 0 the gate has opened meanwhile and was entered; -EINTR it was interrupted before;
 * -EIO, -EROFS the gate refuses now; -ENOBUFS a limit is reached. Never blocks.
 */
int gate_wait(struct gate *gate, struct gate_waiter *waiter);

/*
 * Take a waiter out of the queue. True: the caller owns and answers it. False: it is being run or
 * failed, or not queued yet, and then gate_wait() will say -EINTR.
 */
bool gate_interrupt(struct gate *gate, struct gate_waiter *waiter);

/*
 * Let nothing pass from now on but what @mode (not GATE_OPEN) allows. Requests inside go on.
 * GATE_REFUSE and GATE_READ_ONLY also answer those waiters that they refuse.
 */
void gate_close(struct gate *gate, enum gate_mode mode);

/*
 * Wait until every request inside has ended, or with @changes_only those that change something.
 * False: not within @timeout_ms.
 */
bool gate_drain(struct gate *gate, bool changes_only, uint64_t timeout_ms);

/*
 * Run, in order and one by one in this thread, all that waits by now; then open, and run in the same
 * way what came meanwhile. So nothing that waited before this call is overtaken by what came after
 * it. Not while another thread closes.
 */
void gate_open(struct gate *gate);

/* If requests wait at the gate, let it refuse from now on, as gate_close() does. Any thread. */
void gate_end_hold(struct gate *gate);

/* Answer waiters with @num: those that wait for longer than @older_than_ms (0: all). */
void gate_fail(struct gate *gate, uint64_t older_than_ms, int num);

/* Milliseconds until the first waiter is @older_than_ms old; UINT64_MAX: nobody waits. */
uint64_t gate_oldest(struct gate *gate, uint64_t older_than_ms);

void gate_stats(struct gate *gate, struct gate_stats *ret_stats);

#endif
