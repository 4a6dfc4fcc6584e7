/* Sizes and durations as people write them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "units.h"

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"4096B", 4096},
		{"1k", 1024},
		{"1KiB", 1024},
		{"3KB", 3072},
		{"512M", 512ULL << 20},
		{"2G", 2ULL << 30},
		{"2gib", 2ULL << 30},
		{"64T", 64ULL << 40},
		{"18446744073709551615", UINT64_MAX},
		{"16777215T", 16777215ULL << 40},
	};
	struct err err;
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		if (units_parse_size(good[i].text, &v, &err) < 0 || v != good[i].bytes)
			fail_msg("'%s' was read wrongly", good[i].text);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const char *const bad[] = {"",	   "G",	  "-1",	  " 1",	  "1 G", "1GG", "1iB",
					  "1GiBs", "1e9", "0x10", "1.5G", "+1",	 "1P",	"2Gi"};
	static const char *const large[] = {"18446744073709551616", "16777216T",
					    "99999999999999999999G"};
	struct err err;
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (units_parse_size(bad[i], &v, &err) != -EINVAL)
			fail_msg("'%s' was taken for a size", bad[i]);
		assert_non_null(strstr(err.msg, "is no size: digits and, if wanted, K, M, G or T"));
	}
	for (size_t i = 0; i < sizeof(large) / sizeof(*large); i++) {
		assert_int_equal(units_parse_size(large[i], &v, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "does not fit into 64 bits"));
	}
	assert_true(v == 77);
}

static void durations_need_a_unit(void **state)
{
	struct err err;
	uint64_t v;

	(void)state;
	assert_int_equal(units_parse_duration("500ms", &v, &err), 0);
	assert_true(v == 500);
	assert_int_equal(units_parse_duration("1s", &v, &err), 0);
	assert_true(v == 1000);
	assert_int_equal(units_parse_duration("15m", &v, &err), 0);
	assert_true(v == 900000);
	assert_int_equal(units_parse_duration("2h", &v, &err), 0);
	assert_true(v == 7200000);
	assert_int_equal(units_parse_duration("7d", &v, &err), 0);
	assert_true(v == 604800000);
	assert_int_equal(units_parse_duration("0s", &v, &err), 0);
	assert_true(v == 0);
	for (const char *const *p =
		     (const char *const[]){"", "5", "s", "-1s", "1 s", "1S", "1sec", "1.5s", NULL};
	     *p; p++) {
		assert_int_equal(units_parse_duration(*p, &v, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "is no duration: digits and ms, s, m, h or d"));
	}
	assert_int_equal(units_parse_duration("36501d", &v, &err), -EINVAL);
	assert_string_equal(err.msg, "'36501d' is more than 100 years");
	assert_int_equal(units_parse_duration("18446744073709551615d", &v, &err), -EINVAL);
}

static void durations_as_iso_8601_has_them(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {
		{"PT1M", 60000},	{"PT5S", 5000},	      {"PT12H", 43200000},
		{"P1D", 86400000},	{"PT0S", 0},	      {"PT90M", 5400000},
		{"PT1H30M5S", 5405000}, {"P1DT1S", 86401000}, {"0", 0},
	};
	struct err err;
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(units_parse_duration(rows[i].text, &v, &err), 0);
		assert_true(v == rows[i].ms);
	}
	for (const char *const *p = (const char *const[]){"P", "PT", "P1M", "P1H", "PT1D", "P1DT",
							  "PT1M1H", "PT1M1M", "PT1.5S", "PT-1S",
							  "PT1", "PT1Mx", "PTT1M", "pt1m", NULL};
	     *p; p++)
		assert_int_equal(units_parse_duration(*p, &v, &err), -EINVAL);
	assert_int_equal(units_parse_duration("PT1", &v, &err), -EINVAL);
	assert_string_equal(err.msg,
			    "'PT1' is no duration as ISO 8601 has it, such as PT1M or P1DT12H");
	assert_int_equal(units_parse_duration("P36501D", &v, &err), -EINVAL);
	assert_string_equal(err.msg, "'P36501D' is more than 100 years");
	assert_int_equal(units_parse_duration("PT18446744073709551615H", &v, &err), -EINVAL);
}

static void formatted_is_exact_and_short(void **state)
{
	char text[UNITS_TEXT_MAX];

	(void)state;
	units_format_size(0, text);
	assert_string_equal(text, "0 bytes");
	units_format_size(1000, text);
	assert_string_equal(text, "1000 bytes");
	units_format_size(2ULL << 30, text);
	assert_string_equal(text, "2 GiB");
	units_format_size(1536ULL << 20, text);
	assert_string_equal(text, "1536 MiB");
	units_format_size(UINT64_MAX, text);
	assert_string_equal(text, "18446744073709551615 bytes");
	units_format_duration(0, text);
	assert_string_equal(text, "0s");
	units_format_duration(1500, text);
	assert_string_equal(text, "1500ms");
	units_format_duration(900000, text);
	assert_string_equal(text, "15m");
	units_format_duration(604800000, text);
	assert_string_equal(text, "7d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(durations_need_a_unit),
		cmocka_unit_test(durations_as_iso_8601_has_them),
		cmocka_unit_test(formatted_is_exact_and_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
