/*
 * What people write to control a server: durations, moves of the clock, numbers. Pure. Each refuses
 * with -EINVAL and a sentence that quotes the text.
 */
#ifndef KMSD_CONTROL_VALUE_H
#define KMSD_CONTROL_VALUE_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define CONTROL_TEXT_MAX 64

/* "250ms", "5s", "10m", "2h", "7d"; "0" needs no unit. 0 to @max_ms. */
int control_duration(const char *text, int64_t max_ms, int64_t *ret_ms, struct err *err);

/*
 * Where the clock goes that shows @now_ms: "+7d", "-2h30m", "2026-12-01T00:00:00Z", "2026-12-01",
 * seconds since 1970.
 */
int control_time(const char *text, int64_t now_ms, int64_t *ret_ms, struct err *err);

/* A decimal number from @min to @max. */
int control_number(const char *text, double min, double max, double *ret, struct err *err);

/* The other way: "7d", "1d2h3m4s250ms", "0s"; a "-" before it, if it is negative. */
void control_duration_text(int64_t ms, char ret[CONTROL_TEXT_MAX]);
/* "2026-12-01T00:00:00Z" */
void control_time_text(int64_t ms, char ret[CONTROL_TEXT_MAX]);

#endif
