/* The INI dialect of the AWS files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aws_env.h"
#include "aws_ini.h"
#include "err.h"

static struct aws_ini *parse(const char *text)
{
	struct aws_ini *ini = NULL;
	struct err err = {0};

	if (aws_ini_parse("f", text, strlen(text), &ini, &err) < 0)
		fail_msg("%s", err.msg);
	return ini;
}

static void sections_have_one_word_or_two(void **state)
{
	struct aws_ini *ini = parse("[default]\na=1\n[profile x]\na = 2\n[ profile\t\"y z\" ] # c\n"
				    "a =3\n[services s]\n");

	(void)state;
	assert_string_equal(aws_ini_get(ini, NULL, "default", NULL, "a"), "1");
	assert_string_equal(aws_ini_get(ini, "profile", "x", NULL, "a"), "2");
	assert_string_equal(aws_ini_get(ini, "profile", "y z", NULL, "a"), "3");
	assert_null(aws_ini_get(ini, NULL, "x", NULL, "a"));
	assert_null(aws_ini_get(ini, "profile", "default", NULL, "a"));
	assert_true(aws_ini_has_section(ini, "services", "s"));
	assert_false(aws_ini_has_section(ini, "services", "t"));
	assert_false(aws_ini_has_section(NULL, "services", "s"));
	aws_ini_free(ini);
}

static void values_keep_what_stands_in_them(void **state)
{
	struct aws_ini *ini = parse("\xef\xbb\xbf# c\r\n; c\r\n\r\n[default]\r\n"
				    "KEY = a=b # not a comment \r\nempty =\nkey2=x\nkey2=y");

	(void)state;
	assert_string_equal(aws_ini_get(ini, NULL, "default", NULL, "key"), "a=b # not a comment");
	assert_string_equal(aws_ini_get(ini, NULL, "default", NULL, "empty"), "");
	assert_string_equal(aws_ini_get(ini, NULL, "default", NULL, "key2"), "y");
	aws_ini_free(ini);
}

static void indented_keys_belong_to_the_empty_key_above(void **state)
{
	struct aws_ini *ini = parse("[services s]\ns3 =\n  endpoint_url = http://s3\nkms =\n"
				    "\tendpoint_url = http://kms\n\n  # c\n  other = 1\n"
				    "plain = v\n  second line of v\n  x = 1\n");

	(void)state;
	assert_string_equal(aws_ini_get(ini, "services", "s", "kms", "endpoint_url"), "http://kms");
	assert_string_equal(aws_ini_get(ini, "services", "s", "s3", "endpoint_url"), "http://s3");
	assert_string_equal(aws_ini_get(ini, "services", "s", "kms", "other"), "1");
	assert_null(aws_ini_get(ini, "services", "s", NULL, "endpoint_url"));
	assert_null(aws_ini_get(ini, "services", "s", "plain", "x"));
	assert_string_equal(aws_ini_get(ini, "services", "s", NULL, "plain"), "v");
	aws_ini_free(ini);
}

static void nonsense_is_refused_with_its_line(void **state)
{
	static const char *const bad[] = {"[default]\nSECRET", "[default]\n=SECRET",
					  "[default]\n[]",     "[default]\n[SECRET",
					  "[x]\n[a] SECRET",   "\nSECRET = 1"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct aws_ini *ini = NULL;
		struct err err = {0};

		assert_int_equal(aws_ini_parse("f", bad[i], strlen(bad[i]), &ini, &err), -EINVAL);
		assert_string_equal(err.msg, "'f': line 2 is no section, 'key = value' or comment");
		assert_null(ini);
	}
}

static void a_nul_byte_and_a_huge_file_are_refused(void **state)
{
	struct aws_ini *ini = NULL;
	struct err err = {0};
	const char *path;
	FILE *f;

	(void)state;
	assert_int_equal(aws_ini_parse("f", "[a]\0b=c", 8, &ini, &err), -EINVAL);
	assert_string_equal(err.msg, "'f': has a NUL byte in it");
	aws_env_clean();
	path = aws_env_write("/big", "");
	f = fopen(path, "w");
	for (int i = 0; i < AWS_INI_FILE_MAX + 1; i++)
		fputc('\n', f);
	fclose(f);
	assert_int_equal(aws_ini_load(path, &ini, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "is larger than 1048576 bytes"));
	assert_int_equal(aws_ini_load("/nonexistent/x", &ini, &err), -ENOENT);
	assert_int_equal(aws_ini_load("/", &ini, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "cannot read it: Is a directory"));
	aws_env_remove();
}

static void any_bytes_are_parsed_or_refused(void **state)
{
	static const char letters[] = "[]=# \t\n\r;\"'ab";
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20260101;

	(void)state;
	print_message("SEED=%u\n", seed);
	srand(seed);
	for (int i = 0; i < 20000; i++) {
		char text[40];
		size_t len = (size_t)rand() % sizeof(text);
		struct aws_ini *ini = NULL;

		for (size_t k = 0; k < len; k++)
			text[k] = letters[(size_t)rand() % (sizeof(letters) - 1)];
		if (aws_ini_parse("f", text, len, &ini, NULL) == 0) {
			(void)aws_ini_get(ini, NULL, "a", NULL, "b");
			(void)aws_ini_get(ini, "a", "b", "a", "b");
		}
		aws_ini_free(ini);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_have_one_word_or_two),
		cmocka_unit_test(values_keep_what_stands_in_them),
		cmocka_unit_test(indented_keys_belong_to_the_empty_key_above),
		cmocka_unit_test(nonsense_is_refused_with_its_line),
		cmocka_unit_test(a_nul_byte_and_a_huge_file_are_refused),
		cmocka_unit_test(any_bytes_are_parsed_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
