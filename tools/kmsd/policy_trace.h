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

enum policy_outcome {
	POLICY_OUTCOME_APPLIES,
	POLICY_OUTCOME_INEFFECTIVE, /* has no action, or no resource */
	POLICY_OUTCOME_ACTION,	    /* is about other actions */
	POLICY_OUTCOME_RESOURCE,
	POLICY_OUTCOME_PRINCIPAL,
	POLICY_OUTCOME_CONDITION,
	POLICY_OUTCOME_GRANT, /* another grantee or operation, or its constraint is not met */
};

/* Texts are borrowed from the policies, grants and request. */
struct policy_step {
	enum policy_part part;
	enum policy_outcome outcome;
	enum policy_reach reach; /* if it applies */
	bool deny;
	int statement; /* -1: a grant */
	const char *policy;
	const char *sid;
	const char *operator_name, *key; /* the test that failed, of POLICY_OUTCOME_CONDITION */
};

/* All zero is an empty one. */
struct policy_trace {
	struct policy_step *steps; /* owned */
	size_t count, cap;
	bool incomplete; /* memory ran out */
};

void policy_trace_free(struct policy_trace *trace);
void policy_trace_add(struct policy_trace *trace, const struct policy_step *step);

/*
 * {"Decision", "DecidedBy", ..., "Steps": [{"Part", "Policy", "Statement", "Sid", "Effect", "Outcome",
 * ...}]}; the caller frees. NULL: out of memory. @trace may be NULL.
 */
struct kms_json *policy_trace_json(const struct policy_trace *trace,
				   const struct policy_decision *decision);

#endif
