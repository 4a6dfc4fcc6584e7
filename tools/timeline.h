/*
 * What happened in a run of a scenario, as values: steps and marks of the script, states of keys and volumes, samples of
 * who was served, events, calls of KMS, checks. Made of the records of a run (timeline_load.h), and made into a picture
 * (timeline_svg.h), a page (timeline_html.h) and JSON (timeline_json.h). Pure: no file, no clock.
 */
#ifndef TOOLS_TIMELINE_H
#define TOOLS_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How somebody fared who reads, writes or asks a database. */
enum timeline_io {
	TIMELINE_IDLE, /* nothing ended in the sample, and nothing has waited for long */
	TIMELINE_SERVED,
	TIMELINE_WAITS,
	TIMELINE_FAILS,
	TIMELINE_GONE, /* there is no such file: not mounted */
};

enum timeline_who { TIMELINE_READER, TIMELINE_WRITER, TIMELINE_CLIENT, TIMELINE_WHO };

enum timeline_result { TIMELINE_PASS, TIMELINE_FAIL, TIMELINE_NOT_POSSIBLE };

/* All texts are owned by the timeline, all times in ms since 1970. */
struct timeline_step {
	uint64_t t;
	char *text;
};

struct timeline_note { /* a command, with its output, or words; belongs to the step before it */
	uint64_t t;
	size_t step;
	char *text;
	char *output; /* NULL: no command */
	char *code;
};

struct timeline_check {
	uint64_t t;
	size_t step;
	enum timeline_result result;
	char *claim, *got, *wanted;
};

struct timeline_change { /* from t on, until the next */
	uint64_t t;
	char *what;
};

struct timeline_track {
	char *name, *id;
	struct timeline_change *changes;
	size_t count;
};

struct timeline_event {
	uint64_t t;
	char *id;   /* as "RDS-EVENT-0418", short enough for the picture */
	char *text; /* a sentence */
};

struct timeline_sample {
	uint64_t t;
	double reads, writes; /* of the whole volume since the sample before */
	enum timeline_io io[TIMELINE_WHO];
	double ms[TIMELINE_WHO]; /* the longest operation, or the age of the one that waits */
	bool has_client;
};

struct timeline_volume {
	struct timeline_track states;
	struct timeline_sample *samples;
	size_t sample_count;
	struct timeline_event *events;
	size_t event_count;
};

struct timeline_call {
	uint64_t t;
	char *op, *error; /* "" for none */
	bool by_user;	  /* typed, not made for a volume */
};

struct timeline {
	char *name, *title, *about, *profile, *against, *version, *verdict;
	uint64_t time_scale;
	uint64_t begun, ended; /* the whole run */
	struct timeline_step *steps, *marks;
	size_t step_count, mark_count;
	struct timeline_note *notes;
	size_t note_count;
	struct timeline_check *checks;
	size_t check_count;
	struct timeline_track *keys;
	size_t key_count;
	struct timeline_volume *volumes;
	size_t volume_count;
	struct timeline_call *calls;
	size_t call_count;
};

struct timeline *timeline_new(void); /* NULL: out of memory */
void timeline_free(struct timeline *tl);
void timeline_freep(struct timeline **tl);

/*
 * Add one more to a list: @list is the address of its pointer, @count of its count; elements of @size bytes. The new one
 * is all zero. NULL: out of memory.
 */
void *timeline_add(void *list, size_t *count, size_t size);

/* The track or volume of that name, made when it is not there. NULL: out of memory. */
struct timeline_track *timeline_key(struct timeline *tl, const char *name);
struct timeline_volume *timeline_volume(struct timeline *tl, const char *name);

/* From @t on it is @what; what it is already is no change. -ENOMEM. */
int timeline_change(struct timeline_track *track, uint64_t t, const char *what);

/* What the picture shows: from the first sample (without one, the first step) to the last thing that was looked at. */
struct timeline_range {
	uint64_t from, to; /* to > from */
};
struct timeline_range timeline_range(const struct timeline *tl);

/* A stretch of time of one kind. */
struct timeline_span {
	uint64_t from, to;
	enum timeline_io io;
};

/*
 * The stretches of @who on a volume: idle samples go with what was before (at first there is nothing), and waiting begins when what waits was begun.
 * *@ret_spans is the caller's to free. The count, or -ENOMEM.
 */
int timeline_spans(const struct timeline_volume *volume, enum timeline_who who,
		   struct timeline_span **ret_spans);

const char *timeline_io_name(enum timeline_io io);	       /* "served", "waits", ... */
const char *timeline_who_name(enum timeline_who who);	       /* "reader", ... */
const char *timeline_result_name(enum timeline_result result); /* "pass", "fail", "not-possible" */

#endif
