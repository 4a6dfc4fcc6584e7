/*
 * The cleaner's thread: when it looks, what it does then.
 *
 *   state  | entered                          | it works
 *   busy   | a user wrote or discarded        | as PACE_LOAD
 *   idle   | nobody did for CLEANER_IDLE_MS | as PACE_IDLE, until there is nothing to gain; then it sleeps
 *   low    | the backing filesystem is low    | as PACE_LOW
 *   hungry | a writer waits for room          | as PACE_HUNGRY
 *
 * Each step measures anew, so it needs to know nothing of what others did meanwhile.
 */
#include "cleaner_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blockmap.h"
#include "cleaner_move.h"
#include "cleaner_pace.h"
#include "clock.h"
#include "disk.h"
#include "err.h"
#include "log.h"
#include "secret.h"
#include "segment.h"
#include "store_internal.h"

#define PINNED_MS   10000u	/* how often to look whether a snapshot has gone */
#define PATIENCE_MS 20000u	/* that a writer waits for room */
#define LOOK_BYTES  (16u << 20) /* written since the last look */
#define CHECKPOINTS 2		/* that neither root names a segment which died before */
#define ROOM_SPARED 8		/* this part of what is free is left for the pages of these */

static int look(struct cleaner *c, struct cleaner_view *v)
{
	struct store *s = c->store;
	int r = segment_table_survey(s->table, &v->info, &v->count);

	if (r < 0)
		return r;
	v->log.segment_size = s->geometry.segment_size;
	v->log.slot_len = s->slot_len;
	v->log.head = log_head(s->log, &v->head_off);
	pace_measure(v->info, v->count, segment_recycled_bytes(s->table), &v->log, &v->space);
	if (s->disk->ops->space(s->disk, &v->free_bytes, &v->all_bytes) < 0)
		v->free_bytes = v->all_bytes = UINT64_MAX / 2;
	return 0;
}

static bool is_low(const struct cleaner *c, const struct cleaner_view *v)
{
	uint64_t reserve = log_reserve_bytes(c->store->log, v->all_bytes);

	return v->free_bytes < 2 * reserve;
}

bool cleaner_retire(struct cleaner *c)
{
	struct store *s = c->store;
	uint64_t off, before;
	uint32_t head = log_head(s->log, &off);
	struct err err; /* a full disk passes, all else has stopped writing */

	before = segment_dead_bytes(s->table, head);

	for (unsigned i = 0; i < CHECKPOINTS && !atomic_load(&c->ending); i++)
		if (store_checkpoint(s, &err) < 0)
			break;
	return segment_dead_bytes(s->table, head) < before;
}

/* Give back what costs nothing. True: there was something. */
static bool give_back(struct cleaner *c, const struct cleaner_view *v)
{
	bool any = false;

	if (v->space.total <= pace_limit(&v->space, &v->log, v->mode))
		return false;
	any = segment_drop_recycled(c->store->table) > 0;
	if (v->mode == PACE_IDLE)
		log_trim(c->store->log);
	return any;
}

static uint64_t live_of_head(const struct cleaner_view *v)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->info[i].id == v->log.head)
			return v->info[i].live_blocks;
	return 0;
}

int cleaner_move_all(struct cleaner *c, const uint32_t *ids, size_t n, struct err *err)
{
	uint64_t bytes = 0;
	int r;

	atomic_store(&c->cleaning, true);
	r = cleaner_move(c->mover, ids, n, &bytes, err);
	atomic_store(&c->cleaning, false);
	atomic_fetch_add(&c->moved, bytes);
	if (r == 0)
		atomic_fetch_add(&c->cleaned, n);
	return r < 0 ? r : 1;
}

/* Clean what is to be cleaned now. 1: some segments were; 0: there is nothing to clean. */
static int clean(struct cleaner *c, const struct cleaner_view *v, struct err *err)
{
	uint32_t ids[PACE_PICK_MAX];
	uint64_t most = v->free_bytes - v->free_bytes / ROOM_SPARED;
	uint64_t usual =
		v->log.segment_size > CLEANER_LIVE_MAX ? v->log.segment_size : CLEANER_LIVE_MAX;
	size_t n;

	if (most > usual)
		most = usual;
	n = pace_pick(v->info, v->count, &v->space, &v->log, v->mode, most, ids);
	return n == 0 ? 0 : cleaner_move_all(c, ids, n, err);
}

/* Seal the head when what is in it is mostly dead. 1: done. */
static int roll(struct cleaner *c, const struct cleaner_view *v, struct err *err)
{
	int r;

	if (!pace_wants_roll(&v->log, v->head_off, live_of_head(v), v->mode))
		return 0;
	r = log_roll(c->store->log, err);
	return r < 0 ? r : 1;
}

