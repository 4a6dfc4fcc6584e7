/*
 * The log's head: room ahead of it, and the step from a full segment to the next. A thread does
 * both before they are needed, so that writers seldom wait for them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "disk.h"
#include "err.h"
#include "log_internal.h"
#include "secret.h"
#include "segment.h"

#define ROOM_STEP (16u << 20) /* bytes allocated ahead of the head at a time */
#define ROOM_KEPT (2u << 20)  /* behind a seal: less is not worth giving back */
#define ROOM_LOW  (8u << 20)  /* the thread allocates when less than this is left */

/* Room in the next segment is made only while the disk has so many segments' room free. */
#define SPARE_ROOM_FREE 4

/*
 * What is kept free for the cleaner, so that it can move what is live in a segment and two checkpoints
 * can let the segment go: a segment and some pages, or this part of a small filesystem.
 */
#define RESERVE_MAP   (4u << 20)
#define RESERVE_SHARE 8

uint64_t log_reserve_bytes(const struct log *log, uint64_t all)
{
	uint64_t want = log->segment_size + RESERVE_MAP;

	return want < all / RESERVE_SHARE ? want : all / RESERVE_SHARE;
}

/* Allocate, but leave the reserve alone unless it may be used. */
static int allocate(struct log *log, struct segment *segment, uint64_t from, uint64_t end,
		    bool into_reserve)
{
	uint64_t free_bytes, all;
	int r;

	if (!into_reserve && log->disk->ops->space(log->disk, &free_bytes, &all) == 0 &&
	    free_bytes < end - from + log_reserve_bytes(log, all))
		return -ENOSPC;
	r = log->disk->ops->allocate(segment_file(segment), from, end - from);
	if (r == 0)
		segment_set_len(segment, end);
	return r;
}

/* Give back what was allocated in the next segment: the head, or others on the disk, need it now. */
static bool cut_spare(struct log *log)
{
	bool cut = false;

	pthread_mutex_lock(&log->lock);
	while (log->sparing)
		log_wait_locked(log);
	if (log->spare && log->spare_end > FORMAT_SEGMENT_LEN) {
		log->sparing = true; /* so nobody takes it */
		pthread_mutex_unlock(&log->lock);
		cut = segment_cut(log->spare, FORMAT_SEGMENT_LEN);
		pthread_mutex_lock(&log->lock);
		if (cut)
			log->spare_end = FORMAT_SEGMENT_LEN;
		log->sparing = false;
		log_wake_locked(log);
	}
	pthread_mutex_unlock(&log->lock);
	return cut;
}

/*
 * Room for @least bytes from @from on, and for a step ahead where it can be had. Into the reserve goes
 * no more than what is needed, so that nobody else gets it.
 */
static int make_room(struct log *log, struct segment *segment, uint64_t from, uint64_t least,
		     bool into_reserve, uint64_t *ret_end)
{
	uint64_t end = from + (least > ROOM_STEP ? least : ROOM_STEP);
	int r;

	if (end > log->segment_size)
		end = log->segment_size;
	r = allocate(log, segment, from, end, false);
	if (r == -ENOSPC && segment_drop_recycled(log->table) > 0)
		r = allocate(log, segment, from, end, false);
	if (r == -ENOSPC && cut_spare(log))
		r = allocate(log, segment, from, end, false);
	if (r == -ENOSPC && (into_reserve || end > from + least)) { /* the little that is needed */
		end = from + least;
		r = allocate(log, segment, from, end, into_reserve);
	}
	if (r == 0)
		*ret_end = end;
	return r;
}

/*
 * Seal the head and go on in @next, which has room up to @room_end. @u remembers the head until it is synced.
 * Called with rolling set and the lock dropped.
 */
static int roll_to(struct log *log, struct segment *next, uint64_t room_end, struct unsynced *u,
		   struct err *err)
{
	struct format_record seal = {.type = FORMAT_SEAL};
	uint8_t bytes[LOG_HEADER_ONLY_LEN];
	int r;

