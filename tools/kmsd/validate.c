/* Input checked against the table of shapes. See validate.h. */
#include "validate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "ciphertext.h"
#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "secret.h"
#include "shapes.h"

#define NAME_MAX_SHOWN 128
#define SHOWN_MAX      1000 /* a longer value is left out of a message, whose end tells why */

/* Errors found so far, and the member at hand. */
struct check {
	struct buf text;
	unsigned count;
	enum shape shape;
	char name[NAME_MAX_SHOWN];
	char *value; /* as messages show it: "Value 'x'", "Value null", "Value" */
	int r;	     /* first failure to append */
};

static void add(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct check *c, const char *fmt, ...)
{
	char constraint[1024];
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(constraint, sizeof(constraint), fmt, ap); /* cut: our own tables */
	va_end(ap);
	r = buf_printf(&c->text, "%s%s at '%s' failed to satisfy constraint: %s",
		       c->count ? "; " : "", c->value ? c->value : "Value", c->name, constraint);
	if (r < 0 && c->r == 0)
		c->r = r;
	c->count++;
}

static void check_length(struct check *c, int64_t n)
{
	const struct shape_row *s = shape_row(c->shape);

	if (s->max && n > s->max)
		add(c, "Member must have length less than or equal to %" PRId64, s->max);
	if (n < s->min)
		add(c, "Member must have length greater than or equal to %" PRId64, s->min);
}

static void check_string(struct check *c, const char *text)
{
	const struct shape_row *s = shape_row(c->shape);
	bool ok;
	size_t n = shape_characters(c->shape, text, &ok);

	check_length(c, (int64_t)n);
	if (s->pattern && n > 0 && !ok)
		add(c, "Member must satisfy regular expression pattern: %s", s->pattern);
	if (s->values && !shape_in_list(s->values, text))
		add(c, "Member must satisfy enum value set: [%s]", s->values);
}

static void check_integer(struct check *c, int64_t n)
{
	const struct shape_row *s = shape_row(c->shape);

	if (s->max && n > s->max)
		add(c, "Member must have value less than or equal to %" PRId64, s->max);
	if (n < s->min)
		add(c, "Member must have value greater than or equal to %" PRId64, s->min);
}

/* The length of what base64 text holds; -EINVAL: it is not base64. */
static int64_t blob_length(const struct kms_json *value)
{
	uint8_t *bytes;
	size_t len;
	int r = bytes_from_base64(kms_json_string_value(value), kms_json_string_len(value), &bytes,
				  &len);

	if (r < 0)
		return r;
	OPENSSL_cleanse(bytes, len);
	free(bytes);
	return (int64_t)len;
}

/* A string without a NUL inside, which no text of the API can hold. */
static bool plain_string(const struct kms_json *v)
{
	return kms_json_type(v) == KMS_JSON_STRING &&
	       strlen(kms_json_string_value(v)) == kms_json_string_len(v);
}

static int check_strings(struct check *c, const struct kms_json *list, struct err *err)
{
	const struct shape_row *s = shape_row(c->shape);
	bool bad = false, ok;

	if (kms_json_type(list) != KMS_JSON_ARRAY)
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	if (kms_json_count(list) > s->count)
		add(c, "Member must have length less than or equal to %zu", s->count);
	if (kms_json_count(list) == 0 && s->values)
		add(c, "Member must have length greater than or equal to 1");
	for (size_t i = 0; i < kms_json_count(list); i++) {
		const struct kms_json *v = kms_json_at(list, i);
		size_t n;

		if (!v || !plain_string(v))
			return fault_set(err, FAULT_SERIALIZATION, NULL);
		n = shape_characters(c->shape, kms_json_string_value(v), &ok);
		bad = bad || (int64_t)n < s->min || (s->max && (int64_t)n > s->max);
		bad = bad || (s->values && !shape_in_list(s->values, kms_json_string_value(v)));
	}
	if (bad && s->values)
		add(c, "Member must satisfy constraint: [Member must satisfy enum value set: [%s]]",
		    s->values);
	else if (bad)
		add(c,
		    "Member must satisfy constraint: [Member must have length less than or equal "
		    "to "
		    "%" PRId64 ", Member must have length greater than or equal to %" PRId64 "]",
		    s->max, s->min);
	return 0;
}

