/* Sizes and durations, to and from text. See units.h. */
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "err.h"

#define DURATION_MAX_MS (100ULL * 365 * 86400 * 1000)

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit durations[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

static const char size_letters[] = "KMGT";

/* The digits at the start of *@p, which is moved behind them. False: none, or more than 64 bits. */
static bool digits(const char **p, uint64_t *ret)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**p - '0'), &v))
			return false;
	*ret = v;
	return true;
}

int units_parse_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
	const char *p = text;
	uint64_t v;

	if (!isdigit((unsigned char)*p))
		return err_set(err, EINVAL, "'%s' is no size: digits and, if wanted, K, M, G or T",
			       text);
	if (!digits(&p, &v))
		return err_set(err, EINVAL, "'%s' does not fit into 64 bits", text);
	const char *letter = *p ? strchr(size_letters, toupper((unsigned char)*p)) : NULL;
	if (letter) {
		p++;
		if (__builtin_mul_overflow(v, 1ULL << (10 * (letter - size_letters + 1)), &v))
			return err_set(err, EINVAL, "'%s' does not fit into 64 bits", text);
		if (strcasecmp(p, "iB") == 0)
			p += 2;
	}
	if (strcasecmp(p, "B") == 0)
		p++;
	if (*p)
		return err_set(err, EINVAL, "'%s' is no size: digits and, if wanted, K, M, G or T",
			       text);
	*ret_bytes = v;
	return 0;
}

/* "PT1M", "P1DT12H30M5S" (ISO 8601-1, 5.5.2.2), without years, months, weeks and fractions. */
static bool iso_duration(const char *p, uint64_t *ret_ms)
{
	static const struct {
		char letter;
		bool time; /* behind the T */
		uint64_t factor;
	} parts[] = {{'D', false, 86400000},
		     {'H', true, 3600000},
		     {'M', true, 60000},
		     {'S', true, 1000}};
	bool time = false, any = false;
	size_t next = 0;
	uint64_t v;

	*ret_ms = 0;
	for (p++; *p; p++) { /* behind the P */
		if (*p == 'T' && !time) {
			time = true;
			any = false;
			continue;
		}
		if (!digits(&p, &v))
			return false;
		while (next < 4 && (parts[next].letter != *p || parts[next].time != time))
			next++;
		if (next == 4 || __builtin_mul_overflow(v, parts[next].factor, &v) ||
		    __builtin_add_overflow(*ret_ms, v, ret_ms))
			return false;
		next++;
		any = true;
	}
	return any;
}

int units_parse_duration(const char *text, uint64_t *ret_ms, struct err *err)
{
	const char *p = text;
	uint64_t v;

	if (*text == 'P') {
		if (!iso_duration(text, &v))
			return err_set(err, EINVAL,
				       "'%s' is no duration as ISO 8601 has it, such as PT1M or "
				       "P1DT12H",
				       text);
		if (v > DURATION_MAX_MS)
			return err_set(err, EINVAL, "'%s' is more than 100 years", text);
		*ret_ms = v;
		return 0;
	}
	if (digits(&p, &v))
		for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
			if (strcmp(p, durations[i].name) != 0)
				continue;
			if (__builtin_mul_overflow(v, durations[i].factor, &v) ||
			    v > DURATION_MAX_MS)
				return err_set(err, EINVAL, "'%s' is more than 100 years", text);
			*ret_ms = v;
			return 0;
		}
	if (strcmp(text, "0") == 0) { /* of anything */
		*ret_ms = 0;
		return 0;
	}
	return err_set(err, EINVAL, "'%s' is no duration: digits and ms, s, m, h or d", text);
}

void units_format_size(uint64_t bytes, char ret_text[UNITS_TEXT_MAX])
{
	int power = 0;

	while (power < 4 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		power++;
	}
	if (power == 0)
		(void)snprintf(ret_text, UNITS_TEXT_MAX, "%" PRIu64 " bytes", bytes);
	else
		(void)snprintf(ret_text, UNITS_TEXT_MAX, "%" PRIu64 " %ciB", bytes,
			       size_letters[power - 1]);
}

void units_format_duration(uint64_t ms, char ret_text[UNITS_TEXT_MAX])
{
	const struct unit *u = &durations[ms ? 0 : 1]; /* nothing is "0s" */

	for (size_t i = 0; ms && i < sizeof(durations) / sizeof(*durations); i++)
		if (ms % durations[i].factor == 0)
			u = &durations[i];
	(void)snprintf(ret_text, UNITS_TEXT_MAX, "%" PRIu64 "%s", ms / u->factor, u->name);
}
