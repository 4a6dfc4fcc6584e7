/*
 * The gate between requests and the store: counters on the fast path, queues behind a lock.
 *
 * The word that requests look at has the mode and two flags, and changes under the lock only:
 *
 *   flag     | meaning                              | what else holds
 *   PAUSED   | what the mode lets pass waits        |
 *   DRAINING | as PAUSED, for those that come now   | who waited before drain_end is being run, in order
 */
#include "gate.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

#define MODE	 0xff
#define PAUSED	 0x100
#define DRAINING 0x200

struct gate_list {
	struct gate_waiter *first, *last;
};

struct gate {
	atomic_int word;	 /* set under lock, read anywhere */
	atomic_ullong inside[2]; /* requests: that read, that change */
	pthread_mutex_t lock;
	pthread_cond_t left; /* inside has become 0 while not open */
	pthread_cond_t due;  /* for those that serve delays: something may be due */
	/* these: guarded by lock */
	struct gate_list queue;	  /* held, in the order in which they will be run */
	struct gate_list delayed; /* by due_us */
	uint64_t next_number;
	uint64_t drain_end; /* numbers below it are run before others pass */
	bool running;	    /* a thread runs the queue */
	bool delays_ended;
	struct gate_stats stats;
};

struct gate *gate_new(void)
{
	struct gate *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;

	if (!g)
		return NULL;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->left, &attr);
	pthread_cond_init(&g->due, &attr);
	pthread_condattr_destroy(&attr);
	return g;
}

void gate_free(struct gate *gate)
{
	if (!gate)
		return;
	assert(!gate->queue.first && !gate->delayed.first);
	pthread_cond_destroy(&gate->due);
	pthread_cond_destroy(&gate->left);
	pthread_mutex_destroy(&gate->lock);
	free(gate);
}

/* 0, GATE_MUST_WAIT, -EROFS or -EIO for a request that comes now. */
static int answer(int word, bool changes)
{
	switch ((enum gate_mode)(word & MODE)) {
	case GATE_OPEN:
		break;
	case GATE_READ_ONLY:
		if (changes)
			return -EROFS;
		break;
	case GATE_HOLD:
		return GATE_MUST_WAIT;
	case GATE_REFUSE:
		return -EIO;
	}
	return word & (PAUSED | DRAINING) ? GATE_MUST_WAIT : 0;
}

/* The same for one that has waited: others let it go first. */
static int answer_waiter(const struct gate *g, bool changes)
{
	return answer(atomic_load(&g->word) & ~DRAINING, changes);
}

int gate_enter(struct gate *gate, bool changes)
{
	int r;

	atomic_fetch_add(&gate->inside[changes], 1);
	r = answer(atomic_load(&gate->word), changes);
	if (r)
		gate_leave(gate, changes);
	return r;
}

static void leave_locked(struct gate *g, bool changes)
{
	if (atomic_fetch_sub(&g->inside[changes], 1) == 1)
		pthread_cond_broadcast(&g->left);
}

void gate_leave(struct gate *gate, bool changes)
{
	if (atomic_fetch_sub(&gate->inside[changes], 1) != 1 ||
	    atomic_load(&gate->word) == GATE_OPEN)
		return;
	pthread_mutex_lock(&gate->lock);
	pthread_cond_broadcast(&gate->left);
	pthread_mutex_unlock(&gate->lock);
}

/* Link @w into @list in front of @next; NULL: at the end. */
static void link_locked(struct gate *g, struct gate_list *list, struct gate_waiter *w,
			struct gate_waiter *next)
{
	w->state = GATE_QUEUED;
	w->list = list;
	w->next = next;
	w->prev = next ? next->prev : list->last;
	*(w->prev ? &w->prev->next : &list->first) = w;
	*(w->next ? &w->next->prev : &list->last) = w;
	*(list == &g->queue ? &g->stats.waiting : &g->stats.delayed) += 1;
	g->stats.waiting_bytes += w->bytes;
	if (list == &g->queue && !g->stats.stalled_ms)
		g->stats.stalled_ms = clock_monotonic_ms();
}

