/*
 * The thread behind the key watch. What happens when is decided in keywatch.c; here is how it is done.
 * The order that key loss follows: nothing new passes the gate; what is inside ends; the store makes
 * acknowledged writes durable and wipes its keys; plaintext kept elsewhere is wiped; only then does the
 * status say that the volume is unreachable.
 */
#include "watch_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "err.h"
#include "events.h"
#include "gate.h"
#include "hook.h"
#include "kms.h"
#include "say.h"
#include "secret.h"
#include "store.h"
#include "volume.h"

int watch_new(const struct watch_setup *setup, struct store *store, struct watch **ret_watch,
	      struct err *err)
{
	struct watch *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (!w)
		return err_set(err, ENOMEM, "key watch: out of memory");
	w->setup = *setup;
	w->store = store;
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->store_lock, NULL);
	pthread_cond_init(&w->errand_done, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	w->key = keywatch_begin(&setup->config, clock_monotonic_ms(), arc4random());
	w->status.state = w->key.state;
	w->status.since_wall_ms = w->status.last_check_wall_ms = clock_wall_ms();
	w->status.last_check_result = "ok"; /* the mount unwrapped the key */
	w->status.kms_calls = 1;
	w->status.store_open = true;
	*ret_watch = w;
	return 0;
}

struct store *watch_store(struct watch *watch)
{
	return watch->store;
}

int watch_with_store(struct watch *watch, int (*fn)(struct store *store, void *arg), void *arg)
{
	int r;

	pthread_mutex_lock(&watch->store_lock);
	r = fn(watch->store, arg);
	pthread_mutex_unlock(&watch->store_lock);
	return r;
}

/* Remember the store's numbers for the time when it is closed. */
static void keep_store_stats(struct watch *w)
{
	struct store_stats stats;

	store_stats(w->store, &stats);
	pthread_mutex_lock(&w->lock);
	w->status.store = stats;
	w->status.store_known = true;
	pthread_mutex_unlock(&w->lock);
}

/* Keep for the status what KMS said to a number of calls. */
static void keep_answer(struct watch *w, unsigned calls, int r, const struct err *err)
{
	pthread_mutex_lock(&w->lock);
	w->status.kms_calls += calls;
	w->status.kms_error = *err;
	w->status.kms_fault = r < 0 ? kms_fault(err) : KMS_FAULT_NONE;
	pthread_mutex_unlock(&w->lock);
}

int watch_unwrap(struct watch *w, struct secret **ret_keys, struct err *err)
{
	unsigned calls = w->setup.header->geometry.previous_key ? 2 : 1;
	int r = volume_unwrap(w->setup.header, w->setup.kms, ret_keys, err);

	keep_answer(w, calls, r, err);
	return r;
}

static enum keywatch_event check(struct watch *w, struct err *err)
{
	enum keywatch_event answer = KEYWATCH_CHECK_TRANSIENT;
	const char *result = "transient";
	int r = volume_check_key(w->setup.header, w->setup.kms, err);
	struct event event = {
		.name = "key-check", .reason = r < 0 ? err->msg : NULL, .err = r < 0 ? err : NULL};

	keep_answer(w, 1, r, err);
	if (r == 0) {
		answer = KEYWATCH_CHECK_OK;
		result = "ok";
	} else if (r == -EBADMSG || kms_fault(err) == KMS_FAULT_REFUSED) {
		answer =
			KEYWATCH_CHECK_REFUSED; /* EBADMSG: KMS gave a key that is not this volume's */
		result = "refused";
	} else if (kms_fault(err) == KMS_FAULT_WRONG_CALL) {
		result = "wrong-call";
	}
	pthread_mutex_lock(&w->lock);
	w->status.last_check_wall_ms = clock_wall_ms();
	if (answer == KEYWATCH_CHECK_TRANSIENT && !w->quit &&
	    strcmp(w->status.last_check_result, result) != 0)
		say_warning("key check has no answer and will be repeated: %s", err->msg);
	w->status.last_check_result = result;
	event.result = result;
	pthread_mutex_unlock(&w->lock);
	events_add(w->setup.events, &event);
	return answer;
}

int watch_open_store(struct watch *w, const struct secret *key, struct err *err)
{
	int r;

	pthread_mutex_lock(&w->store_lock);
	r = store_open(w->setup.dir, &w->setup.header->geometry, key, w->setup.read_only, &w->store,
		       err);
	pthread_mutex_unlock(&w->store_lock);
	if (r < 0)
		return r;
	pthread_mutex_lock(&w->lock);
	w->status.store_open = true;
	pthread_mutex_unlock(&w->lock);
	return 0;
}

/* Unwrap the key and open the store again. The gate is closed. */
static enum keywatch_event open_again(struct watch *w, struct err *err)
{
	AUTO(secret_freep) struct secret *key = NULL;
	int r = watch_unwrap(w, &key, err);

