/* The values of a run. See timeline.h. */
#include "timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN 60 /* of the range, before and behind what is shown: 1/60 of it */

static const char *const io_names[] = {"idle", "served", "waits", "fails", "gone"};
static const char *const who_names[] = {"reader", "writer", "client"};
static const char *const result_names[] = {"pass", "fail", "not-possible"};

const char *timeline_io_name(enum timeline_io io)
{
	return io_names[io];
}

const char *timeline_who_name(enum timeline_who who)
{
	return who_names[who];
}

const char *timeline_result_name(enum timeline_result result)
{
	return result_names[result];
}

struct timeline *timeline_new(void)
{
	return calloc(1, sizeof(struct timeline));
}

static void free_track(struct timeline_track *track)
{
	free(track->name);
	free(track->id);
	for (size_t i = 0; i < track->count; i++)
		free(track->changes[i].what);
	free(track->changes);
}

static void free_volume(struct timeline_volume *v)
{
	free_track(&v->states);
	free(v->samples);
	for (size_t i = 0; i < v->event_count; i++) {
		free(v->events[i].id);
		free(v->events[i].text);
	}
	free(v->events);
}

static void free_steps(struct timeline_step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(steps[i].text);
	free(steps);
}

static void free_words(struct timeline *tl)
{
	for (size_t i = 0; i < tl->note_count; i++) {
		free(tl->notes[i].text);
		free(tl->notes[i].output);
		free(tl->notes[i].code);
	}
	free(tl->notes);
	for (size_t i = 0; i < tl->check_count; i++) {
		free(tl->checks[i].claim);
		free(tl->checks[i].got);
		free(tl->checks[i].wanted);
	}
	free(tl->checks);
	for (size_t i = 0; i < tl->call_count; i++) {
		free(tl->calls[i].op);
		free(tl->calls[i].error);
	}
	free(tl->calls);
}

void timeline_free(struct timeline *tl)
{
	if (!tl)
		return;
	free(tl->name);
	free(tl->title);
	free(tl->about);
	free(tl->profile);
	free(tl->against);
	free(tl->version);
	free(tl->verdict);
	free_steps(tl->steps, tl->step_count);
	free_steps(tl->marks, tl->mark_count);
	free_words(tl);
	for (size_t i = 0; i < tl->key_count; i++)
		free_track(&tl->keys[i]);
	free(tl->keys);
	for (size_t i = 0; i < tl->volume_count; i++)
		free_volume(&tl->volumes[i]);
	free(tl->volumes);
	free(tl);
}

void timeline_freep(struct timeline **tl)
{
	timeline_free(*tl);
	*tl = NULL;
}

void *timeline_add(void *list, size_t *count, size_t size)
{
	void **p = list;

	/* Room for a power of two of them: it doubles when that many are there. */
	if ((*count & (*count - 1)) == 0) {
		void *more = reallocarray(*p, *count ? *count * 2 : 1, size);

		if (!more)
			return NULL;
		*p = more;
	}
	return memset((char *)*p + (*count)++ * size, 0, size);
}

struct timeline_track *timeline_key(struct timeline *tl, const char *name)
{
	struct timeline_track *track;

	for (size_t i = 0; i < tl->key_count; i++)
		if (strcmp(tl->keys[i].name, name) == 0)
			return &tl->keys[i];
	track = timeline_add(&tl->keys, &tl->key_count, sizeof(*track));
	if (track && !(track->name = strdup(name))) {
		tl->key_count--;
		return NULL;
	}
	return track;
}

struct timeline_volume *timeline_volume(struct timeline *tl, const char *name)
{
	struct timeline_volume *v;

	for (size_t i = 0; i < tl->volume_count; i++)
		if (strcmp(tl->volumes[i].states.name, name) == 0)
			return &tl->volumes[i];
	v = timeline_add(&tl->volumes, &tl->volume_count, sizeof(*v));
	if (v && !(v->states.name = strdup(name))) {
		tl->volume_count--;
		return NULL;
	}
	return v;
}

int timeline_change(struct timeline_track *track, uint64_t t, const char *what)
{
	struct timeline_change *c;
	char *copy;

	if (track->count && strcmp(track->changes[track->count - 1].what, what) == 0)
		return 0;
	copy = strdup(what);
	c = copy ? timeline_add(&track->changes, &track->count, sizeof(*c)) : NULL;
	if (!c) {
		free(copy);
		return -ENOMEM;
	}
	c->t = t;
	c->what = copy;
	return 0;
}

static void widen(struct timeline_range *range, uint64_t t)
{
	if (t > range->to)
		range->to = t;
}

struct timeline_range timeline_range(const struct timeline *tl)
{
	struct timeline_range range = {.from = UINT64_MAX};
	uint64_t margin;

	for (size_t i = 0; i < tl->volume_count; i++) {
		const struct timeline_volume *v = &tl->volumes[i];

		if (v->sample_count && v->samples[0].t < range.from)
			range.from = v->samples[0].t;
		if (v->sample_count)
			widen(&range, v->samples[v->sample_count - 1].t);
	}
	if (range.from == UINT64_MAX)
		range.from = tl->step_count ? tl->steps[0].t : tl->begun;
	for (size_t i = 0; i < tl->check_count; i++)
		widen(&range, tl->checks[i].t);
	for (size_t i = 0; i < tl->mark_count; i++)
		widen(&range, tl->marks[i].t);
	if (range.to <= range.from)
		range.to = tl->ended > range.from ? tl->ended : range.from + 1;
	margin = (range.to - range.from) / MARGIN + 1;
	range.from -= margin < range.from ? margin : range.from;
	range.to += margin;
	return range;
}

/* Behind the last span, which ends where this one begins. */
static int add_span(struct timeline_span **spans, size_t *count, struct timeline_span span)
{
	struct timeline_span *s;

	while (*count && (*spans)[*count - 1].from >= span.from)
		(*count)--; /* what waits was begun before that: it was a moment between two answers */
	if (*count)
		(*spans)[*count - 1].to = span.from;
	if (*count && (*spans)[*count - 1].io == span.io) {
		(*spans)[*count - 1].to = span.to;
		return 0;
	}
	s = timeline_add(spans, count, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = span;
	return 0;
}

int timeline_spans(const struct timeline_volume *volume, enum timeline_who who,
		   struct timeline_span **ret_spans)
{
	struct timeline_span *spans = NULL;
	size_t count = 0;

	for (size_t i = 0; i < volume->sample_count; i++) {
		const struct timeline_sample *s = &volume->samples[i];
		struct timeline_span span = {.from = s->t, .to = s->t, .io = s->io[who]};

		if ((who == TIMELINE_CLIENT && !s->has_client) ||
		    (!count && span.io == TIMELINE_IDLE))
			continue;
		if (span.io == TIMELINE_WAITS && s->ms[who] > 0)
			span.from -= s->ms[who] < (double)s->t ? (uint64_t)s->ms[who] : s->t;
		if (count && (span.io == TIMELINE_IDLE || span.io == spans[count - 1].io)) {
			spans[count - 1].to = s->t;
			continue;
		}
		if (add_span(&spans, &count, span) < 0) {
			free(spans);
			return -ENOMEM;
		}
	}
	*ret_spans = spans;
	return (int)count;
}