static void unlink_locked(struct gate *g, struct gate_waiter *w, enum gate_waiter_state state)
{
	*(w->prev ? &w->prev->next : &w->list->first) = w->next;
	*(w->next ? &w->next->prev : &w->list->last) = w->prev;
	*(w->list == &g->queue ? &g->stats.waiting : &g->stats.delayed) -= 1;
	g->stats.waiting_bytes -= w->bytes;
	w->next = w->prev = NULL;
	w->list = NULL;
	w->state = state;
}

static void queue_locked(struct gate *g, struct gate_waiter *w)
{
	w->number = g->next_number++;
	link_locked(g, &g->queue, w, NULL);
}

/* GATE_MUST_WAIT: it may be queued. -EINTR, -ENOBUFS: it may not. */
static int may_queue_locked(struct gate *g, const struct gate_waiter *w)
{
	if (w->interrupted)
		return -EINTR;
	if (g->stats.waiting + g->stats.delayed < GATE_WAITERS_MAX &&
	    w->bytes <= GATE_WAITER_BYTES_MAX - g->stats.waiting_bytes)
		return GATE_MUST_WAIT;
	g->stats.over_limit++;
	return -ENOBUFS;
}

int gate_wait(struct gate *gate, struct gate_waiter *waiter)
{
	int r;

	pthread_mutex_lock(&gate->lock);
	r = answer(atomic_load(&gate->word), waiter->changes); /* does not change under the lock */
	if (waiter->interrupted || r == GATE_MUST_WAIT)
		r = may_queue_locked(gate, waiter);
	if (r == GATE_MUST_WAIT) {
		waiter->since_ms = clock_monotonic_ms();
		queue_locked(gate, waiter);
	} else {
		waiter->state = GATE_TAKEN; /* an interrupt that comes now is too late */
	}
	if (r == 0)
		atomic_fetch_add(&gate->inside[waiter->changes], 1);
	pthread_mutex_unlock(&gate->lock);
	return r;
}

bool gate_interrupt(struct gate *gate, struct gate_waiter *waiter)
{
	bool mine = false;

	pthread_mutex_lock(&gate->lock);
	if (waiter->state == GATE_QUEUED) {
		unlink_locked(gate, waiter, GATE_GONE);
		mine = true;
	} else {
		waiter->interrupted = true; /* counts if it is (still, or again) to be queued */
	}
	pthread_mutex_unlock(&gate->lock);
	return mine;
}

/* Run @w, which is in no list. Called and left with the lock held. */
static void run_locked(struct gate *g, struct gate_waiter *w)
{
	bool changes = w->changes, done;
	int r;

	w->state = GATE_TAKEN;
	g->stats.stalled_ms = 0;
	atomic_fetch_add(&g->inside[changes], 1);
	pthread_mutex_unlock(&g->lock);
	done = w->run(w);
	pthread_mutex_lock(&g->lock);
	leave_locked(g, changes);
	if (done)
		return;
	r = w->interrupted ? -EINTR : answer_waiter(g, changes);
	if (r >= 0) {
		link_locked(g, &g->queue, w, g->queue.first);
		return;
	}
	pthread_mutex_unlock(&g->lock);
	w->fail(w, -r);
	pthread_mutex_lock(&g->lock);
}

/* Run what waits, in order, as long as it may go. One thread at a time does. */
static void run_queue_locked(struct gate *g)
{
	struct gate_waiter *w;

	g->running = true;
	while ((w = g->queue.first) && answer_waiter(g, w->changes) == 0) {
		if (w->number >= g->drain_end)
			atomic_fetch_and(&g->word, ~DRAINING);
		unlink_locked(g, w, GATE_TAKEN);
		run_locked(g, w);
	}
	if (!w) /* from here on nothing is queued */
		atomic_fetch_and(&g->word, ~DRAINING);
	else if (!g->stats.stalled_ms)
		g->stats.stalled_ms = clock_monotonic_ms();
	g->running = false;
}

