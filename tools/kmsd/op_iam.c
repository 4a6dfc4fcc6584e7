/* What IAM's operations share: documents, names, times, tags, pages. See op_iam.h. */
#include "op_iam.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "policy.h"
#include "principals.h"
#include "secret.h"
#include "service.h"

#define PAGE_DEFAULT 100

enum iam_kind iam_kind_of(const struct call *call)
{
	return call->op->target && strcmp(call->op->target, "role") == 0 ? IAM_ROLE : IAM_USER;
}

static const char *name_member(const struct call *call)
{
	return iam_kind_of(call) == IAM_ROLE ? "RoleName" : "UserName";
}

/* The ARN that the row's target has, whether it exists or not: existence is no one's business yet. */
static int target_arn(struct call *call, char ret[IAM_ARN_MAX], struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const char *target = call->op->target, *name, *path = call_text(call, "Path");
	const char *account = call->place.account;
	struct err ignored;
	int r;

	if (target && strcmp(target, "policy") == 0) {
		name = call_text(call, "PolicyArn");
		if (name && strlen(name) >= IAM_ARN_MAX)
			return fault_set(err, FAULT_INVALID_INPUT, "ARN %.100s is not valid.",
					 name);
		if (name)
			(void)snprintf(ret, IAM_ARN_MAX, "%s", name); /* measured */
		else
			(void)snprintf(ret, IAM_ARN_MAX, "arn:aws:iam::%s:policy%s%s", account,
				       path ? path : "/", call_text(call, "PolicyName"));
		return 0;
	}
	if (call->op->run == op_iam_list) {
		(void)snprintf(ret, IAM_ARN_MAX, "arn:aws:iam::%s:%s/", account, target);
		return 0;
	}
	name = target ? call_text(call, name_member(call)) : NULL;
	if (target && !name && call->caller->kind == CALLER_USER) {
		memcpy(ret, call->caller->arn, IAM_ARN_MAX);
		return 0;
	}
	r = name ? store_iam_find(call->kmsd->store, account, iam_kind_of(call), name, &p, &ignored)
		 : -ENOENT;
	if (r == 0)
		memcpy(ret, p->arn, IAM_ARN_MAX);
	else if (name)
		(void)snprintf(ret, IAM_ARN_MAX, "arn:aws:iam::%s:%s%s%s", account, target,
			       path ? path : "/", name);
	else
		(void)snprintf(ret, IAM_ARN_MAX, "*");
	return r == -ENOENT || r == 0 ? 0 : r;
}

int iam_authorize(struct call *call, struct err *err)
{
	char arn[IAM_ARN_MAX], action[128];
	int r = target_arn(call, arn, err);

	(void)snprintf(action, sizeof(action), "%s:%s", call->service->name,
		       call->op->name); /* fits */
	return r ? r : call_authorize_on(call, action, arn, err);
}

int iam_find(struct call *call, struct iam_principal **ret_principal, struct err *err)
{
	const char *name = call_text(call, name_member(call));
	int r = store_iam_find(call->kmsd->store, call->place.account, iam_kind_of(call), name,
			       ret_principal, err);

	if (r == -ENOENT)
		return fault_set(err, FAULT_NO_SUCH_ENTITY, "The %s with name %s cannot be found.",
				 call->op->target, name);
	return r;
}

int iam_find_or_self(struct call *call, struct iam_principal **ret_principal, struct err *err)
{
	if (call_text(call, "UserName"))
		return iam_find(call, ret_principal, err);
	if (call->caller->kind != CALLER_USER)
		return fault_set(err, FAULT_VALIDATION,
				 "Must specify userName when calling with non-User credentials");
	*ret_principal = cached_get(call->caller->principal);
	return 0;
}

size_t iam_document_size(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text != ' ' && *text != '\t' && *text != '\n' && *text != '\r';
	return n;
}

int iam_check_document(struct call *call, const char *text, enum policy_kind kind, struct err *err)
{
	const struct policy_resolver resolver = principals_or_foreign(call->kmsd);
	AUTO(policy_freep) struct policy *policy = NULL;

	return policy_parse(kind, text, strlen(text), &resolver, &policy, err);
}

