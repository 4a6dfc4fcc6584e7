/* report.json. See timeline_json.h. Times are ms since the run began. */
#include "timeline_json.h"

#include <errno.h>
#include <stdlib.h>

#include "bytes.h"
#include "jsontime.h"
#include "kms_json.h"
#include "secret.h"
#include "timeline.h"

static uint64_t since(const struct timeline *tl, uint64_t t)
{
	return t > tl->begun ? t - tl->begun : 0;
}

/* An array of what @one makes of each of @count things, from @list on. NULL: out of memory. */
static struct kms_json *array_of(const struct timeline *tl, const void *list, size_t count,
				 struct kms_json *(*one)(const struct timeline *tl,
							 const void *list, size_t i))
{
	struct kms_json *all = kms_json_new_array();
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && r == 0; i++)
		r = kms_json_add(all, one(tl, list, i));
	if (r < 0)
		kms_json_freep(&all);
	return all;
}

static struct kms_json *check_json(const struct timeline *tl, const struct timeline_check *c)
{
	struct kms_json *obj = kms_json_new_object();

	if (obj && (kms_json_set_u64(obj, "ms", since(tl, c->t)) |
		    kms_json_set_str(obj, "claim", c->claim) |
		    kms_json_set_str(obj, "result", timeline_result_name(c->result)) |
		    kms_json_set_str(obj, "seen", c->got) |
		    kms_json_set_str(obj, "expected", c->wanted)) < 0)
		kms_json_freep(&obj);
	return obj;
}

static struct kms_json *step_json(const struct timeline *tl, const void *list, size_t s)
{
	const struct timeline_step *step = (const struct timeline_step *)list + s;
	struct kms_json *obj = kms_json_new_object(), *checks = kms_json_new_array();
	int r = obj && checks ? 0 : -ENOMEM;

	for (size_t i = 0; i < tl->check_count && r == 0; i++)
		if (tl->checks[i].step == s)
			r = kms_json_add(checks, check_json(tl, &tl->checks[i]));
	if (r < 0) {
		kms_json_free(checks);
		kms_json_freep(&obj);
		return NULL;
	}
	if ((kms_json_set_u64(obj, "ms", since(tl, step->t)) |
	     kms_json_set_str(obj, "text", step->text) | kms_json_set(obj, "checks", checks)) < 0)
		kms_json_freep(&obj);
	return obj;
}

static struct kms_json *stretch_json(const struct timeline *tl, uint64_t from, uint64_t to,
				     const char *name, const char *what)
{
	struct kms_json *obj = kms_json_new_object();

	if (obj &&
	    (kms_json_set_u64(obj, "from_ms", since(tl, from)) |
	     kms_json_set_u64(obj, "to_ms", since(tl, to)) | kms_json_set_str(obj, name, what)) < 0)
		kms_json_freep(&obj);
	return obj;
}

static struct kms_json *track_json(const struct timeline *tl, const struct timeline_track *track)
{
	struct kms_json *all = kms_json_new_array();
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < track->count && r == 0; i++) {
		uint64_t to = i + 1 < track->count ? track->changes[i + 1].t : tl->ended;

		r = kms_json_add(all, stretch_json(tl, track->changes[i].t, to, "state",
						   track->changes[i].what));
	}
	if (r < 0)
		kms_json_freep(&all);
	return all;
}

static struct kms_json *spans_json(const struct timeline *tl, const struct timeline_volume *v,
				   enum timeline_who who)
{
	struct kms_json *all = kms_json_new_array();
	AUTO(freep) struct timeline_span *spans = NULL;
	int n = timeline_spans(v, who, &spans), r = all && n >= 0 ? 0 : -ENOMEM;

	for (int i = 0; i < n && r == 0; i++)
		r = kms_json_add(all, stretch_json(tl, spans[i].from, spans[i].to, "io",
						   timeline_io_name(spans[i].io)));
	if (r < 0)
		kms_json_freep(&all);
	return all;
}

static struct kms_json *event_json(const struct timeline *tl, const void *list, size_t i)
{
	const struct timeline_event *e = (const struct timeline_event *)list + i;
	struct kms_json *obj = kms_json_new_object();

	if (obj &&
	    (kms_json_set_u64(obj, "ms", since(tl, e->t)) | kms_json_set_str(obj, "event", e->id) |
	     kms_json_set_str(obj, "text", e->text)) < 0)
		kms_json_freep(&obj);
	return obj;
}

static struct kms_json *volume_json(const struct timeline *tl, const void *list, size_t i)
{
	const struct timeline_volume *v = (const struct timeline_volume *)list + i;
	struct kms_json *obj = kms_json_new_object();
	int r;

	if (!obj)
		return NULL;
	r = kms_json_set_str(obj, "name", v->states.name) |
	    kms_json_set_str(obj, "volume_id", v->states.id ? v->states.id : "") |
	    kms_json_set(obj, "states", track_json(tl, &v->states)) |
	    kms_json_set(obj, "events", array_of(tl, v->events, v->event_count, event_json)) |
	    kms_json_set_u64(obj, "samples", v->sample_count);
	for (enum timeline_who who = TIMELINE_READER; who < TIMELINE_WHO; who++)
		r |= kms_json_set(obj, timeline_who_name(who), spans_json(tl, v, who));
	if (r < 0)
		kms_json_freep(&obj);
	return obj;
}

static struct kms_json *key_json(const struct timeline *tl, const void *list, size_t i)
{
	const struct timeline_track *key = (const struct timeline_track *)list + i;
	struct kms_json *obj = kms_json_new_object();

	if (obj && (kms_json_set_str(obj, "name", key->name) |
		    kms_json_set_str(obj, "arn", key->id ? key->id : "") |
		    kms_json_set(obj, "states", track_json(tl, key))) < 0)
		kms_json_freep(&obj);
	return obj;
}

static struct kms_json *call_json(const struct timeline *tl, const void *list, size_t i)
{
	const struct timeline_call *c = (const struct timeline_call *)list + i;
	struct kms_json *obj = kms_json_new_object();

	if (obj &&
	    (kms_json_set_u64(obj, "ms", since(tl, c->t)) |
	     kms_json_set_str(obj, "operation", c->op) | kms_json_set_str(obj, "error", c->error) |
	     kms_json_set_str(obj, "by", c->by_user ? "user" : "volume")) < 0)
		kms_json_freep(&obj);
	return obj;
}

struct kms_json *timeline_json(const struct timeline *tl)
{
	struct kms_json *obj = kms_json_new_object();

	if (!obj)
		return NULL;
	if ((kms_json_set_str(obj, "scenario", tl->name) |
	     kms_json_set_str(obj, "title", tl->title) |
	     kms_json_set_str(obj, "verdict", tl->verdict) | jsontime_set(obj, "begun", tl->begun) |
	     kms_json_set_u64(obj, "took_ms", since(tl, tl->ended)) |
	     kms_json_set_str(obj, "profile", tl->profile) |
	     kms_json_set_u64(obj, "time_scale", tl->time_scale) |
	     kms_json_set_str(obj, "against", tl->against) |
	     kms_json_set_str(obj, "version", tl->version) |
	     kms_json_set(obj, "steps", array_of(tl, tl->steps, tl->step_count, step_json)) |
	     kms_json_set(obj, "keys", array_of(tl, tl->keys, tl->key_count, key_json)) |
	     kms_json_set(obj, "volumes",
			  array_of(tl, tl->volumes, tl->volume_count, volume_json)) |
	     kms_json_set(obj, "kms_calls", array_of(tl, tl->calls, tl->call_count, call_json))) <
	    0)
		kms_json_freep(&obj);
	return obj;
}