/* Both members are encryption contexts; how many and how large the operation checks. */
static int check_constraints(const struct kms_json *v, struct err *err)
{
	static const char *const names[] = {"EncryptionContextEquals", "EncryptionContextSubset"};
	int r = 0;

	for (size_t i = 0; i < 2 && r == 0; i++) {
		const struct kms_json *context = kms_json_get(v, names[i]);

		if (context && kms_json_type(context) != KMS_JSON_OBJECT)
			return fault_set(err, FAULT_SERIALIZATION, NULL);
		r = ciphertext_check_context(context, err);
	}
	return r;
}

/* A list of strings as messages show it. NULL: it is not one. */
static char *shown_list(const struct kms_json *v)
{
	AUTO(buf_free) struct buf text = {.max = SHOWN_MAX};
	int r = buf_printf(&text, "Value '[");

	if (kms_json_type(v) != KMS_JSON_ARRAY)
		return NULL;
	for (size_t i = 0; i < kms_json_count(v) && r == 0; i++) {
		const struct kms_json *e = kms_json_at(v, i);

		if (!e || kms_json_type(e) != KMS_JSON_STRING)
			return NULL;
		r = buf_printf(&text, "%s%s", i ? ", " : "", kms_json_string_value(e));
	}
	r = r ? r : buf_printf(&text, "]'");
	return r < 0 ? NULL : strdup((char *)text.bytes);
}

/* How messages show the value; NULL (just "Value") for what is sensitive or structured. */
static char *shown(const struct shape_row *s, const struct kms_json *v)
{
	char *text = NULL;
	int n = 0;

	if (s->sensitive)
		return NULL;
	if (s->kind == STRINGS)
		return shown_list(v);
	if (s->kind == INTEGER)
		n = asprintf(&text, "Value '%" PRId64 "'", kms_json_int_value(v));
	else if (s->kind == STRING)
		n = asprintf(&text, "Value '%s'", kms_json_string_value(v));
	if (n > SHOWN_MAX) {
		free(text);
		return NULL;
	}
	return n < 0 ? NULL : text;
}

static int check_objects(struct check *c, const struct kms_json *list, struct err *err);

static int check_value(struct check *c, const struct kms_json *v, struct err *err)
{
	const struct shape_row *s = shape_row(c->shape);
	enum kms_json_type type = kms_json_type(v);
	int64_t n;

	switch (s->kind) {
	case STRING:
		if (!plain_string(v))
			break;
		check_string(c, kms_json_string_value(v));
		return 0;
	case BLOB:
		n = type == KMS_JSON_STRING ? blob_length(v) : -EINVAL;
		if (n < 0)
			break;
		check_length(c, n);
		return 0;
	case INTEGER:
		if (type != KMS_JSON_INT || kms_json_int_value(v) > INT32_MAX ||
		    kms_json_int_value(v) < INT32_MIN) /* no member is longer */
			break;
		check_integer(c, kms_json_int_value(v));
		return 0;
	case BOOLEAN:
		if (type != KMS_JSON_BOOL)
			break;
		return 0;
	case CONTEXT:
		if (type != KMS_JSON_OBJECT)
			break;
		return ciphertext_check_context(v, err);
	case CONSTRAINTS:
		if (type != KMS_JSON_OBJECT)
			break;
		return check_constraints(v, err);
	case STRINGS:
		return check_strings(c, v, err);
	case OBJECTS:
		if (type != KMS_JSON_ARRAY)
			break;
		return s->members ? check_objects(c, v, err) : 0;
	case ANY:
		return 0;
	case UNSUPPORTED:
		return fault_set(err, FAULT_UNSUPPORTED_OPERATION,
				 "kmsd does not support the parameter %s.", c->name);
	}
	return fault_set(err, FAULT_SERIALIZATION, NULL);
}

