/*
 * The log: claims, reservations, its life.
 *
 * One mutex guards the bookkeeping; encryption and file I/O run outside it. What waits, waits on one
 * condition and looks again when woken.
 *
 *   waits                  | until
 *   log_claim              | no claim overlaps
 *   log_reserve            | nobody has frozen the log or is rolling it, or room is made
 *   rolling                | the thread is not making a spare
 *   log_flush, log_freeze  | no record before a position is still being written
 */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "err.h"
#include "log_internal.h"
#include "segment.h"

uint64_t log_end_seq_locked(const struct log *log)
{
	return format_seq(segment_id(log->head), log->head_off);
}

void log_wake_locked(struct log *log)
{
	if (log->waiters)
		pthread_cond_broadcast(&log->changed);
}

void log_wait_locked(struct log *log)
{
	log->waiters++;
	pthread_cond_wait(&log->changed, &log->lock);
	log->waiters--;
}

void log_stop_locked(struct log *log, int num, const char *why)
{
	if (log->stopped)
		return;
	log->stopped = num;
	(void)snprintf(log->why, sizeof(log->why), "%s", why); /* cut on purpose */
	pthread_cond_broadcast(&log->changed);
}

void log_stop(struct log *log, int num, const char *why)
{
	pthread_mutex_lock(&log->lock);
	log_stop_locked(log, num, why);
	pthread_mutex_unlock(&log->lock);
}

int log_stopped(struct log *log)
{
	int num;

	pthread_mutex_lock(&log->lock);
	num = log->stopped;
	pthread_mutex_unlock(&log->lock);
	return num;
}

int log_stopped_err_locked(struct log *log, struct err *err)
{
	return err_set(err, EROFS, "writing has stopped until the volume is mounted anew: %s",
		       log->why);
}

int log_stopped_err(struct log *log, struct err *err)
{
	int r;

	pthread_mutex_lock(&log->lock);
	r = log_stopped_err_locked(log, err);
	pthread_mutex_unlock(&log->lock);
	return r;
}

/* Claims. */

static bool overlaps_locked(const struct log *log, uint64_t lba, uint64_t count)
{
	for (const struct log_claim *c = log->claims; c; c = c->next)
		if (lba < c->lba + c->count && c->lba < lba + count)
			return true;
	return false;
}

void log_link_locked(struct log *log, struct log_claim *claim)
{
	claim->next = log->claims;
	claim->at = &log->claims;
	if (claim->next)
		claim->next->at = &claim->next;
	log->claims = claim;
}

void log_unlink_locked(struct log *log, struct log_claim *claim)
{
	*claim->at = claim->next;
	if (claim->next)
		claim->next->at = claim->at;
	log_wake_locked(log);
}

void log_claim(struct log *log, struct log_claim *claim, uint64_t lba, uint64_t count)
{
	memset(claim, 0, sizeof(*claim));
	claim->lba = lba;
	claim->count = count;
	pthread_mutex_lock(&log->lock);
	while (overlaps_locked(log, lba, count))
		log_wait_locked(log);
	log_link_locked(log, claim);
	pthread_mutex_unlock(&log->lock);
}

void log_release(struct log *log, struct log_claim *claim)
{
	pthread_mutex_lock(&log->lock);
	log_unlink_locked(log, claim);
	pthread_mutex_unlock(&log->lock);
}

int log_header_only(struct segment *segment, const struct format_record *record,
		    uint8_t bytes[LOG_HEADER_ONLY_LEN])
{
	format_record_put(record, bytes);
	return segment_record_mac(segment, bytes, FORMAT_RECORD_LEN, bytes + FORMAT_RECORD_LEN);
}

int log_reserve(struct log *log, struct log_claim *claim, size_t len, struct log_place *ret_place,
		struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&log->lock);
	for (;;) {
		if (log->stopped) {
			r = log_stopped_err_locked(log, err);
			break;
		}
		if (log->frozen || log->rolling) {
			log_wait_locked(log);
			continue;
		}
		if (log->head_off + len + LOG_RESERVE_LEN <= log->room_end)
			break;
		if (log->extending) {
			log_wait_locked(log);
			continue;
		}
		log->rolling = true;
		pthread_mutex_unlock(&log->lock);
		r = log_advance(log, len, claim->into_reserve, err);
		pthread_mutex_lock(&log->lock);
		log->rolling = false;
		log_wake_locked(log);
		if (r < 0)
			break;
	}
	if (r == 0) {
		ret_place->segment = log->head;
		ret_place->off = log->head_off;
		ret_place->seq = claim->seq = log_end_seq_locked(log);
		ret_place->durable = log->durable;
		log->head_off += len;
		log->appended += len;
		if (log_wants_ahead_locked(log))
			pthread_cond_signal(&log->work);
	}
	pthread_mutex_unlock(&log->lock);
	return r;
}

