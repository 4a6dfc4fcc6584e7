/*
 * Experiments on a mounted volume. See faults.h.
 *
 *   an experiment is | until
 *   in the table     | its time is over or it is stopped, whichever thread sees that
 *   ended            | the thread has told of it; the gate is let go then, too
 *
 * Lock order: lock, then the gate's.
 */
#include "faults.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "err.h"
#include "events.h"
#include "fault_json.h"
#include "gate.h"
#include "jsontime.h"
#include "kms_json.h"
#include "notification.h"
#include "say.h"
#include "secret.h"
#include "units.h"

#define SERVERS 4 /* threads for delayed requests: one that waits for the disk holds up no other */
#define STALL_LOOKS                                                                                \
	100 /* in HEALTH_CHECK_MS, for the beginning of a stall, which nobody tells us */
#define LOOK_MIN_US 5000

struct faults {
	struct faults_setup setup; /* fixed */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	atomic_bool any; /* requests have to be judged; set under lock */
	/* these: guarded by lock */
	struct fault table[FAULTS_MAX];
	size_t count;
	uint64_t delays, errors;
	bool quit;
	bool paused;		   /* as the gate was told last */
	const char *volume_status; /* as it was told last; the thread's */
	bool started;
	pthread_t thread, servers[SERVERS];
	size_t servers_started;
};

struct faults *faults_new(const struct faults_setup *setup)
{
	struct faults *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;

	if (!f)
		return NULL;
	f->setup = *setup;
	f->volume_status = "ok";
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->wake, &attr);
	pthread_condattr_destroy(&attr);
	return f;
}

void faults_free(struct faults *faults)
{
	if (!faults)
		return;
	pthread_cond_destroy(&faults->wake);
	pthread_mutex_destroy(&faults->lock);
	free(faults);
}

/*
 * The verdict on a request, but none that the kernel would abort the mount for: what several delays, or a limit of
 * throughput, would hold for longer fails instead, and takes no turn.
 */
static struct fault_verdict judge_locked(struct faults *f, unsigned target, uint64_t bytes)
{
	uint64_t now_us = clock_monotonic_us(), limit_us = f->setup.hold_limit_ms * 1000;
	uint64_t next_ns[FAULTS_MAX];
	struct fault_verdict v;

	for (size_t i = 0; i < f->count; i++)
		next_ns[i] = f->table[i].next_ns;
	v = fault_judge(f->table, f->count, target, bytes, now_us);
	if (!limit_us || !v.due_us || v.due_us - now_us <= limit_us)
		return v;
	for (size_t i = 0; i < f->count; i++)
		f->table[i].next_ns = next_ns[i];
	return (struct fault_verdict){.error = EIO};
}

struct fault_verdict faults_judge(struct faults *faults, unsigned target, uint64_t bytes)
{
	struct fault_verdict v = {0};

	if (!atomic_load_explicit(&faults->any, memory_order_relaxed))
		return v;
	pthread_mutex_lock(&faults->lock);
	v = judge_locked(faults, target, bytes);
	faults->errors += v.error != 0;
	faults->delays += v.due_us != 0;
	pthread_mutex_unlock(&faults->lock);
	return v;
}

static bool runs(const struct fault *fault, uint64_t now_us)
{
	return now_us < fault->end_us;
}

/* The wall time of the monotonic @at_us; 0 for FAULT_FOREVER. */
static uint64_t wall_ms(uint64_t at_us)
{
	uint64_t now = clock_monotonic_us(), wall = clock_wall_ms();

	if (at_us == FAULT_FOREVER)
		return 0;
	return at_us >= now ? wall + (at_us - now) / 1000 : wall - (now - at_us) / 1000;
}

