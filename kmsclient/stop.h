/*
 * The stop signal of a client: raised by any thread, seen at once by whatever the client waits in
 * (a transfer, a pause between tries, a credential process).
 */
#ifndef KMSCLIENT_STOP_H
#define KMSCLIENT_STOP_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/* An eventfd that is readable while the signal is raised. */
struct stop {
	int fd; /* fixed at init; -1: not made */
};

int stop_init(struct stop *stop, struct err *err);
void stop_done(struct stop *stop);

/* Any thread, at any time between init and done. */
void stop_raise(struct stop *stop);
void stop_lower(struct stop *stop);
bool stop_raised(const struct stop *stop);

/* The clock of stop_sleep(): monotonic milliseconds. */
int64_t stop_now_ms(void);

/* Wait @ms milliseconds, or until the signal is raised: true then. */
bool stop_sleep(const struct stop *stop, unsigned ms);

#endif
