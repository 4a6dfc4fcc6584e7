/*
 * What time the server takes it to be. Every date that requests and keys see is asked for here:
 * deletion, rotation, the life of temporary credentials, conditions on the time, the audit trail. It
 * is the real time until somebody moves it; then it goes on from there, at the real speed or another.
 *
 * Real time stays what measures this machine's work: how old a signature is (clients sign by their own
 * clocks), time-outs, throttling, the length of faults and of propagation.
 */
#ifndef KMSD_CALENDAR_H
#define KMSD_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

struct calendar;
struct err;

#define CALENDAR_MIN_MS	   INT64_C(946684800000)    /* 2000-01-01T00:00:00Z */
#define CALENDAR_MAX_MS	   INT64_C(253402300799999) /* the end of the year 9999 */
#define CALENDAR_SPEED_MAX 1000000.0

/*
 * As it was left in the data directory @dir_fd (borrowed), where moves are kept in the file "clock";
 * -1: nothing is read or kept. -EUCLEAN: the file makes no sense.
 */
int calendar_open(int dir_fd, struct calendar **ret_calendar, struct err *err);
void calendar_close(struct calendar *calendar);

/* The server's time when the real one is @real_ms. A NULL calendar shows the real time. Any thread. */
int64_t calendar_at(struct calendar *calendar, int64_t real_ms);
int64_t calendar_real_ms(void);
int64_t calendar_monotonic_ms(void); /* no date: what never goes back */
int64_t calendar_now_ms(struct calendar *calendar);

/* How fast it goes: 1 as real time, 0 stands still. */
double calendar_speed(struct calendar *calendar);

/* Whether it is not simply the real time. */
bool calendar_moved(struct calendar *calendar);

/*
 * From @real_ms on it is @ms and goes at @speed; kept on disk before it counts. Going back is allowed.
 * -EINVAL: beyond the limits above.
 */
int calendar_set(struct calendar *calendar, int64_t real_ms, int64_t ms, double speed,
		 struct err *err);

/* Real time again. */
int calendar_reset(struct calendar *calendar, struct err *err);

#endif
