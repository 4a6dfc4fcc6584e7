/* A document as policy.c compiles it and policy_decide.c asks it. For these files only. */
#ifndef KMSD_POLICY_IMPL_H
#define KMSD_POLICY_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"
#include "policy_condition.h"
#include "policy_pattern.h"

struct err;
struct kms_json;

/* Action, NotAction, Resource or NotResource. */
struct policy_list {
	struct policy_pattern *patterns; /* owned */
	size_t count;
	bool present;
	bool negated; /* Not... */
};

struct policy_statement {
	const char *sid; /* NULL: none */
	bool deny;
	struct policy_list actions, resources;
	struct policy_principal *principals; /* owned */
	size_t principal_count;
	bool not_principal;
	struct policy_condition condition;
};

struct policy {
	enum policy_kind kind;
	bool variables;	      /* its version knows policy variables */
	struct kms_json *doc; /* owned; patterns and principals point into it */
	struct policy_statement *statements;
	size_t count;
};

/* Whether the statement can apply at all. */
static inline bool policy_statement_effective(const struct policy *policy,
					      const struct policy_statement *statement)
{
	return statement->actions.present &&
	       (statement->resources.present || policy->kind == POLICY_TRUST);
}

static inline bool policy_names_principals(enum policy_kind kind)
{
	return kind == POLICY_KEY || kind == POLICY_TRUST;
}

/*
 * Compile @doc as the next statement of @policy, whose ->count counts it already: what it holds after
 * a failure is freed with the policy. Errors as policy_parse().
 */
int policy_statement_read(struct policy *policy, const struct kms_json *doc,
			  const struct policy_resolver *resolver, struct err *err);
void policy_statement_release(struct policy_statement *statement);

/*
 * MalformedPolicyDocumentException in the words of KMS, or, for the kinds of IAM, in those of IAM;
 * @iam NULL: IAM says only that there is an error.
 */
int policy_malformed(enum policy_kind kind, const char *kms, const char *iam, struct err *err);

/*
 * Look at the text of a document that is JSON for what a parsed one no longer shows: -EINVAL with a
 * sentence for a member that an object has twice (names are compared as written, escapes and all), a
 * NUL, or a character outside of what KMS takes (tab, line ends, U+0020 to U+00FF). -ENOMEM.
 */
int policy_scan(const char *text, size_t len, struct err *err);

#endif
