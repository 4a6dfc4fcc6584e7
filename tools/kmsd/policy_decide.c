/* The decision. See policy_decide.h. */
#include "policy_decide.h"

#include <stdio.h>
#include <string.h>

#include "policy_context.h"
#include "policy_impl.h"
#include "policy_trace.h"

/* One policy */

/* True if one of the list matches, or, negated, none does. A variable without value: false. */
static bool list_matches(const struct policy_list *list, const char *text, bool ignore_case,
			 const struct policy_context *context)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < list->count; i++) {
		int r = policy_pattern_match(&list->patterns[i], text, len, ignore_case, context);

		if (r > 0)
			return !list->negated;
		if (r < 0 && list->negated)
			return false;
	}
	return list->negated;
}

static enum policy_reach statement_reach(const struct policy *policy,
					 const struct policy_statement *statement,
					 const struct policy_caller *caller)
{
	enum policy_reach best = POLICY_REACH_NONE;

	if (!policy_names_principals(policy->kind))
		return POLICY_REACH_DIRECT;
	if (statement->not_principal)
		return policy_principal_spared(statement->principals, statement->principal_count,
					       caller, statement->deny)
			       ? POLICY_REACH_NONE
			       : POLICY_REACH_DIRECT;
	for (size_t i = 0; i < statement->principal_count && best < POLICY_REACH_DIRECT; i++) {
		enum policy_reach reach = policy_principal_reach(&statement->principals[i], caller);

		best = reach > best ? reach : best;
	}
	return best;
}

/* Fills in outcome, reach and the failing test of @step. */
static void look(const struct policy *policy, const struct policy_statement *statement,
		 const struct policy_request *request, struct policy_step *step)
{
	const struct policy_test *failing;

	step->condition = &statement->condition;
	step->reach = POLICY_REACH_NONE;
	step->outcome = POLICY_OUTCOME_INEFFECTIVE;
	if (!policy_statement_effective(policy, statement))
		return;
	step->outcome = POLICY_OUTCOME_ACTION;
	if (!list_matches(&statement->actions, request->action, true, NULL))
		return;
	step->outcome = POLICY_OUTCOME_RESOURCE;
	if (policy->kind != POLICY_TRUST &&
	    !list_matches(&statement->resources, request->resource, false, request->context))
		return;
	step->outcome = POLICY_OUTCOME_PRINCIPAL;
	step->reach = statement_reach(policy, statement, request->caller);
	if (step->reach == POLICY_REACH_NONE)
		return;
	step->outcome = POLICY_OUTCOME_CONDITION;
	failing = policy_condition_failing(&statement->condition, request->context);
	if (failing) {
		step->failing = failing;
		return;
	}
	step->outcome = POLICY_OUTCOME_APPLIES;
}

struct policy_verdict policy_evaluate(const struct policy_named *named, enum policy_part part,
				      const struct policy_request *request,
				      struct policy_trace *trace)
{
	struct policy_verdict verdict = {.allow_at = -1, .deny_at = -1};
	const struct policy *policy = named->policy;

	for (size_t i = 0; i < policy->count; i++) {
		const struct policy_statement *statement = &policy->statements[i];
		struct policy_step step = {.part = part,
					   .deny = statement->deny,
					   .statement = (int)i,
					   .policy = named->name,
					   .sid = statement->sid};

		look(policy, statement, request, &step);
		if (trace)
			policy_trace_add(trace, &step);
		if (step.outcome != POLICY_OUTCOME_APPLIES)
			continue;
		if (statement->deny) {
			verdict.deny_at = verdict.deny_at < 0 ? (int)i : verdict.deny_at;
		} else if (step.reach > verdict.allow) {
			verdict.allow = step.reach;
			verdict.allow_at = (int)i;
		}
	}
	return verdict;
}

/* A part: several policies that speak as one */

struct part_verdict {
	bool present; /* has a policy at all */
	enum policy_reach allow;
	struct policy_decision allowed, denied; /* denied.result is POLICY_DENIED if one applies */
};

