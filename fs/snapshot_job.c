/* See snapshot_job.h. */
#include "snapshot_job.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "clock.h"
#include "control.h"
#include "disk.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"
#include "snapshot.h"
#include "snapshot_make.h"
#include "watch.h"

#define KEPT_MS 2000 /* for who began a snapshot to hear how it went; looks come each some ms */

struct snapshot_job {
	char *volume_dir;    /* fixed */
	struct watch *watch; /* fixed */
	pthread_t thread;
	bool started; /* the thread is to be joined; the control thread's */
	char stage[SNAPSHOT_STAGE_LEN];
	pthread_mutex_t lock; /* guards the rest */
	bool running, taken;
	bool untold;	  /* it has ended, and who began it has not heard of it */
	uint64_t done_ms; /* when it ended */
	bool key_lost;	  /* the store was closed for want of the key */
	uint64_t held_ms;
	struct err err; /* num 0: it went well */
};

struct snapshot_job *snapshot_job_new(const char *volume_dir, struct watch *watch)
{
	struct snapshot_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->watch = watch;
	job->volume_dir = strdup(volume_dir);
	if (!job->volume_dir) {
		free(job);
		return NULL;
	}
	pthread_mutex_init(&job->lock, NULL);
	return job;
}

static void end_thread(struct snapshot_job *job)
{
	if (job->started)
		pthread_join(job->thread, NULL);
	job->started = false;
}

void snapshot_job_free(struct snapshot_job *job)
{
	if (!job)
		return;
	end_thread(job);
	pthread_mutex_destroy(&job->lock);
	free(job->volume_dir);
	free(job);
}

static void set_taken(void *arg)
{
	struct snapshot_job *job = arg;

	pthread_mutex_lock(&job->lock);
	job->taken = true;
	pthread_mutex_unlock(&job->lock);
}

/* What fill() needs besides the store. */
struct filling {
	struct snapshot_job *job;
	struct err *err;
};

/* While nobody opens or closes the store. */
static int fill(struct store *store, void *arg)
{
	struct filling *filling = arg;
	struct snapshot_job *job = filling->job;
	AUTO(freep) char *path = NULL;
	struct disk *volume = NULL, *stage = NULL;
	struct snapshot_info info;
	uint64_t held_ms = 0;
	int r;

	if (asprintf(&path, "%s/%s", job->volume_dir, job->stage) < 0) {
		path = NULL;
		return err_set(filling->err, ENOMEM, "out of memory");
	}
	r = snapshot_load(path, &info, filling->err);
	if (r == 0)
		r = disk_open_dir(job->volume_dir, &volume, filling->err);
	if (r == 0)
		r = disk_open_dir(path, &stage, filling->err);
	if (r == 0)
		r = snapshot_fill(volume, stage, store, &info, set_taken, job, &held_ms,
				  filling->err);
	disk_free(stage);
	disk_free(volume);
	pthread_mutex_lock(&job->lock);
	job->held_ms = held_ms;
	job->key_lost = !store;
	pthread_mutex_unlock(&job->lock);
	return r;
}

static void *job_main(void *arg)
{
	struct snapshot_job *job = arg;
	struct err err = {0};
	struct filling filling = {job, &err};
	int r = watch_with_store(job->watch, fill, &filling);

	pthread_mutex_lock(&job->lock);
	if (r < 0)
		job->err = err;
	job->running = false;
	job->untold = true;
	job->done_ms = clock_monotonic_ms();
	pthread_mutex_unlock(&job->lock);
	secret_wipe_stack(); /* the C library keeps the stacks of ended threads */
	return NULL;
}

int snapshot_job_start(struct snapshot_job *job, const struct kms_json *request, struct err *err)
{
	const char *stage;
	bool busy;
	int r = kms_json_str(request, "stage", &stage, err);

	if (r < 0)
		return r;
	if (!snapshot_is_stage_name(stage))
		return err_set(err, EINVAL, "member 'stage' names no directory of a snapshot");
	pthread_mutex_lock(&job->lock);
	busy = job->running || (job->untold && clock_monotonic_ms() - job->done_ms < KEPT_MS);
	pthread_mutex_unlock(&job->lock);
	if (busy)
		return err_set(err, EBUSY, "another snapshot of it is being made");
	end_thread(job);
	strcpy(job->stage, stage); /* its length is known now */
	job->err = (struct err){0};
	job->running = true;
	job->taken = job->untold = false;
	job->held_ms = 0;
	r = pthread_create(&job->thread, NULL, job_main, job);
	if (r) {
		job->running = false;
		return err_set(err, r, "cannot start a thread: %s", strerror(r));
	}
	job->started = true;
	return 0;
}

struct kms_json *snapshot_job_status(struct snapshot_job *job, const struct kms_json *request)
{
	struct kms_json *obj;
	const char *state, *stage;
	struct err err;
	uint64_t held_ms;
	bool key_lost;

	if (kms_json_str(request, "stage", &stage, &err) < 0)
		return control_error(&err);
	if (strcmp(stage, job->stage) != 0) {
		(void)err_set(&err, EINVAL, "'%s' is not the snapshot that was begun last", stage);
		return control_error(&err);
	}
	pthread_mutex_lock(&job->lock);
	if (!job->running)
		job->untold = false;
	err = job->err;
	state = !job->running ? "done" : job->taken ? "taken" : "running";
	held_ms = job->held_ms;
	key_lost = job->key_lost;
	pthread_mutex_unlock(&job->lock);
	if (err.num)
		return control_error(&err);
	obj = kms_json_new_object();
	if (obj && (kms_json_set_bool(obj, "ok", true) | kms_json_set_str(obj, "state", state) |
		    kms_json_set_u64(obj, "held_ms", held_ms) |
		    kms_json_set_bool(obj, "key_lost", key_lost)) < 0)
		kms_json_freep(&obj);
	return obj;
}