/* If neither the mode nor a pause holds what waits: it goes before all that comes from now on. */
static void begin_drain_locked(struct gate *g)
{
	if (answer_waiter(g, false) != 0)
		return;
	g->drain_end = g->next_number;
	if (g->queue.first)
		atomic_fetch_or(&g->word, DRAINING);
	else
		g->stats.stalled_ms = 0;
}

static void let_go_locked(struct gate *g)
{
	if (!g->running)
		run_queue_locked(g);
}

/* Set the mode and take out the waiters that it refuses; linked by next. */
static struct gate_waiter *close_locked(struct gate *g, enum gate_mode mode)
{
	struct gate_waiter *refused = NULL, **tail = &refused, *w, *next;

	atomic_store(&g->word, (int)mode | (atomic_load(&g->word) & PAUSED));
	for (w = g->queue.first; w; w = next) {
		next = w->next;
		if (answer_waiter(g, w->changes) >= 0)
			continue;
		unlink_locked(g, w, GATE_TAKEN);
		*tail = w;
		tail = &w->next;
	}
	if (mode == GATE_REFUSE)
		g->stats.stalled_ms = 0; /* it fails: that is no waiting */
	return refused;
}

static void fail_list(struct gate_waiter *list, int num)
{
	while (list) {
		struct gate_waiter *w = list;

		list = w->next;
		w->fail(w, num);
	}
}

void gate_close(struct gate *gate, enum gate_mode mode)
{
	struct gate_waiter *refused;

	assert(mode != GATE_OPEN);
	pthread_mutex_lock(&gate->lock);
	refused = close_locked(gate, mode);
	pthread_mutex_unlock(&gate->lock);
	fail_list(refused, mode == GATE_READ_ONLY ? EROFS : EIO);
}

void gate_end_hold(struct gate *gate)
{
	struct gate_waiter *refused = NULL;

	pthread_mutex_lock(&gate->lock);
	if ((atomic_load(&gate->word) & MODE) == GATE_HOLD)
		refused = close_locked(gate, GATE_REFUSE);
	pthread_mutex_unlock(&gate->lock);
	fail_list(refused, EIO);
}

bool gate_drain(struct gate *gate, bool changes_only, uint64_t timeout_ms)
{
	struct timespec until = clock_timespec(clock_monotonic_ms() + timeout_ms);
	bool empty;
	int r = 0;

	pthread_mutex_lock(&gate->lock);
	for (;;) {
		empty = atomic_load(&gate->inside[1]) == 0 &&
			(changes_only || atomic_load(&gate->inside[0]) == 0);
		if (empty || r == ETIMEDOUT)
			break;
		r = pthread_cond_timedwait(&gate->left, &gate->lock, &until);
	}
	pthread_mutex_unlock(&gate->lock);
	return empty;
}

void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	atomic_store(&gate->word, GATE_OPEN | (atomic_load(&gate->word) & (PAUSED | DRAINING)));
	begin_drain_locked(gate);
	let_go_locked(gate);
	pthread_mutex_unlock(&gate->lock);
}

void gate_pause(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	atomic_fetch_or(&gate->word, PAUSED);
	pthread_mutex_unlock(&gate->lock);
}

void gate_end_pause(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	if (atomic_fetch_and(&gate->word, ~PAUSED) & PAUSED)
		begin_drain_locked(gate);
	pthread_mutex_unlock(&gate->lock);
}

void gate_let_go(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	let_go_locked(gate);
	pthread_mutex_unlock(&gate->lock);
}

