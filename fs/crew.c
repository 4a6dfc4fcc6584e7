/*
 * The crew. A job lies on its caller's stack and in a list; who is free takes parts of the first job
 * by counting up. The caller takes parts too; when none is left it takes the job out of the list and
 * waits for those who still work on theirs.
 */
#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"

struct job {
	crew_fn *fn;
	void *arg;
	unsigned parts;
	atomic_uint next;  /* part to be taken */
	atomic_int result; /* of the first that failed */
	unsigned helpers;  /* guarded by the crew's lock, as is the rest */
	bool listed;
	struct job *after, **at;
};

struct crew {
	pthread_mutex_t lock; /* guards the rest but threads */
	pthread_cond_t work;
	pthread_cond_t left; /* a helper has left a job */
	struct job *jobs;
	struct job **jobs_end;
	bool ending;
	pthread_t threads[CREW_MAX]; /* fixed at new */
	unsigned thread_count;
};

static _Thread_local bool at_work; /* this thread runs a part, of whatever crew */

static void work_on(struct job *job)
{
	bool outer = at_work;
	unsigned part;

	at_work = true;
	while ((part = atomic_fetch_add(&job->next, 1)) < job->parts) {
		int none = 0, r = job->fn(job->arg, part);

		if (r < 0)
			atomic_compare_exchange_strong(&job->result, &none, r);
	}
	at_work = outer;
}

static void list_locked(struct crew *crew, struct job *job)
{
	job->after = NULL;
	job->at = crew->jobs_end;
	*crew->jobs_end = job;
	crew->jobs_end = &job->after;
	job->listed = true;
}

static void unlist_locked(struct crew *crew, struct job *job)
{
	if (!job->listed)
		return;
	*job->at = job->after;
	if (job->after)
		job->after->at = job->at;
	else
		crew->jobs_end = job->at;
	job->listed = false;
}

static void *help(void *arg)
{
	struct crew *crew = arg;

	pthread_mutex_lock(&crew->lock);
	while (!crew->ending) {
		struct job *job = crew->jobs;

		if (!job) {
			pthread_cond_wait(&crew->work, &crew->lock);
			continue;
		}
		job->helpers++;
		pthread_mutex_unlock(&crew->lock);
		work_on(job);
		pthread_mutex_lock(&crew->lock);
		unlist_locked(crew, job); /* nothing is left to take */
		if (--job->helpers == 0)
			pthread_cond_broadcast(&crew->left);
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

int crew_new(struct crew **ret_crew, struct err *err)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct crew *crew = calloc(1, sizeof(*crew));

	if (!crew)
		return err_set(err, ENOMEM, "helper threads: out of memory");
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->work, NULL);
	pthread_cond_init(&crew->left, NULL);
	crew->jobs_end = &crew->jobs;
	while (crew->thread_count < CREW_MAX && (long)crew->thread_count < processors - 1) {
		int num = pthread_create(&crew->threads[crew->thread_count], NULL, help, crew);

		if (num) {
			crew_free(crew);
			return err_set(err, num, "helper threads: cannot start: %s", strerror(num));
		}
		crew->thread_count++;
	}
	*ret_crew = crew;
	return 0;
}

void crew_free(struct crew *crew)
{
	if (!crew)
		return;
	pthread_mutex_lock(&crew->lock);
	crew->ending = true;
	pthread_cond_broadcast(&crew->work);
	pthread_mutex_unlock(&crew->lock);
	for (unsigned i = 0; i < crew->thread_count; i++)
		pthread_join(crew->threads[i], NULL);
	pthread_cond_destroy(&crew->left);
	pthread_cond_destroy(&crew->work);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}

int crew_run(struct crew *crew, unsigned parts, crew_fn *fn, void *arg)
{
	struct job job = {.fn = fn, .arg = arg, .parts = parts};
	bool shared = parts > 1 && crew->thread_count && !at_work;

	if (shared) {
		pthread_mutex_lock(&crew->lock);
		list_locked(crew, &job);
		if (parts > 2)
			pthread_cond_broadcast(&crew->work);
		else
			pthread_cond_signal(&crew->work);
		pthread_mutex_unlock(&crew->lock);
	}
	work_on(&job);
	if (shared) {
		pthread_mutex_lock(&crew->lock);
		unlist_locked(crew, &job);
		while (job.helpers)
			pthread_cond_wait(&crew->left, &crew->lock);
		pthread_mutex_unlock(&crew->lock);
	}
	return atomic_load(&job.result);
}
