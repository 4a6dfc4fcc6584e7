/* "fault": add, clear. See control.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "calendar.h"
#include "call.h"
#include "control_part.h"
#include "control_value.h"
#include "err.h"
#include "fault.h"
#include "inject.h"
#include "kms_json.h"
#include "operations.h"
#include "secret.h"

#define DELAY_MAX_MS (10 * 60 * INT64_C(1000))
#define FOR_MAX_MS   (365 * 24 * 60 * 60 * INT64_C(1000))
#define COUNT_MAX    1e9

static bool is_operation(const char *name)
{
	return operations_find(name) || operations_find_iam(name) || operations_find_sts(name) ||
	       operations_find_cloudtrail(name);
}

/* By id, ARN, or the name of an alias, which is looked up now. */
static int take_key(const struct control *control, const char *text, struct inject_rule *rule,
		    struct err *err)
{
	const struct kmsd *kmsd = control->kmsd;
	const char *slash = strrchr(text, '/');
	const char *id = strncmp(text, "arn:", 4) == 0 && slash ? slash + 1 : text;
	uint8_t uuid[16];

	if (strncmp(text, "alias/", 6) == 0) {
		if (store_find_alias(kmsd->store, &kmsd->place, text, rule->key_id, err) < 0)
			return err_set(err, EINVAL, "key: there is no alias '%s'", text);
		return 0;
	}
	if (strlen(id) != IDS_UUID_LEN || ids_uuid_parse(id, uuid) < 0)
		return err_set(err, EINVAL, "key: '%s' is no key id, key ARN or alias name", text);
	(void)snprintf(rule->key_id, sizeof(rule->key_id), "%s", id); /* fits */
	return 0;
}

static int take_kind(const char *text, struct inject_rule *rule, struct err *err)
{
	rule->kind = inject_kind(text);
	return rule->kind < INJECT_KIND_COUNT
		       ? 0
		       : err_set(err, EINVAL,
				 "kind: '%s' is none of throttle, latency, error, drop, truncate",
				 text);
}

static int take_exception(const char *text, struct inject_rule *rule, struct err *err)
{
	return fault_find(text, &rule->fault)
		       ? 0
		       : err_set(err, EINVAL, "exception: kmsd knows no '%s'", text);
}

static int take_member(const struct control *control, const char *name, const char *text,
		       struct inject_rule *rule, struct err *err)
{
	double number = 0;
	int r = 0;

	if (strcmp(name, "operation") == 0) {
		if (!is_operation(text))
			return err_set(err, EINVAL, "operation: AWS has no '%s' here", text);
		(void)snprintf(rule->operation, sizeof(rule->operation), "%s", text); /* fits */
	} else if (strcmp(name, "kind") == 0) {
		return take_kind(text, rule, err);
	} else if (strcmp(name, "exception") == 0) {
		return take_exception(text, rule, err);
	} else if (strcmp(name, "message") == 0) {
		(void)snprintf(rule->message, sizeof(rule->message), "%s", text); /* as large */
	} else if (strcmp(name, "percent") == 0) {
		r = control_number(text, 0.001, 100, &rule->percent, err);
	} else if (strcmp(name, "count") == 0) {
		r = control_number(text, 1, COUNT_MAX, &number, err);
		rule->count = (int64_t)number;
		if (r == 0 && (double)rule->count != number)
			r = err_set(err, EINVAL, "'%s' is not whole", text);
	} else if (strcmp(name, "for") == 0) {
		r = control_duration(text, FOR_MAX_MS, &rule->until_ms, err);
		if (r == 0 && rule->until_ms == 0)
			r = err_set(err, EINVAL, "'%s' is no time", text);
	} else if (strcmp(name, "delay") == 0) {
		r = control_duration(text, DELAY_MAX_MS, &rule->delay_ms, err);
	} else {
		return take_key(control, text, rule, err);
	}
	return r < 0 ? err_prefix(err, "%s", name) : 0;
}

