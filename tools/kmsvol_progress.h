/* How far a long command is, on a line of standard error that is written anew; nothing where no terminal is. */
#ifndef TOOLS_KMSVOL_PROGRESS_H
#define TOOLS_KMSVOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *verb;
	uint64_t total_bytes; /* 0: not known */
	uint64_t begun_ms, shown_ms;
	uint64_t from_ms, from_bytes; /* where the speed is measured from */
	bool terminal, shown, moving;
};

/* @verb: the line's first word, borrowed. */
void progress_begin(struct progress *p, const char *verb, uint64_t total_bytes);

/* @done_bytes of the total. Cheap; shown a few times a second. @p is a struct progress. */
void progress_show(void *p, uint64_t done_bytes);

/* Take the line away. Returns the milliseconds since the beginning. */
uint64_t progress_end(struct progress *p);

#endif
