/*
 * The gate between requests and the store. Open, requests pass at the price of two atomic
 * additions; closed, they wait in order, or are refused. Who closes it can wait until all that
 * passed has ended, and then owns the store. Knows neither FUSE nor the store.
 *
 * There are two reasons to wait, independent of each other: the mode, which is the key watch's, and
 * a pause, which is an experiment's. A request passes when neither holds it. Besides, a request can be
 * delayed: it waits for a time of its own, and then comes to the gate as if it came only now.
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

struct gate_list;

/*
 * A request that waits; embedded in the caller's own. Set the first four members and zero the rest.
 * Exactly one of run (true), fail and a true gate_interrupt() comes for a waiter that was queued; each
 * then owns it. They are called without locks; run counts as inside the gate.
 */
struct gate_waiter {
	/* Execute and answer; false: it was not executed, put it back in front of all others. */
	bool (*run)(struct gate_waiter *waiter);
	void (*fail)(struct gate_waiter *waiter, int num); /* answer with this errno */
	size_t bytes;					   /* of payload */
	bool changes;
	/* the gate's; guarded by its lock */
	enum gate_waiter_state state;
	bool interrupted; /* before it was queued, or while it was run */
	uint64_t number;
	uint64_t since_ms;
	uint64_t due_us; /* as long as it is delayed */
	struct gate_list *list;
	struct gate_waiter *next, *prev;
};

struct gate_stats {
	uint64_t waiting;	/* requests that are held */
	uint64_t waiting_bytes; /* their payload, and that of delayed ones */
	uint64_t delayed;	/* requests */
	uint64_t over_limit;	/* refused because a limit was reached */
	uint64_t
		stalled_ms; /* since then I/O was driven, and none was let go; 0: it is not stalled */
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
 * Set the mode to open. Unless it is paused: run, in order and one by one in this thread, all that waits
 * by now; then let others pass, and run in the same way what came meanwhile. So nothing that waited before
 * this call is overtaken by what came after it. When another thread is running what waits already, that
 * one goes on with it. Ends early when the gate is closed or paused again meanwhile.
 */
void gate_open(struct gate *gate);

/*
 * Pause: what the mode would let pass waits; what it refuses is refused. The end of a pause makes it ready to
 * run what waits, as gate_open() does, if the mode lets it; gate_let_go() has to follow, and runs it in its
 * thread. A pause that begins between them counts. The first two never block. From any thread.
 */
void gate_pause(struct gate *gate);
void gate_end_pause(struct gate *gate);
void gate_let_go(struct gate *gate);

/*
 * Keep @waiter until @due_us (clock_monotonic_us()); a thread in gate_serve_delays() then runs it, or
 * queues or fails it, as the gate is by then. GATE_MUST_WAIT: it is kept, and may be gone already. The
 * others leave it the caller's: -EINTR, -ENOBUFS as with gate_wait(); -ESHUTDOWN after gate_end_delays().
 */
int gate_delay(struct gate *gate, struct gate_waiter *waiter, uint64_t due_us);

/* Let go of delayed requests as they become due, until gate_end_delays() and none is left. Any number of
 * threads. */
void gate_serve_delays(struct gate *gate);

/* All delayed requests are due now, and no more are taken. */
void gate_end_delays(struct gate *gate);

/* If requests wait for the mode, let it refuse from now on, as gate_close() does. Any thread. */
void gate_end_hold(struct gate *gate);

/* Answer waiters (not delayed ones) with @num: those that wait for longer than @older_than_ms (0: all). */
void gate_fail(struct gate *gate, uint64_t older_than_ms, int num);

/* Milliseconds until the first waiter is @older_than_ms old; UINT64_MAX: nobody waits. */
uint64_t gate_oldest(struct gate *gate, uint64_t older_than_ms);

void gate_stats(struct gate *gate, struct gate_stats *ret_stats);

#endif
