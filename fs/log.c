/*
 * The log's head, claims, flushes and rolling to the next segment.
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
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "disk.h"
#include "err.h"
#include "segment.h"

#define HEADER_ONLY_LEN (FORMAT_RECORD_LEN + FORMAT_RECORD_TAG_LEN)
#define ROOM_STEP	(16u << 20) /* bytes allocated ahead of the head at a time */
#define ROOM_LOW	(8u << 20)  /* the thread allocates when less than this is left */
#define WHY_MAX		256

/* A sealed segment whose last records are not synced yet. */
struct unsynced {
	struct segment *segment; /* held */
	struct unsynced *next;
};

struct log {
	struct disk *disk; /* fixed at new, as are the next two */
	struct segment_table *table;
	uint64_t segment_size;
	pthread_t thread;
	bool thread_runs;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t changed;
	pthread_cond_t work; /* for the thread */
	unsigned waiters;
	bool ending;
	struct segment *head;  /* held */
	uint64_t head_off;     /* where the next record goes */
	uint64_t room_end;     /* allocated up to here */
	struct segment *spare; /* held; NULL: not made yet */
	uint32_t next_id;
	struct log_claim *claims;
	bool frozen;		 /* log_freeze() */
	bool rolling;		 /* a writer changes head or room_end with the lock dropped */
	bool extending;		 /* the thread allocates behind room_end with the lock dropped */
	bool sparing;		 /* the thread makes the spare with the lock dropped */
	uint64_t durable;	 /* everything before this seq is synced */
	uint64_t dirty;		 /* end of the last record that a flush has to care for */
	struct unsynced *sealed; /* oldest first */
	struct unsynced **sealed_end;
	int stopped; /* positive errno */
	char why[WHY_MAX];
	uint64_t appended;
	uint64_t flushes;
	pthread_mutex_t flush_lock; /* one flush at a time; taken before lock */
};

static uint64_t end_seq_locked(const struct log *log)
{
	return format_seq(segment_id(log->head), log->head_off);
}

static void wake_locked(struct log *log)
{
	if (log->waiters)
		pthread_cond_broadcast(&log->changed);
}

static void wait_locked(struct log *log)
{
	log->waiters++;
	pthread_cond_wait(&log->changed, &log->lock);
	log->waiters--;
}

static void stop_locked(struct log *log, int num, const char *why)
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
	stop_locked(log, num, why);
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

static int stopped_err_locked(struct log *log, struct err *err)
{
	return err_set(err, EROFS, "writing has stopped until the volume is mounted anew: %s",
		       log->why);
}

