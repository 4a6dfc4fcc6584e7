/* The settable clock: a line through one point. See calendar.h. */
#include "calendar.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"
#include "textfile.h"

#define FILE_NAME "clock"
#define FILE_MAX  1024 /* bytes */

struct line {
	int64_t real_ms, ms; /* when it was the one, it was the other */
	double speed;
};

struct calendar {
	int dir_fd;
	atomic_bool moved; /* false: requests need not take the lock */
	pthread_mutex_t lock;
	struct line line; /* guarded by lock; counts while moved */
};

static int check(const struct line *line, struct err *err)
{
	if (line->ms < CALENDAR_MIN_MS || line->ms > CALENDAR_MAX_MS)
		return err_set(err, EINVAL, "the clock goes from 2000-01-01 to 9999-12-31");
	if (!(line->speed >= 0 && line->speed <= CALENDAR_SPEED_MAX))
		return err_set(err, EINVAL, "the clock's speed is 0 to %.0f", CALENDAR_SPEED_MAX);
	return 0;
}

/* 1: there is one; 0: there is none. */
static int load(int dir_fd, struct line *ret, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *v = NULL;
	AUTO(freep) char *text = NULL;
	int r = textfile_read(dir_fd, FILE_NAME, FILE_MAX, &text);

	if (r == -ENOENT)
		return 0;
	if (r < 0 && r != -EUCLEAN && r != -EFBIG)
		return err_set(err, -r, "'" FILE_NAME "': %s", strerror(-r));
	r = r ? r : kms_json_parse(text, strlen(text), &v, err);
	r = r ? r : kms_json_i64(v, "real_ms", &ret->real_ms, err);
	r = r ? r : kms_json_i64(v, "ms", &ret->ms, err);
	r = r ? r : kms_json_double(v, "speed", &ret->speed, err);
	r = r ? r : check(ret, err);
	if (r == -EUCLEAN || r == -EFBIG || r == -EINVAL)
		return err_set(err, EUCLEAN,
			       "'" FILE_NAME "' makes no sense; take it away and the clock is real "
			       "again");
	return r < 0 ? r : 1;
}

static int save(int dir_fd, const struct line *line, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *v = kms_json_new_object();
	AUTO(freep) char *text = NULL;
	int r;

	if (dir_fd < 0)
		return 0;
	if (v &&
	    !(kms_json_set_i64(v, "real_ms", line->real_ms) | kms_json_set_i64(v, "ms", line->ms) |
	      kms_json_set_double(v, "speed", line->speed)))
		text = kms_json_text(v);
	if (!text)
		return err_set(err, ENOMEM, "clock");
	r = textfile_replace(dir_fd, FILE_NAME, text, 0600);
	return r < 0 ? err_set(err, -r, "'" FILE_NAME "': %s", strerror(-r)) : 0;
}

int calendar_open(int dir_fd, struct calendar **ret_calendar, struct err *err)
{
	struct calendar *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(err, ENOMEM, "clock");
	c->dir_fd = dir_fd;
	(void)pthread_mutex_init(&c->lock, NULL); /* cannot fail with these attributes */
	r = dir_fd < 0 ? 0 : load(dir_fd, &c->line, err);
	if (r < 0) {
		calendar_close(c);
		return r;
	}
	atomic_store(&c->moved, r > 0);
	*ret_calendar = c;
	return 0;
}

void calendar_close(struct calendar *calendar)
{
	if (!calendar)
		return;
	(void)pthread_mutex_destroy(&calendar->lock); /* nobody holds it */
	free(calendar);
}

int64_t calendar_real_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_REALTIME, &t); /* this clock always is */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t calendar_monotonic_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock always is */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t calendar_at(struct calendar *calendar, int64_t real_ms)
{
	struct line line;
	double ms;

	if (!calendar || !atomic_load_explicit(&calendar->moved, memory_order_acquire))
		return real_ms;
	pthread_mutex_lock(&calendar->lock);
	line = calendar->line;
	pthread_mutex_unlock(&calendar->lock);
	/* Below 2^53, so a double is exact; it stops at the ends rather than run over. */
	ms = (double)line.ms + (double)(real_ms - line.real_ms) * line.speed;
	if (ms < (double)CALENDAR_MIN_MS)
		return CALENDAR_MIN_MS;
	return ms > (double)CALENDAR_MAX_MS ? CALENDAR_MAX_MS : (int64_t)ms;
}

int64_t calendar_now_ms(struct calendar *calendar)
{
	return calendar_at(calendar, calendar_real_ms());
}

double calendar_speed(struct calendar *calendar)
{
	double speed = 1;

	if (calendar_moved(calendar)) {
		pthread_mutex_lock(&calendar->lock);
		speed = calendar->line.speed;
		pthread_mutex_unlock(&calendar->lock);
	}
	return speed;
}

bool calendar_moved(struct calendar *calendar)
{
	return calendar && atomic_load(&calendar->moved);
}

int calendar_set(struct calendar *calendar, int64_t real_ms, int64_t ms, double speed,
		 struct err *err)
{
	struct line line = {real_ms, ms, speed};
	int r = check(&line, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&calendar->lock);
	r = save(calendar->dir_fd, &line, err);
	if (r == 0) {
		calendar->line = line;
		atomic_store_explicit(&calendar->moved, true, memory_order_release);
	}
	pthread_mutex_unlock(&calendar->lock);
	return r;
}

int calendar_reset(struct calendar *calendar, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&calendar->lock);
	if (calendar->dir_fd >= 0 && unlinkat(calendar->dir_fd, FILE_NAME, 0) < 0 &&
	    errno != ENOENT)
		r = err_set(err, errno, "'" FILE_NAME "': %s", strerror(errno));
	if (r == 0 && calendar->dir_fd >= 0 && fsync(calendar->dir_fd) < 0)
		r = err_set(err, errno, "'" FILE_NAME "': %s", strerror(errno));
	if (r == 0)
		atomic_store(&calendar->moved, false);
	pthread_mutex_unlock(&calendar->lock);
	return r;
}
