/* JSON by json-c. struct kms_json is json-c's json_object under a name of our own. */
#include "kms_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <json-c/printbuf.h>
#include <openssl/crypto.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"

/* Room that json-c's buffers have from the start, so that no secret is left in an old copy. */
#define SCRATCH_BYTES 16384 /* the parser's */
#define TEXT_BYTES    8192  /* a text's; more than any with a secret has */

static struct json_object *in(const struct kms_json *v)
{
	return (struct json_object *)v;
}

static struct kms_json *out(struct json_object *o)
{
	return (struct kms_json *)o;
}

int kms_json_parse_any(const char *text, size_t len, struct kms_json **ret_value, struct err *err)
{
	struct json_tokener *tok;
	struct json_object *obj;
	enum json_tokener_error e;
	size_t members;
	int r;

	if (len > INT_MAX)
		return err_set(err, EUCLEAN, "JSON text of %zu bytes is too long", len);
	r = kms_json_scan(text, len, &members, err);
	if (r < 0)
		return r;
	tok = json_tokener_new_ex(KMS_JSON_DEPTH_MAX);
	if (!tok)
		return err_set(err, ENOMEM, "JSON: out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	printbuf_memset(tok->pb, 0, ' ', SCRATCH_BYTES);
	printbuf_reset(tok->pb);
	obj = json_tokener_parse_ex(tok, text, (int)len);
	e = json_tokener_get_error(tok);
	if (e == json_tokener_continue) { /* a bare number ends only with the text */
		obj = json_tokener_parse_ex(tok, "", 1);
		e = json_tokener_get_error(tok);
	}
	OPENSSL_cleanse(tok->pb->buf, (size_t)tok->pb->size);
	json_tokener_free(tok);
	if (e != json_tokener_success) /* after the scan, only for want of memory */
		return err_set(err, ENOMEM, "JSON: %s", json_tokener_error_desc(e));
	*ret_value = out(obj);
	return 0;
}

int kms_json_parse(const char *text, size_t len, struct kms_json **ret_obj, struct err *err)
{
	struct kms_json *v = NULL;
	int r = kms_json_parse_any(text, len, &v, err);

	if (r < 0)
		return r;
	if (kms_json_type(v) != KMS_JSON_OBJECT) {
		r = err_set(err, EUCLEAN, "not a JSON object but a value of type %s",
			    kms_json_type_name(kms_json_type(v)));
		kms_json_free(v);
		return r;
	}
	*ret_obj = v;
	return 0;
}

static void wipe_strings(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_string:
		OPENSSL_cleanse((char *)(uintptr_t)json_object_get_string(o),
				(size_t)json_object_get_string_len(o));
		break;
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(o); i++)
			wipe_strings(json_object_array_get_idx(o, i));
		break;
	case json_type_object: {
		json_object_object_foreach(o, name, value)
		{
			(void)name; /* names are never secret */
			wipe_strings(value);
		}
		break;
	}
	default:
		break;
	}
}

void kms_json_free(struct kms_json *value)
{
	if (!value)
		return;
	wipe_strings(in(value));
	json_object_put(in(value));
}

void kms_json_freep(struct kms_json **value)
{
	kms_json_free(*value);
	*value = NULL;
}

struct kms_json *kms_json_new_object(void)
{
	return out(json_object_new_object());
}

struct kms_json *kms_json_new_array(void)
{
	return out(json_object_new_array());
}

struct kms_json *kms_json_copy(const struct kms_json *value)
{
	struct json_object *copy = NULL;

	if (json_object_deep_copy(in(value), &copy, NULL) < 0)
		return NULL;
	return out(copy);
}

enum kms_json_type kms_json_type(const struct kms_json *value)
{
	switch (json_object_get_type(in(value))) {
	case json_type_boolean:
		return KMS_JSON_BOOL;
	case json_type_int:
		return KMS_JSON_INT;
	case json_type_double:
		return KMS_JSON_DOUBLE;
	case json_type_string:
		return KMS_JSON_STRING;
	case json_type_array:
		return KMS_JSON_ARRAY;
	case json_type_object:
		return KMS_JSON_OBJECT;
	case json_type_null:
		break;
	}
	return KMS_JSON_NULL;
}

const char *kms_json_type_name(enum kms_json_type type)
{
	static const char *const names[] = {"null",   "boolean", "integer", "number",
					    "string", "array",	 "object"};

	return names[type];
}

struct kms_json *kms_json_get(const struct kms_json *obj, const char *name)
{
	struct json_object *o = NULL;

	if (!json_object_is_type(in(obj), json_type_object) ||
	    !json_object_object_get_ex(in(obj), name, &o))
		return NULL;
	return out(o);
}

bool kms_json_has(const struct kms_json *obj, const char *name)
{
	return json_object_is_type(in(obj), json_type_object) &&
	       json_object_object_get_ex(in(obj), name, NULL);
}

