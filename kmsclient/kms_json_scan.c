/*
 * Is a text one JSON value, to the letter of RFC 8259? In one pass, without memory, so that it may be asked of anyone's
 * bytes. json-c, which builds the values, would take more: NaN, comments, numbers cut to what fits.
 */
#include "kms_json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"

#define NUMBER_MAX 64 /* characters */

struct scan {
	const char *at, *end;
	size_t members;
	unsigned depth;
	uint64_t objects; /* bit d: the value at depth d is an object, not an array */
	const char *wrong;
};

_Static_assert(KMS_JSON_DEPTH_MAX < 64, "one bit a level");

static bool fail(struct scan *s, const char *wrong)
{
	s->wrong = wrong;
	return false;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end &&
	       (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

/* The next byte; '\0' at the end, which no rule below wants. */
static char next(const struct scan *s)
{
	return s->at < s->end ? *s->at : '\0';
}

static bool digits(struct scan *s)
{
	const char *begin = s->at;

	while (next(s) >= '0' && next(s) <= '9')
		s->at++;
	return s->at > begin;
}

/* A number that a 64-bit integer or a double can hold. */
static bool scan_number(struct scan *s)
{
	const char *begin = s->at;
	char text[NUMBER_MAX + 1];
	bool whole = true;

	s->at += next(s) == '-';
	if (next(s) == '0')
		s->at++;
	else if (!digits(s))
		return fail(s, "a value is expected");
	if (next(s) == '.') {
		s->at++;
		whole = false;
		if (!digits(s))
			return fail(s, "a number is cut short");
	}
	if (next(s) == 'e' || next(s) == 'E') {
		s->at++;
		whole = false;
		s->at += next(s) == '+' || next(s) == '-';
		if (!digits(s))
			return fail(s, "a number is cut short");
	}
	if (s->at - begin > NUMBER_MAX)
		return fail(s, "a number is too long");
	memcpy(text, begin, (size_t)(s->at - begin));
	text[s->at - begin] = '\0';
	errno = 0;
	if (!whole)
		return isfinite(strtod(text, NULL)) || fail(s, "a number is too large");
	if (text[0] == '-')
		(void)strtoll(text, NULL, 10); /* for errno */
	else
		(void)strtoull(text, NULL, 10); /* for errno */
	return errno == 0 || fail(s, "a number is too large");
}

/* The four digits behind "\u". */
static bool unit(struct scan *s, unsigned *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++, s->at++) {
		int digit = s->at < s->end ? bytes_hex_digit(*s->at) : -1;

		if (digit < 0)
			return fail(s, "an escape is none");
		*ret = *ret << 4 | (unsigned)digit;
	}
	return true;
}

/* Behind a backslash. No half of a surrogate pair, and in names no NUL: they would come out as something else. */
static bool scan_escape(struct scan *s, bool name)
{
	unsigned high, low;
	char c = next(s);

	s->at += c != '\0';
	if (c && strchr("\"\\/bfnrt", c))
		return true;
	if (c != 'u')
		return fail(s, "an escape is none");
	if (!unit(s, &high))
		return false;
	if (name && high == 0)
		return fail(s, "a name has a NUL in it");
	if (high < 0xd800 || high > 0xdfff)
		return true;
	if (high > 0xdbff || s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
		return fail(s, "half a surrogate pair");
	s->at += 2;
	if (!unit(s, &low))
		return false;
	return (low >= 0xdc00 && low <= 0xdfff) || fail(s, "half a surrogate pair");
}

static bool scan_string(struct scan *s, bool name)
{
	const char *begin = ++s->at;

	for (;;) {
		while (s->at < s->end && *s->at != '"' && *s->at != '\\' &&
		       (unsigned char)*s->at >= 0x20)
			s->at++;
		if (next(s) == '\\') {
			s->at++;
			if (!scan_escape(s, name))
				return false;
			continue;
		}
		if (next(s) != '"')
			return fail(s, s->at < s->end ? "a control character in a string"
						      : "a string does not end");
		if (!bytes_utf8(begin, (size_t)(s->at - begin)))
			return fail(s, "a string is not UTF-8");
		s->at++;
		return true;
	}
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return fail(s, "a value is expected");
	s->at += n;
	return true;
}

static bool scan_name(struct scan *s)
{
	skip_space(s);
	if (next(s) != '"')
		return fail(s, "a member's name is expected");
	if (!scan_string(s, true))
		return false;
	skip_space(s);
	if (next(s) != ':')
		return fail(s, "':' is expected");
	s->at++;
	s->members++;
	return true;
}

/* Into an object or array. *@ret_empty: and out again. */
static bool enter(struct scan *s, bool *ret_empty)
{
	bool object = *s->at++ == '{';

	skip_space(s);
	*ret_empty = next(s) == (object ? '}' : ']');
	if (*ret_empty) {
		s->at++;
		return true;
	}
	if (s->depth + 1 >= KMS_JSON_DEPTH_MAX)
		return fail(s, "nested too deep");
	s->depth++;
	s->objects = object ? s->objects | UINT64_C(1) << s->depth
			    : s->objects & ~(UINT64_C(1) << s->depth);
	return !object || scan_name(s);
}

/* Behind a value: out of what ends here, or on to the next. *@ret_done: the outermost has ended. */
static bool leave(struct scan *s, bool *ret_done)
{
	while (s->depth > 0) {
		bool object = s->objects >> s->depth & 1;

		skip_space(s);
		if (next(s) == ',') {
			s->at++;
			return !object || scan_name(s);
		}
		if (next(s) != (object ? '}' : ']'))
			return fail(s,
				    object ? "',' or '}' is expected" : "',' or ']' is expected");
		s->at++;
		s->depth--;
	}
	*ret_done = true;
	return true;
}

static bool scan_value(struct scan *s, bool *ret_whole)
{
	bool empty = true;

	skip_space(s);
	*ret_whole = true;
	switch (next(s)) {
	case '{':
	case '[':
		if (!enter(s, &empty))
			return false;
		*ret_whole = empty;
		return true;
	case '"':
		return scan_string(s, false);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

int kms_json_scan(const char *text, size_t len, size_t *ret_members, struct err *err)
{
	struct scan s = {.at = text, .end = text + len};
	bool good = true, done = false;

	while (good && !done) {
		bool whole;

		good = scan_value(&s, &whole);
		if (good && whole)
			good = leave(&s, &done);
	}
	skip_space(&s);
	if (good && s.at < s.end)
		good = fail(&s, "something stands behind the value");
	if (!good)
		return err_set(err, EUCLEAN, "not JSON: %s at byte %td", s.wrong, s.at - text);
	*ret_members = s.members;
	return 0;
}
