/*
 * JSON values, read with errors that name the member and written without surprises. The only file
 * that knows json-c. A value put into another belongs to it; only the outermost is freed.
 */
#ifndef KMSCLIENT_KMS_JSON_H
#define KMSCLIENT_KMS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct secret;
struct kms_json; /* one value; opaque */

#define KMS_JSON_DEPTH_MAX 32

enum kms_json_type {
	KMS_JSON_NULL,
	KMS_JSON_BOOL,
	KMS_JSON_INT,
	KMS_JSON_DOUBLE,
	KMS_JSON_STRING,
	KMS_JSON_ARRAY,
	KMS_JSON_OBJECT,
};

/*
 * Is it one whole JSON value, to the letter of RFC 8259? Nothing behind it but white space, valid UTF-8 without halves
 * of surrogate pairs, no NUL in names, numbers that 64 bits or a double hold, at most KMS_JSON_DEPTH_MAX deep.
 * Takes no memory and one pass. *@ret_members are the members of all objects in it, a name that
 * stands twice counted twice. -EUCLEAN with a sentence.
 */
int kms_json_scan(const char *text, size_t len, size_t *ret_members, struct err *err);

/*
 * Parse one whole JSON object, which kms_json_scan() finds good; of members with one name the last counts. -EUCLEAN with a sentence when it is not one; -ENOMEM.
 * The parser's own copies of strings are wiped.
 */
int kms_json_parse(const char *text, size_t len, struct kms_json **ret_obj, struct err *err);

/* As kms_json_parse(), for any JSON value (an array, a string, ...). */
int kms_json_parse_any(const char *text, size_t len, struct kms_json **ret_value, struct err *err);

/* Free a value with all it holds. NULL is allowed. Strings of it are wiped. */
void kms_json_free(struct kms_json *value);
void kms_json_freep(struct kms_json **value);

/* New, empty; NULL: out of memory. */
struct kms_json *kms_json_new_object(void);
struct kms_json *kms_json_new_array(void);

/* A deep copy; NULL: out of memory. */
struct kms_json *kms_json_copy(const struct kms_json *value);

enum kms_json_type kms_json_type(const struct kms_json *value);
const char *kms_json_type_name(enum kms_json_type type); /* "string", "object", ... */

/*
 * Members of an object. *_get returns NULL when the member is absent or null; the value stays the
 * object's. The others want the member: -EUCLEAN with a sentence naming it when it is absent or
 * of another type (or, for u64, negative). Strings stay the object's.
 */
struct kms_json *kms_json_get(const struct kms_json *obj, const char *name);
bool kms_json_has(const struct kms_json *obj, const char *name); /* true for null too */
int kms_json_str(const struct kms_json *obj, const char *name, const char **ret, struct err *err);
int kms_json_u64(const struct kms_json *obj, const char *name, uint64_t *ret, struct err *err);
int kms_json_i64(const struct kms_json *obj, const char *name, int64_t *ret, struct err *err);
int kms_json_double(const struct kms_json *obj, const char *name, double *ret, struct err *err);
int kms_json_bool(const struct kms_json *obj, const char *name, bool *ret, struct err *err);
int kms_json_array(const struct kms_json *obj, const char *name, struct kms_json **ret,
		   struct err *err);
int kms_json_object(const struct kms_json *obj, const char *name, struct kms_json **ret,
		    struct err *err);

/* A base64 member as bytes; the caller frees *@ret_bytes. */
int kms_json_base64(const struct kms_json *obj, const char *name, uint8_t **ret_bytes,
		    size_t *ret_len, struct err *err);

/* A base64 member as a secret, which the caller owns; its text inside @obj is wiped. */
int kms_json_secret(struct kms_json *obj, const char *name, struct secret **ret_secret,
		    struct err *err);

/* The value itself, for a value known to have that type ("" / 0 / false otherwise). */
const char *kms_json_string_value(const struct kms_json *value);
size_t kms_json_string_len(const struct kms_json *value); /* bytes; may count NULs inside */
int64_t kms_json_int_value(const struct kms_json *value);
double kms_json_double_value(const struct kms_json *value); /* an integer counts */
bool kms_json_bool_value(const struct kms_json *value);

/* Elements of an array, members of an object; in order of insertion. */
size_t kms_json_count(const struct kms_json *value);
/* Members of all objects in it: fewer than kms_json_scan() counted when a name stood twice. */
size_t kms_json_members(const struct kms_json *value);
struct kms_json *kms_json_at(const struct kms_json *arr, size_t i);
/*
 * Call @fn for each member until it returns nonzero, which is then returned; else 0. @fn must not
 * change @obj.
 */
int kms_json_each(const struct kms_json *obj,
		  int (*fn)(const char *name, struct kms_json *value, void *arg), void *arg);

/* Set a member (replacing it) or append an element. 0 or -ENOMEM, so calls can be or-ed. */
int kms_json_set_str(struct kms_json *obj, const char *name, const char *text);
int kms_json_set_i64(struct kms_json *obj, const char *name, int64_t v);
int kms_json_set_u64(struct kms_json *obj, const char *name, uint64_t v);
int kms_json_set_double(struct kms_json *obj, const char *name, double v); /* 17 digits at most */
int kms_json_set_bool(struct kms_json *obj, const char *name, bool v);
int kms_json_set_null(struct kms_json *obj, const char *name);
int kms_json_set_base64(struct kms_json *obj, const char *name, const uint8_t *bytes, size_t len);
/* @value (NULL: out of memory before) goes to @obj/@arr, also on failure, when it is freed. */
int kms_json_set(struct kms_json *obj, const char *name, struct kms_json *value);
int kms_json_add(struct kms_json *arr, struct kms_json *value);
int kms_json_add_str(struct kms_json *arr, const char *text);
void kms_json_del(struct kms_json *obj, const char *name);

/* The value as text: one line, or indented by two spaces. The caller frees. NULL: out of memory. */
char *kms_json_text(const struct kms_json *value);
char *kms_json_text_pretty(const struct kms_json *value);

#endif