static int want(const struct kms_json *obj, const char *name, enum kms_json_type type,
		struct kms_json **ret, struct err *err)
{
	struct kms_json *v = kms_json_get(obj, name);

	if (!v)
		return err_set(err, EUCLEAN, "member '%s' is missing", name);
	if (kms_json_type(v) != type)
		return err_set(err, EUCLEAN, "member '%s' is of type %s, not %s", name,
			       kms_json_type_name(kms_json_type(v)), kms_json_type_name(type));
	*ret = v;
	return 0;
}

int kms_json_str(const struct kms_json *obj, const char *name, const char **ret, struct err *err)
{
	struct kms_json *v;
	int r = want(obj, name, KMS_JSON_STRING, &v, err);

	if (r < 0)
		return r;
	if (strlen(kms_json_string_value(v)) != kms_json_string_len(v))
		return err_set(err, EUCLEAN, "member '%s' has a NUL in it", name);
	*ret = kms_json_string_value(v);
	return 0;
}

int kms_json_i64(const struct kms_json *obj, const char *name, int64_t *ret, struct err *err)
{
	struct kms_json *v;
	int r = want(obj, name, KMS_JSON_INT, &v, err);

	if (r == 0)
		*ret = json_object_get_int64(in(v));
	return r;
}

int kms_json_u64(const struct kms_json *obj, const char *name, uint64_t *ret, struct err *err)
{
	struct kms_json *v;
	int r = want(obj, name, KMS_JSON_INT, &v, err);

	if (r < 0)
		return r;
	if (json_object_get_int64(in(v)) < 0)
		return err_set(err, EUCLEAN, "member '%s' is negative", name);
	*ret = json_object_get_uint64(in(v));
	return 0;
}

int kms_json_double(const struct kms_json *obj, const char *name, double *ret, struct err *err)
{
	struct kms_json *v = kms_json_get(obj, name);

	if (v && kms_json_type(v) == KMS_JSON_INT) {
		*ret = kms_json_double_value(v);
		return 0;
	}
	int r = want(obj, name, KMS_JSON_DOUBLE, &v, err);
	if (r == 0)
		*ret = kms_json_double_value(v);
	return r;
}

int kms_json_bool(const struct kms_json *obj, const char *name, bool *ret, struct err *err)
{
	struct kms_json *v;
	int r = want(obj, name, KMS_JSON_BOOL, &v, err);

	if (r == 0)
		*ret = json_object_get_boolean(in(v));
	return r;
}

int kms_json_array(const struct kms_json *obj, const char *name, struct kms_json **ret,
		   struct err *err)
{
	return want(obj, name, KMS_JSON_ARRAY, ret, err);
}

int kms_json_object(const struct kms_json *obj, const char *name, struct kms_json **ret,
		    struct err *err)
{
	return want(obj, name, KMS_JSON_OBJECT, ret, err);
}

int kms_json_base64(const struct kms_json *obj, const char *name, uint8_t **ret_bytes,
		    size_t *ret_len, struct err *err)
{
	struct kms_json *v;
	int r = want(obj, name, KMS_JSON_STRING, &v, err);

	if (r < 0)
		return r;
	r = bytes_from_base64(kms_json_string_value(v), kms_json_string_len(v), ret_bytes, ret_len);
	if (r < 0)
		return err_set(err, r == -ENOMEM ? ENOMEM : EUCLEAN,
			       r == -ENOMEM ? "member '%s': out of memory"
					    : "member '%s' is not base64",
			       name);
	return 0;
}

int kms_json_secret(struct kms_json *obj, const char *name, struct secret **ret_secret,
		    struct err *err)
{
	uint8_t *bytes;
	size_t len;
	int r = kms_json_base64(obj, name, &bytes, &len, err);

	if (r < 0)
		return r;
	r = secret_from(bytes, len, ret_secret, err);
	OPENSSL_cleanse(bytes, len);
	free(bytes);
	wipe_strings(in(kms_json_get(obj, name)));
	return r;
}

const char *kms_json_string_value(const struct kms_json *value)
{
	if (!json_object_is_type(in(value), json_type_string))
		return "";
	return json_object_get_string(in(value));
}

size_t kms_json_string_len(const struct kms_json *value)
{
	return (size_t)json_object_get_string_len(in(value));
}

int64_t kms_json_int_value(const struct kms_json *value)
{
	return json_object_get_int64(in(value));
}

double kms_json_double_value(const struct kms_json *value)
{
	return json_object_get_double(in(value));
}

bool kms_json_bool_value(const struct kms_json *value)
{
	return json_object_is_type(in(value), json_type_boolean) &&
	       json_object_get_boolean(in(value));
}

size_t kms_json_count(const struct kms_json *value)
{
	switch (json_object_get_type(in(value))) {
	case json_type_array:
		return json_object_array_length(in(value));
	case json_type_object:
		return (size_t)json_object_object_length(in(value));
	default:
		return 0;
	}
}