int log_stopped_err(struct log *log, struct err *err)
{
	int r;

	pthread_mutex_lock(&log->lock);
	r = stopped_err_locked(log, err);
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

static void link_locked(struct log *log, struct log_claim *claim)
{
	claim->next = log->claims;
	claim->at = &log->claims;
	if (claim->next)
		claim->next->at = &claim->next;
	log->claims = claim;
}

static void unlink_locked(struct log *log, struct log_claim *claim)
{
	*claim->at = claim->next;
	if (claim->next)
		claim->next->at = claim->at;
	wake_locked(log);
}

void log_claim(struct log *log, struct log_claim *claim, uint64_t lba, uint64_t count)
{
	memset(claim, 0, sizeof(*claim));
	claim->lba = lba;
	claim->count = count;
	pthread_mutex_lock(&log->lock);
	while (overlaps_locked(log, lba, count))
		wait_locked(log);
	link_locked(log, claim);
	pthread_mutex_unlock(&log->lock);
}

void log_release(struct log *log, struct log_claim *claim)
{
	pthread_mutex_lock(&log->lock);
	unlink_locked(log, claim);
	pthread_mutex_unlock(&log->lock);
}

/* Rolling and room. */

/* A record without blocks: header and tag, as bytes. */
static int header_only(struct segment *segment, const struct format_record *record,
		       uint8_t bytes[HEADER_ONLY_LEN])
{
	format_record_put(record, bytes);
	return segment_record_mac(segment, bytes, FORMAT_RECORD_LEN, bytes + FORMAT_RECORD_LEN);
}

static int make_room(struct log *log, struct segment *segment, uint64_t from, uint64_t least,
		     uint64_t *ret_end)
{
	uint64_t end = from + (least > ROOM_STEP ? least : ROOM_STEP);
	int r;

	if (end > log->segment_size)
		end = log->segment_size;
	r = log->disk->ops->allocate(segment_file(segment), from, end - from);
	if (r == -ENOSPC && end > from + least) { /* nearly full: the little that is needed */
		end = from + least;
		r = log->disk->ops->allocate(segment_file(segment), from, end - from);
	}
	if (r == 0)
		*ret_end = end;
	return r;
}

/* Seal the head and go on in the next segment. Called with rolling set and the lock dropped. */
static int roll(struct log *log, struct segment *next, struct err *err)
{
	struct format_record seal = {.type = FORMAT_SEAL};
	struct unsynced *u = malloc(sizeof(*u));
	uint8_t bytes[HEADER_ONLY_LEN];
	int r;

	if (!u)
		return err_set(err, ENOMEM, "log: out of memory");
	pthread_mutex_lock(&log->lock);
	seal.seq = end_seq_locked(log);
	seal.durable = log->durable;
	pthread_mutex_unlock(&log->lock);
	r = header_only(log->head, &seal, bytes);
	if (r == 0)
		r = disk_pwrite(segment_file(log->head), bytes, sizeof(bytes), log->head_off);
	if (r < 0) {
		free(u);
		log_stop(log, -r, "the end of a segment could not be written");
		return err_set(err, -r, "segments/%08" PRIx32 ": write at %" PRIu64 ": %s",
			       segment_id(log->head), log->head_off, strerror(-r));
	}
	(void)log->disk->ops->truncate(segment_file(log->head),
				       log->head_off + HEADER_ONLY_LEN); /* only gives room back */
	u->segment = log->head;
	u->next = NULL;
	pthread_mutex_lock(&log->lock);
	*log->sealed_end = u;
	log->sealed_end = &u->next;
	log->appended += HEADER_ONLY_LEN;
	log->head = next;
	log->head_off = FORMAT_SEGMENT_LEN;
	log->room_end = FORMAT_SEGMENT_LEN;
	log->dirty = end_seq_locked(log); /* the seal must be synced with what is before it */
	pthread_mutex_unlock(&log->lock);
	return 0;
}

/* The next segment: the spare, or a new one. An id is used up only by success: ids have no gaps. */
static int take_next(struct log *log, struct segment **ret_next, struct err *err)
{
	uint32_t id;
	int r;

	pthread_mutex_lock(&log->lock);
	while (log->sparing)
		wait_locked(log);
	*ret_next = log->spare;
	log->spare = NULL;
	id = log->next_id;
	pthread_mutex_unlock(&log->lock);
	if (*ret_next)
		return 0;
	r = segment_create(log->table, id, segment_id(log->head), ret_next, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&log->lock);
	log->next_id = id + 1;
	pthread_mutex_unlock(&log->lock);
	return 0;
}

/*
 * Get the head to where @len bytes fit with a seal behind them: allocate, or roll. The caller has set
 * rolling and dropped the lock, so head, head_off and room_end stand still.
 */
static int advance(struct log *log, size_t len, struct err *err)
{
	uint64_t need = log->head_off + len + HEADER_ONLY_LEN;
	uint64_t end = 0;
	int r;

	if (need > log->segment_size) {
		struct segment *next = NULL;

		r = take_next(log, &next, err);
		if (r == 0) {
			r = roll(log, next, err);
			if (r < 0)
				segment_put(next);
		}
		if (r < 0)
			return r;
		need = log->head_off + len + HEADER_ONLY_LEN;
	}
	if (need <= log->room_end)
		return 0;
	r = make_room(log, log->head, log->room_end, need - log->room_end, &end);
	if (r < 0)
		return err_set(err, -r,
			       "segments/%08" PRIx32 ": no room for %zu bytes at %" PRIu64 ": %s",
			       segment_id(log->head), len, log->head_off, strerror(-r));
	pthread_mutex_lock(&log->lock);
	log->room_end = end;
	pthread_mutex_unlock(&log->lock);
	return 0;
}

static bool wants_room_locked(const struct log *log)
{
	return log->room_end < log->segment_size && log->room_end - log->head_off < ROOM_LOW;
}

static bool wants_spare_locked(const struct log *log)
{
	return !log->spare && log->head_off > log->segment_size / 2;
}

int log_reserve(struct log *log, struct log_claim *claim, size_t len, struct log_place *ret_place,
		struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&log->lock);
	for (;;) {
		if (log->stopped) {
			r = stopped_err_locked(log, err);
			break;
		}
		if (log->frozen || log->rolling) {
			wait_locked(log);
			continue;
		}
		if (log->head_off + len + HEADER_ONLY_LEN <= log->room_end)
			break;
		if (log->extending) {
			wait_locked(log);
			continue;
		}
		log->rolling = true;
		pthread_mutex_unlock(&log->lock);
		r = advance(log, len, err);
		pthread_mutex_lock(&log->lock);
		log->rolling = false;
		wake_locked(log);
		if (r < 0)
			break;
	}
	if (r == 0) {
		ret_place->segment = log->head;
		ret_place->off = log->head_off;
		ret_place->seq = claim->seq = end_seq_locked(log);
		ret_place->durable = log->durable;
		log->head_off += len;
		log->appended += len;
		if (wants_room_locked(log) || wants_spare_locked(log))
			pthread_cond_signal(&log->work);
	}
	pthread_mutex_unlock(&log->lock);
	return r;
}

