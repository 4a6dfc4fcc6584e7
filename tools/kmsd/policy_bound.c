/* The unique ids of a policy's principals. See policy_bound.h. */
#include "policy_bound.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"

static bool is_bound(const struct policy_principal *p)
{
	return p->id[0] && (p->form == POLICY_PRINCIPAL_USER || p->form == POLICY_PRINCIPAL_ROLE ||
			    p->form == POLICY_PRINCIPAL_SESSION);
}

int policy_bound_text(const struct policy *policy, char **ret_text, struct err *err)
{
	struct buf text = {.max = 1 << 20};
	const struct policy_principal *p;
	int r = buf_append(&text, "", 0);

	for (size_t i = 0; r == 0 && (p = policy_principal_at(policy, i)); i++)
		if (is_bound(p))
			r = buf_printf(&text, "%s %s\n", p->text, p->id);
	r = r ? r : buf_append(&text, "", 1);
	*ret_text = r == 0 ? strdup((char *)text.bytes) : NULL;
	buf_free(&text);
	return *ret_text ? 0 : err_set(err, ENOMEM, "principals of a policy");
}

static int resolve(void *arg, const char *arn, char ret_id[POLICY_ID_MAX], struct err *err)
{
	const char *line = arg;
	size_t n = strlen(arn);

	(void)err;
	ret_id[0] = '\0';
	while (*line) {
		size_t len = strcspn(line, "\n");

		if (len > n && memcmp(line, arn, n) == 0 && line[n] == ' ') {
			(void)snprintf(ret_id, POLICY_ID_MAX, "%.*s", (int)(len - n - 1),
				       line + n + 1); /* fits: it was an id */
			break;
		}
		line += len + (line[len] == '\n');
	}
	return 0;
}

struct policy_resolver policy_bound_resolver(const char *text)
{
	return (struct policy_resolver){resolve, (void *)(uintptr_t)text}; /* only read */
}

/* The lines of ids of whom there is no more, "ARN ID" each. *@ret_gone is the caller's. */
static int find_gone(const char *ids, const struct policy_resolver *now, struct buf *ret_gone)
{
	char arn[1024], id[POLICY_ID_MAX], is[POLICY_ID_MAX];
	struct err ignored;
	int r = 0;

	for (const char *line = ids; *line && r == 0;) {
		size_t len = strcspn(line, "\n");

		if (sscanf(line, "%1023s %127s", arn, id) == 2 &&
		    (now->resolve(now->arg, arn, is, &ignored) < 0 || strcmp(is, id) != 0))
			r = buf_printf(ret_gone, "%s %s\n", arn, id);
		line += len + (line[len] == '\n');
	}
	return r ? r : buf_append(ret_gone, "", 1);
}

struct rebuilding {
	struct kms_json *out;
	struct policy_resolver gone;
	bool principals; /* inside of a Principal element */
};

/* What a principal's text is shown as. */
static const char *name_of(const struct rebuilding *b, const struct kms_json *value,
			   char id[POLICY_ID_MAX])
{
	(void)resolve(b->gone.arg, kms_json_string_value(value), id, NULL); /* it always is 0 */
	return id[0] ? id : kms_json_string_value(value);
}

static int rebuild_member(const char *name, struct kms_json *value, void *arg);

static struct kms_json *rebuild(const struct rebuilding *from, const struct kms_json *value)
{
	struct rebuilding b = *from;
	char id[POLICY_ID_MAX];
	int r = 0;

	if (kms_json_type(value) == KMS_JSON_OBJECT) {
		b.out = kms_json_new_object();
		r = b.out ? kms_json_each(value, rebuild_member, &b) : -ENOMEM;
	} else if (kms_json_type(value) == KMS_JSON_ARRAY) {
		b.out = kms_json_new_array();
		for (size_t i = 0; b.out && r == 0 && i < kms_json_count(value); i++) {
			const struct kms_json *e = kms_json_at(value, i);

			r = b.principals && kms_json_type(e) == KMS_JSON_STRING
				    ? kms_json_add_str(b.out, name_of(&b, e, id))
				    : kms_json_add(b.out, rebuild(&b, e));
		}
	} else {
		return kms_json_copy(value);
	}
	if (r) {
		kms_json_free(b.out);
		return NULL;
	}
	return b.out;
}

static int rebuild_member(const char *name, struct kms_json *value, void *arg)
{
	const struct rebuilding *parent = arg;
	struct rebuilding b = *parent;
	char id[POLICY_ID_MAX];

	b.principals |= strcmp(name, "Principal") == 0 || strcmp(name, "NotPrincipal") == 0;
	if (b.principals && kms_json_type(value) == KMS_JSON_STRING)
		return kms_json_set_str(b.out, name, name_of(&b, value, id));
	return kms_json_set(b.out, name, rebuild(&b, value));
}

int policy_bound_show(const char *text, const char *ids, const struct policy_resolver *now,
		      char **ret_text, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *doc = NULL, *shown = NULL;
	AUTO(buf_free) struct buf gone = {.max = 1 << 20};
	struct rebuilding b = {0};

	*ret_text = NULL;
	if (find_gone(ids, now, &gone) < 0)
		return err_set(err, ENOMEM, "policy");
	if (gone.len == 1 || kms_json_parse(text, strlen(text), &doc, err) < 0) {
		*ret_text = strdup(text);
	} else {
		b.gone = policy_bound_resolver((char *)gone.bytes);
		shown = rebuild(&b, doc);
		*ret_text = shown ? kms_json_text_pretty(shown) : NULL;
	}
	return *ret_text ? 0 : err_set(err, ENOMEM, "policy");
}
