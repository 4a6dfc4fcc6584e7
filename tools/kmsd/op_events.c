/* LookupEvents (AWS CloudTrail API Reference). See op_iam.h, events.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "err.h"
#include "events.h"
#include "fault.h"
#include "kms_json.h"
#include "op_iam.h"
#include "secret.h"
#include "sigv4.h"

#define RESULTS_MAX 50
#define HISTORY_S   (90 * 24 * 60 * 60) /* events are kept for so long */
#define TOKEN_FORM  "1 %" PRId64 " %" PRId64 " %16s%c"

static int take_attribute(struct call *call, struct events_query *q, struct err *err)
{
	const struct kms_json *list = kms_json_get(call->input, "LookupAttributes");
	const struct kms_json *key, *value;

	if (!list || (kms_json_type(list) == KMS_JSON_ARRAY && kms_json_count(list) == 0))
		return 0;
	if (kms_json_type(list) != KMS_JSON_ARRAY ||
	    kms_json_type(kms_json_at(list, 0)) != KMS_JSON_OBJECT)
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	if (kms_json_count(list) > 1)
		return fault_set(err, FAULT_LOOKUP_ATTRIBUTES,
				 "You can specify only one lookup attribute.");
	key = kms_json_get(kms_json_at(list, 0), "AttributeKey");
	value = kms_json_get(kms_json_at(list, 0), "AttributeValue");
	if (!key || !value || !*kms_json_string_value(value) || kms_json_string_len(value) > 2000)
		return fault_set(
			err, FAULT_LOOKUP_ATTRIBUTES,
			"A lookup attribute has an AttributeKey and an AttributeValue of 1 "
			"to 2000 characters.");
	q->attribute = events_attribute(kms_json_string_value(key));
	q->value = kms_json_string_value(value);
	if (q->attribute == EVENTS_ATTRIBUTE_COUNT)
		return fault_set(err, FAULT_LOOKUP_ATTRIBUTES, "Invalid lookup attribute '%.100s'.",
				 kms_json_string_value(key));
	return 0;
}

/* A member that is a number, or absent. */
static int take_number(struct call *call, const char *name, double *ret, struct err *err)
{
	const struct kms_json *v = kms_json_get(call->input, name);
	enum kms_json_type type = v ? kms_json_type(v) : KMS_JSON_NULL;

	if (!v)
		return 0;
	if (type != KMS_JSON_INT && type != KMS_JSON_DOUBLE)
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	*ret = kms_json_double_value(v);
	return 0;
}

static int take_times(struct call *call, struct events_query *q, struct err *err)
{
	double now = (double)(call->now_ms / 1000), from = now - HISTORY_S, to = now + 1e9;
	double oldest = from;
	int r = take_number(call, "StartTime", &from, err);

	r = r ? r : take_number(call, "EndTime", &to, err);
	if (r < 0)
		return r;
	if (!(from <= to) || from > 1e12 || to > 1e12)
		return fault_set(err, FAULT_TIME_RANGE, "The start time is after the end time.");
	q->from = (int64_t)(from < oldest ? oldest : from);
	q->to = to < 0 ? -1 : (int64_t)to;
	return 0;
}

/* What a token is good for: the same question only. */
static int fingerprint(struct call *call, char ret[17], struct err *err)
{
	static const char *const names[] = {"LookupAttributes", "StartTime", "EndTime"};
	AUTO(buf_free) struct buf b = {.max = 65536};
	char hex[SIGV4_HEX_LEN + 1];
	int r = 0;

	for (size_t i = 0; i < 3 && r == 0; i++) {
		const struct kms_json *v = kms_json_get(call->input, names[i]);
		AUTO(freep) char *text = v ? kms_json_text(v) : strdup("-");

		r = text ? buf_printf(&b, "%s\n", text) : -ENOMEM;
	}
	if (r < 0)
		return err_set(err, -r, "NextToken");
	r = sigv4_sha256_hex(b.bytes, b.len, hex, err);
	memcpy(ret, hex, 16);
	ret[16] = '\0';
	return r;
}

static int take_token(struct call *call, struct events_query *q, struct err *err)
{
	const struct kms_json *v = kms_json_get(call->input, "NextToken");
	AUTO(freep) uint8_t *bytes = NULL;
	char text[128], print[17], want[17], behind;
	size_t len = 0;
	int r;

	q->behind = EVENTS_START;
	if (!v)
		return 0;
	r = bytes_from_base64(kms_json_string_value(v), kms_json_string_len(v), &bytes, &len);
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "NextToken");
	r = r ? r : fingerprint(call, want, err);
	if (r == -ENOMEM)
		return r;
	(void)snprintf(text, sizeof(text), "%.*s", (int)(len < 127 ? len : 127),
		       bytes ? (char *)bytes : ""); /* cut: ours are shorter */
	if (r < 0 ||
	    sscanf(text, TOKEN_FORM, &q->behind.time, &q->behind.offset, print, &behind) != 3 ||
	    strcmp(print, want) != 0)
		return fault_set(err, FAULT_NEXT_TOKEN,
				 "The NextToken is not valid for this request.");
	return 0;
}