void log_done(struct log *log, struct log_claim *claim, struct log_place *place, int result)
{
	pthread_mutex_lock(&log->lock);
	if (result < 0) {
		char why[WHY_MAX];

		(void)snprintf(why, sizeof(why), "segments/%08" PRIx32 ": write at %" PRIu64 ": %s",
			       segment_id(place->segment), place->off,
			       strerror(-result)); /* cut on purpose */
		stop_locked(log, -result, why);
	}
	if (place->seq >= log->dirty)
		log->dirty = place->seq + 1;
	claim->seq = 0;
	wake_locked(log);
	pthread_mutex_unlock(&log->lock);
}

/* Durability. */

static bool written_before_locked(const struct log *log, uint64_t seq)
{
	for (const struct log_claim *c = log->claims; c; c = c->next)
		if (c->seq && c->seq < seq)
			return false;
	return true;
}

/*
 * Say in the log that the flush is done, so that a damaged record before it is told from one that a
 * crash tore. It needs no sync: nothing is lost with it but that knowledge.
 */
static void put_mark(struct log *log, uint64_t durable)
{
	struct format_record mark = {.type = FORMAT_MARK, .durable = durable};
	uint8_t bytes[HEADER_ONLY_LEN];
	struct log_claim claim = {0};
	struct segment *head;
	uint64_t off;
	int r;

	pthread_mutex_lock(&log->lock);
	if (log->stopped || log->frozen || log->rolling ||
	    log->head_off + 2 * HEADER_ONLY_LEN > log->room_end) {
		pthread_mutex_unlock(&log->lock);
		return;
	}
	head = log->head;
	off = log->head_off;
	mark.seq = claim.seq = end_seq_locked(log);
	link_locked(log, &claim);
	log->head_off += HEADER_ONLY_LEN;
	log->appended += HEADER_ONLY_LEN;
	pthread_mutex_unlock(&log->lock);
	r = header_only(head, &mark, bytes);
	if (r == 0)
		r = disk_pwrite(segment_file(head), bytes, sizeof(bytes), off);
	pthread_mutex_lock(&log->lock);
	if (r < 0)
		stop_locked(log, -r, "a mark could not be written to the log");
	unlink_locked(log, &claim);
	pthread_mutex_unlock(&log->lock);
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
		r = log->stopped ? stopped_err_locked(log, err) : 0;
		pthread_mutex_unlock(&log->lock);
		return r;
	}
	while (log->rolling)
		wait_locked(log);
	target = end_seq_locked(log);
	head = log->head; /* stays open: sealed segments go only by sync_all() */
	while (!log->stopped && !written_before_locked(log, target))
		wait_locked(log);
	r = log->stopped ? stopped_err_locked(log, err) : 0;
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
	put_mark(log, target);
	return 0;
}

