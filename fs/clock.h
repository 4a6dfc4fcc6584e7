/* The two clocks that the edges of the front read and hand to what is pure. */
#ifndef FS_CLOCK_H
#define FS_CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define CLOCK_ISO_LEN 25 /* "2026-01-02T03:04:05.678Z" and the NUL */

static inline uint64_t clock_read_ms(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t); /* cannot fail for these two clocks */
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline uint64_t clock_monotonic_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC);
}

static inline uint64_t clock_monotonic_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Milliseconds since 1970. */
static inline uint64_t clock_wall_ms(void)
{
	return clock_read_ms(CLOCK_REALTIME);
}

static inline struct timespec clock_timespec(uint64_t ms)
{
	return (struct timespec){.tv_sec = (time_t)(ms / 1000),
				 .tv_nsec = (long)(ms % 1000) * 1000000};
}

static inline struct timespec clock_timespec_us(uint64_t us)
{
	return (struct timespec){.tv_sec = (time_t)(us / 1000000),
				 .tv_nsec = (long)(us % 1000000) * 1000};
}

/* ISO 8601 with milliseconds, UTC; "" for 0. @ret_text has room for CLOCK_ISO_LEN. */
static inline void clock_iso(uint64_t wall_ms, char *ret_text)
{
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;
	char seconds[20] = "";

	*ret_text = '\0';
	if (wall_ms == 0 || !gmtime_r(&t, &tm) || tm.tm_year > 9999 - 1900)
		return;
	(void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(ret_text, CLOCK_ISO_LEN, "%s.%03uZ", seconds, (unsigned)(wall_ms % 1000));
}

#endif
