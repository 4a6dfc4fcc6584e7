/* The stop signal, as an eventfd: it can stand in any poll set, and needs no lock. See stop.h. */
#include "stop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "err.h"

int stop_init(struct stop *stop, struct err *err)
{
	stop->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop->fd < 0)
		return err_set(err, errno, "cannot make an eventfd: %s", strerror(errno));
	return 0;
}

void stop_done(struct stop *stop)
{
	if (stop->fd >= 0)
		(void)close(stop->fd); /* an eventfd has nothing to lose */
	stop->fd = -1;
}

void stop_raise(struct stop *stop)
{
	uint64_t one = 1;
	ssize_t n = write(stop->fd, &one, sizeof(one));

	(void)n; /* it fails only when the counter is full, and then it is raised */
}

void stop_lower(struct stop *stop)
{
	uint64_t count;
	ssize_t n = read(stop->fd, &count, sizeof(count));

	(void)n; /* EAGAIN: was not raised */
}

bool stop_raised(const struct stop *stop)
{
	struct pollfd p = {.fd = stop->fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

int64_t stop_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail on Linux */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool stop_sleep(const struct stop *stop, unsigned ms)
{
	int64_t end = stop_now_ms() + ms;

	for (;;) {
		struct pollfd p = {.fd = stop->fd, .events = POLLIN};
		int64_t left = end - stop_now_ms();

		if (poll(&p, 1, left > 0 ? (int)left : 0) > 0)
			return true;
		if (left <= 0)
			return false;
	}
}