bool validate_is_list(enum shape shape)
{
	return shape_row(shape)->kind == STRINGS || shape_row(shape)->kind == OBJECTS;
}

/* What is no number stays a string, which validate_input() then refuses. */
struct kms_json *validate_from_text(enum shape shape, const char *text)
{
	struct kms_json *v = NULL;
	AUTO(kms_json_freep) struct kms_json *box = kms_json_new_object();
	char *end;
	long long n;
	int r = -ENOMEM;

	if (!box)
		return NULL;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (shape_row(shape)->kind == INTEGER && *text && !*end && !errno)
		r = kms_json_set_i64(box, "v", n);
	else if (shape_row(shape)->kind == BOOLEAN &&
		 (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		r = kms_json_set_bool(box, "v", *text == 't');
	else
		r = kms_json_set_str(box, "v", text);
	if (r == 0)
		v = kms_json_copy(kms_json_get(box, "v"));
	return v;
}

void validate_member_name(const char *name, char ret[64])
{
	(void)snprintf(ret, 64, "%s", name); /* names of our tables are shorter */
	if (ret[0] >= 'A' && ret[0] <= 'Z')
		ret[0] = (char)(ret[0] + 'a' - 'A');
}

/* @name: as messages show the member. */
static int check_member(struct check *c, const struct kms_json *input, const struct member *m,
			const char *name, struct err *err)
{
	const struct kms_json *v = kms_json_get(input, m->name);
	int r = 0;

	c->shape = m->shape;
	(void)snprintf(c->name, sizeof(c->name), "%s", name); /* fits: names of our tables */
	if (v) {
		c->value = shown(shape_row(m->shape), v);
		r = check_value(c, v, err);
	} else if (m->flags & MEMBER_REQUIRED) {
		c->value = strdup("Value null");
		add(c, "Member must not be null");
	}
	free(c->value);
	c->value = NULL;
	return r;
}

/* A list of structures: "tags.1.member.tagKey". */
static int check_objects(struct check *c, const struct kms_json *list, struct err *err)
{
	const struct member *members = shape_row(c->shape)->members;
	char base[NAME_MAX_SHOWN], small[64], name[2 * NAME_MAX_SHOWN];
	int r = 0;

	(void)snprintf(base, sizeof(base), "%s", c->name); /* fits */
	for (size_t i = 0; i < kms_json_count(list) && r == 0; i++) {
		const struct kms_json *v = kms_json_at(list, i);

		if (!v || kms_json_type(v) != KMS_JSON_OBJECT)
			return fault_set(err, FAULT_SERIALIZATION, NULL);
		for (const struct member *m = members; m->name && r == 0; m++) {
			validate_member_name(m->name, small);
			(void)snprintf(name, sizeof(name), "%s.%zu.member.%s", base, i + 1,
				       small); /* fits */
			r = check_member(c, v, m, name, err);
		}
	}
	return r;
}

int validate_input(const struct kms_json *input, const struct member *members, struct err *err)
{
	AUTO(buf_free) struct buf text = {.max = 1 << 20};
	struct check c = {.text = text};
	int r = 0;

	for (; members->name && r == 0; members++) {
		char name[64];

		validate_member_name(members->name, name);
		r = check_member(&c, input, members, name, err);
	}
	text = c.text; /* so that it is freed */
	if (r == 0 && c.r < 0)
		r = err_set(err, -c.r, "validation errors");
	if (r == 0 && c.count > 0)
		r = fault_set(err, FAULT_VALIDATION, "%u validation error%s detected: %s", c.count,
			      c.count > 1 ? "s" : "", (char *)text.bytes);
	return r;
}

int validate_missing(const char *member, struct err *err)
{
	return fault_set(err, FAULT_VALIDATION,
			 "1 validation error detected: Value null at '%s' failed to satisfy "
			 "constraint: Member must not be null",
			 member);
}
