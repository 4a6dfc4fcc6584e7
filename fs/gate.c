/* The gate between requests and the store: counters on the fast path, a queue behind a lock. */
#include "gate.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

struct gate {
	atomic_int mode;	 /* set under lock, read anywhere */
	atomic_ullong inside[2]; /* requests: that read, that change */
	pthread_mutex_t lock;
	pthread_cond_t left;	   /* inside has become 0 while not open */
	struct gate_waiter *first; /* these: guarded by lock */
	struct gate_waiter *last;
	uint64_t next_number;
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
	pthread_condattr_destroy(&attr);
	return g;
}

void gate_free(struct gate *gate)
{
	if (!gate)
		return;
	assert(!gate->first);
	pthread_cond_destroy(&gate->left);
	pthread_mutex_destroy(&gate->lock);
	free(gate);
}

/* 0, GATE_MUST_WAIT, -EROFS or -EIO for a request at a gate in @mode. */
static int answer(enum gate_mode mode, bool changes)
{
	switch (mode) {
	case GATE_OPEN:
		break;
	case GATE_READ_ONLY:
		return changes ? -EROFS : 0;
	case GATE_HOLD:
		return GATE_MUST_WAIT;
	case GATE_REFUSE:
		return -EIO;
	}
	return 0;
}

int gate_enter(struct gate *gate, bool changes)
{
	int r;

	atomic_fetch_add(&gate->inside[changes], 1);
	r = answer((enum gate_mode)atomic_load(&gate->mode), changes);
	if (r)
		gate_leave(gate, changes);
	return r;
}

void gate_leave(struct gate *gate, bool changes)
{
	if (atomic_fetch_sub(&gate->inside[changes], 1) != 1 ||
	    atomic_load(&gate->mode) == GATE_OPEN)
		return;
	pthread_mutex_lock(&gate->lock);
	pthread_cond_broadcast(&gate->left);
	pthread_mutex_unlock(&gate->lock);
}

static void unlink_locked(struct gate *g, struct gate_waiter *w, enum gate_waiter_state state)
{
	*(w->prev ? &w->prev->next : &g->first) = w->next;
	*(w->next ? &w->next->prev : &g->last) = w->prev;
	w->next = w->prev = NULL;
	w->state = state;
	g->stats.waiting--;
	g->stats.waiting_bytes -= w->bytes;
}

int gate_wait(struct gate *gate, struct gate_waiter *waiter)
{
	int r;

	pthread_mutex_lock(&gate->lock);
	r = answer((enum gate_mode)atomic_load(&gate->mode), waiter->changes);
	if (waiter->interrupted) {
		r = -EINTR;
	} else if (r == 0) { /* the mode cannot change under the lock */
		atomic_fetch_add(&gate->inside[waiter->changes], 1);
	} else if (r == GATE_MUST_WAIT &&
		   (gate->stats.waiting >= GATE_WAITERS_MAX ||
		    waiter->bytes > GATE_WAITER_BYTES_MAX - gate->stats.waiting_bytes)) {
		gate->stats.over_limit++;
		r = -ENOBUFS;
	} else if (r == GATE_MUST_WAIT) {
		waiter->state = GATE_QUEUED;
		waiter->number = gate->next_number++;
		waiter->since_ms = clock_monotonic_ms();
		waiter->prev = gate->last;
		*(gate->last ? &gate->last->next : &gate->first) = waiter;
		gate->last = waiter;
		gate->stats.waiting++;
		gate->stats.waiting_bytes += waiter->bytes;
	}
	if (r != GATE_MUST_WAIT)
		waiter->state = GATE_TAKEN; /* an interrupt that comes now is too late */
	pthread_mutex_unlock(&gate->lock);
	return r;
}

bool gate_interrupt(struct gate *gate, struct gate_waiter *waiter)
{
	bool mine = false;

	pthread_mutex_lock(&gate->lock);
	if (waiter->state == GATE_NEW) {
		waiter->interrupted = true;
	} else if (waiter->state == GATE_QUEUED) {
		unlink_locked(gate, waiter, GATE_GONE);
		mine = true;
	}
	pthread_mutex_unlock(&gate->lock);
	return mine;
}

/* Set the mode and take out the waiters that it refuses; linked by next. */
static struct gate_waiter *close_locked(struct gate *g, enum gate_mode mode)
{
	struct gate_waiter *refused = NULL, **tail = &refused, *w, *next;

	atomic_store(&g->mode, mode);
	for (w = g->first; w; w = next) {
		next = w->next;
		if (answer(mode, w->changes) >= 0)
			continue;
		unlink_locked(g, w, GATE_TAKEN);
		*tail = w;
		tail = &w->next;
	}
	return refused;
}

static void fail_list(struct gate_waiter *list, enum gate_mode mode)
{
	while (list) {
		struct gate_waiter *w = list;

		list = w->next;
		w->fail(w, mode == GATE_READ_ONLY ? EROFS : EIO);
	}
}

void gate_close(struct gate *gate, enum gate_mode mode)
{
	struct gate_waiter *refused;

	assert(mode != GATE_OPEN);
	pthread_mutex_lock(&gate->lock);
	refused = close_locked(gate, mode);
	pthread_mutex_unlock(&gate->lock);
	fail_list(refused, mode);
}

void gate_end_hold(struct gate *gate)
{
	struct gate_waiter *refused = NULL;

	pthread_mutex_lock(&gate->lock);
	if (atomic_load(&gate->mode) == GATE_HOLD)
		refused = close_locked(gate, GATE_REFUSE);
	pthread_mutex_unlock(&gate->lock);
	fail_list(refused, GATE_REFUSE);
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

/* Take the first waiter if it is numbered below @end. */
static struct gate_waiter *take_locked(struct gate *g, uint64_t end)
{
	struct gate_waiter *w = g->first;

	if (!w || w->number >= end)
		return NULL;
	unlink_locked(g, w, GATE_TAKEN);
	return w;
}

/* Run the waiters numbered below @end, in order. Called and left with the lock held. */
static void run_locked(struct gate *g, uint64_t end)
{
	struct gate_waiter *w;

	while ((w = take_locked(g, end))) {
		pthread_mutex_unlock(&g->lock);
		w->run(w);
		pthread_mutex_lock(&g->lock);
	}
}

void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	run_locked(gate, gate->next_number);
	atomic_store(&gate->mode, GATE_OPEN);
	run_locked(gate, UINT64_MAX); /* what came meanwhile; from here on nothing is queued */
	pthread_mutex_unlock(&gate->lock);
}

void gate_fail(struct gate *gate, uint64_t older_than_ms, int num)
{
	uint64_t now, end;

	pthread_mutex_lock(&gate->lock);
	now = clock_monotonic_ms();
	end = gate->next_number; /* else one that comes back at once would never let us end */
	for (;;) {
		struct gate_waiter *w = gate->first;

		if (!w || now - w->since_ms < older_than_ms)
			break;
		w = take_locked(gate, end);
		if (!w)
			break;
		pthread_mutex_unlock(&gate->lock);
		w->fail(w, num);
		pthread_mutex_lock(&gate->lock);
	}
	pthread_mutex_unlock(&gate->lock);
}

uint64_t gate_oldest(struct gate *gate, uint64_t older_than_ms)
{
	uint64_t now, wait_ms = UINT64_MAX;

	pthread_mutex_lock(&gate->lock);
	now = clock_monotonic_ms();
	if (gate->first) {
		uint64_t at = gate->first->since_ms + older_than_ms;

		wait_ms = at > now ? at - now : 0;
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
