/*
 * A chain of decisions for people: at most 80 columns, in the order in which it was decided. What a
 * caller could choose (names, values) is shown without control characters. See explain.h.
 */
#include "explain.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "kms_json.h"
#include "secret.h"

#define WIDTH 80

struct page {
	struct buf text;
	int failed;
};

static void put(struct page *page, const char *text, size_t len)
{
	page->failed |= buf_append(&page->text, text, len);
}

/* Characters that one byte begins, and none of a terminal's commands. */
static void put_word(struct page *page, const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)word[i];
		bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)word[i + 1] < 0xa0;

		put(page, c < 0x20 || c == 0x7f || c1 ? "?" : word + i, 1);
		i += c1;
	}
}

static size_t columns(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

/* How many bytes of @text fill @room columns. */
static size_t cut(const char *text, size_t len, size_t room)
{
	size_t i = 0;

	while (i < len && (columns(text, i + 1) <= room))
		i++;
	return i;
}

/* A paragraph: the first line at @indent, the others two further in; a word too long is broken. */
static void paragraph(struct page *page, size_t indent, const char *text)
{
	static const char blanks[] = "                    ";
	size_t at = indent;
	bool first = true;

	put(page, blanks, indent);
	while (*text) {
		size_t len = strcspn(text, " "), width = columns(text, len);

		if (!first && at + 1 + width > WIDTH) {
			put(page, "\n", 1);
			put(page, blanks, indent + 2);
			at = indent + 2;
			first = true;
		}
		if (!first) {
			put(page, " ", 1);
			at++;
		}
		if (width > WIDTH - at)
			len = cut(text, len, WIDTH - at);
		put_word(page, text, len);
		at += columns(text, len);
		first = len > 0 && text[len] && text[len] != ' ';
		if (first) { /* broken: go on in the next line */
			put(page, "\n", 1);
			put(page, blanks, indent + 2);
			at = indent + 2;
		}
		text += len;
		text += *text == ' ';
	}
	put(page, "\n", 1);
}

static void say(struct page *page, size_t indent, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct page *page, size_t indent, const char *fmt, ...)
{
	AUTO(freep) char *text = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		page->failed = 1;
		return;
	}
	paragraph(page, indent, text);
}

static const char *text_of(const struct kms_json *obj, const char *name)
{
	const struct kms_json *v = obj ? kms_json_get(obj, name) : NULL;

	return v ? kms_json_string_value(v) : "";
}

/* A list or a single value as "a, b". The caller frees. */
static char *values_of(const struct kms_json *v)
{
	struct buf b = {.max = 1 << 20};
	bool list = v && kms_json_type(v) == KMS_JSON_ARRAY;
	size_t n = !v ? 0 : list ? kms_json_count(v) : 1;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct kms_json *e = list ? kms_json_at(v, i) : v;
		AUTO(freep) char *text = NULL;

		if (kms_json_type(e) != KMS_JSON_STRING)
			text = kms_json_text(e);
		r = buf_printf(&b, "%s%s", i ? ", " : "", text ? text : kms_json_string_value(e));
	}
	r = r ? r : buf_append(&b, "", 1);
	if (r) {
		buf_free(&b);
		return NULL;
	}
	return (char *)b.bytes;
}

static void show_test(struct page *page, const struct kms_json *test)
{
	AUTO(freep) char *wanted = values_of(kms_json_get(test, "Wanted"));
	AUTO(freep) char *got = values_of(kms_json_get(test, "Got"));
	bool met = kms_json_bool_value(kms_json_get(test, "Met"));

	say(page, 8, "%s %s %s: policy: %s; request: %s",
	    met ? "met:" : "not met:", text_of(test, "Operator"), text_of(test, "Key"),
	    wanted ? wanted : "", got && *got ? got : "(no value)");
}

/* What it means that a statement or a grant reaches the caller. */
static const char *reach_of(const struct kms_json *step)
{
	const char *reaches = text_of(step, "Reaches");
	bool names = strcmp(text_of(step, "Part"), "key policy") == 0 ||
		     strcmp(text_of(step, "Part"), "grant") == 0;

	if (!names)
		return "";
	if (strcmp(reaches, "account") == 0)
		return ", to the caller's account: its IAM policies decide on";
	if (strcmp(reaches, "role") == 0)
		return ", to the caller's role";
	return ", to the caller itself";
}

static void show_step(struct page *page, const struct kms_json *step)
{
	const struct kms_json *tests = kms_json_get(step, "Conditions");
	const char *sid = text_of(step, "Sid"), *outcome = text_of(step, "Outcome");

	if (kms_json_get(step, "Statement"))
		say(page, 4, "Statement[%lld]%s%s%s, %s: %s%s",
		    (long long)kms_json_int_value(kms_json_get(step, "Statement")),
		    *sid ? " '" : "", sid, *sid ? "'" : "", text_of(step, "Effect"), outcome,
		    strcmp(outcome, "applies") == 0 ? reach_of(step) : "");
	else
		say(page, 4, "grant %s: %s%s", text_of(step, "Policy"), outcome,
		    strcmp(outcome, "applies") == 0 ? reach_of(step) : "");
	for (size_t i = 0; tests && i < kms_json_count(tests); i++)
		show_test(page, kms_json_at(tests, i));
}

