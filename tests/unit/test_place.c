/* Region, endpoint and tries, in the order of the SDKs. */
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
#include "aws_profile.h"
#include "err.h"
#include "place.h"

static struct aws_profile *profile;
static struct err err;
static char region[PLACE_REGION_MAX + 1], url[PLACE_ENDPOINT_MAX + 1];

static void load(const char *config)
{
	aws_profile_freep(&profile);
	aws_env_write("/.aws/config", config);
	assert_int_equal(aws_profile_load(NULL, &profile, &err), 0);
}

static int set_up(void **state)
{
	(void)state;
	aws_env_clean();
	err_clear(&err);
	load("");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	aws_profile_freep(&profile);
	aws_env_remove();
	return 0;
}

static void region_is_looked_for_in_order(void **state)
{
	(void)state;
	assert_int_equal(place_region(NULL, profile, region, &err), 0);
	load("[default]\nregion = r-profile\n");
	assert_int_equal(place_region(NULL, profile, region, &err), 1);
	assert_string_equal(region, "r-profile");
	setenv("AWS_DEFAULT_REGION", "r-default", 1);
	assert_int_equal(place_region(NULL, profile, region, &err), 1);
	assert_string_equal(region, "r-default");
	setenv("AWS_REGION", "r-region", 1);
	assert_int_equal(place_region(NULL, profile, region, &err), 1);
	assert_string_equal(region, "r-region");
	assert_int_equal(place_region("r-given", profile, region, &err), 1);
	assert_string_equal(region, "r-given");
}

static void region_that_is_no_host_name_part_is_refused(void **state)
{
	static const char *const bad[] = {"a b", "x/y", "Eu", "a.b", "-a", "a-", "a@b", "a#"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(place_region(bad[i], profile, region, &err), -EINVAL);
	assert_string_equal(err.msg, "region 'a#' is not the name of one, such as 'eu-central-1'");
}

static void region_of_an_arn(void **state)
{
	static const char *const none[] = {"alias/x",
					   "arn:aws:kms:eu-west-1",
					   "arn:aws:s3:eu-west-1:1:x",
					   "arn:aws:kms::1:key/x",
					   "arn:aws:kms:Evil/:1:key/x",
					   "arn:",
					   "1234",
					   ""};

	(void)state;
	assert_int_equal(
		place_region_of_arn("arn:aws-cn:kms:cn-north-1:111122223333:alias/x", region), 1);
	assert_string_equal(region, "cn-north-1");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(place_region_of_arn(none[i], region), 0);
	assert_int_equal(place_region_of_arn(NULL, region), 0);
}

static void endpoint_is_looked_for_in_order(void **state)
{
	(void)state;
	assert_int_equal(place_endpoint(NULL, profile, url, &err), 0);
	load("[default]\nendpoint_url = http://e1:1/\n");
	assert_int_equal(place_endpoint(NULL, profile, url, &err), 1);
	assert_string_equal(url, "http://e1:1");
	load("[default]\nendpoint_url = http://e1\nservices = s\n"
	     "[services s]\nkms =\n  endpoint_url = http://e2\n");
	assert_int_equal(place_endpoint(NULL, profile, url, &err), 1);
	assert_string_equal(url, "http://e2");
	setenv("AWS_ENDPOINT_URL", "http://e3/", 1);
	assert_int_equal(place_endpoint(NULL, profile, url, &err), 1);
	assert_string_equal(url, "http://e3");
	setenv("AWS_ENDPOINT_URL_KMS", "https://e4:444/p/", 1);
	assert_int_equal(place_endpoint(NULL, profile, url, &err), 1);
	assert_string_equal(url, "https://e4:444/p");
	assert_int_equal(place_endpoint("http://[::1]:5", profile, url, &err), 1);
	assert_string_equal(url, "http://[::1]:5");
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
	assert_int_equal(place_endpoint(NULL, profile, url, &err), 0);
}

static void endpoint_that_is_no_http_url_is_refused_without_being_shown(void **state)
{
	static const char *const bad[] = {"ftp://x",	       "nohost",	   "http://",
					  "http://u:SECRET@h", "http://h/?SECRET", "http://h/#f",
					  "file:///SECRET",    "http://h:99999"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("AWS_ENDPOINT_URL_KMS", bad[i], 1);
		if (place_endpoint(NULL, profile, url, &err) != -EINVAL)
			fail_msg("'%s' is taken", bad[i]);
		assert_memory_equal(err.msg, "AWS_ENDPOINT_URL_KMS is not a URL that can be used",
				    50);
		assert_null(strstr(err.msg, "SECRET"));
	}
}

static void aws_endpoints_by_partition(void **state)
{
	(void)state;
	place_aws_endpoint("eu-central-1", profile, url);
	assert_string_equal(url, "https://kms.eu-central-1.amazonaws.com");
	place_aws_endpoint("cn-north-1", profile, url);
	assert_string_equal(url, "https://kms.cn-north-1.amazonaws.com.cn");
	place_aws_endpoint("us-gov-west-1", profile, url);
	assert_string_equal(url, "https://kms.us-gov-west-1.amazonaws.com");
	setenv("AWS_USE_FIPS_ENDPOINT", "true", 1);
	place_aws_endpoint("us-east-1", profile, url);
	assert_string_equal(url, "https://kms-fips.us-east-1.amazonaws.com");
	load("[default]\nuse_dualstack_endpoint = true\n");
	place_aws_endpoint("us-east-1", profile, url);
	assert_string_equal(url, "https://kms-fips.us-east-1.api.aws");
	setenv("AWS_USE_FIPS_ENDPOINT", "false", 1);
	place_aws_endpoint("us-east-1", profile, url);
	assert_string_equal(url, "https://kms.us-east-1.api.aws");
}

static void tries_are_checked(void **state)
{
	(void)state;
	assert_int_equal(place_tries(0, profile, &err), 3);
	load("[default]\nmax_attempts = 5\n");
	assert_int_equal(place_tries(0, profile, &err), 5);
	setenv("AWS_MAX_ATTEMPTS", "7", 1);
	assert_int_equal(place_tries(0, profile, &err), 7);
	assert_int_equal(place_tries(2, profile, &err), 2);
	setenv("AWS_MAX_ATTEMPTS", "0", 1);
	assert_int_equal(place_tries(0, profile, &err), -EINVAL);
	setenv("AWS_MAX_ATTEMPTS", "many", 1);
	assert_int_equal(place_tries(0, profile, &err), -EINVAL);
	assert_string_equal(err.msg, "AWS_MAX_ATTEMPTS 'many' is not a number in 1..100");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(region_is_looked_for_in_order),
		TEST(region_that_is_no_host_name_part_is_refused),
		TEST(region_of_an_arn),
		TEST(endpoint_is_looked_for_in_order),
		TEST(endpoint_that_is_no_http_url_is_refused_without_being_shown),
		TEST(aws_endpoints_by_partition),
		TEST(tries_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
