/* Typed values of conditions. See policy_value.h. */
#include "policy_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NUMBER_LEN_MAX 64

bool policy_value_number(const char *text, double *ret)
{
	size_t len = strlen(text);
	double v;
	char *end;

	if (len == 0 || len > NUMBER_LEN_MAX || strspn(text, "0123456789+-.eE") != len)
		return false;
	errno = 0;
	v = strtod(text, &end);
	if (*end != '\0' || errno == ERANGE)
		return false;
	*ret = v;
	return true;
}

bool policy_value_bool(const char *text, bool *ret)
{
	if (strcasecmp(text, "true") != 0 && strcasecmp(text, "false") != 0)
		return false;
	*ret = (text[0] | 0x20) == 't';
	return true;
}

/* Exactly @digits digits; moves *@at behind them. */
static bool read_digits(const char **at, int digits, int *ret)
{
	int v = 0;

	for (int i = 0; i < digits; i++) {
		char c = (*at)[i];

		if (c < '0' || c > '9')
			return false;
		v = 10 * v + (c - '0');
	}
	*at += digits;
	*ret = v;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the Gregorian calendar, the year beginning in March. */
static int64_t days_since_epoch(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "Z", "+hh:mm" or "-hh:mm", and the end. */
static bool read_zone(const char *at, int *ret_minutes)
{
	int hours, minutes, sign = *at == '-' ? -1 : 1;

	if (strcmp(at, "Z") == 0) {
		*ret_minutes = 0;
		return true;
	}
	if (*at != '+' && *at != '-')
		return false;
	at++;
	if (!read_digits(&at, 2, &hours) || *at++ != ':' || !read_digits(&at, 2, &minutes) || *at)
		return false;
	*ret_minutes = sign * (60 * hours + minutes);
	return hours <= 23 && minutes <= 59;
}

/* "hh:mm", "hh:mm:ss", "hh:mm:ss.fff" and a zone; in ms since the day began in UTC. */
static bool read_time(const char *at, int64_t *ret_ms)
{
	int hours, minutes, seconds = 0, zone, ms = 0, scale = 100;

	if (!read_digits(&at, 2, &hours) || *at++ != ':' || !read_digits(&at, 2, &minutes))
		return false;
	if (*at == ':') {
		at++;
		if (!read_digits(&at, 2, &seconds))
			return false;
		if (*at == '.') {
			const char *first = ++at;

			for (; *at >= '0' && *at <= '9'; at++, scale /= 10)
				ms += (*at - '0') * scale;
			if (at == first)
				return false;
		}
	}
	if (!read_zone(at, &zone) || hours > 23 || minutes > 59 || seconds > 60)
		return false;
	*ret_ms = ((int64_t)hours * 3600 + (minutes - zone) * 60 + seconds) * 1000 + ms;
	return true;
}

static bool read_epoch(const char *text, int64_t *ret_ms)
{
	double seconds;

	if (strspn(text, "0123456789.-") != strlen(text) || !policy_value_number(text, &seconds) ||
	    seconds > 1e14 || seconds < -1e14)
		return false;
	*ret_ms = (int64_t)(seconds * 1000);
	return true;
}

bool policy_value_time(const char *text, int64_t *ret_ms)
{
	const char *at = text;
	int year, month = 1, day = 1;
	int64_t ms = 0;

	if (!read_digits(&at, 4, &year) || (*at != '\0' && *at != '-'))
		return read_epoch(text, ret_ms);
	if (*at == '-') {
		at++;
		if (!read_digits(&at, 2, &month) || month < 1 || month > 12)
			return false;
		if (*at == '-') {
			at++;
			if (!read_digits(&at, 2, &day) || day < 1 ||
			    day > days_in_month(year, month))
				return false;
			if (*at == 'T' && !read_time(at + 1, &ms))
				return false;
			if (*at == 'T')
				at = "";
		}
	}
	if (*at != '\0')
		return false;
	*ret_ms = days_since_epoch(year, month, day) * 86400000 + ms;
	return true;
}

bool policy_value_cidr(const char *text, struct policy_cidr *ret)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchrnul(text, '/');
	struct policy_cidr cidr = {0};
	int bits;

	if ((size_t)(slash - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (inet_pton(AF_INET, address, cidr.bytes) == 1)
		cidr.len_bytes = 4;
	else if (inet_pton(AF_INET6, address, cidr.bytes) == 1)
		cidr.len_bytes = 16;
	else
		return false;
	bits = 8 * cidr.len_bytes;
	if (*slash == '/') {
		const char *at = slash + 1;
		size_t digits = strlen(at);

		if (digits < 1 || digits > 3 || !read_digits(&at, (int)digits, &bits) ||
		    bits > 8 * cidr.len_bytes)
			return false;
	}
	cidr.bits = (uint8_t)bits;
	*ret = cidr;
	return true;
}

bool policy_value_in_range(const struct policy_cidr *address, const struct policy_cidr *range)
{
	unsigned whole = range->bits / 8u, rest = range->bits % 8u;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	if (address->len_bytes != range->len_bytes ||
	    memcmp(address->bytes, range->bytes, whole) != 0)
		return false;
	return rest == 0 || ((address->bytes[whole] ^ range->bytes[whole]) & mask) == 0;
}
