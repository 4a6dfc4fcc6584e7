/* A document's text, before its meaning. See policy_impl.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "kms_json.h"
#include "policy_impl.h"

#define NAMES_MAX 1024 /* members of one object */

/* Names of all objects that are open, one behind the other. */
struct names {
	struct name {
		const char *text;
		size_t len;
	} * list; /* owned */
	size_t count, cap;
};

/* The quote that ends the string whose first byte is @at. */
static const char *string_end(const char *at, const char *end)
{
	while (at < end && *at != '"')
		at += *at == '\\' && end - at > 1 ? 2 : 1;
	return at;
}

static int check_string(const char *at, const char *end, struct err *err)
{
	for (; at < end; at++) {
		if (*at != '\\')
			continue;
		at++;
		if (end - at > 4 && strncmp(at, "u0000", 5) == 0)
			return err_set(err, EINVAL, "a NUL");
	}
	return 0;
}

static int add_name(struct names *names, size_t first, const char *text, size_t len,
		    struct err *err)
{
	for (size_t i = first; i < names->count; i++)
		if (names->list[i].len == len && memcmp(names->list[i].text, text, len) == 0)
			return err_set(err, EINVAL, "'%.*s' twice", (int)(len < 128 ? len : 128),
				       text);
	if (names->count - first >= NAMES_MAX)
		return err_set(err, EINVAL, "more than %d members in one object", NAMES_MAX);
	if (names->count == names->cap) {
		size_t cap = names->cap ? 2 * names->cap : 32;
		struct name *more = reallocarray(names->list, cap, sizeof(*more));

		if (!more)
			return err_set(err, ENOMEM, "policy");
		names->list = more;
		names->cap = cap;
	}
	names->list[names->count++] = (struct name){text, len};
	return 0;
}

static int scan_names(const char *text, size_t len, struct names *names, struct err *err)
{
	size_t first[KMS_JSON_DEPTH_MAX + 1] = {0}; /* of the object at each depth */
	const char *end = text + len;
	unsigned depth = 0;
	int r = 0;

	for (const char *at = text; at < end && r == 0; at++) {
		const char *close, *next;

		if ((*at == '{' || *at == '[') && depth < KMS_JSON_DEPTH_MAX) {
			first[++depth] = names->count;
		} else if ((*at == '}' || *at == ']') && depth > 0) {
			names->count = first[depth--];
		} else if (*at == '"') {
			close = string_end(at + 1, end);
			r = check_string(at + 1, close, err);
			for (next = close + 1; next < end && strchr(" \t\r\n", *next); next++)
				;
			if (r == 0 && next < end && *next == ':')
				r = add_name(names, first[depth], at + 1, (size_t)(close - at - 1),
					     err);
			at = close;
		}
	}
	return r;
}

static int check_characters(const char *text, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		/* U+0080 to U+00FF are C2 or C3 and one byte more */
		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c > 0xc3)
			return err_set(err, EINVAL, "a character outside of U+0020 to U+00FF");
	}
	return 0;
}

int policy_scan(const char *text, size_t len, struct err *err)
{
	struct names names = {0};
	int r = check_characters(text, len, err);

	r = r ? r : scan_names(text, len, &names, err);
	free(names.list);
	return r;
}