static int check(const struct kms_json *v, const struct inject_rule *rule, struct err *err)
{
	if (!kms_json_get(v, "kind"))
		return err_set(err, EINVAL, "its kind is missing");
	if ((kms_json_get(v, "exception") || kms_json_get(v, "message")) &&
	    rule->kind != INJECT_ERROR)
		return err_set(err, EINVAL, "exception and message are for kind error");
	if ((rule->delay_ms > 0) != (rule->kind == INJECT_LATENCY))
		return err_set(err, EINVAL,
			       rule->kind == INJECT_LATENCY ? "latency wants a delay"
							    : "delay is for kind latency");
	return 0;
}

static int add(struct control *control, const struct kms_json *v, struct err *err)
{
	static const char *const names[] = {"operation", "kind", "exception", "message", "percent",
					    "count",	 "for",	 "delay",     "key",	 NULL};
	struct inject_rule rule = {.percent = 100, .fault = FAULT_KMS_INTERNAL};
	int64_t now_ms = calendar_monotonic_ms();
	unsigned id;
	int r = control_check_members(v, "add", names, err);

	for (size_t i = 0; names[i] && r == 0; i++) {
		char room[CONTROL_WORD_MAX];
		const char *text;

		r = control_text(v, names[i], room, &text, err);
		if (r == 0 && text)
			r = take_member(control, names[i], text, &rule, err);
	}
	r = r ? r : check(v, &rule, err);
	if (r < 0)
		return r;
	if (rule.until_ms)
		rule.until_ms += now_ms;
	return inject_add(control->kmsd->inject, &rule, now_ms, &id, err);
}

static int clear(struct control *control, const char *text, struct err *err)
{
	double id = 0;
	int r = 0;

	if (strcmp(text, "all") != 0)
		r = control_number(text, 1, 4294967295.0, &id, err);
	return r ? r : inject_remove(control->kmsd->inject, (unsigned)id, err);
}

int control_fault(struct control *control, const struct kms_json *v, struct err *err)
{
	static const char *const names[] = {"add", "clear", NULL};
	const struct kms_json *rule = kms_json_get(v, "add");
	char room[CONTROL_WORD_MAX];
	const char *which;
	int r = control_check_members(v, "it", names, err);

	r = r ? r : control_text(v, "clear", room, &which, err);
	if (r == 0 && !which && !rule)
		return err_set(err, EINVAL, "neither add nor clear");
	if (r == 0 && which)
		r = clear(control, which, err);
	return r == 0 && rule ? add(control, rule, err) : r;
}

static struct kms_json *show(const struct inject_rule *rule, int64_t now_ms)
{
	struct kms_json *e = kms_json_new_object();
	int r;

	if (!e)
		return NULL;
	r = kms_json_set_u64(e, "id", rule->id) |
	    kms_json_set_str(e, "kind", inject_kind_name(rule->kind));
	if (rule->operation[0])
		r |= kms_json_set_str(e, "operation", rule->operation);
	if (rule->key_id[0])
		r |= kms_json_set_str(e, "key", rule->key_id);
	if (rule->kind == INJECT_ERROR)
		r |= kms_json_set_str(e, "exception", fault_name(rule->fault));
	if (rule->message[0])
		r |= kms_json_set_str(e, "message", rule->message);
	if (rule->kind == INJECT_LATENCY)
		r |= kms_json_set_i64(e, "delay_ms", rule->delay_ms);
	r |= kms_json_set_double(e, "percent", rule->percent);
	if (rule->count)
		r |= kms_json_set_i64(e, "count_left", rule->count);
	if (rule->until_ms)
		r |= kms_json_set_i64(e, "left_ms", rule->until_ms - now_ms);
	r |= kms_json_set_u64(e, "hits", rule->hits);
	if (r == 0)
		return e;
	kms_json_free(e);
	return NULL;
}

struct kms_json *control_fault_status(struct control *control)
{
	AUTO(freep) struct inject_rule *rules = calloc(INJECT_RULES_MAX, sizeof(*rules));
	struct kms_json *list = kms_json_new_array();
	int64_t now_ms = calendar_monotonic_ms();
	size_t count = rules ? inject_list(control->kmsd->inject, now_ms, rules) : 0;
	int r = rules && list ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && r == 0; i++)
		r = kms_json_add(list, show(&rules[i], now_ms));
	if (r == 0)
		return list;
	kms_json_free(list);
	return NULL;
}