static void tell(struct faults *f, const struct fault *fault, const char *from, const char *to,
		 const char *why)
{
	char what[FAULT_TEXT_MAX], time[UNITS_TEXT_MAX] = "", reason[2 * FAULT_TEXT_MAX];
	bool begins = strcmp(to, "running") == 0 && fault->end_us != FAULT_FOREVER;
	const struct notification_experiment n = {.experiment_id = fault->id,
						  .key_arn = f->setup.key_arn,
						  .from = from,
						  .to = to,
						  .reason = why,
						  .seconds = (int64_t)(clock_wall_ms() / 1000)};

	fault_describe(fault, what);
	units_format_duration((fault->end_us - fault->begin_us) / 1000, time);
	(void)snprintf(reason, sizeof(reason), "%s: %s%s%s", fault_action(fault->kind), what,
		       begins ? ", for " : "", begins ? time : "");
	say_info("experiment %s is %s: %s", fault->id, to, reason);
	events_add(f->setup.events, &(struct event){.name = "experiment",
						    .from = from,
						    .to = to,
						    .reason = reason,
						    .experiment = &n});
}

/* Take out of the table what has ended, and tell of it. Called and left with the lock held. */
static void reap_locked(struct faults *f)
{
	for (size_t i = 0; i < f->count;) {
		struct fault ended = f->table[i];

		if (runs(&ended, clock_monotonic_us())) {
			i++;
			continue;
		}
		memmove(&f->table[i], &f->table[i + 1], (--f->count - i) * sizeof(ended));
		pthread_mutex_unlock(&f->lock);
		if (ended.stopped)
			tell(f, &ended, "running", "stopped", ended.stopped);
		else
			tell(f, &ended, "running", "completed", "Experiment completed.");
		pthread_mutex_lock(&f->lock);
		i = 0; /* it may be another table by now */
	}
}

/* Is one of the kind running, or with @others one of another kind? */
static bool running_locked(const struct faults *f, enum fault_kind kind, bool others)
{
	uint64_t now = clock_monotonic_us();

	for (size_t i = 0; i < f->count; i++)
		if ((f->table[i].kind == kind) != others && runs(&f->table[i], now))
			return true;
	return false;
}

/* Let the gate be as the table says. */
static void apply_locked(struct faults *f)
{
	bool was = f->paused;

	atomic_store(&f->any, running_locked(f, FAULT_PAUSE, true));
	f->paused = running_locked(f, FAULT_PAUSE, false);
	if (!was || f->paused)
		return;
	gate_end_pause(f->setup.gate);
	pthread_mutex_unlock(&f->lock);
	gate_let_go(f->setup.gate); /* runs what waits */
	pthread_mutex_lock(&f->lock);
}

/* Tell of the volume's status as far as experiments are its cause. When to look again. */
static uint64_t look_at_health_locked(struct faults *f)
{
	struct health_facts facts = {.time_scale = f->setup.time_scale};
	uint64_t now = clock_monotonic_ms(), scale = facts.time_scale ? facts.time_scale : 1;
	struct gate_stats stats;
	struct health h;

	gate_stats(f->setup.gate, &stats);
	facts.stalled_ms = f->paused ? stats.stalled_ms : 0;
	facts.degraded = atomic_load(&f->any);
	h = health_at(&facts, now);
	if (strcmp(h.volume_status, f->volume_status) != 0) {
		const char *from = f->volume_status;

		f->volume_status = h.volume_status;
		pthread_mutex_unlock(&f->lock);
		events_add(f->setup.events, &(struct event){.name = "volume-status",
							    .from = from,
							    .to = h.volume_status,
							    .reason = h.io_performance});
		pthread_mutex_lock(&f->lock);
		return 0;
	}
	if (f->paused && !facts.stalled_ms)
		return clock_monotonic_us() + LOOK_MIN_US +
		       HEALTH_CHECK_MS * 1000ULL / STALL_LOOKS / scale;
	return h.changes_ms == UINT64_MAX ? UINT64_MAX : h.changes_ms * 1000;
}

static void *faults_main(void *arg)
{
	struct faults *f = arg;

	pthread_mutex_lock(&f->lock);
	while (!f->quit || f->count) {
		struct timespec until;
		uint64_t next;

		reap_locked(f);
		apply_locked(f);
		next = look_at_health_locked(f);
		for (size_t i = 0; i < f->count; i++)
			if (f->table[i].end_us < next)
				next = f->table[i].end_us;
		if (f->quit || next <= clock_monotonic_us())
			continue;
		until = clock_timespec_us(next);
		if (next == UINT64_MAX)
			(void)pthread_cond_wait(&f->wake, &f->lock); /* cannot fail */
		else						     /* woken or not: look again */
			(void)pthread_cond_timedwait(&f->wake, &f->lock, &until);
	}
	pthread_mutex_unlock(&f->lock);
	secret_wipe_stack();
	return NULL;
}

