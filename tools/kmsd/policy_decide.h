/*
 * The decision: caller, key and request in; allowed or not, why, AWS's sentence, and, if wanted, each
 * step on the way out ("IAM User Guide, Policy evaluation logic"; "AWS KMS Developer Guide,
 * Troubleshooting key access"). A pure function.
 *
 * An explicit deny anywhere decides. Else, in the account of the key:
 *
 *   what reaches the caller | then
 *   key policy or grant: user, session, root user, "*" | allowed
 *   key policy or grant: role | allowed, if boundary and session policies allow it too
 *   key policy: the account | allowed, if identity policies, boundary and session policies allow it
 *   nothing | denied, whatever IAM says
 *
 * From another account: key policy or grant must reach the caller or its account, and the caller's own
 * policies must allow it; only a grant that the caller's account issued needs none. Service control
 * policies limit all. Without a key (CreateKey, ListKeys, ListAliases, GenerateRandom, the alias of an
 * alias operation) the caller's own policies decide.
 */
#ifndef KMSD_POLICY_DECIDE_H
#define KMSD_POLICY_DECIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"
#include "policy_grant.h"

struct policy_context;
struct policy_trace;

/* A policy under the name that explanations call it by. Borrowed. */
struct policy_named {
	const char *name;
	const struct policy *policy;
};

struct policy_set {
	const struct policy_named *list;
	size_t count;
};

enum policy_caller_kind {
	POLICY_CALLER_ROOT, /* the root user of an account */
	POLICY_CALLER_USER,
	POLICY_CALLER_SESSION,	 /* of a role */
	POLICY_CALLER_FEDERATED, /* GetFederationToken's */
	POLICY_CALLER_SERVICE,	 /* a service in its own name; arn is "ec2.amazonaws.com" */
};

struct policy_caller {
	enum policy_caller_kind kind;
	const char *arn;
	const char *account;
	const char *id;	      /* "AIDA...", "AROA...:session"; NULL: ARNs are compared instead */
	const char *role_arn; /* of a session: arn:aws:iam::A:role/R; else NULL */
	struct policy_set identity;
	struct policy_set boundary; /* empty: none is set */
	struct policy_set session;  /* empty: none was passed */
	struct policy_set control;  /* empty: no organization */
};

struct policy_key_side {
	const char *account;
	struct policy_named policy;
	const struct policy_grant *grants; /* of this key, those in force */
	size_t grant_count;
};

struct policy_request {
	const struct policy_caller *caller;
	const char *action;		   /* "kms:Decrypt" */
	const char *resource;		   /* ARN, or "*" */
	const struct policy_key_side *key; /* NULL: only the caller's policies decide */
	const struct policy_context *context;
	const struct policy_pair *pairs; /* encryption context, for grants */
	size_t pair_count;
	const struct policy_permit *new_grant; /* what a CreateGrant asks for; else NULL */
};

enum policy_part {
	POLICY_PART_CONTROL,
	POLICY_PART_KEY,
	POLICY_PART_GRANT,
	POLICY_PART_IDENTITY,
	POLICY_PART_BOUNDARY,
	POLICY_PART_SESSION,
	POLICY_PART_ROOT, /* the root user where only IAM decides: it may */
};

#define POLICY_PART_COUNT (POLICY_PART_ROOT + 1)

enum policy_result {
	POLICY_ALLOWED,
	POLICY_NOT_ALLOWED, /* the part had to allow, and does not */
	POLICY_DENIED,	    /* a statement of the part denies */
};

struct policy_decision {
	enum policy_result result;
	enum policy_part part; /* that decided */
	const char *policy; /* name of the policy, or id of the grant; NULL: none in particular */
	int statement;	    /* its index; -1: none in particular */
	const char *sid;    /* of the statement; may be NULL */
};

/* Decide. @trace (may be NULL) takes the steps. */
struct policy_decision policy_decide(const struct policy_request *request,
				     struct policy_trace *trace);

/* The sentence of AccessDeniedException for a decision that is not POLICY_ALLOWED; cut at @size. */
void policy_decision_text(const struct policy_request *request,
			  const struct policy_decision *decision, char *ret_text, size_t size);

/*
 * What one policy says to a request: how its Allow statements reach the caller, strongest (a policy
 * without principals reaches directly), and whether a Deny applies. For trust policies too.
 */
struct policy_verdict {
	enum policy_reach allow;
	int allow_at; /* statement; -1: none */
	int deny_at;
};

struct policy_verdict policy_evaluate(const struct policy_named *named, enum policy_part part,
				      const struct policy_request *request,
				      struct policy_trace *trace);

#endif