struct kms_json *kms_json_at(const struct kms_json *arr, size_t i)
{
	if (!json_object_is_type(in(arr), json_type_array))
		return NULL;
	return out(json_object_array_get_idx(in(arr), i));
}

size_t kms_json_members(const struct kms_json *value)
{
	size_t n = 0;

	if (kms_json_type(value) == KMS_JSON_OBJECT) {
		json_object_object_foreach(in(value), name, member)
		{
			(void)name; /* counted */
			n += 1 + kms_json_members(out(member));
		}
	}
	if (kms_json_type(value) == KMS_JSON_ARRAY)
		for (size_t i = 0; i < kms_json_count(value); i++)
			n += kms_json_members(kms_json_at(value, i));
	return n;
}

int kms_json_each(const struct kms_json *obj,
		  int (*fn)(const char *name, struct kms_json *value, void *arg), void *arg)
{
	if (!json_object_is_type(in(obj), json_type_object))
		return 0;
	json_object_object_foreach(in(obj), name, value)
	{
		int r = fn(name, out(value), arg);

		if (r)
			return r;
	}
	return 0;
}

int kms_json_set(struct kms_json *obj, const char *name, struct kms_json *value)
{
	if (!value)
		return -ENOMEM;
	if (json_object_object_add(in(obj), name, in(value)) < 0) {
		kms_json_free(value);
		return -ENOMEM;
	}
	return 0;
}

int kms_json_add(struct kms_json *arr, struct kms_json *value)
{
	if (!value)
		return -ENOMEM;
	if (json_object_array_add(in(arr), in(value)) < 0) {
		kms_json_free(value);
		return -ENOMEM;
	}
	return 0;
}

int kms_json_set_str(struct kms_json *obj, const char *name, const char *text)
{
	return kms_json_set(obj, name, out(json_object_new_string(text)));
}

int kms_json_set_i64(struct kms_json *obj, const char *name, int64_t v)
{
	return kms_json_set(obj, name, out(json_object_new_int64(v)));
}

int kms_json_set_u64(struct kms_json *obj, const char *name, uint64_t v)
{
	return kms_json_set(obj, name, out(json_object_new_uint64(v)));
}

int kms_json_set_double(struct kms_json *obj, const char *name, double v)
{
	char digits[40];

	(void)snprintf(digits, sizeof(digits), "%.17g", v);
	for (int n = 1; n < 17; n++) { /* the fewest digits that say it */
		(void)snprintf(digits, sizeof(digits), "%.*g", n, v);
		if (strtod(digits, NULL) == v)
			break;
	}
	if (strchr(digits, 'e')) /* clients want plain digits for a time */
		(void)snprintf(digits, sizeof(digits), "%.3f", v);
	return kms_json_set(obj, name, out(json_object_new_double_s(v, digits)));
}

int kms_json_set_bool(struct kms_json *obj, const char *name, bool v)
{
	return kms_json_set(obj, name, out(json_object_new_boolean(v)));
}

int kms_json_set_null(struct kms_json *obj, const char *name)
{
	return json_object_object_add(in(obj), name, NULL) < 0 ? -ENOMEM : 0;
}

int kms_json_set_base64(struct kms_json *obj, const char *name, const uint8_t *bytes, size_t len)
{
	char *text = bytes_to_base64(bytes, len);
	int r;

	if (!text)
		return -ENOMEM;
	r = kms_json_set_str(obj, name, text);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	return r;
}

int kms_json_add_str(struct kms_json *arr, const char *text)
{
	return kms_json_add(arr, out(json_object_new_string(text)));
}

void kms_json_del(struct kms_json *obj, const char *name)
{
	json_object_object_del(in(obj), name);
}

static int make_room(struct json_object *o __attribute__((unused)), struct printbuf *pb,
		     int level __attribute__((unused)), int flags __attribute__((unused)))
{
	return printbuf_memset(pb, 0, ' ', TEXT_BYTES);
}

static char *to_text(const struct kms_json *value, int flags)
{
	const char *text;
	char *copy;

	if (json_object_is_type(in(value), json_type_object)) {
		json_object_set_serializer(in(value), make_room, NULL, NULL);
		(void)json_object_to_json_string(in(value));		 /* else it grows later */
		json_object_set_serializer(in(value), NULL, NULL, NULL); /* json-c's own again */
	}
	text = json_object_to_json_string_ext(in(value), flags | JSON_C_TO_STRING_NOSLASHESCAPE);
	copy = text ? strdup(text) : NULL;
	if (copy &&
	    value) /* json-c keeps it with the value; that of null is not ours to write to */
		OPENSSL_cleanse((char *)(uintptr_t)text, strlen(copy));
	return copy;
}

char *kms_json_text(const struct kms_json *value)
{
	return to_text(value, JSON_C_TO_STRING_PLAIN);
}

char *kms_json_text_pretty(const struct kms_json *value)
{
	return to_text(value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}