static void *serve_main(void *gate)
{
	gate_serve_delays(gate);
	secret_wipe_stack();
	return NULL;
}

/* What an experiment of @kind needs. */
static int start_threads_locked(struct faults *f, enum fault_kind kind, struct err *err)
{
	int num = 0;

	if (!f->started) {
		num = pthread_create(&f->thread, NULL, faults_main, f);
		f->started = num == 0;
	}
	while (num == 0 && (kind == FAULT_LATENCY || kind == FAULT_THROTTLE) &&
	       f->servers_started < SERVERS) {
		num = pthread_create(&f->servers[f->servers_started], NULL, serve_main,
				     f->setup.gate);
		f->servers_started += num == 0;
	}
	return num ? err_set(err, num, "cannot start a thread: %s", strerror(num)) : 0;
}

static int set_times(const struct faults *f, uint64_t duration_ms, struct fault *fault,
		     struct err *err)
{
	uint64_t scale = f->setup.time_scale ? f->setup.time_scale : 1;

	if (f->setup.hold_limit_ms && fault->latency_us / 1000 > f->setup.hold_limit_ms)
		return err_set(err, EINVAL,
			       "the latency is longer than fs.fuse.max_request_timeout allows");
	fault->begin_us = clock_monotonic_us();
	fault->end_us = duration_ms == FAULT_FOREVER ? FAULT_FOREVER
						     : fault->begin_us + duration_ms * 1000 / scale;
	return 0;
}

/* "EXP" and 15 letters and digits, as FIS has them. */
static int new_id(struct fault *fault, struct err *err)
{
	static const char digits[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint8_t bytes[FAULT_ID_LEN - 5 + sizeof(fault->seed)];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return err_set(err, EIO, "no random bytes from the kernel");
	memcpy(fault->id, "EXP", 3);
	for (size_t i = 0; i < FAULT_ID_LEN - 5; i++)
		fault->id[3 + i] = digits[bytes[i] % 62];
	memcpy(&fault->seed, bytes + FAULT_ID_LEN - 5, sizeof(fault->seed));
	fault->seed >>= 12; /* so that any JSON reader has it exactly */
	return 0;
}

static struct kms_json *begun(const struct fault *fault, struct err *err)
{
	struct kms_json *obj = kms_json_new_object();

	if (obj &&
	    (kms_json_set_bool(obj, "ok", true) | kms_json_set_str(obj, "experiment", fault->id) |
	     jsontime_set(obj, "ends", wall_ms(fault->end_us))) < 0)
		kms_json_freep(&obj);
	if (!obj)
		(void)err_set(err, ENOMEM, "out of memory");
	return obj;
}

/* Only one thread begins experiments, so room for one stays. */
static int make_room(struct faults *f, enum fault_kind kind, struct err *err)
{
	int r;

	pthread_mutex_lock(&f->lock);
	if (f->count == FAULTS_MAX)
		r = err_set(err, EBUSY, "%d experiments are running; stop one", FAULTS_MAX);
	else
		r = start_threads_locked(f, kind, err);
	pthread_mutex_unlock(&f->lock);
	return r;
}

struct kms_json *faults_begin(struct faults *faults, const struct kms_json *request,
			      struct err *err)
{
	struct fault fault = {.kind = FAULT_PAUSE};
	uint64_t duration_ms = FAULT_FOREVER;

	if (new_id(&fault, err) < 0 || fault_from_json(request, &fault, &duration_ms, err) < 0 ||
	    set_times(faults, duration_ms, &fault, err) < 0 ||
	    make_room(faults, fault.kind, err) < 0)
		return NULL;
	tell(faults, &fault, "initiating", "running",
	     "Experiment is running."); /* first, as it may be over soon */
	pthread_mutex_lock(&faults->lock);
	faults->table[faults->count++] = fault;
	if (fault.kind == FAULT_PAUSE) {
		faults->paused = true;
		gate_pause(faults->setup.gate);
	} else {
		atomic_store(&faults->any, true);
	}
	pthread_cond_signal(&faults->wake);
	pthread_mutex_unlock(&faults->lock);
	return begun(&fault, err);
}

/* How many were stopped. */
static size_t stop_locked(struct faults *f, const char *id, int kind, const char *why)
{
	uint64_t now = clock_monotonic_us();
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++) {
		struct fault *fault = &f->table[i];

		if (!runs(fault, now) || (id && strcmp(id, fault->id) != 0) ||
		    (kind != FAULTS_ALL && (int)fault->kind != kind))
			continue;
		fault->end_us = now;
		fault->stopped = why;
		n++;
	}
	atomic_store(&f->any, running_locked(f, FAULT_PAUSE, true));
	pthread_cond_signal(&f->wake);
	return n;
}

