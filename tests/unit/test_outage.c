/* outage.json: what is kept comes back, what makes no sense is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "err.h"
#include "outage.h"

#define SINCE 1795000000123ULL /* 2026-11-18T06:26:40.123Z */

static char dir[] = "/tmp/test-outage.XXXXXX";
static int dir_fd;

static int make_dir(void **state)
{
	(void)state;
	dir_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY) : -1;
	return dir_fd < 0;
}

static int remove_dir(void **state)
{
	(void)state;
	(void)outage_clear(dir_fd);
	close(dir_fd);
	return rmdir(dir);
}

static void put(const char *text)
{
	int fd = openat(dir_fd, "outage.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void what_is_kept_comes_back(void **state)
{
	const struct outage kept[] = {{SINCE, SINCE + 604800000}, {SINCE, 0}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct outage o = {1, 1};

		assert_int_equal(outage_save(dir_fd, &kept[i]), 0);
		assert_int_equal(outage_load(dir_fd, &o, NULL), 0);
		assert_int_equal(o.since_wall_ms, kept[i].since_wall_ms);
		assert_int_equal(o.terminal_wall_ms, kept[i].terminal_wall_ms);
	}
}

static void cleared_is_none(void **state)
{
	struct outage o = {1, 1};

	(void)state;
	assert_int_equal(outage_clear(dir_fd), 0);
	assert_int_equal(outage_clear(dir_fd), 0);
	assert_int_equal(outage_load(dir_fd, &o, NULL), 0);
	assert_int_equal(o.since_wall_ms, 0);
	assert_false(outage_is_terminal(&o, UINT64_MAX));
}

static void it_ends_for_good_at_its_time(void **state)
{
	const struct outage o = {SINCE, SINCE + 10}, never = {SINCE, 0};
	struct err err;

	(void)state;
	assert_false(outage_is_terminal(&o, SINCE + 9));
	assert_true(outage_is_terminal(&o, SINCE + 10));
	assert_false(outage_is_terminal(&never, UINT64_MAX));
	assert_int_equal(outage_refuse(&o, &err), -EKEYREJECTED);
	assert_string_equal(
		err.msg, "state inaccessible-encryption-credentials: it was without its KMS key "
			 "from 2026-11-18T11:06:40.123Z until after 2026-11-18T11:06:40.133Z, and "
			 "is given up; its data comes back by 'kmsvol snapshot create' and 'kmsvol "
			 "restore'");
}

static void refuses(const char *text, const char *why)
{
	struct outage o = {7, 7};
	struct err err;

	put(text);
	assert_int_equal(outage_load(dir_fd, &o, &err), -EUCLEAN);
	assert_int_equal(o.since_wall_ms, 7);
	if (!strstr(err.msg, why) || strncmp(err.msg, "outage.json: ", 13) != 0)
		fail_msg("'%s' does not say '%s'", err.msg, why);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	refuses("", "not JSON");
	refuses("[]", "object");
	refuses("{}", "format");
	refuses("{\"format\": \"other\"}", "format");
	refuses("{\"format\": \"kmsvol-outage\"}", "since");
	refuses("{\"format\": \"kmsvol-outage\", \"since\": 5, \"terminal_at\": null}", "since");
	refuses("{\"format\": \"kmsvol-outage\", \"since\": \"2026-11-31T00:00:00.000Z\", "
		"\"terminal_at\": null}",
		"since");
	refuses("{\"format\": \"kmsvol-outage\", \"since\": \"2026-11-30T00:00:00.000Z\"}",
		"terminal_at");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept_comes_back),
		cmocka_unit_test(cleared_is_none),
		cmocka_unit_test(it_ends_for_good_at_its_time),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