	pthread_mutex_lock(&log->lock);
	seal.seq = log_end_seq_locked(log);
	seal.durable = log->durable;
	pthread_mutex_unlock(&log->lock);
	r = log_header_only(log->head, &seal, bytes);
	if (r == 0)
		r = disk_pwrite(segment_file(log->head), bytes, sizeof(bytes), log->head_off);
	if (r < 0) {
		log_stop(log, -r, "the end of a segment could not be written");
		return err_set(err, -r, "segments/%08" PRIx32 ": write at %" PRIu64 ": %s",
			       segment_id(log->head), log->head_off, strerror(-r));
	}
	if (log->room_end - log->head_off > ROOM_KEPT)
		(void)segment_cut(log->head, log->head_off + LOG_HEADER_ONLY_LEN);
	u->segment = log->head;
	u->next = NULL;
	pthread_mutex_lock(&log->lock);
	*log->sealed_end = u;
	log->sealed_end = &u->next;
	log->appended += LOG_HEADER_ONLY_LEN;
	log->head = next;
	log->head_off = FORMAT_SEGMENT_LEN;
	log->room_end = room_end;
	log->dirty = log_end_seq_locked(log); /* the seal must be synced with what is before it */
	pthread_mutex_unlock(&log->lock);
	return 0;
}

/* The next segment: the spare, or a new one. An id is used up only by success: ids have no gaps. */
static int take_next(struct log *log, struct segment **ret_next, uint64_t *ret_room_end,
		     struct err *err)
{
	uint32_t id;
	int r;

	pthread_mutex_lock(&log->lock);
	while (log->sparing)
		log_wait_locked(log);
	*ret_next = log->spare;
	*ret_room_end = log->spare_end;
	log->spare = NULL;
	id = log->next_id;
	pthread_mutex_unlock(&log->lock);
	if (*ret_next)
		return 0;
	r = segment_create(log->table, id, segment_id(log->head), ret_next, err);
	if (r < 0)
		return r;
	*ret_room_end = segment_room(*ret_next);
	pthread_mutex_lock(&log->lock);
	log->next_id = id + 1;
	pthread_mutex_unlock(&log->lock);
	return 0;
}

/* As roll_to(), to the next segment. All that may fail and pass comes before an id is taken. */
static int roll(struct log *log, struct err *err)
{
	struct unsynced *u = malloc(sizeof(*u));
	struct segment *next = NULL;
	uint64_t room_end;
	int r;

	if (!u)
		return err_set(err, ENOMEM, "log: out of memory");
	r = take_next(log, &next, &room_end, err);
	if (r == 0)
		r = roll_to(log, next, room_end, u, err); /* if this fails, writing has stopped */
	if (r < 0) {
		segment_put(next);
		free(u);
	}
	return r;
}

int log_advance(struct log *log, size_t len, bool into_reserve, struct err *err)
{
	uint64_t need = log->head_off + len + LOG_RESERVE_LEN;
	uint64_t end = 0;
	int r;

	if (need > log->segment_size) {
		r = roll(log, err);
		if (r < 0)
			return r;
		need = log->head_off + len + LOG_RESERVE_LEN;
	}
	if (need <= log->room_end)
		return 0;
	r = make_room(log, log->head, log->room_end, need - log->room_end, into_reserve, &end);
	if (r < 0)
		return err_set(err, -r,
			       "segments/%08" PRIx32 ": no room for %zu bytes at %" PRIu64 ": %s",
			       segment_id(log->head), len, log->head_off, strerror(-r));
	pthread_mutex_lock(&log->lock);
	log->room_end = end;
	pthread_mutex_unlock(&log->lock);
	return 0;
}

/* Set rolling: head, head_off and room_end are ours until end_rolling(). */
static void begin_rolling_locked(struct log *log)
{
	while (log->frozen || log->rolling || log->extending || log->sparing)
		log_wait_locked(log);
	log->rolling = true;
}

static void end_rolling_locked(struct log *log)
{
	log->rolling = false;
	log_wake_locked(log);
}

int log_roll(struct log *log, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&log->lock);
	begin_rolling_locked(log);
	if (log->stopped)
		r = log_stopped_err_locked(log, err);
	if (r == 0 && log->head_off > FORMAT_SEGMENT_LEN) {
		pthread_mutex_unlock(&log->lock);
		r = roll(log, err);
		pthread_mutex_lock(&log->lock);
	}
	end_rolling_locked(log);
	pthread_mutex_unlock(&log->lock);
	return r;
}