/* One step; true: room was made or the next step may make some. */
static bool step(struct cleaner *c, enum pace_mode mode)
{
	struct cleaner_view v = {.mode = mode};
	struct err err; /* seen by who writes next, or passing */
	bool more = false;

	c->again_ms = 0;
	if (log_stopped(c->store->log) || look(c, &v) < 0)
		return false;
	if (v.mode != PACE_HUNGRY && is_low(c, &v))
		v.mode = PACE_LOW;
	c->pinned = v.space.pinned > 0;
	segment_recycle_at_most(c->store->table, v.mode == PACE_LOAD ? SEGMENT_KEPT_MAX : 0);
	atomic_store(&c->delay_us, pace_delay_us(&v.space, &v.log));
	if (pace_wants_checkpoint(&v.space, &v.log, blockmap_dirty(c->store->map), v.mode))
		more = cleaner_retire(c);
	if (!more && v.mode != PACE_LOAD)
		more = give_back(c, &v);
	if (!more) /* first, since there may always be something to clean; it takes but its part */
		more = cleaner_renew(c, &v, &err) > 0;
	if (!more)
		more = clean(c, &v, &err) > 0 && (v.mode != PACE_HUNGRY || cleaner_retire(c));
	if (!more && v.mode != PACE_LOAD && v.space.total > pace_limit(&v.space, &v.log, v.mode))
		more = roll(c, &v, &err) > 0;
	free(v.info);
	return more;
}

/* The thread. */

/* Sleep for @ms (0: for ever), or until there is something to do. */
static void sleep_locked(struct cleaner *c, uint64_t ms)
{
	struct timespec until = clock_timespec(clock_monotonic_ms() + ms);
	int r = 0;

	while (r == 0 && !atomic_load(&c->ending) && !c->kicked && !c->hungry)
		r = ms ? pthread_cond_timedwait(&c->work, &c->lock, &until)
		       : pthread_cond_wait(&c->work, &c->lock);
}

/* After a step that had nothing to do: until there may be something. */
static void rest_locked(struct cleaner *c, enum pace_mode mode)
{
	if (c->again_ms) { /* too short to tell whether the users rest */
		sleep_locked(c, c->again_ms);
		c->kicked = false;
		return;
	}
	c->settled = mode == PACE_IDLE && !atomic_load(&c->stirred);
	if (c->settled) {
		sleep_locked(c, c->pinned ? PINNED_MS : 0); /* a snapshot may go without a word */
	} else {
		atomic_store(&c->stirred, false);
		sleep_locked(c, CLEANER_IDLE_MS);
	}
	c->settled = false;
	c->idle = !atomic_load(&c->stirred) && !c->kicked;
	c->kicked = false;
}

static void *run(void *arg)
{
	struct cleaner *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!atomic_load(&c->ending)) {
		enum pace_mode mode = c->hungry ? PACE_HUNGRY : c->idle ? PACE_IDLE : PACE_LOAD;
		bool more;

		pthread_mutex_unlock(&c->lock);
		pthread_mutex_lock(&c->step_lock);
		more = step(c, mode);
		pthread_mutex_unlock(&c->step_lock);
		pthread_mutex_lock(&c->lock);
		if (mode == PACE_HUNGRY) { /* who then still finds no room asks anew */
			*(more ? &c->freed : &c->hopeless) += 1;
			c->hungry = false;
			pthread_cond_broadcast(&c->room);
		} else if (!more) {
			rest_locked(c, mode);
		} else if (atomic_load(&c->stirred)) {
			c->idle = false;
		}
	}
	c->hopeless++;
	pthread_cond_broadcast(&c->room);
	pthread_mutex_unlock(&c->lock);
	secret_wipe_stack(); /* the C library keeps the stacks of ended threads */
	return NULL;
}

