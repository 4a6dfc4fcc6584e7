/* Lines of records into values. See timeline_load.h. */
#include "timeline_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "jsontime.h"
#include "kms_json.h"
#include "secret.h"
#include "timeline.h"

#define EVENT_ID_MAX 64

static int no_memory(struct err *err)
{
	return err_set(err, ENOMEM, "out of memory");
}

static const char *text_of(const struct kms_json *obj, const char *name)
{
	const struct kms_json *v = kms_json_get(obj, name);

	return v && kms_json_type(v) == KMS_JSON_STRING ? kms_json_string_value(v) : "";
}

/* A copy of the member, "" when it is not there. */
static int take(const struct kms_json *obj, const char *name, char **ret, struct err *err)
{
	char *copy = strdup(text_of(obj, name));

	if (!copy)
		return no_memory(err);
	free(*ret);
	*ret = copy;
	return 0;
}

static int take_run(struct timeline *tl, uint64_t t, const struct kms_json *obj, struct err *err)
{
	char *end;

	tl->begun = t;
	tl->time_scale = strtoull(text_of(obj, "time_scale"), &end, 10);
	if (tl->time_scale == 0 || *end)
		return err_set(err, EUCLEAN, "'time_scale' is '%s'", text_of(obj, "time_scale"));
	if (take(obj, "name", &tl->name, err) < 0 || take(obj, "title", &tl->title, err) < 0 ||
	    take(obj, "about", &tl->about, err) < 0 ||
	    take(obj, "profile", &tl->profile, err) < 0 ||
	    take(obj, "against", &tl->against, err) < 0 ||
	    take(obj, "version", &tl->version, err) < 0)
		return -err->num;
	return 0;
}

static int take_step(struct timeline_step **steps, size_t *count, uint64_t t,
		     const struct kms_json *obj, struct err *err)
{
	struct timeline_step *s = timeline_add(steps, count, sizeof(*s));

	if (!s)
		return no_memory(err);
	s->t = t;
	return take(obj, "text", &s->text, err);
}

static size_t this_step(const struct timeline *tl)
{
	return tl->step_count ? tl->step_count - 1 : 0;
}

static int take_note(struct timeline *tl, uint64_t t, const struct kms_json *obj, bool command,
		     struct err *err)
{
	struct timeline_note *n = timeline_add(&tl->notes, &tl->note_count, sizeof(*n));

	if (!n)
		return no_memory(err);
	n->t = t;
	n->step = this_step(tl);
	if (take(obj, "text", &n->text, err) < 0)
		return -err->num;
	if (command &&
	    (take(obj, "output", &n->output, err) < 0 || take(obj, "code", &n->code, err) < 0))
		return -err->num;
	return 0;
}

static int take_check(struct timeline *tl, uint64_t t, const struct kms_json *obj, struct err *err)
{
	struct timeline_check *c = timeline_add(&tl->checks, &tl->check_count, sizeof(*c));
	const char *result = text_of(obj, "result");
	int i = TIMELINE_PASS;

	if (!c)
		return no_memory(err);
	while (i <= TIMELINE_NOT_POSSIBLE && strcmp(timeline_result_name(i), result) != 0)
		i++;
	c->t = t;
	c->step = this_step(tl);
	c->result = i;
	if (take(obj, "claim", &c->claim, err) < 0 || take(obj, "got", &c->got, err) < 0 ||
	    take(obj, "wanted", &c->wanted, err) < 0)
		return -err->num;
	if (i > TIMELINE_NOT_POSSIBLE) {
		c->result = TIMELINE_FAIL;
		return err_set(err, EUCLEAN, "'result' is '%s'", result);
	}
	return 0;
}

static int take_key(struct timeline *tl, uint64_t t, const struct kms_json *obj, struct err *err)
{
	struct timeline_track *key = timeline_key(tl, text_of(obj, "name"));

	if (!key || timeline_change(key, t, text_of(obj, "state")) < 0)
		return no_memory(err);
	return take(obj, "arn", &key->id, err);
}

static int take_volume(struct timeline *tl, uint64_t t, const struct kms_json *obj, struct err *err)
{
	struct timeline_volume *v = timeline_volume(tl, text_of(obj, "name"));

	if (!v || timeline_change(&v->states, t, "unmounted") < 0)
		return no_memory(err);
	return take(obj, "id", &v->states.id, err);
}

static int take_script(struct timeline *tl, const struct kms_json *obj, struct err *err)
{
	const char *kind = text_of(obj, "kind");
	uint64_t t;

	if (kms_json_u64(obj, "t", &t, err) < 0)
		return -err->num;
	tl->ended = t;
	if (strcmp(kind, "run") == 0)
		return take_run(tl, t, obj, err);
	if (strcmp(kind, "step") == 0)
		return take_step(&tl->steps, &tl->step_count, t, obj, err);
	if (strcmp(kind, "mark") == 0)
		return take_step(&tl->marks, &tl->mark_count, t, obj, err);
	if (strcmp(kind, "command") == 0 || strcmp(kind, "note") == 0)
		return take_note(tl, t, obj, *kind == 'c', err);
	if (strcmp(kind, "check") == 0)
		return take_check(tl, t, obj, err);
	if (strcmp(kind, "key") == 0)
		return take_key(tl, t, obj, err);
	if (strcmp(kind, "volume") == 0)
		return take_volume(tl, t, obj, err);
	if (strcmp(kind, "end") == 0)
		return take(obj, "verdict", &tl->verdict, err);
	return 0;
}

/* What became of one worker in a sample. */
static int take_worker(const struct kms_json *obj, enum timeline_who who, struct timeline_sample *s,
		       struct err *err)
{
	struct kms_json *w;
	uint64_t ok, failed;
	bool waits;

