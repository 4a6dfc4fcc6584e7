/* See rotate_job.h. */
#include "rotate_job.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "change_job.h"
#include "clock.h"
#include "control.h"
#include "err.h"
#include "events.h"
#include "kms.h"
#include "kms_json.h"
#include "say.h"
#include "secret.h"
#include "store.h"
#include "volume_header.h"
#include "volume_rotate.h"
#include "watch.h"

#define LOOK_MS 200 /* between two looks at how far the store is */

enum rotate_state { IDLE, BEGINNING, RENEWING, DONE };

/* As it is told. */
struct progress {
	enum rotate_state state;
	uint64_t remaining, total; /* bytes in the log */
	bool no_room;
	struct err err; /* num 0: it went well */
};

struct rotate_job {
	struct change_setup setup; /* fixed */
	struct events *events;	   /* fixed */
	pthread_t thread;
	bool started;			/* the thread is to be joined; the starter's */
	struct volume_new_data_key new; /* between asking and beginning; the watch's thread's */
	pthread_mutex_t lock;		/* guards the rest */
	pthread_cond_t wake;
	bool ending;
	bool running;
	struct progress now;
};

struct rotate_job *rotate_job_new(const struct change_setup *setup, struct events *events)
{
	struct rotate_job *job = calloc(1, sizeof(*job));
	pthread_condattr_t monotonic;