static int put_token(struct call *call, struct events_place place, struct err *err)
{
	char text[128], print[17];
	int n, r = fingerprint(call, print, err);

	if (r < 0)
		return r;
	n = snprintf(text, sizeof(text), "1 %" PRId64 " %" PRId64 " %s", place.time, place.offset,
		     print); /* fits */
	return call_filled(
		kms_json_set_base64(call->output, "NextToken", (uint8_t *)text, (size_t)n), err);
}

struct listing {
	struct kms_json *events;
	size_t max, count;
	struct events_place last;
};

static int add_resource(const char *type, const char *name, void *arg)
{
	struct kms_json *e = kms_json_new_object();
	int r = -ENOMEM;

	if (e)
		r = kms_json_set_str(e, "ResourceType", type) |
		    kms_json_set_str(e, "ResourceName", name);
	return r | kms_json_add(arg, e) ? -ENOMEM : 0;
}

static int set_text(struct kms_json *e, const char *name, const char *text)
{
	return text ? kms_json_set_str(e, name, text) : 0;
}

static int list_one(const struct kms_json *record, const char *text, struct events_place place,
		    void *arg)
{
	struct listing *l = arg;
	struct kms_json *e, *resources;
	int r;

	if (l->count++ >= l->max)
		return 0; /* there is one more: that is all we want to know */
	l->last = place;
	e = kms_json_new_object();
	resources = kms_json_new_array();
	if (!e || !resources) {
		kms_json_free(e);
		kms_json_free(resources);
		return -ENOMEM;
	}
	r = set_text(e, "EventId", events_text(record, "eventID", NULL)) |
	    set_text(e, "EventName", events_text(record, "eventName", NULL)) |
	    kms_json_set_str(e, "ReadOnly",
			     kms_json_bool_value(kms_json_get(record, "readOnly")) ? "true"
										   : "false") |
	    set_text(e, "AccessKeyId", events_text(record, "userIdentity", "accessKeyId")) |
	    kms_json_set_double(e, "EventTime", (double)place.time) |
	    set_text(e, "EventSource", events_text(record, "eventSource", NULL)) |
	    set_text(e, "Username", events_username(record)) |
	    events_each_resource(record, add_resource, resources) |
	    kms_json_set(e, "Resources", resources) | kms_json_set_str(e, "CloudTrailEvent", text);
	return r | kms_json_add(l->events, e) ? -ENOMEM : 0;
}

static int check_category(struct call *call, struct err *err)
{
	const struct kms_json *v = kms_json_get(call->input, "EventCategory");

	if (!v || strcmp(kms_json_string_value(v), "insight") == 0)
		return 0;
	return fault_set(err, FAULT_EVENT_CATEGORY, "The event category is not valid.");
}

int op_lookup_events(struct call *call, struct err *err)
{
	struct events_query q = {.account = call->place.account, .region = call->place.region};
	struct listing l = {.max = RESULTS_MAX};
	double max = RESULTS_MAX;
	int r = take_attribute(call, &q, err);

	r = r ? r : take_times(call, &q, err);
	r = r ? r : check_category(call, err);
	r = r ? r : take_number(call, "MaxResults", &max, err);
	if (r == 0 && (max < 1 || max > RESULTS_MAX))
		return fault_set(err, FAULT_MAX_RESULTS, "MaxResults must be between 1 and %d.",
				 RESULTS_MAX);
	r = r ? r : take_token(call, &q, err);
	if (r < 0)
		return r;
	if (!call->kmsd->events)
		return err_set(err, ENOSYS, "there is no event history");
	l.max = (size_t)max;
	q.limit = l.max + 1;
	l.events = kms_json_new_array();
	r = l.events ? 0 : -ENOMEM;
	/* There are no insights. */
	if (r == 0 && !kms_json_get(call->input, "EventCategory"))
		r = events_lookup(call->kmsd->events, &q, list_one, &l, err);
	if (r < 0) {
		kms_json_free(l.events);
		return r == -ENOMEM ? call_filled(r, err) : r;
	}
	r = kms_json_set(call->output, "Events", l.events);
	return r || l.count <= l.max ? call_filled(r, err) : put_token(call, l.last, err);
}