static struct policy_decision at_statement(enum policy_result result, enum policy_part part,
					   const struct policy_named *named, int at)
{
	return (struct policy_decision){.result = result,
					.part = part,
					.policy = named->name,
					.statement = at,
					.sid = named->policy->statements[at].sid};
}

static struct policy_decision in_general(enum policy_result result, enum policy_part part)
{
	return (struct policy_decision){.result = result, .part = part, .statement = -1};
}

static struct part_verdict evaluate_set(const struct policy_set *set, enum policy_part part,
					const struct policy_request *request,
					struct policy_trace *trace)
{
	struct part_verdict all = {.present = set->count > 0};

	all.allowed = all.denied = in_general(POLICY_NOT_ALLOWED, part);
	for (size_t i = 0; i < set->count; i++) {
		struct policy_verdict one = policy_evaluate(&set->list[i], part, request, trace);

		if (one.deny_at >= 0 && all.denied.result != POLICY_DENIED)
			all.denied = at_statement(POLICY_DENIED, part, &set->list[i], one.deny_at);
		if (one.allow > all.allow) {
			all.allow = one.allow;
			all.allowed =
				at_statement(POLICY_ALLOWED, part, &set->list[i], one.allow_at);
		}
	}
	return all;
}

/* Grants of the key; a grant that the caller's own account issued counts as if the key were there. */
static struct part_verdict evaluate_grants(const struct policy_request *request,
					   struct policy_trace *trace, bool *ret_own)
{
	const struct policy_key_side *key = request->key;
	struct part_verdict all = {.allowed = in_general(POLICY_NOT_ALLOWED, POLICY_PART_GRANT)};

	*ret_own = false;
	for (size_t i = 0; i < key->grant_count; i++) {
		const struct policy_grant *grant = &key->grants[i];
		const char *issuer = grant->issuing_account ? grant->issuing_account : key->account;
		bool own = strcmp(issuer, request->caller->account) == 0;
		enum policy_grant_miss miss;
		enum policy_reach reach = policy_grant_reach(grant, request, &miss);

		if (trace)
			policy_trace_add_grant(trace, grant->id, reach, miss);
		if (reach > all.allow || (reach == all.allow && reach && own)) {
			all.allow = reach;
			all.allowed = in_general(POLICY_ALLOWED, POLICY_PART_GRANT);
			all.allowed.policy = grant->id;
			*ret_own = own;
		}
	}
	return all;
}

/* All parts */

struct parts {
	const struct policy_request *request;
	struct part_verdict control, key, grant, identity, boundary, session;
	bool own_grant;
	bool own_key; /* the key is the caller's account's */
};

static void evaluate_parts(struct parts *parts, struct policy_trace *trace)
{
	const struct policy_request *request = parts->request;
	const struct policy_caller *caller = request->caller;

	parts->control = evaluate_set(&caller->control, POLICY_PART_CONTROL, request, trace);
	if (request->key) {
		const struct policy_set key = {&request->key->policy, 1};

		parts->own_key = caller->kind == POLICY_CALLER_SERVICE ||
				 strcmp(caller->account, request->key->account) == 0;
		parts->key = evaluate_set(&key, POLICY_PART_KEY, request, trace);
		parts->grant = evaluate_grants(request, trace, &parts->own_grant);
	}
	parts->identity = evaluate_set(&caller->identity, POLICY_PART_IDENTITY, request, trace);
	parts->boundary = evaluate_set(&caller->boundary, POLICY_PART_BOUNDARY, request, trace);
	parts->session = evaluate_set(&caller->session, POLICY_PART_SESSION, request, trace);
}

/*
 * Boundary and session policies: @allowed, unless one is there and does not allow. A federated user
 * has what session policies give, so without one nothing.
 */
static struct policy_decision limited(const struct parts *parts, struct policy_decision allowed)
{
	bool federated = parts->request->caller->kind == POLICY_CALLER_FEDERATED;

	if (parts->boundary.present && !parts->boundary.allow)
		return in_general(POLICY_NOT_ALLOWED, POLICY_PART_BOUNDARY);
	if ((parts->session.present || federated) && !parts->session.allow)
		return in_general(POLICY_NOT_ALLOWED, POLICY_PART_SESSION);
	return allowed;
}