	if (r == 0)
		r = watch_open_store(w, key, err);
	if (r < 0) {
		struct event event = {.name = "start-failed", .reason = err->msg, .err = err};

		say_error("the key is back, but the volume cannot be opened: %s", err->msg);
		events_add(w->setup.events, &event);
		return KEYWATCH_STORE_FAILED;
	}
	return KEYWATCH_STORE_OPENED;
}

/* Close the store: flushed, keys wiped. Nothing is inside the gate. */
int watch_close_store(struct watch *w, struct err *err)
{
	int r;

	if (!w->store)
		return 0;
	keep_store_stats(w);
	pthread_mutex_lock(&w->store_lock);
	r = store_close(w->store, err);
	w->store = NULL;
	pthread_mutex_unlock(&w->store_lock);
	if (r < 0) {
		struct event event = {.name = "close-failed", .reason = err->msg};

		say_error("closing the store: %s", err->msg);
		events_add(w->setup.events, &event);
	}
	pthread_mutex_lock(&w->lock);
	w->status.store_open = false;
	pthread_mutex_unlock(&w->lock);
	return r;
}

static const char *rds_event(unsigned actions)
{
	if (actions & KEYWATCH_EMIT_WARNED)
		return "RDS-EVENT-0418";
	if (actions & KEYWATCH_EMIT_LOST)
		return "RDS-EVENT-0419";
	return actions & KEYWATCH_EMIT_REGAINED ? "RDS-EVENT-0420" : NULL;
}

/* The wall time of the monotonic @at_ms; 0 for never. */
static uint64_t wall_time(uint64_t at_ms)
{
	uint64_t now = clock_monotonic_ms();

	if (at_ms == KEYWATCH_NEVER)
		return 0;
	return clock_wall_ms() + (at_ms > now ? at_ms - now : 0);
}

/* Keep on disk since when the volume is unreachable, so that the time goes on without us. */
static void keep_outage(struct watch *w, enum keywatch_state from)
{
	enum keywatch_state to = w->key.state;
	uint64_t now = clock_wall_ms();
	int r = 0;

	if (to == KEYWATCH_INACCESSIBLE_RECOVERABLE && from != KEYWATCH_STARTING) {
		w->outage.since_wall_ms = now;
		w->outage.terminal_wall_ms =
			wall_time(keywatch_terminal(&w->setup.config, &w->key));
		r = outage_save(w->setup.dir_fd, &w->outage);
	} else if (to == KEYWATCH_INACCESSIBLE) {
		w->outage.terminal_wall_ms = now;
		r = outage_save(w->setup.dir_fd, &w->outage);
	} else if (to == KEYWATCH_AVAILABLE && w->outage.since_wall_ms) {
		w->outage = (struct outage){0};
		r = outage_clear(w->setup.dir_fd);
	}
	if (r < 0)
		say_warning("outage.json: cannot be kept: %s", strerror(-r));
}

/* Tell of the way from @from to where the key watch is now, and show it in the status. */
static void publish(struct watch *w, enum keywatch_state from, unsigned actions,
		    const struct err *why)
{
	enum keywatch_state to = w->key.state;
	bool good = to == KEYWATCH_AVAILABLE || to == KEYWATCH_STARTING;
	struct event event = {
		.name = "state-changed",
		.from = keywatch_state_name(from),
		.to = keywatch_state_name(to),
		.reason = good ? NULL : why->msg,
		.err = good ? NULL : why,
		.rds_event = rds_event(actions),
	};

	if (to == KEYWATCH_INACCESSIBLE)
		event.reason = "the key was out of reach for too long; the data comes back by "
			       "'kmsvol snapshot create' and 'kmsvol restore'";
	keep_outage(w, from);
	pthread_mutex_lock(&w->lock);
	w->status.state = to;
	w->status.since_wall_ms = clock_wall_ms();
	if (good)
		w->status.reason[0] = '\0';
	else if (event.reason)
		(void)snprintf(w->status.reason, sizeof(w->status.reason), "%s", event.reason);
	pthread_mutex_unlock(&w->lock);
	if (good)
		say_info("state %s", event.to);
	else
		say_warning("state %s: %s", event.to, event.reason);
	events_add(w->setup.events, &event);
	hook_add(w->setup.hook, event.from, event.to, event.reason, clock_wall_ms());
}

/*
 * Let @event happen, with all that follows from it; @err is of the last call that failed: why the state is
 * what it is. Called and left with the lock held.
 */
