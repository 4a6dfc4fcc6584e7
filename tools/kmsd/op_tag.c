/* TagResource, UntagResource, ListResourceTags. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "keyring.h"
#include "kms_json.h"
#include "operations.h"

#define LIMIT	    50	/* when the request names none */
#define TAG_KEY_MAX 128 /* characters, as validated */

/* Validated: both are there, and no longer than they may be. */
static int take_tag(const struct kms_json *v, struct store_tag *ret, struct err *err)
{
	*ret = (struct store_tag){kms_json_string_value(kms_json_get(v, "TagKey")),
				  kms_json_string_value(kms_json_get(v, "TagValue"))};
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

	if (r < 0)
		return r;
	r = store_set_tags(call->kmsd->store, call->key, tags, count, TAGS_MAX, err);
	keyring_relabeled(call->kmsd->ring, call->key);
	return r == -E2BIG ? fault_set(err, FAULT_TAG, "Too many tags") : r;
}

int op_untag_resource(struct call *call, struct err *err)
{
	const struct kms_json *list = kms_json_get(call->input, "TagKeys");
	const char *names[TAG_KEYS_MAX];
	size_t count = kms_json_count(list);
	int r;

	for (size_t i = 0; i < count; i++) {
		names[i] = kms_json_string_value(kms_json_at(list, i));
		if (strncasecmp(names[i], "aws:", 4) == 0)
			return fault_set(err, FAULT_TAG, "Tags beginning with aws: are reserved");
	}
	r = store_delete_tags(call->kmsd->store, call->key, names, count, err);
	keyring_relabeled(call->kmsd->ring, call->key);
	return r;
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

/* A marker is the last tag's key in base64, since a key may have characters that a marker may not. */
static int take_marker(struct call *call, char ret_after[4 * TAG_KEY_MAX + 1], struct err *err)
{
	const char *marker = call_text(call, "Marker");
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r = marker ? bytes_from_base64(marker, strlen(marker), &bytes, &len) : 0;

	if (r == -EINVAL || len > 4 * TAG_KEY_MAX || (len > 0 && memchr(bytes, 0, len)))
		r = fault_set(err, FAULT_INVALID_MARKER, "Invalid marker");
	else if (r < 0)
		r = err_set(err, -r, "marker");
	else
		(void)snprintf(ret_after, 4 * TAG_KEY_MAX + 1, "%.*s", (int)len,
			       bytes ? (const char *)bytes : ""); /* measured above */
	free(bytes);
	return r;
}

static int set_marker(struct call *call, const char *last)
{
	char *text = bytes_to_base64((const uint8_t *)last, strlen(last));
	int r = text ? kms_json_set_str(call->output, "NextMarker", text) : -ENOMEM;

	free(text);
	return r;
}

int op_list_resource_tags(struct call *call, struct err *err)
{
	struct listing l = {.limit = (size_t)call_number(call, "Limit", LIMIT)};
	char after[4 * TAG_KEY_MAX + 1];
	struct store_page page = {.after = after, .limit = l.limit + 1};
	int r = take_marker(call, after, err);

	if (r < 0)
		return r;
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
		r |= set_marker(call, l.last);
	return call_filled(r, err);
}