int gate_delay(struct gate *gate, struct gate_waiter *waiter, uint64_t due_us)
{
	struct gate_waiter *before;
	int r;

	pthread_mutex_lock(&gate->lock);
	r = gate->delays_ended ? -ESHUTDOWN : may_queue_locked(gate, waiter);
	if (r == GATE_MUST_WAIT) {
		waiter->since_ms = clock_monotonic_ms();
		waiter->due_us = due_us;
		/* Mostly at the end: what comes later is due later, but for another rule's. */
		before = gate->delayed.last;
		while (before && before->due_us > due_us)
			before = before->prev;
		link_locked(gate, &gate->delayed, waiter,
			    before ? before->next : gate->delayed.first);
		if (gate->delayed.first == waiter)
			pthread_cond_signal(&gate->due);
	} else {
		waiter->state = GATE_TAKEN;
	}
	pthread_mutex_unlock(&gate->lock);
	return r;
}

/* A delayed request is due: it comes to the gate. Called and left with the lock held. */
static void arrive_locked(struct gate *g, struct gate_waiter *w)
{
	int r = answer(atomic_load(&g->word), w->changes);

	unlink_locked(g, w, GATE_TAKEN);
	if (r == 0) {
		run_locked(g, w);
		let_go_locked(g); /* if it was put back, and the gate is open again already */
	} else if (r == GATE_MUST_WAIT) {
		queue_locked(g, w);
	} else {
		pthread_mutex_unlock(&g->lock);
		w->fail(w, -r);
		pthread_mutex_lock(&g->lock);
	}
}

void gate_serve_delays(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->delayed.first || !gate->delays_ended) {
		struct gate_waiter *w = gate->delayed.first;

		if (w && (gate->delays_ended || w->due_us <= clock_monotonic_us())) {
			if (w->next) /* perhaps due as well, and this may take long */
				pthread_cond_signal(&gate->due);
			arrive_locked(gate, w);
		} else if (w) {
			struct timespec until = clock_timespec_us(w->due_us);

			(void)pthread_cond_timedwait(&gate->due, &gate->lock,
						     &until); /* look again */
		} else {
			(void)pthread_cond_wait(&gate->due, &gate->lock); /* cannot fail */
		}
	}
	pthread_cond_broadcast(&gate->due); /* the others end, too */
	pthread_mutex_unlock(&gate->lock);
}

void gate_end_delays(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->delays_ended = true;
	pthread_cond_broadcast(&gate->due);
	pthread_mutex_unlock(&gate->lock);
}

/* All are looked at: one that was delayed is older than those before it in the queue. */
void gate_fail(struct gate *gate, uint64_t older_than_ms, int num)
{
	struct gate_waiter *failed = NULL, **tail = &failed, *w, *next;
	uint64_t now;

	pthread_mutex_lock(&gate->lock);
	now = clock_monotonic_ms();
	for (w = gate->queue.first; w; w = next) {
		next = w->next;
		if (now - w->since_ms < older_than_ms)
			continue;
		unlink_locked(gate, w, GATE_TAKEN);
		*tail = w;
		tail = &w->next;
	}
	pthread_mutex_unlock(&gate->lock);
	fail_list(failed, num);
}

uint64_t gate_oldest(struct gate *gate, uint64_t older_than_ms)
{
	uint64_t now, wait_ms = UINT64_MAX;

	pthread_mutex_lock(&gate->lock);
	now = clock_monotonic_ms();
	for (const struct gate_waiter *w = gate->queue.first; w; w = w->next) {
		uint64_t at = w->since_ms + older_than_ms, left_ms = at > now ? at - now : 0;

		if (left_ms < wait_ms)
			wait_ms = left_ms;
	}
	pthread_mutex_unlock(&gate->lock);
	return wait_ms;
}

void gate_stats(struct gate *gate, struct gate_stats *ret_stats)
{
	pthread_mutex_lock(&gate->lock);
	*ret_stats = gate->stats;
	pthread_mutex_unlock(&gate->lock);
}
