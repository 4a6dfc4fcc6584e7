/* Whether the tests of a Condition element hold for a request. See policy_condition.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "policy_condition.h"
#include "policy_condition_impl.h"
#include "policy_context.h"

const char *policy_test_operator(const struct policy_test *test)
{
	return test->name;
}

const char *policy_test_key(const struct policy_test *test)
{
	return test->key;
}

const struct kms_json *policy_test_wanted(const struct policy_test *test)
{
	return test->wanted;
}

const struct policy_test *policy_condition_test(const struct policy_condition *condition, size_t i)
{
	return i < condition->count ? &condition->tests[i] : NULL;
}

static bool ordered(enum test_order order, int compared)
{
	switch (order) {
	case ORDER_LESS:
		return compared < 0;
	case ORDER_LESS_EQUAL:
		return compared <= 0;
	case ORDER_GREATER:
		return compared > 0;
	case ORDER_GREATER_EQUAL:
		return compared >= 0;
	default:
		return compared == 0;
	}
}

static int compare_numbers(const struct policy_test *test, const char *text)
{
	double a;

	if (!policy_value_number(text, &a))
		return 0;
	for (size_t i = 0; i < test->count; i++) {
		double b = test->values[i].number;

		if (ordered(test->op->order, (a > b) - (a < b)))
			return 1;
	}
	return 0;
}

static int compare_times(const struct policy_test *test, const char *text)
{
	int64_t a;

	if (!policy_value_time(text, &a))
		return 0;
	for (size_t i = 0; i < test->count; i++) {
		int64_t b = test->values[i].time_ms;

		if (ordered(test->op->order, (a > b) - (a < b)))
			return 1;
	}
	return 0;
}

static int compare_addresses(const struct policy_test *test, const char *text)
{
	struct policy_cidr address;

	if (!policy_value_cidr(text, &address))
		return 0;
	for (size_t i = 0; i < test->count; i++)
		if (policy_value_in_range(&address, &test->values[i].range))
			return 1;
	return 0;
}

static int compare_binaries(const struct policy_test *test, const char *text)
{
	uint8_t *bytes = NULL;
	size_t len;
	int r = 0;

	if (bytes_from_base64(text, strlen(text), &bytes, &len) < 0)
		return 0;
	for (size_t i = 0; i < test->count && r == 0; i++)
		r = test->values[i].binary.len == len &&
		    memcmp(test->values[i].binary.bytes, bytes, len) == 0;
	free(bytes);
	return r;
}

/* An ARN part by part: no wildcard reaches over a colon, but in the last part. */
static int match_arn(const struct arn_pattern *arn, const char *text,
		     const struct policy_context *context)
{
	const char *at = text;
	int r = 1;

	if (arn->count != ARN_PARTS) /* "*", or what matches no ARN */
		return arn->count == 1 && strncmp(text, "arn:", 4) == 0
			       ? policy_pattern_match(&arn->parts[0], text, strlen(text), false,
						      context)
			       : 0;
	for (unsigned i = 0; i < ARN_PARTS && r == 1; i++) {
		const char *end = i == ARN_PARTS - 1 ? NULL : strchr(at, ':');

		if (i < ARN_PARTS - 1 && !end)
			return 0;
		r = policy_pattern_match(&arn->parts[i], at, end ? (size_t)(end - at) : strlen(at),
					 false, context);
		at = end ? end + 1 : at;
	}
	return r;
}

/* The types whose values are patterns. */
static int compare_texts(const struct policy_test *test, const char *text,
			 const struct policy_context *context)
{
	bool ignore_case = test->op->type == TYPE_STRING_IGNORE_CASE || test->op->type == TYPE_BOOL;
	size_t len = strlen(text);
	int without = 0;

	for (size_t i = 0; i < test->count; i++) {
		const struct test_value *value = &test->values[i];
		int r = test->op->type == TYPE_ARN
				? match_arn(value->arn, text, context)
				: policy_pattern_match(&value->pattern, text, len, ignore_case,
						       context);

		if (r > 0)
			return 1;
		without = r < 0 ? r : without;
	}
	return without;
}

/*
 * Whether one value of the request stands in the operator's relation to any of the policy's: 1 or 0,
 * already turned around for a negated operator; -ENODATA: for want of a variable.
 */
static int holds_for(const struct policy_test *test, const char *text,
		     const struct policy_context *context)
{
	int r;

	switch (test->op->type) {
	case TYPE_NUMBER:
		r = compare_numbers(test, text);
		break;
	case TYPE_TIME:
		r = compare_times(test, text);
		break;
	case TYPE_ADDRESS:
		r = compare_addresses(test, text);
		break;
	case TYPE_BINARY:
		r = compare_binaries(test, text);
		break;
	default:
		r = compare_texts(test, text, context);
	}
	return r < 0 ? r : r ^ test->op->negated;
}

static bool null_holds(const struct policy_test *test, bool present)
{
	for (size_t i = 0; i < test->count; i++)
		if (test->values[i].truth == !present)
			return true;
	return false;
}

bool policy_test_next_value(const struct policy_test *test, const struct policy_context *context,
			    size_t *at, const char **ret)
{
	return policy_context_next(context, test->key, test->key_len, test->key_hash, at, ret);
}

/* ForAllValues and ForAnyValue. */
static bool set_holds(const struct policy_test *test, const struct policy_context *context)
{
	bool all = test->set == SET_ALL;
	const char *text;
	size_t at = 0;

	while (policy_test_next_value(test, context, &at, &text)) {
		int r = text[0] ? holds_for(test, text, context) : all;

		if (r < 0 || (r > 0) != all)
			return r > 0;
	}
	return all;
}

/* Without a set operator one value is meant; of several, one that is equal is enough to be equal. */
static bool single_holds(const struct policy_test *test, const struct policy_context *context)
{
	bool negated = test->op->negated;
	const char *text;
	size_t at = 0;
	int r = -1;

	while (policy_test_next_value(test, context, &at, &text)) {
		r = holds_for(test, text, context);
		if (r < 0)
			return false;
		if ((r > 0) != negated)
			return r > 0;
	}
	return r < 0 ? negated || test->if_exists : r > 0;
}

static bool test_holds(const struct policy_test *test, const struct policy_context *context)
{
	const char *text;
	size_t at = 0;

	if (test->op->type == TYPE_NULL)
		return null_holds(test, policy_test_next_value(test, context, &at, &text));
	return test->set == SET_NONE ? single_holds(test, context) : set_holds(test, context);
}

const struct policy_test *policy_condition_failing(const struct policy_condition *condition,
						   const struct policy_context *context)
{
	for (size_t i = 0; i < condition->count; i++)
		if (!test_holds(&condition->tests[i], context))
			return &condition->tests[i];
	return NULL;
}