/* The caller's own policies. */
static struct policy_decision decide_identity(const struct parts *parts)
{
	if (parts->request->caller->kind == POLICY_CALLER_ROOT)
		return in_general(POLICY_ALLOWED, POLICY_PART_ROOT);
	if (!parts->identity.allow)
		return in_general(POLICY_NOT_ALLOWED, POLICY_PART_IDENTITY);
	return limited(parts, parts->identity.allowed);
}

static struct policy_decision decide_own_key(const struct parts *parts)
{
	if (parts->key.allow == POLICY_REACH_DIRECT)
		return parts->key.allowed;
	if (parts->grant.allow == POLICY_REACH_DIRECT)
		return parts->grant.allowed;
	if (parts->key.allow == POLICY_REACH_ROLE)
		return limited(parts, parts->key.allowed);
	if (parts->grant.allow == POLICY_REACH_ROLE)
		return limited(parts, parts->grant.allowed);
	if (!parts->key.allow && !parts->grant.allow)
		return in_general(POLICY_NOT_ALLOWED, POLICY_PART_KEY);
	return decide_identity(parts);
}

static struct policy_decision decide_foreign_key(const struct parts *parts)
{
	if (parts->own_grant && parts->grant.allow == POLICY_REACH_DIRECT)
		return parts->grant.allowed;
	if (parts->own_grant && parts->grant.allow == POLICY_REACH_ROLE)
		return limited(parts, parts->grant.allowed);
	if (!parts->key.allow && !parts->grant.allow)
		return in_general(POLICY_NOT_ALLOWED, POLICY_PART_KEY);
	return decide_identity(parts);
}

struct policy_decision policy_decide(const struct policy_request *request,
				     struct policy_trace *trace)
{
	struct parts parts = {.request = request};
	const struct part_verdict *const all[] = {&parts.control, &parts.key, &parts.identity,
						  &parts.boundary, &parts.session};

	evaluate_parts(&parts, trace);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->denied.result == POLICY_DENIED)
			return all[i]->denied;
	if (parts.control.present && !parts.control.allow)
		return in_general(POLICY_NOT_ALLOWED, POLICY_PART_CONTROL);
	if (!request->key)
		return decide_identity(&parts);
	return parts.own_key ? decide_own_key(&parts) : decide_foreign_key(&parts);
}

/* The sentence */

static const char *const part_names[POLICY_PART_COUNT] = {
	[POLICY_PART_CONTROL] = "service control policy",
	[POLICY_PART_KEY] = "resource-based policy",
	[POLICY_PART_GRANT] = "resource-based policy",
	[POLICY_PART_IDENTITY] = "identity-based policy",
	[POLICY_PART_BOUNDARY] = "permissions boundary",
	[POLICY_PART_SESSION] = "session policy",
	[POLICY_PART_ROOT] = "identity-based policy",
};

void policy_decision_text(const struct policy_request *request,
			  const struct policy_decision *decision, char *ret_text, size_t size)
{
	const struct policy_caller *caller = request->caller;
	bool foreign = request->key && caller->kind != POLICY_CALLER_SERVICE &&
		       strcmp(caller->account, request->key->account) != 0;
	const char *part = part_names[decision->part];
	char what[2100], why[256];

	if (foreign)
		(void)snprintf(what, sizeof(what), "on this resource");
	else
		(void)snprintf(what, sizeof(what), "on resource: %s", request->resource); /* cut */
	if (foreign && decision->part == POLICY_PART_KEY)
		(void)snprintf(why, sizeof(why),
			       "because the resource does not exist in this Region, no "
			       "resource-based policies allow access, or a resource-based policy "
			       "explicitly denies access");
	else if (decision->result == POLICY_DENIED)
		(void)snprintf(why, sizeof(why), "with an explicit deny in a%s %s",
			       part[0] == 'i' ? "n" : "", part);
	else
		(void)snprintf(why, sizeof(why), "because no %s allows the %.128s action", part,
			       request->action);
	(void)snprintf(ret_text, size, "User: %s is not authorized to perform: %s %s %s",
		       caller->arn, request->action, what, why); /* cut */
}