/* The steps of one part, under a heading for each policy. False: there are none. */
static bool show_part(struct page *page, const struct kms_json *steps, const char *part)
{
	const char *last = NULL;

	for (size_t i = 0; i < kms_json_count(steps); i++) {
		const struct kms_json *step = kms_json_at(steps, i);
		const char *policy = text_of(step, "Policy");

		if (strcmp(text_of(step, "Part"), part) != 0)
			continue;
		if (strcmp(part, "grant") == 0) {
			if (!last)
				say(page, 2, "grants:");
		} else if (!last || strcmp(last, policy) != 0) {
			say(page, 2,
			    "%s '%s':", strcmp(policy, "trust") == 0 ? "the role's policy" : part,
			    policy);
		}
		last = policy;
		show_step(page, step);
	}
	return last != NULL;
}

static void show_parts(struct page *page, const struct kms_json *decision)
{
	const struct kms_json *steps = kms_json_get(decision, "Steps");
	bool key = kms_json_get(decision, "ResourceAccount") != NULL;
	bool asked = kms_json_bool_value(kms_json_get(decision, "GrantsAsked"));

	(void)show_part(page, steps, "service control policy"); /* there are none here */
	if (key && !show_part(page, steps, "key policy"))
		say(page, 2, "key policy: it has no statement");
	if (key && !show_part(page, steps, "grant"))
		say(page, 2, "grants: %s",
		    asked ? "none of the key is for the caller, its role or its account"
			  : "not asked: the policies had decided, or no grant can allow it");
	if (!show_part(page, steps, "identity-based policy"))
		say(page, 2, "identity-based policies: the caller has none");
	if (!show_part(page, steps, "permissions boundary"))
		say(page, 2, "permissions boundary: none");
	if (!show_part(page, steps, "session policy"))
		say(page, 2, "session policies: none");
}

static void show_reason(struct page *page, const struct kms_json *decision)
{
	static const struct {
		const char *part, *reason;
	} missing[] = {
		{"key policy", "neither the policy of the resource nor a grant lets the caller or "
			       "its account in"},
		{"identity-based policy", "it is left to the caller's own policies, and none of "
					  "its identity-based policies allows it"},
		{"permissions boundary", "the permissions boundary does not allow it"},
		{"session policy", "the session policies do not allow it"},
	};
	const char *result = text_of(decision, "Decision"), *by = text_of(decision, "DecidedBy");
	const char *policy = text_of(decision, "Policy"), *sid = text_of(decision, "Sid");
	const struct kms_json *at = kms_json_get(decision, "Statement");
	const char *why = "";
	char where[64] = "";

	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		if (strcmp(missing[i].part, by) == 0)
			why = missing[i].reason;
	if (at)
		(void)snprintf(where, sizeof(where), ", Statement[%lld]",
			       (long long)kms_json_int_value(at)); /* fits */
	if (strcmp(result, "not allowed") == 0)
		say(page, 2, "=> not allowed: %s", *why ? why : by);
	else
		say(page, 2, "=> %s by: %s%s%s%s%s%s%s%s", result, by, *policy ? " '" : "", policy,
		    *policy ? "'" : "", where, *sid ? " '" : "", sid, *sid ? "'" : "");
}

static int show_value(const char *name, struct kms_json *value, void *arg)
{
	AUTO(freep) char *text = values_of(value);

	say(arg, 4, "%s = %s", name, text ? text : "");
	return 0;
}

static void show_decision(struct page *page, const struct kms_json *decision)
{
	const struct kms_json *context = kms_json_get(decision, "Context");

	put(page, "\n", 1);
	say(page, 0, "May it do %s on %s?", text_of(decision, "Action"),
	    text_of(decision, "Resource"));
	if (kms_json_get(decision, "Brief"))
		say(page, 2, "(the steps to a yes are kept with --explain-allowed only)");
	else
		show_parts(page, decision);
	show_reason(page, decision);
	if (kms_json_get(decision, "Incomplete"))
		say(page, 2, "(the chain was too long: not all of it was kept)");
	if (context) {
		say(page, 2, "what conditions could see:");
		(void)kms_json_each(context, show_value, page); /* show_value() always goes on */
	}
}

char *explain_text(const struct kms_json *record)
{
	const struct kms_json *caller = kms_json_get(record, "Caller");
	const struct kms_json *error = kms_json_get(record, "Error");
	const struct kms_json *list = kms_json_get(record, "Decisions");
	const char *issuer = text_of(caller, "Issuer"), *arn = text_of(caller, "Arn");
	const char *message;
	struct page page = {.text.max = 16 << 20};

	say(&page, 0, "event %s", text_of(record, "EventId"));
	say(&page, 0, "%s: %s of %s, %s", text_of(record, "Time"), text_of(record, "Operation"),
	    text_of(record, "Service"), error ? "refused" : "done");
	say(&page, 0, "caller: %s (id %s, account %s)", arn, text_of(caller, "Id"),
	    text_of(caller, "Account"));
	if (strcmp(issuer, arn) != 0)
		say(&page, 0, "a session of: %s", issuer);
	message = text_of(error, "Message");
	if (error)
		say(&page, 0, "answer: %s%s%s", text_of(error, "Code"), *message ? ": " : "",
		    message);
	for (size_t i = 0; list && i < kms_json_count(list); i++)
		show_decision(&page, kms_json_at(list, i));
	if (!list || kms_json_count(list) == 0)
		say(&page, 0, "No policy was asked: %s",
		    error ? "what is wrong with the request came first"
			  : "the request needs no permission");
	put(&page, "", 1);
	if (page.failed) {
		buf_free(&page.text);
		return NULL;
	}
	return (char *)page.text.bytes;
}
