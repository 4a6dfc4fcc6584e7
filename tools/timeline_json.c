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

static struct kms_json *steps_json(const struct timeline *tl)
{
	struct kms_json *all = kms_json_new_array();
	int r = all ? 0 : -ENOMEM;

	for (size_t s = 0; s < tl->step_count && r == 0; s++) {
		struct kms_json *obj = kms_json_new_object(), *checks = kms_json_new_array();

		for (size_t i = 0; i < tl->check_count && checks; i++)
			if (tl->checks[i].step == s)
				r |= kms_json_add(checks, check_json(tl, &tl->checks[i]));
		if (obj)
			r |= kms_json_set_u64(obj, "ms", since(tl, tl->steps[s].t)) |
			     kms_json_set_str(obj, "text", tl->steps[s].text) |
			     kms_json_set(obj, "checks", checks);
		else
			kms_json_free(checks);
		r |= kms_json_add(all, obj);
	}
	if (r < 0)
		kms_json_freep(&all);
	return all;
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

static struct kms_json *events_json(const struct timeline *tl, const struct timeline_volume *v)
{
	struct kms_json *all = kms_json_new_array();
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < v->event_count && r == 0; i++) {
		struct kms_json *obj = kms_json_new_object();

		if (obj)
			r = kms_json_set_u64(obj, "ms", since(tl, v->events[i].t)) |
			    kms_json_set_str(obj, "event", v->events[i].id) |
			    kms_json_set_str(obj, "text", v->events[i].text);
		r |= kms_json_add(all, obj);
	}
	if (r < 0)
		kms_json_freep(&all);
	return all;
}

static struct kms_json *volume_json(const struct timeline *tl, const struct timeline_volume *v)
{
	struct kms_json *obj = kms_json_new_object();
	int r;

	if (!obj)
		return NULL;
	r = kms_json_set_str(obj, "name", v->states.name) |
	    kms_json_set_str(obj, "volume_id", v->states.id ? v->states.id : "") |
	    kms_json_set(obj, "states", track_json(tl, &v->states)) |
	    kms_json_set(obj, "events", events_json(tl, v)) |
	    kms_json_set_u64(obj, "samples", v->sample_count);
	for (enum timeline_who who = TIMELINE_READER; who < TIMELINE_WHO; who++)
		r |= kms_json_set(obj, timeline_who_name(who), spans_json(tl, v, who));
	if (r < 0)
		kms_json_freep(&obj);
	return obj;
}

static struct kms_json *volumes_json(const struct timeline *tl)
{
	struct kms_json *all = kms_json_new_array();
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < tl->volume_count && r == 0; i++)
		r = kms_json_add(all, volume_json(tl, &tl->volumes[i]));
	if (r < 0)
		kms_json_freep(&all);
	return all;
}

static struct kms_json *keys_json(const struct timeline *tl)
{
	struct kms_json *all = kms_json_new_array();
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < tl->key_count && r == 0; i++) {
		const struct timeline_track *key = &tl->keys[i];
		struct kms_json *obj = kms_json_new_object();

		if (obj)
			r = kms_json_set_str(obj, "name", key->name) |
			    kms_json_set_str(obj, "arn", key->id ? key->id : "") |
			    kms_json_set(obj, "states", track_json(tl, key));
		r |= kms_json_add(all, obj);
	}
	if (r < 0)
		kms_json_freep(&all);
	return all;
}

static struct kms_json *calls_json(const struct timeline *tl)
{
	struct kms_json *all = kms_json_new_array();
	int r = all ? 0 : -ENOMEM;

	for (size_t i = 0; i < tl->call_count && r == 0; i++) {
		const struct timeline_call *c = &tl->calls[i];
		struct kms_json *obj = kms_json_new_object();

		if (obj)
			r = kms_json_set_u64(obj, "ms", since(tl, c->t)) |
			    kms_json_set_str(obj, "operation", c->op) |
			    kms_json_set_str(obj, "error", c->error) |
			    kms_json_set_str(obj, "by", c->by_user ? "user" : "volume");
		r |= kms_json_add(all, obj);
	}
	if (r < 0)
		kms_json_freep(&all);
	return all;
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
	     kms_json_set(obj, "steps", steps_json(tl)) | kms_json_set(obj, "keys", keys_json(tl)) |
	     kms_json_set(obj, "volumes", volumes_json(tl)) |
	     kms_json_set(obj, "kms_calls", calls_json(tl))) < 0)
		kms_json_freep(&obj);
	return obj;
}
