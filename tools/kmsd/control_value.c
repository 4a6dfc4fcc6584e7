/* Durations and times as people write them. See control_value.h. */
#include "control_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "err.h"
#include "policy_value.h"

/* Largest first: the order in which a text has them. */
static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

/* One or more of NUMBER UNIT, as "1h30m", each unit smaller than the one before. */
static int parse_span(const char *text, int64_t *ret_ms)
{
	int64_t total = 0, part;
	size_t next = 0;

	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return 0;
	}
	do {
		char *end;
		size_t len, i;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		errno = 0;
		part = strtoll(text, &end, 10);
		len = strspn(end, "dhms");
		for (i = next; i < UNIT_COUNT; i++)
			if (strlen(units[i].name) == len && strncmp(end, units[i].name, len) == 0)
				break;
		if (errno || i == UNIT_COUNT || __builtin_mul_overflow(part, units[i].ms, &part) ||
		    __builtin_add_overflow(total, part, &total))
			return -EINVAL;
		next = i + 1;
		text = end + len;
	} while (*text);
	*ret_ms = total;
	return 0;
}

int control_duration(const char *text, int64_t max_ms, int64_t *ret_ms, struct err *err)
{
	char most[CONTROL_TEXT_MAX];
	int64_t ms;

	if (parse_span(text, &ms) < 0)
		return err_set(err, EINVAL, "'%s' is no duration such as 250ms, 5s, 10m, 2h or 7d",
			       text);
	control_duration_text(max_ms, most);
	if (ms > max_ms)
		return err_set(err, EINVAL, "'%s' is more than %s", text, most);
	*ret_ms = ms;
	return 0;
}

int control_time(const char *text, int64_t now_ms, int64_t *ret_ms, struct err *err)
{
	int64_t ms;

	if (*text == '+' || *text == '-' || strcmp(text, "0") == 0) {
		if (parse_span(text + (*text != '0'), &ms) < 0 ||
		    __builtin_add_overflow(now_ms, *text == '-' ? -ms : ms, ret_ms))
			return err_set(err, EINVAL, "'%s' is no move such as +7d or -2h30m", text);
		return 0;
	}
	if (!policy_value_time(text, ret_ms))
		return err_set(
			err, EINVAL,
			"'%s' is neither a time such as 2026-12-01T00:00:00Z nor a move such "
			"as +7d",
			text);
	return 0;
}

int control_number(const char *text, double min, double max, double *ret, struct err *err)
{
	double v;

	if (!policy_value_number(text, &v) || !(v >= min && v <= max))
		return err_set(err, EINVAL, "'%s' is not a number from %g to %g", text, min, max);
	*ret = v;
	return 0;
}

void control_duration_text(int64_t ms, char ret[CONTROL_TEXT_MAX])
{
	size_t at = 0;
	uint64_t left = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;

	ret[0] = '\0';
	if (ms < 0)
		at += (size_t)snprintf(ret, CONTROL_TEXT_MAX, "-"); /* fits, as all below */
	for (size_t i = 0; i < UNIT_COUNT; i++) {
		uint64_t n = left / (uint64_t)units[i].ms;

		if (n == 0)
			continue;
		left %= (uint64_t)units[i].ms;
		at += (size_t)snprintf(ret + at, CONTROL_TEXT_MAX - at, "%llu%s",
				       (unsigned long long)n, units[i].name);
	}
	if (ms == 0)
		(void)snprintf(ret, CONTROL_TEXT_MAX, "0s"); /* fits */
}

void control_time_text(int64_t ms, char ret[CONTROL_TEXT_MAX])
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(ret, CONTROL_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
		(void)snprintf(ret, CONTROL_TEXT_MAX, "%lld", (long long)t); /* fits */
}