int cleaner_new(struct store *store, struct cleaner **ret_cleaner, struct err *err)
{
	struct cleaner *c = calloc(1, sizeof(*c));
	pthread_condattr_t monotonic;
	int r;

	if (!c)
		return err_set(err, ENOMEM, "cleaner: out of memory");
	c->store = store;
	pthread_mutex_init(&c->step_lock, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->work, &monotonic);
	pthread_cond_init(&c->room, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = cleaner_mover_new(store, &c->ending, &c->mover, err);
	if (r == 0) {
		int num = pthread_create(&c->thread, NULL, run, c);

		c->thread_runs = num == 0;
		if (num)
			r = err_set(err, num, "cleaner: cannot start its thread: %s",
				    strerror(num));
	}
	if (r < 0) {
		cleaner_free(c);
		return r;
	}
	*ret_cleaner = c;
	return 0;
}

void cleaner_free(struct cleaner *cleaner)
{
	struct cleaner *c = cleaner;

	if (!c)
		return;
	if (c->thread_runs) {
		pthread_mutex_lock(&c->lock);
		atomic_store(&c->ending, true);
		pthread_cond_signal(&c->work);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	cleaner_mover_free(c->mover);
	pthread_cond_destroy(&c->room);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->step_lock);
	free(c);
}

/* What users of the store ask. */

void cleaner_stir(struct cleaner *cleaner, uint64_t bytes)
{
	struct cleaner *c = cleaner;
	uint64_t before;
	bool kick;

	if (!c)
		return;
	before = atomic_fetch_add(&c->appended, bytes);
	kick = before / LOOK_BYTES != (before + bytes) / LOOK_BYTES;
	if (atomic_load(&c->stirred) && !kick)
		return;
	atomic_store(&c->stirred, true);
	pthread_mutex_lock(&c->lock);
	if (kick || c->settled) {
		c->kicked = true;
		pthread_cond_signal(&c->work);
	}
	pthread_mutex_unlock(&c->lock);
}

int cleaner_make_room(struct cleaner *cleaner)
{
	struct cleaner *c = cleaner;
	struct timespec until;
	uint64_t freed, hopeless;
	int r = 0;

	if (!c)
		return -ENOSPC;
	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
	until.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&c->lock);
	freed = c->freed;
	hopeless = c->hopeless;
	c->hungry = true;
	pthread_cond_signal(&c->work);
	while (r == 0 && !c->hurry && !c->over && !atomic_load(&c->ending) && c->freed == freed &&
	       c->hopeless == hopeless)
		r = pthread_cond_timedwait(&c->room, &c->lock, &until);
	if (c->hurry)
		r = -EAGAIN;
	else
		r = c->freed != freed ? 0 : -ENOSPC;
	pthread_mutex_unlock(&c->lock);
	return r;
}

void cleaner_end_waiting(struct cleaner *cleaner)
{
	if (!cleaner)
		return;
	pthread_mutex_lock(&cleaner->lock);
	cleaner->over = true;
	pthread_cond_broadcast(&cleaner->room);
	pthread_mutex_unlock(&cleaner->lock);
}

void cleaner_hurry(struct cleaner *cleaner, bool hurry)
{
	if (!cleaner)
		return;
	pthread_mutex_lock(&cleaner->lock);
	cleaner->hurry = hurry;
	pthread_cond_broadcast(&cleaner->room);
	pthread_mutex_unlock(&cleaner->lock);
}

void cleaner_slow_writer(struct cleaner *cleaner)
{
	unsigned us = cleaner ? atomic_load(&cleaner->delay_us) : 0;

	if (us)
		(void)usleep(us); /* a signal may end it early */
}

int cleaner_clean_all(struct cleaner *cleaner, struct err *err)
{
	struct cleaner *c = cleaner;
	struct cleaner_view v = {.mode = PACE_ALL};
	uint32_t until = 0;
	int r = 1;

	pthread_mutex_lock(&c->step_lock);
	while (r > 0) {
		r = look(c, &v);
		if (r < 0) {
			(void)err_set(err, -r, "cleaner: out of memory");
			break;
		}
		if (!until) { /* what is written from now on is left alone */
			r = roll(c, &v, err);
			until = log_head(c->store->log, &v.head_off);
		}
		v.log.head = until;
		if (r >= 0)
			r = clean(c, &v, err);
		if (r == 0 && v.space.previous_movable) {
			r = cleaner_renew(c, &v, err);
			if (r == 0)
				r = err_set(err, ENOSPC,
					    "no room to write anew what is under the previous "
					    "data key");
		}
		free(v.info);
	}
	pthread_mutex_unlock(&c->step_lock);
	for (unsigned i = 0; r == 0 && i < CHECKPOINTS; i++)
		r = store_checkpoint(c->store, err);
	if (r == 0) {
		(void)segment_drop_recycled(c->store->table); /* how many does not matter */
		log_trim(c->store->log);
	}
	return r;
}

void cleaner_stats(struct cleaner *cleaner, struct cleaner_stats *ret_stats)
{
	ret_stats->moved_bytes = atomic_load(&cleaner->moved);
	ret_stats->cleaned_segments = atomic_load(&cleaner->cleaned);
	ret_stats->cleaning = atomic_load(&cleaner->cleaning);
	ret_stats->no_room = atomic_load(&cleaner->no_room);
}