static void handle_because_locked(struct watch *w, enum keywatch_event event, struct err err)
{
	bool more = true;

	while (more && !w->quit) {
		enum keywatch_state from = w->key.state;
		unsigned actions = keywatch_step(&w->setup.config, &w->key, event,
						 clock_monotonic_ms(), arc4random());

		pthread_mutex_unlock(&w->lock);
		watch_act(w, actions);
		if (w->key.state != from)
			publish(w, from, actions, err.num ? &err : &w->status.kms_error);
		more = actions & (KEYWATCH_DO_OPEN | KEYWATCH_DO_CHECK);
		if (more)
			err_clear(&err);
		if (actions & KEYWATCH_DO_OPEN)
			event = open_again(w, &err);
		else if (actions & KEYWATCH_DO_CHECK)
			event = check(w, &err);
		pthread_mutex_lock(&w->lock);
	}
}

static void handle_locked(struct watch *w, enum keywatch_event event)
{
	handle_because_locked(w, event, (struct err){0});
}

/* Answer requests before the kernel loses patience and aborts the connection. */
static uint64_t end_long_waits(struct watch *w)
{
	uint64_t limit = w->setup.hold_limit_ms;

	if (limit == 0)
		return UINT64_MAX;
	if (gate_oldest(w->setup.gate, limit) == 0) {
		gate_fail(w->setup.gate, limit, EIO);
		if (!w->held_too_long_said)
			say_warning("requests waited for %" PRIu64
				    " s and get EIO: fs.fuse.max_request_timeout allows no more",
				    limit / 1000);
		w->held_too_long_said = true;
	}
	return gate_oldest(w->setup.gate, limit);
}

static void sleep_locked(struct watch *w, uint64_t now_ms, uint64_t until_ms)
{
	uint64_t waits_ms = w->setup.hold_limit_ms ? w->setup.hold_limit_ms / 8 : UINT64_MAX;
	struct timespec ts;

	if (until_ms - now_ms > waits_ms) /* a request that begins to wait does not wake us */
		until_ms = now_ms + waits_ms;
	if (until_ms == UINT64_MAX) {
		(void)pthread_cond_wait(&w->wake, &w->lock); /* cannot fail */
		return;
	}
	ts = clock_timespec(until_ms);
	(void)pthread_cond_timedwait(&w->wake, &w->lock, &ts); /* woken or not: look again */
}

static void *watch_main(void *arg)
{
	struct watch *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->quit) {
		uint64_t now = clock_monotonic_ms();
		uint64_t due = keywatch_deadline(&w->setup.config, &w->key);

		w->status.next_check_wall_ms = wall_time(w->key.next_check_ms);
		w->status.terminal_wall_ms = w->outage.terminal_wall_ms;
		if (w->start_wanted) {
			w->start_wanted = false;
			handle_locked(w, KEYWATCH_MANUAL_START);
		} else if (now >= due) {
			handle_locked(w, KEYWATCH_TIMER);
		} else if (w->errand && !w->errand->taken) {
			watch_run_errand_locked(w);
			if (w->lost.num)
				handle_because_locked(w, KEYWATCH_STORE_FAILED, w->lost);
			err_clear(&w->lost);
		} else {
			(void)end_long_waits(w);
			sleep_locked(w, now, due);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int watch_start(struct watch *watch, void (*forget)(void *arg), void *arg, struct err *err)
{
	int num;

	watch->forget = forget;
	watch->forget_arg = arg;
	num = pthread_create(&watch->thread, NULL, watch_main, watch);
	if (num)
		return err_set(err, num, "key watch: cannot start a thread: %s", strerror(num));
	watch->started = true;
	return 0;
}

int watch_want_start(struct watch *watch, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&watch->lock);
	if (!keywatch_can_start(&watch->key))
		r = err_set(err, EINVAL,
			    "volume is in %s state but expected it to be one of read-only, warned, "
			    "inaccessible-encryption-credentials-recoverable",
			    keywatch_state_name(watch->key.state));
	else
		watch->start_wanted = true;
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
	return r;
}

void watch_end(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	watch->quit = true;
	if (watch->errand_kms)
		kms_cancel(watch->errand_kms);
	pthread_cond_signal(&watch->wake);
	pthread_cond_broadcast(&watch->errand_done);
	pthread_mutex_unlock(&watch->lock);
	if (!watch->started)
		return;
	kms_cancel(watch->setup.kms);
	pthread_join(watch->thread, NULL);
	watch->started = false;
}

int watch_close(struct watch *watch, struct err *err)
{
	return watch_close_store(watch, err);
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	pthread_cond_destroy(&watch->wake);
	pthread_cond_destroy(&watch->errand_done);
	pthread_mutex_destroy(&watch->store_lock);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

void watch_status(struct watch *watch, struct watch_status *ret_status)
{
	if (gate_enter(watch->setup.gate, false) == 0) { /* else what was known last */
		if (watch->store)
			keep_store_stats(watch);
		gate_leave(watch->setup.gate, false);
	}
	pthread_mutex_lock(&watch->lock);
	*ret_status = watch->status;
	pthread_mutex_unlock(&watch->lock);
}
