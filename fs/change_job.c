/* See change_job.h. */
#include "change_job.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "err.h"
#include "fusefs.h"
#include "kms.h"
#include "kms_json.h"
#include "secret.h"
#include "volume_change.h"
#include "volume_header.h"
#include "watch.h"

struct change_job {
	struct change_setup setup; /* fixed */
	pthread_t thread;
	bool started;	      /* the thread is to be joined; the control thread's */
	uint64_t size_bytes;  /* 0: rewrap */
	pthread_mutex_t lock; /* guards the rest */
	bool running;
	struct err err; /* num 0: it went well */
};

struct change_job *change_job_new(const struct change_setup *setup)
{
	struct change_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->setup = *setup;
	pthread_mutex_init(&job->lock, NULL);
	return job;
}

static void end_thread(struct change_job *job)
{
	if (job->started)
		pthread_join(job->thread, NULL);
	job->started = false;
}

void change_job_free(struct change_job *job)
{
	if (!job)
		return;
	end_thread(job);
	pthread_mutex_destroy(&job->lock);
	free(job);
}

/* On the watch's thread, the store closed. */
static int grow(void *arg, struct secret **data_keys, struct err *err)
{
	struct change_job *job = arg;

	return volume_grow(job->setup.volume_dir, job->setup.header, *data_keys, job->size_bytes,
			   err);
}

/* On the watch's thread. */
static int resize(void *arg, struct err *err)
{
	struct change_job *job = arg;

	return watch_reopen(job->setup.watch, grow, job, err);
}

static int rewrap(void *arg, struct err *err)
{
	struct change_job *job = arg;
	AUTO(kms_closep) struct kms *user = NULL; /* the watch's acts as a service, where it can */
	int r = kms_open(job->setup.kms_config, &user, err);

	if (r < 0)
		return r;
	watch_errand_asks(job->setup.watch, user);
	r = volume_wrap_anew(job->setup.volume_dir, job->setup.header, user, job->setup.kms, err);
	watch_errand_asks(job->setup.watch, NULL);
	return r;
}

static void *job_main(void *arg)
{
	struct change_job *job = arg;
	struct err err = {0};
	int r = watch_do(job->setup.watch, job->size_bytes ? resize : rewrap, job, &err);

	/* Also where it is not open again yet: then it will have the size that the header has. */
	if (job->size_bytes ==
	    __atomic_load_n(&job->setup.header->geometry.size_bytes, __ATOMIC_RELAXED))
		fusefs_resize(job->setup.fusefs, job->size_bytes);
	pthread_mutex_lock(&job->lock);
	if (r < 0)
		job->err = err;
	job->running = false;
	pthread_mutex_unlock(&job->lock);
	secret_wipe_stack(); /* the C library keeps the stacks of ended threads */
	return NULL;
}

static int read_request(struct change_job *job, const struct kms_json *request, struct err *err)
{
	const char *op;
	int r = kms_json_str(request, "op", &op, err);

	job->size_bytes = 0;
	if (r < 0 || strcmp(op, "resize") != 0)
		return r;
	r = kms_json_u64(request, "size_bytes", &job->size_bytes, err);
	return r < 0 ? r : volume_check_size(job->setup.header, job->size_bytes, err);
}

int change_job_start(struct change_job *job, const struct kms_json *request, struct err *err)
{
	bool running;
	int r;

	pthread_mutex_lock(&job->lock);
	running = job->running;
	pthread_mutex_unlock(&job->lock);
	if (running)
		return err_set(err, EBUSY, "another change of it is under way");
	if (job->setup.read_only)
		return err_set(err, EROFS, "it is mounted for reading only");
	end_thread(job);
	r = read_request(job, request, err);
	if (r < 0)
		return r;
	err_clear(&job->err);
	job->running = true;
	r = pthread_create(&job->thread, NULL, job_main, job);
	if (r) {
		job->running = false;
		return err_set(err, r, "cannot start a thread: %s", strerror(r));
	}
	job->started = true;
	return 0;
}

struct kms_json *change_job_status(struct change_job *job)
{
	struct kms_json *obj;
	struct err err;
	bool running;

	pthread_mutex_lock(&job->lock);
	err = job->err;
	running = job->running;
	pthread_mutex_unlock(&job->lock);
	if (err.num)
		return control_error(&err);
	obj = kms_json_new_object();
	if (obj && (kms_json_set_bool(obj, "ok", true) |
		    kms_json_set_str(obj, "state", running ? "running" : "done")) < 0)
		kms_json_freep(&obj);
	return obj;
}
