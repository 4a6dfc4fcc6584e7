/*
 * Texts of a policy that may hold wildcards (* and ?) and policy variables (${aws:username},
 * ${aws:PrincipalTag/team, 'none'}, ${*} ${?} ${$}), compiled once and matched often ("IAM User
 * Guide, Policy elements: Variables and tags"). What a variable brings in is literal: a * in a tag's
 * value is no wildcard.
 */
#ifndef KMSD_POLICY_PATTERN_H
#define KMSD_POLICY_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct policy_context;
struct policy_token;

/* All zero matches the empty text only. */
struct policy_pattern {
	struct policy_token *tokens; /* owned; they point into the text */
	unsigned count;
	bool varies; /* holds variables */
};

enum policy_pattern_flag {
	POLICY_PATTERN_WILD = 1,      /* * and ? are wildcards */
	POLICY_PATTERN_VARIABLES = 2, /* ${...} is a variable; without, plain text */
};

#define POLICY_PATTERN_VARYING_MAX 64 /* tokens of a pattern with variables */

/*
 * Compile @len bytes of @text, which must outlive the pattern. What begins like a variable and does
 * not end like one is plain text. -E2BIG: more tokens than a pattern with variables may have;
 * -ENOMEM.
 */
int policy_pattern_compile(const char *text, size_t len, unsigned flags,
			   struct policy_pattern *ret);
void policy_pattern_free(struct policy_pattern *pattern);

/*
 * Whether all of @text matches: 1 or 0; -ENODATA: a variable has no value (no single value in
 * @context, and no default), so the statement it stands in cannot apply. @ignore_case: of ASCII
 * letters.
 */
int policy_pattern_match(const struct policy_pattern *pattern, const char *text, size_t len,
			 bool ignore_case, const struct policy_context *context);

#endif