int log_flush(struct log *log, struct err *err)
{
	uint64_t want;
	int r;

	pthread_mutex_lock(&log->lock);
	want = log->dirty;
	r = log->stopped ? stopped_err_locked(log, err) : 0;
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
		wait_locked(log);
	log->frozen = true;
	while (log->rolling || !written_before_locked(log, UINT64_MAX))
		wait_locked(log);
	*ret_seq = end_seq_locked(log);
	pthread_mutex_unlock(&log->lock);
}

void log_thaw(struct log *log)
{
	pthread_mutex_lock(&log->lock);
	log->frozen = false;
	wake_locked(log);
	pthread_mutex_unlock(&log->lock);
}

/* The thread. */

/* Room for the head before it is needed. The lock is held, and dropped meanwhile. */
static int extend_locked(struct log *log)
{
	struct segment *head = log->head;
	uint64_t from = log->room_end, end;
	int r;

	log->extending = true; /* so nobody rolls or moves room_end */
	pthread_mutex_unlock(&log->lock);
	r = make_room(log, head, from, HEADER_ONLY_LEN, &end);
	pthread_mutex_lock(&log->lock);
	if (r == 0)
		log->room_end = end;
	log->extending = false;
	wake_locked(log);
	return r;
}

/* The next segment before it is needed. As above. */
static int spare_locked(struct log *log)
{
	uint32_t previous = segment_id(log->head), id = log->next_id;
	struct segment *spare;
	struct err err;
	int r;

	log->sparing = true; /* so nobody takes the id */
	pthread_mutex_unlock(&log->lock);
	r = segment_create(log->table, id, previous, &spare, &err);
	pthread_mutex_lock(&log->lock);
	if (r == 0) {
		log->spare = spare;
		log->next_id = id + 1;
	}
	log->sparing = false;
	wake_locked(log);
	return r;
}

/* Wait for work, or, after a failure (the disk is full), for a second. */
static void idle_locked(struct log *log, bool failed)
{
	struct timespec until;

	if (!failed) {
		pthread_cond_wait(&log->work, &log->lock);
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME, &until); /* cannot fail */
	until.tv_sec++;
	(void)pthread_cond_timedwait(&log->work, &log->lock, &until); /* looks again anyway */
}

static void *keep_ahead(void *arg)
{
	struct log *log = arg;

	pthread_mutex_lock(&log->lock);
	while (!log->ending) {
		bool quiet = log->stopped || log->rolling || log->frozen;
		int r;

		if (!quiet && wants_room_locked(log))
			r = extend_locked(log);
		else if (!quiet && wants_spare_locked(log))
			r = spare_locked(log);
		else
			r = 1;
		if (r != 0)
			idle_locked(log, r < 0);
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

int log_new(struct disk *disk, struct segment_table *table, uint64_t segment_size, uint32_t first,
	    struct log **ret_log, struct err *err)
{
	struct log *log = calloc(1, sizeof(*log));
	int r;

	if (!log)
		return err_set(err, ENOMEM, "log: out of memory");
	log->disk = disk;
	log->table = table;
	log->segment_size = segment_size;
	log->sealed_end = &log->sealed;
	pthread_mutex_init(&log->lock, NULL);
	pthread_mutex_init(&log->flush_lock, NULL);
	pthread_cond_init(&log->changed, NULL);
	pthread_cond_init(&log->work, NULL);
	r = segment_create(log->table, first, 0, &log->head, err);
	if (r < 0)
		goto fail;
	log->next_id = first + 1;
	log->head_off = log->room_end = FORMAT_SEGMENT_LEN;
	log->durable = log->dirty = end_seq_locked(log);
	r = -pthread_create(&log->thread, NULL, keep_ahead, log);
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
		(void)log->disk->ops->truncate(segment_file(log->head),
					       log->head_off); /* only gives room back */
	segment_put(log->head);
	segment_put(log->spare);
	pthread_cond_destroy(&log->work);
	pthread_cond_destroy(&log->changed);
	pthread_mutex_destroy(&log->flush_lock);
	pthread_mutex_destroy(&log->lock);
	free(log);
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