	if (!job)
		return NULL;
	job->setup = *setup;
	job->events = events;
	pthread_mutex_init(&job->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&job->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return job;
}

static void end_thread(struct rotate_job *job)
{
	if (job->started)
		pthread_join(job->thread, NULL);
	job->started = false;
}

void rotate_job_free(struct rotate_job *job)
{
	if (!job)
		return;
	pthread_mutex_lock(&job->lock);
	job->ending = true;
	pthread_cond_signal(&job->wake);
	pthread_mutex_unlock(&job->lock);
	end_thread(job);
	pthread_cond_destroy(&job->wake);
	pthread_mutex_destroy(&job->lock);
	free(job);
}

/* On the watch's thread: the store is closed. */
static int put_begun(void *arg, struct secret **data_keys, struct err *err)
{
	struct rotate_job *job = arg;

	return volume_rotate_begin(job->setup.volume_dir, job->setup.header, &job->new, data_keys,
				   err);
}

static int put_ended(void *arg, struct secret **data_keys, struct err *err)
{
	struct rotate_job *job = arg;

	return volume_rotate_end(job->setup.volume_dir, job->setup.header, data_keys, err);
}

/* On the watch's thread. */
static int begin(void *arg, struct err *err)
{
	struct rotate_job *job = arg;
	AUTO(kms_closep) struct kms *user = NULL; /* the watch's acts as a service, where it can */
	int r;

	if (job->setup.header->geometry.previous_key)
		return 0; /* begun already */
	r = kms_open(job->setup.kms_config, &user, err);
	if (r < 0)
		return r;
	watch_errand_asks(job->setup.watch, user);
	r = volume_rotate_ask(job->setup.header, user, &job->new, err);
	watch_errand_asks(job->setup.watch, NULL);
	if (r == 0)
		r = watch_reopen(job->setup.watch, put_begun, job, err);
	volume_new_data_key_free(&job->new);
	return r;
}

static int end(void *arg, struct err *err)
{
	struct rotate_job *job = arg;

	return watch_reopen(job->setup.watch, put_ended, job, err);
}

static void set_state(struct rotate_job *job, enum rotate_state state)
{
	pthread_mutex_lock(&job->lock);
	job->now.state = state;
	pthread_mutex_unlock(&job->lock);
}

static int look(struct store *store, void *arg)
{
	if (!store)
		return -EAGAIN; /* the key is lost for now */
	store_stats(store, arg);
	return 0;
}

/* False: we are to end. */
static bool pause_a_moment(struct rotate_job *job)
{
	struct timespec until = clock_timespec(clock_monotonic_ms() + LOOK_MS);
	bool ending;

	pthread_mutex_lock(&job->lock);
	if (!job->ending)
		(void)pthread_cond_timedwait(&job->wake, &job->lock, &until);
	ending = job->ending;
	pthread_mutex_unlock(&job->lock);
	return !ending;
}

/* Until the store has nothing under the previous data key. -EINTR: we are to end. */
static int renew(struct rotate_job *job, struct err *err)
{
	struct store_stats st;

	do {
		int r = watch_with_store(job->setup.watch, look, &st);

		if (r == 0 && st.previous_segments == 0)
			return 0;
		if (r == 0 && st.previous_bytes && st.previous_bytes == st.previous_stuck_bytes)
			return err_set(
				err, EBADMSG,
				"%" PRIu64 " bytes of the log stay under the previous data "
				"key: their segments have damaged blocks; see 'kmsvol check'",
				st.previous_bytes);
		pthread_mutex_lock(&job->lock);
		if (r == 0) {
			job->now.remaining = st.previous_bytes;
			job->now.no_room = st.previous_no_room;
			if (job->now.total < st.previous_bytes)
				job->now.total = st.previous_bytes;
		}
		pthread_mutex_unlock(&job->lock);
	} while (pause_a_moment(job));
	return -EINTR;
}

/* The last step: done when the volume is available and KMS answers, however long that takes. */
static int finish(struct rotate_job *job, struct err *err)
{
	int r;

	do {
		r = renew(job, err);
		if (r == 0)
			r = watch_do(job->setup.watch, end, job, err);
		if (r != -EAGAIN && r != -ETIMEDOUT && r != -EKEYREJECTED && r != -ENOKEY)
			return r;
	} while (pause_a_moment(job));
	return -EINTR;
}

static void tell(struct rotate_job *job, const char *result, const struct err *why)
{
	events_add(job->events, &(struct event){.name = "data-key-rotation",
						.result = result,
						.reason = why ? why->msg : NULL,
						.err = why});
}

static void *job_main(void *arg)
{
	struct rotate_job *job = arg;
	struct err err = {0};
	int r = watch_do(job->setup.watch, begin, job, &err);

	if (r == 0) {
		tell(job, "begun", NULL);
		set_state(job, RENEWING);
		r = finish(job, &err);
	}
	if (r == 0) {
		say_info("the volume has a new data key");
		tell(job, "completed", NULL);
	} else if (r != -EINTR && r != -ECANCELED) {
		say_error("rotation of the data key: %s", err.msg);
		tell(job, "failed", &err);
	}
	pthread_mutex_lock(&job->lock);
	job->now.state = r == 0 ? DONE : IDLE;
	if (r < 0 && r != -EINTR)
		job->now.err = err;
	job->running = false;
	pthread_mutex_unlock(&job->lock);
	secret_wipe_stack(); /* the C library keeps the stacks of ended threads */
	return NULL;
}

int rotate_job_start(struct rotate_job *job, struct err *err)
{
	bool running;
	int r;

	pthread_mutex_lock(&job->lock);
	running = job->running;
	pthread_mutex_unlock(&job->lock);
	if (running)
		return 0;
	if (job->setup.read_only)
		return err_set(err, EROFS, "it is mounted for reading only");
	end_thread(job);
	pthread_mutex_lock(&job->lock);
	job->now = (struct progress){.state = BEGINNING};
	job->running = true;
	pthread_mutex_unlock(&job->lock);
	r = pthread_create(&job->thread, NULL, job_main, job);
	if (r) {
		job->running = false; /* there is no other thread */
		return err_set(err, r, "cannot start a thread: %s", strerror(r));
	}
	job->started = true;
	return 0;
}

struct kms_json *rotate_job_status(struct rotate_job *job)
{
	static const char *const names[] = {"idle", "beginning", "renewing", "done"};
	struct kms_json *obj;
	struct progress is;

	pthread_mutex_lock(&job->lock);
	is = job->now;
	pthread_mutex_unlock(&job->lock);
	if (is.err.num)
		return control_error(&is.err);
	obj = kms_json_new_object();
	if (obj &&
	    (kms_json_set_bool(obj, "ok", true) | kms_json_set_str(obj, "state", names[is.state]) |
	     kms_json_set_u64(obj, "remaining_bytes", is.remaining) |
	     kms_json_set_u64(obj, "total_bytes", is.total) |
	     kms_json_set_bool(obj, "no_room", is.no_room)) < 0)
		kms_json_freep(&obj);
	return obj;
}
