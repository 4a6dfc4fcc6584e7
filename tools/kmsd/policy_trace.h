/*
 * The chain of a decision: every statement and grant that was looked at, in order, and why it did or
 * did not apply. AWS does not offer it; `kmsd explain` prints it.
 */
#ifndef KMSD_POLICY_TRACE_H
#define KMSD_POLICY_TRACE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy_decide.h"

struct kms_json;
struct policy_condition;
struct policy_context;
struct policy_test;

enum policy_outcome {
	POLICY_OUTCOME_APPLIES,
	POLICY_OUTCOME_INEFFECTIVE, /* has no action, or no resource */
	POLICY_OUTCOME_ACTION,	    /* is about other actions */
	POLICY_OUTCOME_RESOURCE,
	POLICY_OUTCOME_PRINCIPAL,
	POLICY_OUTCOME_CONDITION,
	POLICY_OUTCOME_GRANT, /* the grant does not reach, as its miss says */
};

#define POLICY_TRACE_GRANT_MAX 64   /* characters of a grant's id */
#define POLICY_TRACE_STEPS_MAX 1024 /* what would come behind is left out */

/* Texts are borrowed from the policies and the request; a grant's id is copied. */
struct policy_step {
	enum policy_part part;
	enum policy_outcome outcome;
	enum policy_reach reach; /* if it applies */
	enum policy_grant_miss miss;
	bool deny;
	int statement; /* -1: a grant */
	const char *policy;
	const char *sid;
	const struct policy_condition *condition;
	const struct policy_test *failing; /* of POLICY_OUTCOME_CONDITION; those before it hold */
	char grant[POLICY_TRACE_GRANT_MAX + 1];
};

/* All zero is an empty one. */
struct policy_trace {
	struct policy_step *steps; /* owned */
	size_t count, cap;
	bool incomplete; /* there were too many, or memory ran out */
};

void policy_trace_free(struct policy_trace *trace);
void policy_trace_add(struct policy_trace *trace, const struct policy_step *step);
void policy_trace_add_grant(struct policy_trace *trace, const char *id, enum policy_reach reach,
			    enum policy_grant_miss miss);

/*
 * {"Decision", "DecidedBy", ..., "Steps": [{"Part", "Policy", "Statement", "Sid", "Effect", "Outcome",
 * "Conditions": [{"Operator", "Key", "Wanted", "Got", "Met"}], ...}]}; the caller frees. NULL: out of
 * memory. @trace may be NULL; @context is what the decision saw.
 */
struct kms_json *policy_trace_json(const struct policy_trace *trace,
				   const struct policy_decision *decision,
				   const struct policy_context *context);

/* {"KEY": ["VALUE", ...], ...} in the order of the table; NULL: out of memory. */
struct kms_json *policy_trace_context(const struct policy_context *context);

#endif