	if (kms_json_object(obj, timeline_who_name(who), &w, err) < 0 ||
	    kms_json_u64(w, "ok", &ok, err) < 0 || kms_json_u64(w, "failed", &failed, err) < 0 ||
	    kms_json_double(w, "ms", &s->ms[who], err) < 0 ||
	    kms_json_bool(w, "waits", &waits, err) < 0)
		return -err->num;
	s->io[who] = waits    ? TIMELINE_WAITS
		     : failed ? strcmp(text_of(w, "error"), "ENOENT") == 0 ? TIMELINE_GONE
									   : TIMELINE_FAILS
		     : ok     ? TIMELINE_SERVED
			      : TIMELINE_IDLE;
	return 0;
}

static int take_sample(struct timeline_volume *v, const struct kms_json *obj, struct err *err)
{
	struct timeline_sample s = {.has_client = kms_json_get(obj, "client") != NULL}, *to;

	if (kms_json_u64(obj, "t", &s.t, err) < 0 ||
	    kms_json_double(obj, "reads", &s.reads, err) < 0 ||
	    kms_json_double(obj, "writes", &s.writes, err) < 0)
		return -err->num;
	for (enum timeline_who who = TIMELINE_READER; who < TIMELINE_WHO; who++)
		if ((who != TIMELINE_CLIENT || s.has_client) && take_worker(obj, who, &s, err) < 0)
			return -err->num;
	to = timeline_add(&v->samples, &v->sample_count, sizeof(*to));
	if (!to)
		return no_memory(err);
	*to = s;
	return 0;
}

/* Events that stand in the picture, and what they are called there; then by member @and, if there is one. */
static const struct {
	const char *event, *result, *id, *and;
} shown[] = {
	{"attach-failed", "", "attach failed", ""},
	{"snapshot", "succeeded", "snapshot", ""},
	{"hook", "", "hook", ""},
	{"start-failed", "", "start failed", ""},
	{"close-failed", "", "close failed", ""},
	{"experiment", "", "FIS", "to"},
	{"volume-status", "", "volume", "to"},
	{"filesystem", "", "file system", "result"},
	{"data-key-rotation", "", "new data key", "result"},
};

/* "" for what is not shown. */
static void shown_as(const struct kms_json *obj, char id[EVENT_ID_MAX])
{
	const char *event = text_of(obj, "event"), *result = text_of(obj, "result");

	(void)snprintf(id, EVENT_ID_MAX, "%s", text_of(obj, "rds_event")); /* cut on purpose */
	for (size_t i = 0; !*id && i < sizeof(shown) / sizeof(*shown); i++)
		if (strcmp(event, shown[i].event) == 0 &&
		    (!*shown[i].result || strcmp(result, shown[i].result) == 0))
			(void)snprintf(id, EVENT_ID_MAX, "%s%s%s", shown[i].id,
				       *shown[i].and ? " " : "",
				       *shown[i].and ? text_of(obj, shown[i].and) : "");
}

/* AWS's own words where there are some. */
static const char *told(const struct kms_json *obj)
{
	const struct kms_json *n = kms_json_get(obj, "notification");
	const struct kms_json *detail =
		n && kms_json_type(n) == KMS_JSON_OBJECT ? kms_json_get(n, "detail") : NULL;
	const char *cause =
		detail && kms_json_type(detail) == KMS_JSON_OBJECT ? text_of(detail, "cause") : "";
	const char *message = text_of(obj, "message");

	return *cause ? cause : *message ? message : text_of(obj, "reason");
}

static int take_diary(struct timeline_volume *v, const struct kms_json *obj, struct err *err)
{
	const char *event = text_of(obj, "event"), *state = NULL;
	struct timeline_event *e;
	char id[EVENT_ID_MAX];
	uint64_t t;

	if (jsontime_get(obj, "time", &t, err) < 0)
		return -err->num;
	if (strcmp(event, "mounted") == 0)
		state = "available";
	else if (strcmp(event, "unmounting") == 0)
		state = "unmounted";
	else if (strcmp(event, "state-changed") == 0)
		state = text_of(obj, "to");
	if (state && timeline_change(&v->states, t, state) < 0)
		return no_memory(err);
	shown_as(obj, id);
	if (!*id || (v->event_count && strcmp(v->events[v->event_count - 1].id, id) == 0))
		return 0;
	e = timeline_add(&v->events, &v->event_count, sizeof(*e));
	if (!e)
		return no_memory(err);
	e->t = t;
	e->id = strdup(id);
	e->text = strdup(told(obj));
	return e->id && e->text ? 0 : no_memory(err);
}

static int take_call(struct timeline *tl, const struct kms_json *obj, struct err *err)
{
	struct timeline_call *c = timeline_add(&tl->calls, &tl->call_count, sizeof(*c));

	if (!c)
		return no_memory(err);
	c->by_user = strcmp(text_of(obj, "by"), "user") == 0;
	if (take(obj, "op", &c->op, err) < 0 || take(obj, "error", &c->error, err) < 0 ||
	    kms_json_u64(obj, "t", &c->t, err) < 0)
		return -err->num;
	return 0;
}

int timeline_load(struct timeline *tl, enum timeline_record record, const char *volume,
		  const char *line, size_t len, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	struct timeline_volume *v = NULL;

	if (kms_json_parse(line, len, &obj, err) < 0)
		return -err->num;
	if (volume && !(v = timeline_volume(tl, volume)))
		return no_memory(err);
	switch (record) {
	case TIMELINE_SCRIPT:
		return take_script(tl, obj, err);
	case TIMELINE_SAMPLES:
		return take_sample(v, obj, err);
	case TIMELINE_DIARY:
		return take_diary(v, obj, err);
	case TIMELINE_CALLS:
		return take_call(tl, obj, err);
	}
	return 0;
}