int iam_set_time(struct kms_json *v, const char *name, int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	if (!gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return -ENOMEM; /* no such time; as every failure of kms_json_set_...() */
	return kms_json_set_str(v, name, text);
}

int iam_set_document(struct kms_json *v, const char *name, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-_.~";
	AUTO(buf_free) struct buf b = {.max = 1 << 20};
	int r = 0;

	for (; *text && r == 0; text++)
		r = strchr(plain, *text) ? buf_append(&b, text, 1)
					 : buf_printf(&b, "%%%02X", (unsigned)(unsigned char)*text);
	return r ? -ENOMEM : kms_json_set_str(v, name, b.bytes ? (char *)b.bytes : "");
}

int iam_set_tags(struct kms_json *v, const struct iam_tag *tags, size_t count)
{
	struct kms_json *list = kms_json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && r == 0; i++) {
		struct kms_json *e = kms_json_new_object();

		if (e)
			r = kms_json_set_str(e, "Key", tags[i].key) |
			    kms_json_set_str(e, "Value", tags[i].value);
		r |= kms_json_add(list, e);
	}
	return r | kms_json_set(v, "Tags", list);
}

static int take_tag(const struct kms_json *e, struct iam_tag *tag, struct err *err)
{
	const struct kms_json *key = kms_json_get(e, "Key"), *value = kms_json_get(e, "Value");

	if (!key || !value)
		return fault_set(err, FAULT_VALIDATION,
				 "1 validation error detected: Value null at 'tags.1.member.%s' "
				 "failed to satisfy constraint: Member must not be null",
				 key ? "value" : "key");
	*tag = (struct iam_tag){(char *)(uintptr_t)kms_json_string_value(key),
				(char *)(uintptr_t)kms_json_string_value(value)};
	if (!*tag->key || strlen(tag->key) > 128 || strlen(tag->value) > 256)
		return fault_set(err, FAULT_INVALID_INPUT,
				 "Tag keys have 1 to 128 characters, values up to 256.");
	if (strncasecmp(tag->key, "aws:", 4) == 0)
		return fault_set(err, FAULT_INVALID_INPUT, "Tags beginning with aws: are reserved");
	return 0;
}

int iam_take_tags(struct call *call, struct iam_tag **ret_tags, size_t *ret_count, struct err *err)
{
	const struct kms_json *list = kms_json_get(call->input, "Tags");
	size_t n = list ? kms_json_count(list) : 0;
	struct iam_tag *tags;
	int r = 0;

	if (n > IAM_TAGS_MAX)
		return fault_set(err, FAULT_LIMIT_EXCEEDED, "Too many tags");
	tags = calloc(n + 1, sizeof(*tags));
	if (!tags)
		return err_set(err, ENOMEM, "tags");
	for (size_t i = 0; i < n && r == 0; i++) {
		r = take_tag(kms_json_at(list, i), &tags[i], err);
		for (size_t j = 0; j < i && r == 0; j++)
			if (strcasecmp(tags[i].key, tags[j].key) == 0)
				r = fault_set(err, FAULT_INVALID_INPUT,
					      "Duplicate tag keys found. Please note that Tag keys "
					      "are case insensitive.");
	}
	if (r < 0) {
		free(tags);
		return r;
	}
	*ret_tags = tags;
	*ret_count = n;
	return 0;
}

int iam_page_begin(struct call *call, struct iam_page *page, struct err *err)
{
	*page = (struct iam_page){
		.call = call,
		.list = kms_json_new_array(),
		.max = (size_t)call_number(call, "MaxItems", PAGE_DEFAULT),
	};
	return page->list ? 0 : err_set(err, ENOMEM, "list");
}

bool iam_page_room(struct iam_page *page, const char *name)
{
	if (page->more || kms_json_count(page->list) == page->max) {
		page->more = true;
		return false;
	}
	(void)snprintf(page->last, sizeof(page->last), "%s", name); /* fits: names do */
	return true;
}

int iam_page_end(struct iam_page *page, const char *member, int r, struct err *err)
{
	struct kms_json *out = page->call->output;

	if (r < 0) {
		kms_json_free(page->list);
		return r == -ENOMEM ? call_filled(r, err) : r;
	}
	r = kms_json_set(out, member, page->list) |
	    kms_json_set_bool(out, "IsTruncated", page->more);
	if (page->more)
		r |= kms_json_set_str(out, "Marker", page->last);
	return call_filled(r, err);
}
