/* Credentials as a value: times and flaws. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aws_creds.h"
#include "err.h"

static void times_are_read_in_utc_or_with_an_offset(void **state)
{
	(void)state;
	assert_true(aws_creds_time("2026-01-01T00:00:00Z") == 1767225600);
	assert_true(aws_creds_time("2026-01-01T00:00:00.123Z") == 1767225600);
	assert_true(aws_creds_time("2026-01-01T02:00:00+02:00") == 1767225600);
	assert_true(aws_creds_time("2025-12-31T18:30:00-0530") == 1767225600);
	assert_true(aws_creds_time("2026-01-01T00:00:00") == -1);
	assert_true(aws_creds_time("2026-01-01T00:00:00Zx") == -1);
	assert_true(aws_creds_time("2026-01-01 00:00:00Z") == -1);
	assert_true(aws_creds_time("2026-01-01T00:00:00+02:00x") == -1);
	assert_true(aws_creds_time("2026-01-01T00:00:00+2") == -1);
	assert_true(aws_creds_time("") == -1);
}

static void flaws_are_named_without_the_secret(void **state)
{
	struct aws_creds c = {0};
	struct err err = {0};
	char big[AWS_SECRET_KEY_MAX + 2];

	(void)state;
	memset(big, 'S', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(aws_creds_set(&c, "src", "id", big, NULL, NULL, &err), -EACCES);
	assert_string_equal(err.msg, "src: the secret access key is too long");
	assert_int_equal(aws_creds_set(&c, "src", NULL, "s", NULL, NULL, &err), -EACCES);
	assert_string_equal(err.msg, "src: the access key id is missing");
	assert_int_equal(aws_creds_set(&c, "src", "a:b", "s", NULL, NULL, &err), -EACCES);
	assert_int_equal(aws_creds_set(&c, "src", "id", "", NULL, NULL, &err), -EACCES);
	assert_string_equal(err.msg, "src: the secret access key is empty");
	assert_int_equal(aws_creds_set(&c, "src", "id", "s", NULL, "never", &err), -EACCES);
	assert_null(c.secret_key);
	assert_int_equal(aws_creds_set(&c, "src", "id", "s", "", NULL, &err), 0);
	assert_null(c.token);
	aws_creds_clear(&c);
	assert_null(c.secret_key);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read_in_utc_or_with_an_offset),
		cmocka_unit_test(flaws_are_named_without_the_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