void log_done(struct log *log, struct log_claim *claim, struct log_place *place, int result)
{
	pthread_mutex_lock(&log->lock);
	if (result < 0) {
		char why[LOG_WHY_MAX];

		(void)snprintf(why, sizeof(why), "segments/%08" PRIx32 ": write at %" PRIu64 ": %s",
			       segment_id(place->segment), place->off,
			       strerror(-result)); /* cut on purpose */
		log_stop_locked(log, -result, why);
	}
	if (place->seq >= log->dirty)
		log->dirty = place->seq + 1;
	claim->seq = 0;
	log_wake_locked(log);
	pthread_mutex_unlock(&log->lock);
}

int log_new(const struct log_setup *setup, struct log **ret_log, struct err *err)
{
	struct log *log = calloc(1, sizeof(*log));
	int r;

	if (!log)
		return err_set(err, ENOMEM, "log: out of memory");
	log->disk = setup->disk;
	log->table = setup->table;
	log->flushed = setup->flushed;
	log->segment_size = setup->segment_size;
	log->sealed_end = &log->sealed;
	pthread_mutex_init(&log->lock, NULL);
	pthread_mutex_init(&log->flush_lock, NULL);
	pthread_cond_init(&log->changed, NULL);
	pthread_cond_init(&log->work, NULL);
	r = segment_create(log->table, setup->first, 0, &log->head, err);
	if (r < 0)
		goto fail;
	log->next_id = setup->first + 1;
	log->head_off = FORMAT_SEGMENT_LEN;
	log->room_end = segment_room(log->head);
	log->durable = log->dirty = log_end_seq_locked(log);
	r = -pthread_create(&log->thread, NULL, log_keep_ahead, log);
	if (r < 0) {
		r = err_set(err, -r, "log: cannot start its thread: %s", strerror(-r));
		goto fail;
	}
	log->thread_runs = true;
	*ret_log = log;
	return 0;
fail:
	log_free(log);
	return r;
}

void log_free(struct log *log)
{
	struct unsynced *u;

	if (!log)
		return;
	if (log->thread_runs) {
		pthread_mutex_lock(&log->lock);
		log->ending = true;
		pthread_cond_signal(&log->work);
		pthread_mutex_unlock(&log->lock);
		pthread_join(log->thread, NULL);
	}
	while ((u = log->sealed)) {
		log->sealed = u->next;
		segment_put(u->segment);
		free(u);
	}
	if (log->head)
		(void)segment_cut(log->head, log->head_off); /* only gives room back */
	if (log->spare && log->spare_end > FORMAT_SEGMENT_LEN)
		(void)segment_cut(log->spare, FORMAT_SEGMENT_LEN);
	segment_put(log->head);
	segment_put(log->spare);
	pthread_cond_destroy(&log->work);
	pthread_cond_destroy(&log->changed);
	pthread_mutex_destroy(&log->flush_lock);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

uint32_t log_head(struct log *log, uint64_t *ret_off)
{
	uint32_t id;

	pthread_mutex_lock(&log->lock);
	id = segment_id(log->head);
	*ret_off = log->head_off;
	pthread_mutex_unlock(&log->lock);
	return id;
}

uint32_t log_next_segment(struct log *log)
{
	uint32_t id;

	pthread_mutex_lock(&log->lock);
	id = log->next_id;
	pthread_mutex_unlock(&log->lock);
	return id;
}

uint64_t log_appended(struct log *log)
{
	uint64_t n;

	pthread_mutex_lock(&log->lock);
	n = log->appended;
	pthread_mutex_unlock(&log->lock);
	return n;
}

uint64_t log_flushes(struct log *log)
{
	uint64_t n;

	pthread_mutex_lock(&log->lock);
	n = log->flushes;
	pthread_mutex_unlock(&log->lock);
	return n;
}
