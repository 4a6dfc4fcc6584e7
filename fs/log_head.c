/*
 * The log's head: room ahead of it, and the step from a full segment to the next. A thread does
 * both before they are needed, so that writers seldom wait for them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "disk.h"
#include "err.h"
#include "log_internal.h"
#include "secret.h"
#include "segment.h"

#define ROOM_STEP (16u << 20) /* bytes allocated ahead of the head at a time */
#define ROOM_KEPT (2u << 20)  /* behind a seal: less is not worth giving back */
#define ROOM_LOW  (8u << 20)  /* the thread allocates when less than this is left */

static int make_room(struct log *log, struct segment *segment, uint64_t from, uint64_t least,
		     uint64_t *ret_end)
{
	uint64_t end = from + (least > ROOM_STEP ? least : ROOM_STEP);
	int r;

	if (end > log->segment_size)
		end = log->segment_size;
	r = log->disk->ops->allocate(segment_file(segment), from, end - from);
	if (r == -ENOSPC && segment_drop_recycled(log->table) > 0)
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
	uint8_t bytes[LOG_HEADER_ONLY_LEN];
	int r;

	if (!u)
		return err_set(err, ENOMEM, "log: out of memory");
	pthread_mutex_lock(&log->lock);
	seal.seq = log_end_seq_locked(log);
	seal.durable = log->durable;
	pthread_mutex_unlock(&log->lock);
	r = log_header_only(log->head, &seal, bytes);
	if (r == 0)
		r = disk_pwrite(segment_file(log->head), bytes, sizeof(bytes), log->head_off);
	if (r < 0) {
		free(u);
		log_stop(log, -r, "the end of a segment could not be written");
		return err_set(err, -r, "segments/%08" PRIx32 ": write at %" PRIu64 ": %s",
			       segment_id(log->head), log->head_off, strerror(-r));
	}
	if (log->room_end - log->head_off > ROOM_KEPT)
		(void)log->disk->ops->truncate(segment_file(log->head),
					       log->head_off +
						       LOG_HEADER_ONLY_LEN); /* gives room back */
	u->segment = log->head;
	u->next = NULL;
	pthread_mutex_lock(&log->lock);
	*log->sealed_end = u;
	log->sealed_end = &u->next;
	log->appended += LOG_HEADER_ONLY_LEN;
	log->head = next;
	log->head_off = FORMAT_SEGMENT_LEN;
	log->room_end = segment_room(next);
	log->dirty = log_end_seq_locked(log); /* the seal must be synced with what is before it */
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
		log_wait_locked(log);
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

int log_advance(struct log *log, size_t len, struct err *err)
{
	uint64_t need = log->head_off + len + LOG_RESERVE_LEN;
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
		need = log->head_off + len + LOG_RESERVE_LEN;
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
	/* Not before the first record: on a nearly full disk the checkpoints of the open come first. */
	return log->appended && log->room_end < log->segment_size &&
	       log->room_end - log->head_off < ROOM_LOW;
}

static bool wants_spare_locked(const struct log *log)
{
	return !log->spare && log->head_off > log->segment_size / 2;
}

bool log_wants_ahead_locked(const struct log *log)
{
	return wants_room_locked(log) || wants_spare_locked(log);
}

/*
 * Room for the head before it is needed: all of a step or nothing, for small steps on a disk that is
 * nearly full would keep writers waiting. The lock is held, and dropped meanwhile.
 */
static int extend_locked(struct log *log)
{
	struct segment *head = log->head;
	uint64_t from = log->room_end, end;
	int r;

	log->extending = true; /* so nobody rolls or moves room_end */
	pthread_mutex_unlock(&log->lock);
	r = make_room(log, head, from, ROOM_STEP, &end);
	pthread_mutex_lock(&log->lock);
	if (r == 0)
		log->room_end = end;
	log->extending = false;
	log_wake_locked(log);
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
	log_wake_locked(log);
	return r;
}

/* Wait for work; after a failure (the disk is full) for a second, whatever there is to do. */
static void idle_locked(struct log *log, bool failed)
{
	struct timespec until;
	int r = 0;

	if (!failed) {
		pthread_cond_wait(&log->work, &log->lock);
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME, &until); /* cannot fail */
	until.tv_sec++;
	while (r == 0 && !log->ending)
		r = pthread_cond_timedwait(&log->work, &log->lock, &until);
}

void *log_keep_ahead(void *arg)
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
	secret_wipe_stack(); /* the C library keeps the stacks of ended threads */
	return NULL;
}
