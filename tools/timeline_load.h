/* The records of a run (docs/scenarios.md), a line of JSON each, into a timeline. Pure. */
#ifndef TOOLS_TIMELINE_LOAD_H
#define TOOLS_TIMELINE_LOAD_H

#include <stddef.h>

struct err;
struct timeline;

enum timeline_record {
	TIMELINE_SCRIPT,  /* script.jsonl: what the engine did */
	TIMELINE_SAMPLES, /* samples-VOLUME.jsonl */
	TIMELINE_DIARY,	  /* diary-VOLUME.jsonl: a volume's events.jsonl */
	TIMELINE_CALLS,	  /* calls.jsonl */
};

/*
 * Take one line. The script comes first, since it says which volumes there are; each file in its order. @volume is the name
 * of the volume, for samples and diaries, else NULL. Unknown kinds and events are ignored. -EUCLEAN: a member is missing or
 * no such thing; -ENOMEM.
 */
int timeline_load(struct timeline *tl, enum timeline_record record, const char *volume,
		  const char *line, size_t len, struct err *err);

#endif
