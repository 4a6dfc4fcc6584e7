/* Wildcards, values and the context that conditions are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy_context.h"
#include "policy_pattern.h"
#include "policy_value.h"

static bool like(const char *pattern, const char *text)
{
	struct policy_pattern p = {0};
	int r;

	assert_int_equal(policy_pattern_compile(pattern, strlen(pattern), POLICY_PATTERN_WILD, &p),
			 0);
	r = policy_pattern_match(&p, text, strlen(text), false, NULL);
	policy_pattern_free(&p);
	return r > 0;
}

static void wildcards_match_what_they_should(void **state)
{
	(void)state;
	assert_true(like("", ""));
	assert_false(like("", "a"));
	assert_true(like("*", ""));
	assert_true(like("**", "abc"));
	assert_true(like("a*c", "abcabc"));
	assert_false(like("a*c", "abcab"));
	assert_true(like("*ab*ab", "xabab"));
	assert_false(like("*ab*ab", "xab"));
	assert_true(like("a?c", "abc"));
	assert_false(like("a?c", "ac"));
	assert_false(like("?", ""));
	assert_true(like("?*?", "ab"));
	assert_false(like("?*?", "a"));
	assert_true(like("?", "\xc3\xa9")); /* one character, two bytes */
	assert_false(like("??", "\xc3\xa9"));
	assert_true(like("*aab", "aaaaab"));
	assert_true(like("arn:aws:kms:*:111122223333:key/*", "arn:aws:kms:us-east-1:111122223333:"
							     "key/1234"));
}

/* Against a matcher that tries everything. */
static bool slow_like(const char *pattern, const char *text)
{
	if (*pattern == '*')
		return slow_like(pattern + 1, text) || (*text && slow_like(pattern, text + 1));
	if (*pattern == '\0' || *text == '\0')
		return *pattern == *text;
	return (*pattern == '?' || *pattern == *text) && slow_like(pattern + 1, text + 1);
}

static void wildcards_agree_with_a_plain_matcher_on_random_texts(void **state)
{
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)atoi(given) : 20261121u;
	unsigned matched = 0;

	(void)state;
	print_message("# SEED=%u\n", seed);
	srand(seed);
	for (int i = 0; i < 20000; i++) {
		char pattern[9] = "", text[11] = "";
		int p = rand() % 9, t = rand() % 11;

		for (int j = 0; j < p; j++)
			pattern[j] = "ab*?"[rand() % 4];
		for (int j = 0; j < t; j++)
			text[j] = "ab"[rand() % 2];
		if (like(pattern, text) != slow_like(pattern, text))
			fail_msg("'%s' and '%s'", pattern, text);
		matched += slow_like(pattern, text);
	}
	assert_in_range(matched, 1000, 19000); /* both answers were tried */
}

static void times_are_read_in_every_form(void **state)
{
	static const struct {
		const char *text;
		int64_t want_ms;
	} rows[] = {
		{"1970", 0},
		{"1970-01-02", 86400000},
		{"1969-12-31", -86400000},
		{"2000-02-29", 951782400000},
		{"2000-03", 951868800000},
		{"2026-09-26T06:03Z", 1790402580000},
		{"2026-09-26T06:03:51.25Z", 1790402631250},
		{"2026-09-26T01:33:51-04:30", 1790402631000},
		{"1790402631", 1790402631000},
		{"0", 0},
		{"20260926", 20260926000}, /* seconds: only four digits are a year */
	};
	static const char *const bad[] = {"",

					  "2026-9-26",
					  "2026-09-26T",
					  "2026-09-26T06:03:51",
					  "2026-09-26T24:00Z",
					  "2026-09-26T06:03:51.Z",
					  "2026-09-26 06:03Z",
					  "now",
					  "2026-09-26T06:03+25:00",
					  "2026-00-01",
					  "2026-01-00"};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(policy_value_time(rows[i].text, &ms));
		assert_int_equal(ms, rows[i].want_ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (policy_value_time(bad[i], &ms))
			fail_msg("'%s' is taken for a time", bad[i]);
}

static void the_context_tells_the_time(void **state)
{
	struct policy_context context = {0};
	const char *value = NULL;
	size_t at = 0;

	(void)state;
	assert_int_equal(policy_context_add_time(&context, 1790402631999), 0);
	assert_true(policy_context_next(&context, "AWS:currenttime", 15,
					policy_context_hash("aws:CurrentTime", 15), &at, &value));
	assert_string_equal(value, "2026-09-26T06:03:51Z");
	at = 0;
	assert_true(policy_context_next(&context, "aws:EpochTime", 13,
					policy_context_hash("aws:EpochTime", 13), &at, &value));
	assert_string_equal(value, "1790402631");
	policy_context_free(&context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wildcards_match_what_they_should),
		cmocka_unit_test(wildcards_agree_with_a_plain_matcher_on_random_texts),
		cmocka_unit_test(times_are_read_in_every_form),
		cmocka_unit_test(the_context_tells_the_time),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