size_t faults_stop(struct faults *faults, const char *id, int kind)
{
	size_t n;

	pthread_mutex_lock(&faults->lock);
	n = stop_locked(faults, id, kind, "Experiment halted by user action.");
	pthread_mutex_unlock(&faults->lock);
	return n;
}

void faults_end(struct faults *faults)
{
	if (!faults)
		return;
	pthread_mutex_lock(&faults->lock);
	(void)stop_locked(faults, NULL, FAULTS_ALL,
			  "Experiment halted: the volume is being unmounted.");
	faults->quit = true;
	pthread_cond_signal(&faults->wake);
	pthread_mutex_unlock(&faults->lock);
	if (faults->started)
		pthread_join(faults->thread, NULL);
	gate_end_delays(faults->setup.gate);
	for (size_t i = 0; i < faults->servers_started; i++)
		pthread_join(faults->servers[i], NULL);
	faults->started = false;
	faults->servers_started = 0;
}

struct kms_json *faults_list(struct faults *faults)
{
	struct kms_json *obj = kms_json_new_object(), *list = kms_json_new_array();
	struct fault table[FAULTS_MAX];
	size_t count = 0;
	int r = obj && list ? 0 : -ENOMEM;

	pthread_mutex_lock(&faults->lock);
	for (size_t i = 0; i < faults->count; i++)
		if (runs(&faults->table[i], clock_monotonic_us()))
			table[count++] = faults->table[i];
	pthread_mutex_unlock(&faults->lock);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = kms_json_add(list, fault_to_json(&table[i], wall_ms(table[i].begin_us),
						     wall_ms(table[i].end_us)));
	if (r == 0)
		r = kms_json_set_bool(obj, "ok", true);
	if (r < 0) {
		kms_json_free(list);
		kms_json_free(obj);
		return NULL;
	}
	if (kms_json_set(obj, "experiments", list) < 0)
		kms_json_freep(&obj);
	return obj;
}

void faults_status(struct faults *faults, struct faults_status *ret_status)
{
	char what[FAULT_TEXT_MAX];
	size_t at = 0;

	*ret_status = (struct faults_status){0};
	pthread_mutex_lock(&faults->lock);
	ret_status->delays = faults->delays;
	ret_status->errors = faults->errors;
	for (size_t i = 0; i < faults->count; i++) {
		const struct fault *fault = &faults->table[i];
		bool pause = fault->kind == FAULT_PAUSE;

		if (!runs(fault, clock_monotonic_us()))
			continue;
		ret_status->degraded |= !pause;
		if (pause && wall_ms(fault->end_us) > ret_status->pause_end_wall_ms)
			ret_status->pause_end_wall_ms = wall_ms(fault->end_us);
		fault_describe(fault, what);
		if (at < sizeof(ret_status->text)) /* else cut */
			at += (size_t)snprintf(ret_status->text + at, sizeof(ret_status->text) - at,
					       "%s%s", at ? "; " : "", what);
	}
	pthread_mutex_unlock(&faults->lock);
}
