/* Wildcards and policy variables. See policy_pattern.h. */
#include "policy_pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy_context.h"

enum token_kind {
	TOKEN_LITERAL,
	TOKEN_MANY, /* * */
	TOKEN_ONE,  /* ? */
	TOKEN_VARIABLE,
};

struct policy_token {
	enum token_kind kind;
	uint32_t hash;	      /* variable: of its key */
	const char *text;     /* literal, or the variable's key */
	const char *fallback; /* variable: NULL without default */
	size_t len, fallback_len;
};

/* @at stands on "${". Returns the length of the whole variable, or 0 if it is none. */
static size_t read_variable(const char *at, size_t len, struct policy_token *ret)
{
	const char *end = memchr(at, '}', len);
	const char *key = at + 2, *comma;
	size_t key_len;

	if (!end || end == key)
		return 0;
	key_len = (size_t)(end - key);
	*ret = (struct policy_token){.kind = TOKEN_VARIABLE, .text = key, .len = key_len};
	if (key_len == 1 && strchr("*?$", key[0])) {
		ret->kind = TOKEN_LITERAL;
		return (size_t)(end - at) + 1;
	}
	comma = memchr(key, ',', key_len);
	if (comma) {
		const char *quote = comma + 1;

		while (quote < end && *quote == ' ')
			quote++;
		if (end - quote < 2 || *quote != '\'' || end[-1] != '\'')
			return 0;
		ret->len = (size_t)(comma - key);
		ret->fallback = quote + 1;
		ret->fallback_len = (size_t)(end - quote) - 2;
	}
	ret->hash = policy_context_hash(ret->text, ret->len);
	return (size_t)(end - at) + 1;
}

/* The token at @at, of a literal as much as goes on without a special character; its length. */
static size_t read_token(const char *at, size_t len, unsigned flags, struct policy_token *ret)
{
	size_t n = 0;

	if ((flags & POLICY_PATTERN_WILD) && (*at == '*' || *at == '?')) {
		*ret = (struct policy_token){.kind = *at == '*' ? TOKEN_MANY : TOKEN_ONE};
		return 1;
	}
	if ((flags & POLICY_PATTERN_VARIABLES) && len > 2 && at[0] == '$' && at[1] == '{') {
		n = read_variable(at, len, ret);
		if (n > 0)
			return n;
	}
	for (n = 1; n < len; n++) {
		if ((flags & POLICY_PATTERN_WILD) && (at[n] == '*' || at[n] == '?'))
			break;
		if ((flags & POLICY_PATTERN_VARIABLES) && at[n] == '$' && n + 1 < len &&
		    at[n + 1] == '{')
			break;
	}
	*ret = (struct policy_token){.kind = TOKEN_LITERAL, .text = at, .len = n};
	return n;
}

int policy_pattern_compile(const char *text, size_t len, unsigned flags, struct policy_pattern *ret)
{
	struct policy_pattern pattern = {0};
	struct policy_token token;
	size_t count = 0, n;

	for (size_t i = 0; i < len; i += n, count++) {
		n = read_token(text + i, len - i, flags, &token);
		pattern.varies |= token.kind == TOKEN_VARIABLE;
	}
	if (pattern.varies && count > POLICY_PATTERN_VARYING_MAX)
		return -E2BIG;
	pattern.tokens = calloc(count ? count : 1, sizeof(*pattern.tokens));
	if (!pattern.tokens)
		return -ENOMEM;
	for (size_t i = 0; i < len; i += n)
		n = read_token(text + i, len - i, flags, &pattern.tokens[pattern.count++]);
	*ret = pattern;
	return 0;
}

void policy_pattern_free(struct policy_pattern *pattern)
{
	free(pattern->tokens);
	memset(pattern, 0, sizeof(*pattern));
}

static bool literal_at(const struct policy_token *token, const char *text, bool ignore_case)
{
	return ignore_case ? strncasecmp(text, token->text, token->len) == 0
			   : memcmp(text, token->text, token->len) == 0;
}

/* Length of the character at @text (UTF-8); at least 1. */
static size_t character_len(const char *text, size_t len)
{
	size_t n = 1;

	while (n < len && ((unsigned char)text[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/*
 * All tokens but MANY have a length that the text settles, so after a failure it is enough to let the
 * last MANY take one byte more.
 */
static bool match_tokens(const struct policy_token *tokens, unsigned count, const char *text,
			 size_t len, bool ignore_case)
{
	unsigned t = 0, retry_t = 0; /* retry_t 0: no MANY seen */
	size_t at = 0, retry_at = 0;

	for (;;) {
		const struct policy_token *token = t < count ? &tokens[t] : NULL;

		if (!token) {
			if (at == len)
				return true;
		} else if (token->kind == TOKEN_MANY) {
			if (++t == count)
				return true;
			retry_t = t;
			retry_at = at;
			continue;
		} else if (token->kind == TOKEN_ONE && at < len) {
			at += character_len(text + at, len - at);
			t++;
			continue;
		} else if (token->kind == TOKEN_LITERAL && token->len <= len - at &&
			   literal_at(token, text + at, ignore_case)) {
			at += token->len;
			t++;
			continue;
		}
		if (retry_t == 0 || retry_at >= len)
			return false;
		t = retry_t;
		at = ++retry_at;
	}
}

/* A variable becomes a literal; false: it has no value. */
static bool resolve(struct policy_token *token, const struct policy_context *context)
{
	const char *value = NULL, *second;
	size_t at = 0;
	bool found =
		policy_context_next(context, token->text, token->len, token->hash, &at, &value);

	if (found &&
	    policy_context_next(context, token->text, token->len, token->hash, &at, &second))
		return false;
	if (!found && !token->fallback)
		return false;
	token->kind = TOKEN_LITERAL;
	token->text = found ? value : token->fallback;
	token->len = found ? strlen(value) : token->fallback_len;
	return true;
}

int policy_pattern_match(const struct policy_pattern *pattern, const char *text, size_t len,
			 bool ignore_case, const struct policy_context *context)
{
	struct policy_token resolved[POLICY_PATTERN_VARYING_MAX];

	if (!pattern->varies)
		return match_tokens(pattern->tokens, pattern->count, text, len, ignore_case);
	for (unsigned i = 0; i < pattern->count; i++) {
		resolved[i] = pattern->tokens[i];
		if (resolved[i].kind == TOKEN_VARIABLE && !resolve(&resolved[i], context))
			return -ENODATA;
	}
	return match_tokens(resolved, pattern->count, text, len, ignore_case);
}
