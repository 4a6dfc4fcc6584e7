/*
 * What is durable: flushes, and the freeze for a checkpoint. One flush runs at a
 * time; those that wait for it find afterwards that it covered them too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "err.h"
#include "flushed.h"
#include "log_internal.h"
#include "segment.h"

static bool written_before_locked(const struct log *log, uint64_t seq)
{
	for (const struct log_claim *c = log->claims; c; c = c->next)
		if (c->seq && c->seq < seq)
			return false;
	return true;
}

/* Sync all sealed segments up to and with @last, then @head. The caller holds flush_lock. */
static int sync_all(struct log *log, struct segment *head)
{
	int r = 0;

	for (;;) {
		struct unsynced *u;

		pthread_mutex_lock(&log->lock);
		u = log->sealed;
		pthread_mutex_unlock(&log->lock);
		if (!u || u->segment == head)
			break;
		r = log->disk->ops->sync(segment_file(u->segment));
		if (r < 0)
			return r;
		pthread_mutex_lock(&log->lock);
		log->sealed = u->next;
		if (!log->sealed)
			log->sealed_end = &log->sealed;
		pthread_mutex_unlock(&log->lock);
		segment_put(u->segment);
		free(u);
	}
	return log->disk->ops->sync(segment_file(head));
}

/* The flush itself, by the one that holds flush_lock. */
static int flush_exclusively(struct log *log, uint64_t want, struct err *err)
{
	struct segment *head;
	uint64_t target;
	int r;

	pthread_mutex_lock(&log->lock);
	if (log->durable >= want || log->stopped) { /* somebody's flush covered this one */
		r = log->stopped ? log_stopped_err_locked(log, err) : 0;
		pthread_mutex_unlock(&log->lock);
		return r;
	}
	while (log->rolling)
		log_wait_locked(log);
	target = log_end_seq_locked(log);
	head = log->head; /* stays open: sealed segments go only by sync_all() */
	while (!log->stopped && !written_before_locked(log, target))
		log_wait_locked(log);
	r = log->stopped ? log_stopped_err_locked(log, err) : 0;
	pthread_mutex_unlock(&log->lock);
	if (r < 0)
		return r;
	r = sync_all(log, head);
	if (r < 0) {
		log_stop(log, -r,
			 "fsync failed: what was written since the last flush may be lost");
		return err_set(err, -r, "fsync: %s", strerror(-r));
	}
	pthread_mutex_lock(&log->lock);
	if (target > log->durable)
		log->durable = target;
	log->flushes++;
	pthread_mutex_unlock(&log->lock);
	r = log->flushed ? flushed_put(log->flushed, target) : 0;
	if (r < 0 && r != -ENOSPC) { /* a full disk passes, and what the file says is still true */
		log_stop(log, -r, "the file 'flushed' could not be written");
		return err_set(err, -r, "flushed: write: %s", strerror(-r));
	}
	return 0;
}

int log_flush(struct log *log, struct err *err)
{
	uint64_t want;
	int r;

	pthread_mutex_lock(&log->lock);
	want = log->dirty;
	r = log->stopped ? log_stopped_err_locked(log, err) : 0;
	if (r == 0 && log->durable >= want) {
		pthread_mutex_unlock(&log->lock);
		return 0;
	}
	pthread_mutex_unlock(&log->lock);
	if (r < 0)
		return r;
	pthread_mutex_lock(&log->flush_lock);
	r = flush_exclusively(log, want, err);
	pthread_mutex_unlock(&log->flush_lock);
	return r;
}

void log_freeze(struct log *log, uint64_t *ret_seq)
{
	pthread_mutex_lock(&log->lock);
	while (log->frozen)
		log_wait_locked(log);
	log->frozen = true;
	while (log->rolling || !written_before_locked(log, UINT64_MAX))
		log_wait_locked(log);
	*ret_seq = log_end_seq_locked(log);
	pthread_mutex_unlock(&log->lock);
}

void log_thaw(struct log *log)
{
	pthread_mutex_lock(&log->lock);
	log->frozen = false;
	log_wake_locked(log);
	pthread_mutex_unlock(&log->lock);
}
