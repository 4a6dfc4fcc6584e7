/* Chains of decisions. See policy_trace.h. */
#include "policy_trace.h"

#include <stdlib.h>
#include <string.h>

#include "kms_json.h"

#define STEPS_MIN 16

static const char *const part_names[POLICY_PART_COUNT] = {
	[POLICY_PART_CONTROL] = "service control policy",
	[POLICY_PART_KEY] = "key policy",
	[POLICY_PART_GRANT] = "grant",
	[POLICY_PART_IDENTITY] = "identity-based policy",
	[POLICY_PART_BOUNDARY] = "permissions boundary",
	[POLICY_PART_SESSION] = "session policy",
	[POLICY_PART_ROOT] = "root user",
};

static const char *const outcome_names[] = {
	[POLICY_OUTCOME_APPLIES] = "applies",
	[POLICY_OUTCOME_INEFFECTIVE] = "has no action or no resource, so it never applies",
	[POLICY_OUTCOME_ACTION] = "other action",
	[POLICY_OUTCOME_RESOURCE] = "other resource",
	[POLICY_OUTCOME_PRINCIPAL] = "other principal",
	[POLICY_OUTCOME_CONDITION] = "condition not met",
	[POLICY_OUTCOME_GRANT] = "other grantee or operation, or its constraint is not met",
};

static const char *const reach_names[] = {
	[POLICY_REACH_NONE] = NULL,
	[POLICY_REACH_ACCOUNT] = "account",
	[POLICY_REACH_ROLE] = "role",
	[POLICY_REACH_DIRECT] = "caller",
};

static const char *const result_names[] = {
	[POLICY_ALLOWED] = "allowed",
	[POLICY_NOT_ALLOWED] = "not allowed",
	[POLICY_DENIED] = "explicitly denied",
};

void policy_trace_free(struct policy_trace *trace)
{
	free(trace->steps);
	memset(trace, 0, sizeof(*trace));
}

void policy_trace_add(struct policy_trace *trace, const struct policy_step *step)
{
	if (trace->count == trace->cap) {
		size_t cap = trace->cap ? 2 * trace->cap : STEPS_MIN;
		struct policy_step *more = reallocarray(trace->steps, cap, sizeof(*more));

		if (!more) {
			trace->incomplete = true;
			return;
		}
		trace->steps = more;
		trace->cap = cap;
	}
	trace->steps[trace->count++] = *step;
}

static int set_text(struct kms_json *obj, const char *name, const char *text)
{
	return text ? kms_json_set_str(obj, name, text) : 0;
}

static int add_step(struct kms_json *list, const struct policy_step *step)
{
	struct kms_json *obj = kms_json_new_object();
	int r;

	if (!obj)
		return -1;
	r = set_text(obj, "Part", part_names[step->part]) | set_text(obj, "Policy", step->policy);
	if (step->statement >= 0)
		r |= kms_json_set_i64(obj, "Statement", step->statement) |
		     set_text(obj, "Sid", step->sid) |
		     set_text(obj, "Effect", step->deny ? "Deny" : "Allow");
	r |= set_text(obj, "Outcome", outcome_names[step->outcome]);
	if (step->outcome == POLICY_OUTCOME_CONDITION)
		r |= set_text(obj, "Operator", step->operator_name) |
		     set_text(obj, "Key", step->key);
	if (step->outcome == POLICY_OUTCOME_APPLIES)
		r |= set_text(obj, "Reaches", reach_names[step->reach]);
	return r | kms_json_add(list, obj);
}

struct kms_json *policy_trace_json(const struct policy_trace *trace,
				   const struct policy_decision *decision)
{
	struct kms_json *obj = kms_json_new_object(), *list = kms_json_new_array();
	int r;

	if (!obj || !list) {
		kms_json_free(obj);
		kms_json_free(list);
		return NULL;
	}
	r = set_text(obj, "Decision", result_names[decision->result]) |
	    set_text(obj, "DecidedBy", part_names[decision->part]) |
	    set_text(obj, "Policy", decision->policy) | set_text(obj, "Sid", decision->sid);
	if (decision->statement >= 0)
		r |= kms_json_set_i64(obj, "Statement", decision->statement);
	for (size_t i = 0; trace && i < trace->count; i++)
		r |= add_step(list, &trace->steps[i]);
	if (trace && trace->incomplete)
		r |= kms_json_set_bool(obj, "Incomplete", true);
	r |= kms_json_set(obj, "Steps", list);
	if (r) {
		kms_json_free(obj);
		return NULL;
	}
	return obj;
}
