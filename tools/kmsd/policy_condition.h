/*
 * The Condition element of a statement: operators, their values, and whether they hold for a request
 * ("IAM User Guide, IAM JSON policy elements: Condition operators" and "Conditions with multiple
 * context keys or values").
 *
 * Operators and keys are joined by AND. The values of one key are joined by OR, under a negated
 * operator by NOR. What a missing key means:
 *
 *   operator | the key has no value
 *   plain | does not hold
 *   negated (StringNotEquals, ...) | holds
 *   ...IfExists | holds
 *   ForAllValues: | holds, whatever stands behind it
 *   ForAnyValue: | does not hold, IfExists or not
 *   Null | what it asks for
 *
 * Under ForAllValues and ForAnyValue an empty text is no value. A variable without value makes its
 * operator not hold, a negated one too: the statement cannot apply.
 */
#ifndef KMSD_POLICY_CONDITION_H
#define KMSD_POLICY_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct kms_json;
struct policy_context;
struct policy_test;

/* All zero holds always. */
struct policy_condition {
	struct policy_test *tests; /* owned */
	size_t count;
};

/*
 * Compile the value of a Condition element, which must outlive the condition. @variables: the
 * document's version knows policy variables. -EINVAL with a sentence that says what is wrong;
 * -ENOMEM. The caller frees with policy_condition_free().
 */
int policy_condition_compile(const struct kms_json *block, bool variables,
			     struct policy_condition *ret, struct err *err);
void policy_condition_free(struct policy_condition *condition);

/* The first test that does not hold, or NULL when all do. */
const struct policy_test *policy_condition_failing(const struct policy_condition *condition,
						   const struct policy_context *context);

/* Test @i of a condition; NULL: there are no more. */
const struct policy_test *policy_condition_test(const struct policy_condition *condition, size_t i);

/* What a test is called in its document, and its value there: "StringEquals", "kms:ViaService". */
const char *policy_test_operator(const struct policy_test *test);
const char *policy_test_key(const struct policy_test *test);
const struct kms_json *policy_test_wanted(const struct policy_test *test);

/* The values that the request has for the test's key, as policy_context_next() gives them. */
bool policy_test_next_value(const struct policy_test *test, const struct policy_context *context,
			    size_t *at, const char **ret_value);

#endif