void log_trim(struct log *log)
{
	bool stopped;

	pthread_mutex_lock(&log->lock);
	begin_rolling_locked(log);
	stopped = log->stopped;
	pthread_mutex_unlock(&log->lock);
	if (!stopped)
		(void)cut_spare(log); /* only gives room back */
	/* Room for the seal stays, as behind every record. */
	if (!stopped && log->room_end > log->head_off + LOG_RESERVE_LEN &&
	    segment_cut(log->head, log->head_off + LOG_RESERVE_LEN)) {
		pthread_mutex_lock(&log->lock);
		log->room_end = log->head_off + LOG_RESERVE_LEN;
		pthread_mutex_unlock(&log->lock);
	}
	pthread_mutex_lock(&log->lock);
	log->trimmed = log->appended;
	end_rolling_locked(log);
	pthread_mutex_unlock(&log->lock);
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

/*
 * Under load the next segment gets its room while the head is still written to: allocating takes the file's lock in
 * the kernel, for which writers would wait. As much of it, at most, as the head has of its second half.
 */
static bool wants_spare_room_locked(const struct log *log)
{
	uint64_t half = log->segment_size / 2;

	return log->spare && !log->spare_refused && log->spare_end < log->segment_size &&
	       log->appended - log->trimmed > ROOM_LOW && log->head_off > half &&
	       log->spare_end < 2 * (log->head_off - half);
}

bool log_wants_ahead_locked(const struct log *log)
{
	return wants_room_locked(log) || wants_spare_locked(log) || wants_spare_room_locked(log);
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
	r = make_room(log, head, from, ROOM_STEP, false, &end);
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
		log->spare_end = segment_room(spare);
		log->spare_refused = false;
		log->next_id = id + 1;
	}
	log->sparing = false;
	log_wake_locked(log);
	return r;
}

/* A step of room in the next segment. It is given up there when the disk has little left. As above. */
static void extend_spare_locked(struct log *log)
{
	struct segment *spare = log->spare;
	uint64_t from = log->spare_end, end = from + ROOM_STEP, free_bytes, all;
	int r;

	if (end > log->segment_size)
		end = log->segment_size;
	log->sparing = true; /* so nobody takes it */
	pthread_mutex_unlock(&log->lock);
	r = log->disk->ops->space(log->disk, &free_bytes, &all);
	if (r == 0 && free_bytes < SPARE_ROOM_FREE * log->segment_size)
		r = -ENOSPC;
	if (r == 0)
		r = allocate(log, spare, from, end, false);
	pthread_mutex_lock(&log->lock);
	if (r == 0)
		log->spare_end = end;
	else
		log->spare_refused = true;
	log->sparing = false;
	log_wake_locked(log);
}

/* Have a spare, so that sealing the head takes no longer than a write. */
static int have_spare_locked(struct log *log)
{
	int r = 0;

	while (r == 0 && !log->spare && !log->stopped) {
		if (log->sparing || log->rolling)
			log_wait_locked(log);
		else
			r = spare_locked(log);
	}
	return r;
}

int log_freeze_sealed(struct log *log, uint64_t *ret_seq, uint64_t *ret_began_ms, struct err *err)
{
	int r;

	pthread_mutex_lock(&log->lock);
	r = have_spare_locked(log);
	while (log->extending || log->sparing)
		log_wait_locked(log);
	if (log->stopped)
		r = log_stopped_err_locked(log, err);
	else if (r < 0)
		r = err_set(err, -r, "no room for the next segment: %s", strerror(-r));
	pthread_mutex_unlock(&log->lock);
	if (r < 0)
		return r;
	*ret_began_ms = clock_monotonic_ms();
	log_freeze(log, ret_seq);
	pthread_mutex_lock(&log->lock);
	while (log->extending) /* begun before the freeze; another cannot begin */
		log_wait_locked(log);
	log->rolling = true;
	pthread_mutex_unlock(&log->lock);
	if (format_seq_off(*ret_seq) > FORMAT_SEGMENT_LEN) {
		r = roll(log, err);
		if (r == 0)
			*ret_seq = format_seq(segment_id(log->head), FORMAT_SEGMENT_LEN);
	}
	pthread_mutex_lock(&log->lock);
	end_rolling_locked(log);
	pthread_mutex_unlock(&log->lock);
	if (r < 0)
		log_thaw(log);
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
		bool quiet = log->stopped || log->rolling || log->frozen || log->sparing;
		int r;

		if (!quiet && wants_room_locked(log))
			r = extend_locked(log);
		else if (!quiet && wants_spare_locked(log))
			r = spare_locked(log);
		else
			r = 1;
		if (r == 1 && !quiet && wants_spare_room_locked(log)) {
			extend_spare_locked(log);
			r = 0;
		}
		if (r != 0)
			idle_locked(log, r < 0);
	}
	pthread_mutex_unlock(&log->lock);
	secret_wipe_stack(); /* the C library keeps the stacks of ended threads */
	return NULL;
}
