/*
 * The values that conditions compare: numbers, times, addresses, truth, as IAM writes them ("IAM
 * User Guide, IAM JSON policy elements: Condition operators"). Each returns false for a text that is
 * none.
 */
#ifndef KMSD_POLICY_VALUE_H
#define KMSD_POLICY_VALUE_H

#include <stdbool.h>
#include <stdint.h>

/* An address (v4, or v6) and how many of its leading bits count. */
struct policy_cidr {
	uint8_t bytes[16];
	uint8_t len_bytes; /* 4 or 16 */
	uint8_t bits;
};

/* Decimal, with sign, fraction and exponent; no hex, no infinity. */
bool policy_value_number(const char *text, double *ret);

/*
 * W3C's forms of ISO 8601 (year; year and month; date; date and time with zone, seconds and their
 * fraction optional), or seconds since 1970; four digits are a year. In ms since 1970.
 */
bool policy_value_time(const char *text, int64_t *ret_ms);

/* "true" or "false" in any case. */
bool policy_value_bool(const char *text, bool *ret);

/* "203.0.113.0/24", "2001:db8::/32"; without a slash all bits count. */
bool policy_value_cidr(const char *text, struct policy_cidr *ret);

/* Whether @address (all its bits) lies in @range; v4 and v6 never meet. */
bool policy_value_in_range(const struct policy_cidr *address, const struct policy_cidr *range);

#endif
