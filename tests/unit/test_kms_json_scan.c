/* What is JSON to the letter, and what json-c alone would have taken. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "kms_json.h"

static const char *const good[] = {
	"{}",
	" \t\r\n[ ] ",
	"{\"a\":1,\"b\":[true,false,null,\"x\"]}",
	"null",
	"0",
	"-0.5e-3",
	"1E+2",
	"18446744073709551615",
	"-9223372036854775808",
	"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\\u0000\"",
	"\"\xc3\xa4\xf0\x9f\x98\x80\"",
	"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
};

static const char *const bad[][2] = {
	{"", "a value is expected at byte 0"},
	{"{'a':1}", "a member's name is expected at byte 1"},
	{"['a']", "a value is expected at byte 1"},
	{"{} x", "something stands behind the value at byte 3"},
	{"{}{}", "something stands behind the value at byte 2"},
	{"{\"a\":1,}", "a member's name is expected at byte 7"},
	{"[1,]", "a value is expected at byte 3"},
	{"[1 2]", "',' or ']' is expected at byte 3"},
	{"{\"a\" 1}", "':' is expected at byte 5"},
	{"{\"a\":1", "',' or '}' is expected at byte 6"},
	{"{a:1}", "a member's name is expected"},
	{"// x\n{}", "a value is expected at byte 0"},
	{"{/* x */}", "a member's name is expected"},
	{"NaN", "a value is expected"},
	{"[Infinity]", "a value is expected"},
	{"[-Infinity]", "a value is expected"},
	{"[True]", "a value is expected"},
	{"nul", "a value is expected"},
	{"01", "something stands behind the value"},
	{"+1", "a value is expected"},
	{".5", "a value is expected"},
	{"1.", "a number is cut short"},
	{"1e", "a number is cut short"},
	{"0x10", "something stands behind the value"},
	{"18446744073709551616", "a number is too large"},
	{"-9223372036854775809", "a number is too large"},
	{"1e999", "a number is too large"},
	{"11111111111111111111111111111111111111111111111111111111111111111",
	 "a number is too long"},
	{"\"", "a string does not end"},
	{"\"\\", "an escape is none"},
	{"\"\\x\"", "an escape is none"},
	{"\"\\u12g4\"", "an escape is none"},
	{"\"\t\"", "a control character in a string"},
	{"\"\\ud800\"", "half a surrogate pair"},
	{"\"\\udc00\\ud800\"", "half a surrogate pair"},
	{"\"\\ud800\\u0041\"", "half a surrogate pair"},
	{"\"\xff\"", "a string is not UTF-8"},
	{"\"\xed\xa0\x80\"", "a string is not UTF-8"},
	{"\"\xc0\x80\"", "a string is not UTF-8"},
	{"{\"a\\u0000b\":1}", "a name has a NUL in it"},
	{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "nested too deep"},
};

static void the_letter_of_the_standard_is_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct kms_json *v = NULL;
		struct err err = {0};
		char *text;

		if (kms_json_parse_any(good[i], strlen(good[i]), &v, &err) < 0)
			fail_msg("%s: %s", good[i], err.msg);
		text = kms_json_text(v);
		assert_non_null(text);
		free(text);
		kms_json_free(v);
	}
}

static void all_else_is_refused_with_the_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct kms_json *v = NULL;
		struct err err = {0};

		if (kms_json_parse_any(bad[i][0], strlen(bad[i][0]), &v, &err) != -EUCLEAN)
			fail_msg("%s is taken", bad[i][0]);
		assert_null(v);
		if (!strstr(err.msg, bad[i][1]))
			fail_msg("%s: %s", bad[i][0], err.msg);
	}
	{
		struct kms_json *v = NULL;

		assert_int_equal(kms_json_parse_any("{}\0", 3, &v, NULL), -EUCLEAN);
	}
}

static void members_given_twice_are_counted_twice(void **state)
{
	static const char text[] =
		"{\"a\":{\"b\":1,\"\\u0062\":2},\"c\":[{\"d\":1},{\"d\":2}],\"a\":3}";
	struct kms_json *v = NULL;
	size_t members = 0;

	(void)state;
	assert_int_equal(kms_json_scan(text, strlen(text), &members, NULL), 0);
	assert_int_equal(members, 7);
	assert_int_equal(kms_json_parse(text, strlen(text), &v, NULL), 0);
	assert_int_equal(kms_json_members(v), 4); /* a, c, d, d */
	kms_json_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_letter_of_the_standard_is_taken),
		cmocka_unit_test(all_else_is_refused_with_the_place),
		cmocka_unit_test(members_given_twice_are_counted_twice),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
