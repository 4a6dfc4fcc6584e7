/* Chains of decisions. See policy_trace.h. */
#include "policy_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kms_json.h"
#include "policy_condition.h"
#include "policy_context.h"

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
};

static const char *const miss_names[] = {
	[POLICY_GRANT_REACHES] = NULL,
	[POLICY_GRANT_OPERATION] = "other operations",
	[POLICY_GRANT_CONSTRAINT] = "constraint not met",
	[POLICY_GRANT_WIDER] = "the new grant would permit more",
	[POLICY_GRANT_GRANTEE] = "other grantee",
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
	if (trace->count == POLICY_TRACE_STEPS_MAX) {
		trace->incomplete = true;
		return;
	}
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

void policy_trace_add_grant(struct policy_trace *trace, const char *id, enum policy_reach reach,
			    enum policy_grant_miss miss)
{
	struct policy_step step = {
		.part = POLICY_PART_GRANT,
		.outcome = reach ? POLICY_OUTCOME_APPLIES : POLICY_OUTCOME_GRANT,
		.reach = reach,
		.miss = miss,
		.statement = -1,
	};

	(void)snprintf(step.grant, sizeof(step.grant), "%s", id ? id : ""); /* KMS's ids fit */
	policy_trace_add(trace, &step);
}

static int add_test(struct kms_json *list, const struct policy_test *test,
		    const struct policy_context *context, bool met)
{
	struct kms_json *obj = kms_json_new_object(), *got = kms_json_new_array();
	const char *value;
	size_t at = 0;
	int r = obj && got ? 0 : -1;

	while (r == 0 && policy_test_next_value(test, context, &at, &value))
		r = kms_json_add_str(got, value);
	if (r == 0)
		r = kms_json_set_str(obj, "Operator", policy_test_operator(test)) |
		    kms_json_set_str(obj, "Key", policy_test_key(test)) |
		    kms_json_set(obj, "Wanted", kms_json_copy(policy_test_wanted(test)));
	if (r == 0) {
		r = kms_json_set(obj, "Got", got) | kms_json_set_bool(obj, "Met", met);
		return r | kms_json_add(list, obj);
	}
	kms_json_free(got);
	kms_json_free(obj);
	return r;
}

/* Those that were tested: up to the one that fails. */
static int add_tests(struct kms_json *obj, const struct policy_step *step,
		     const struct policy_context *context)
{
	struct kms_json *list;
	const struct policy_test *test;
	int r = 0;

	if (!step->condition || !policy_condition_test(step->condition, 0))
		return 0;
	list = kms_json_new_array();
	for (size_t i = 0; list && r == 0 && (test = policy_condition_test(step->condition, i));
	     i++) {
		r = add_test(list, test, context, test != step->failing);
		if (test == step->failing)
			break;
	}
	return r | kms_json_set(obj, "Conditions", list);
}

static int add_step(struct kms_json *list, const struct policy_step *step,
		    const struct policy_context *context)
{
	struct kms_json *obj = kms_json_new_object();
	int r;

	if (!obj)
		return -1;
	r = set_text(obj, "Part", part_names[step->part]) |
	    set_text(obj, "Policy", step->grant[0] ? step->grant : step->policy);
	if (step->statement >= 0)
		r |= kms_json_set_i64(obj, "Statement", step->statement) |
		     set_text(obj, "Sid", step->sid) |
		     set_text(obj, "Effect", step->deny ? "Deny" : "Allow");
	r |= set_text(obj, "Outcome",
		      step->outcome == POLICY_OUTCOME_GRANT ? miss_names[step->miss]
							    : outcome_names[step->outcome]);
	if (step->outcome == POLICY_OUTCOME_CONDITION || step->outcome == POLICY_OUTCOME_APPLIES)
		r |= add_tests(obj, step, context);
	if (step->outcome == POLICY_OUTCOME_APPLIES)
		r |= set_text(obj, "Reaches", reach_names[step->reach]);
	return r | kms_json_add(list, obj);
}

struct kms_json *policy_trace_json(const struct policy_trace *trace,
				   const struct policy_decision *decision,
				   const struct policy_context *context)
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
		r |= add_step(list, &trace->steps[i], context);
	if (trace && trace->incomplete)
		r |= kms_json_set_bool(obj, "Incomplete", true);
	r |= kms_json_set(obj, "Steps", list);
	if (r) {
		kms_json_free(obj);
		return NULL;
	}
	return obj;
}

struct kms_json *policy_trace_context(const struct policy_context *context)
{
	struct kms_json *obj = kms_json_new_object();
	int r = obj ? 0 : -1;

	for (size_t i = 0; i < context->count && r == 0; i++) {
		const struct policy_context_entry *e = &context->entries[i];
		char name[512];
		struct kms_json *values;

		(void)snprintf(name, sizeof(name), "%s%s", e->prefix, e->name); /* cut */
		values = kms_json_get(obj, name);
		if (!values) {
			values = kms_json_new_array();
			r = kms_json_set(obj, name, values);
		}
		if (r == 0 && e->value)
			r = kms_json_add_str(values, e->value);
	}
	if (r) {
		kms_json_free(obj);
		return NULL;
	}
	return obj;
}
