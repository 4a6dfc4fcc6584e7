/* The line that tells how far a command is. See kmsvol_progress.h. */
#include "kmsvol_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"

#define SHOW_MS 200 /* between two lines */

/* A size in the unit that gives it few digits, "1.5 GiB". */
static void few_digits(double bytes, char *ret_text, size_t room)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	unsigned u = 0;

	while (bytes >= 1024 && u < sizeof(units) / sizeof(*units) - 1) {
		bytes /= 1024;
		u++;
	}
	(void)snprintf(ret_text, room, "%.*f %s", u > 1 && bytes < 100, bytes, units[u]); /* fits */
}

void progress_begin(struct progress *p, const char *verb, uint64_t total_bytes)
{
	*p = (struct progress){.verb = verb,
			       .total_bytes = total_bytes,
			       .begun_ms = clock_monotonic_ms(),
			       .terminal = isatty(STDERR_FILENO)};
}

void progress_show(void *arg, uint64_t done_bytes)
{
	struct progress *p = arg;
	uint64_t now = clock_monotonic_ms(), ms;
	char done[32], total[32], speed[32];
	double per_ms;

	if (!p->moving) { /* what came before, such as KMS, says nothing of the speed */
		p->moving = true;
		p->from_ms = p->shown_ms = now;
		p->from_bytes = done_bytes;
	}
	if (!p->terminal || now - p->shown_ms < SHOW_MS)
		return;
	ms = now - p->from_ms;
	p->shown = true;
	p->shown_ms = now;
	few_digits((double)done_bytes, done, sizeof(done));
	few_digits((double)p->total_bytes, total, sizeof(total));
	per_ms = done_bytes > p->from_bytes ? (double)(done_bytes - p->from_bytes) / (double)ms : 0;
	few_digits(per_ms * 1000, speed, sizeof(speed));
	if (!p->total_bytes)
		fprintf(stderr, "\r%s: %s, %s/s\033[K", p->verb, done, speed);
	else
		fprintf(stderr, "\r%s: %3.0f %%, %s of %s, %s/s, %.0f s left\033[K", p->verb,
			100.0 * (double)done_bytes / (double)p->total_bytes, done, total, speed,
			per_ms > 0 ? (double)(p->total_bytes - done_bytes) / per_ms / 1000 : 0);
	(void)fflush(stderr);
}

uint64_t progress_end(struct progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r\033[K");
	p->shown = false;
	return clock_monotonic_ms() - p->begun_ms;
}
