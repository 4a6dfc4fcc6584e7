/* TagResource, UntagResource, ListResourceTags. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "operations.h"

#define TAG_KEY_MAX   128
#define TAG_VALUE_MAX 256
#define LIMIT	      50 /* when the request names none */

static int take_tag(const struct kms_json *v, struct store_tag *ret, struct err *err)
{
	const struct kms_json *key = kms_json_get(v, "TagKey"),
			      *value = kms_json_get(v, "TagValue");

	if (!key || !value || kms_json_type(key) != KMS_JSON_STRING ||
	    kms_json_type(value) != KMS_JSON_STRING)
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	*ret = (struct store_tag){kms_json_string_value(key), kms_json_string_value(value)};
	if (!*ret->key || kms_json_string_len(key) > TAG_KEY_MAX ||
	    kms_json_string_len(value) > TAG_VALUE_MAX)
		return fault_set(err, FAULT_TAG,
				 "Tag keys have 1 to %d characters, values up to %d", TAG_KEY_MAX,
				 TAG_VALUE_MAX);
	if (strncasecmp(ret->key, "aws:", 4) == 0)
		return fault_set(err, FAULT_TAG, "Tags beginning with aws: are reserved");
	return 0;
}

int op_take_tags(struct call *call, struct store_tag ret_tags[TAGS_MAX], size_t *ret_count,
		 struct err *err)
{
	const struct kms_json *list = kms_json_get(call->input, "Tags");
	size_t count = list ? kms_json_count(list) : 0;
	int r = 0;

	if (count > TAGS_MAX)
		return fault_set(err, FAULT_TAG, "Too many tags");
	for (size_t i = 0; i < count && r == 0; i++) {
		r = take_tag(kms_json_at(list, i), &ret_tags[i], err);
		for (size_t j = 0; j < i && r == 0; j++)
			if (strcmp(ret_tags[j].key, ret_tags[i].key) == 0)
				r = fault_set(err, FAULT_TAG, "Duplicate tag keys");
	}
	*ret_count = count;
	return r;
}

int op_tag_resource(struct call *call, struct err *err)
{
	struct store_tag tags[TAGS_MAX];
	size_t count;
	int r = op_take_tags(call, tags, &count, err);

	r = r ? r : store_set_tags(call->kmsd->store, call->key, tags, count, TAGS_MAX, err);
	return r == -E2BIG ? fault_set(err, FAULT_TAG, "Too many tags") : r;
}

int op_untag_resource(struct call *call, struct err *err)
{
	const struct kms_json *list = kms_json_get(call->input, "TagKeys");
	const char *names[TAG_KEYS_MAX];
	size_t count = kms_json_count(list);

	for (size_t i = 0; i < count; i++) {
		names[i] = kms_json_string_value(kms_json_at(list, i));
		if (strncasecmp(names[i], "aws:", 4) == 0)
			return fault_set(err, FAULT_TAG, "Tags beginning with aws: are reserved");
	}
	return store_delete_tags(call->kmsd->store, call->key, names, count, err);
}

struct listing {
	struct kms_json *tags;
	size_t limit, count;
	char last[4 * TAG_KEY_MAX + 1];
};

static int list_tag(const struct store_tag *tag, void *arg)
{
	struct listing *l = arg;
	struct kms_json *e;
	int r;

	if (l->count++ == l->limit)
		return 0; /* there is one more: that is all we want to know */
	(void)snprintf(l->last, sizeof(l->last), "%s", tag->key); /* as validated */
	e = kms_json_new_object();
	if (!e)
		return -ENOMEM;
	r = kms_json_set_str(e, "TagKey", tag->key) | kms_json_set_str(e, "TagValue", tag->value);
	return r | kms_json_add(l->tags, e) ? -ENOMEM : 0;
}

int op_list_resource_tags(struct call *call, struct err *err)
{
	const char *marker = call_text(call, "Marker");
	struct listing l = {.limit = (size_t)call_number(call, "Limit", LIMIT)};
	struct store_page page = {.after = marker ? marker : "", .limit = l.limit + 1};
	int r;

	l.tags = kms_json_new_array();
	r = l.tags ? store_each_tag(call->kmsd->store, call->key, &page, list_tag, &l, err)
		   : err_set(err, ENOMEM, "list of tags");
	if (r < 0) {
		kms_json_free(l.tags);
		return r;
	}
	r = kms_json_set(call->output, "Tags", l.tags) |
	    kms_json_set_bool(call->output, "Truncated", l.count > l.limit);
	if (l.count > l.limit)
		r |= kms_json_set_str(call->output, "NextMarker", l.last);
	return call_filled(r, err);
}
