/* The retry quota and the back-off. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kms_retry.h"

static void quota_is_spent_by_retries_and_more_by_time_outs(void **state)
{
	struct kms_retry retry;

	(void)state;
	kms_retry_init(&retry);
	for (int i = 0; i < 100; i++)
		assert_int_equal(kms_retry_take(&retry, false), 5);
	assert_int_equal(kms_retry_take(&retry, false), 0);
	kms_retry_init(&retry);
	for (int i = 0; i < 50; i++)
		assert_int_equal(kms_retry_take(&retry, true), 10);
	assert_int_equal(kms_retry_take(&retry, true), 0);
}

static void success_gives_back_what_its_retry_took_or_one(void **state)
{
	struct kms_retry retry;

	(void)state;
	kms_retry_init(&retry);
	kms_retry_success(&retry, 0);
	assert_int_equal(retry.tokens, 500); /* never more than that */
	(void)kms_retry_take(&retry, true);
	(void)kms_retry_take(&retry, true);
	kms_retry_success(&retry, 10);
	assert_int_equal(retry.tokens, 490);
	kms_retry_success(&retry, 0);
	assert_int_equal(retry.tokens, 491);
}

static void delay_doubles_with_full_jitter_up_to_20_seconds(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 100; n++) {
		unsigned top = n < 5 ? 1000u << n : 20000;

		assert_int_equal(kms_retry_delay_ms(n, 1000, 0), 0);
		assert_int_equal(kms_retry_delay_ms(n, 1000, UINT32_MAX / 2 + 1), top / 2);
		assert_int_equal(kms_retry_delay_ms(n, 1000, UINT32_MAX), top - 1);
	}
	assert_int_equal(kms_retry_delay_ms(0, 3600000, UINT32_MAX), 19999);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(quota_is_spent_by_retries_and_more_by_time_outs),
		cmocka_unit_test(success_gives_back_what_its_retry_took_or_one),
		cmocka_unit_test(delay_doubles_with_full_jitter_up_to_20_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
