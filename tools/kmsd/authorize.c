/* The decision. See authorize.h. */
#include "authorize.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "authorize_context.h"
#include "call.h"
#include "decisions.h"
#include "err.h"
#include "fault.h"
#include "grants.h"
#include "identity.h"
#include "keyring.h"
#include "kms_json.h"
#include "policy_bound.h"
#include "policy_decide.h"
#include "policy_trace.h"
#include "secret.h"

#define ACTION_MAX 128

/* What is asked. */
struct question {
	const char *action; /* "kms:Decrypt" */
	const char *resource;
	const struct key *key;		    /* NULL: none, or one to be made */
	const struct policy_key_side *side; /* NULL: only the caller's own policies decide */
};

static struct policy_caller caller_of(const struct call *call)
{
	static const enum policy_caller_kind kinds[] = {
		[CALLER_ROOT] = POLICY_CALLER_ROOT,	   [CALLER_USER] = POLICY_CALLER_USER,
		[CALLER_ROLE] = POLICY_CALLER_SESSION,	   [CALLER_SERVICE] = POLICY_CALLER_SERVICE,
		[CALLER_INSTANCE] = POLICY_CALLER_SESSION,
	};
	const struct caller *c = call->caller;
	struct policy_caller caller = {
		.kind = kinds[c->kind],
		.arn = c->arn,
		.account = c->account,
		.id = c->principal_id[0] ? c->principal_id : NULL,
		.role_arn = kinds[c->kind] == POLICY_CALLER_SESSION ? c->issuer_arn : NULL,
	};

	if (c->identity) {
		caller.identity = c->identity->policies;
		caller.boundary = c->identity->boundary;
		caller.session = c->identity->session;
	}
	return caller;
}

/* A grant of the key that reaches the caller, in the engine's words. */
struct search {
	const struct policy_request *request;
	struct policy_trace *trace;
	struct grant *grant; /* counted */
	struct policy_grant found;
	enum policy_reach reach;
};

static int read_grant(const struct grant *grant, struct policy_grant *ret)
{
	struct err ignored = {0};
	int r;

	*ret = (struct policy_grant){
		.id = grant->id, .issuing_account = grant->issuer, .permit = grant->permit};
	r = policy_principal_read_grantee(grant->grantee, NULL, &ret->grantee, &ignored);
	(void)snprintf(ret->grantee.id, sizeof(ret->grantee.id), "%s",
		       grant->grantee_id); /* fits */
	return r;
}

/* Keeps the grant that reaches furthest; 1: none can reach further. */
static int look(struct grant *grant, void *arg)
{
	struct search *search = arg;
	struct policy_grant candidate;
	enum policy_grant_miss miss;
	enum policy_reach reach;

	if (read_grant(grant, &candidate) < 0)
		return 0; /* names nobody that could call */
	reach = policy_grant_reach(&candidate, search->request, &miss);
	policy_trace_add_grant(search->trace, grant->id, reach, miss);
	if (reach <= search->reach)
		return 0;
	cached_put(search->grant);
	search->grant = cached_get(grant);
	search->found = candidate;
	search->reach = reach;
	return reach == POLICY_REACH_DIRECT;
}

/* A grant may name the caller, its role or its account. Of several, one is enough. */
static int find_grant(const struct call *call, const struct key *key, struct search *search,
		      struct err *err)
{
	const struct caller *c = call->caller;
	const struct policy_request *q = search->request;
	const struct grant_request request = {
		.operation = policy_grant_operation(q->action + strlen("kms:")),
		.pairs = q->pairs,
		.pair_count = q->pair_count,
		.new_grant = q->new_grant,
		.tokens = &call->tokens,
	};
	const char *forms[] = {c->arn, c->kind == CALLER_ROLE ? c->issuer_arn : NULL, NULL};
	char root[64];
	int r = 0;

	(void)snprintf(root, sizeof(root), "arn:aws:iam::%.12s:root", c->account); /* fits */
	if (c->kind != CALLER_ROOT)
		forms[2] = root;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && r == 0; i++)
		if (forms[i])
			r = grants_each(keyring_grants(call->kmsd->ring), key, forms[i], &request,
					look, search, err);
	return r < 0 ? r : 0;
}

/* policy_decide(), with what grants allow where policies alone do not. */
static int decide_with_grants(const struct call *call, const struct key *key,
			      struct policy_request *request, struct policy_decision *ret,
			      struct policy_trace *trace, struct err *err)
{
	AUTO(freep) struct policy_pair *pairs = NULL, *new_pairs = NULL;
	struct policy_key_side side = *request->key;
	struct search search = {.request = request, .trace = trace};
	struct policy_permit permit;
	const char *action = request->action + strlen("kms:");
	int r = grant_pairs(call_encryption_context(call, action), &pairs, &request->pair_count,
			    err);

	request->pairs = pairs;
	if (r == 0 && strcmp(action, "CreateGrant") == 0) {
		r = call_new_permit(call, &permit, &new_pairs, err);
		request->new_grant = &permit;
	}
	r = r ? r : find_grant(call, key, &search, err);
	if (r == 0 && search.grant) {
		side.grants = &search.found;
		side.grant_count = 1;
		request->key = &side;
		*ret = policy_decide(request, NULL);
		ret->policy = NULL; /* the grant is not kept */
	}
	cached_put(search.grant);
	request->key = NULL;
	request->pairs = NULL;
	request->new_grant = NULL;
	return r;
}

/*
 * Keep the chain of a decision for `kmsd explain`; of a refusal, all that it could see; of a yes only
 * what allowed it, unless more is asked for, since most requests are allowed and it is needed only if something else
 * refuses this one. To fail would take an explanation for more than the request: the chain is then missing,
 * which its reader is told.
 */
static void keep_chain(const struct call *call, const struct policy_request *request,
		       const struct policy_trace *trace, const struct policy_decision *decision,
		       bool grants_asked)
{
	bool allowed = decision->result == POLICY_ALLOWED, brief;
	struct kms_json *v;
	int r;

	if (!call->decisions)
		return;
	brief = allowed && !decisions_of_allowed(call->kmsd->decisions);
	v = policy_trace_json(brief ? NULL : trace, decision, request->context);
	if (!v)
		return;
	r = kms_json_set_str(v, "Action", request->action) |
	    kms_json_set_str(v, "Resource", request->resource);
	if (request->key)
		r |= kms_json_set_str(v, "ResourceAccount", request->key->account) |
		     kms_json_set_bool(v, "GrantsAsked", grants_asked);
	if (brief)
		r |= kms_json_set_bool(v, "Brief", true);
	if (!allowed)
		r |= kms_json_set(v, "Context", policy_trace_context(request->context));
	if (r)
		kms_json_free(v);
	else
		(void)kms_json_add(call->decisions, v); /* as said above */
}

/* The decision and, unless it is yes, its sentence. */
static int decide(const struct call *call, const struct question *question,
		  struct policy_decision *ret, char text[ERR_MSG_MAX], struct err *err)
{
	const struct policy_caller caller = caller_of(call);
	struct authorize_context context = {0};
	struct policy_request request = {.caller = &caller,
					 .action = question->action,
					 .resource = question->resource,
					 .key = question->side,
					 .context = &context.table};
	struct policy_trace trace = {0};
	bool grants = false;
	int r = authorize_context_fill(&context, call, question->action, question->side != NULL,
				       question->key);

	if (r < 0)
		(void)err_set(err, -r, "request context of %s", question->action);
	if (r == 0)
		*ret = policy_decide(&request, call->decisions ? &trace : NULL);
	if (r == 0 && ret->result == POLICY_NOT_ALLOWED && question->key &&
	    policy_grant_operation(question->action + strlen("kms:"))) {
		grants = true;
		r = decide_with_grants(call, question->key, &request, ret, &trace, err);
	}
	request.key = question->side;
	if (r == 0 && ret->result != POLICY_ALLOWED)
		policy_decision_text(&request, ret, text, ERR_MSG_MAX);
	if (r == 0)
		keep_chain(call, &request, &trace, ret, grants);
	policy_trace_free(&trace);
	authorize_context_free(&context);
	return r;
}

static int answer(const struct call *call, const struct question *question, struct err *err)
{
	struct policy_decision decision;
	char text[ERR_MSG_MAX];
	int r = decide(call, question, &decision, text, err);

	if (r < 0)
		return r;
	return decision.result == POLICY_ALLOWED ? 0
						 : fault_set(err, FAULT_ACCESS_DENIED, "%s", text);
}

int authorize(const struct call *call, const char *action, const struct key *key, struct err *err)
{
	const struct policy_key_side side = {.account = key ? key->account : NULL,
					     .policy = {"default", key ? key->policy : NULL}};
	char name[ACTION_MAX];
	const struct question question = {.action = name,
					  .resource = key ? key->arn : "*",
					  .key = key,
					  .side = key ? &side : NULL};

	if (key && !key->policy)
		return err_set(err, EUCLEAN, "key '%s' was loaded without its policy", key->id);
	(void)snprintf(name, sizeof(name), "kms:%s", action); /* fits */
	return answer(call, &question, err);
}

int authorize_on(const struct call *call, const char *action, const char *resource, struct err *err)
{
	const struct question question = {.action = action, .resource = resource};

	return answer(call, &question, err);
}

int authorize_assume(const struct call *call, const struct iam_principal *role, struct err *err)
{
	AUTO(policy_freep) struct policy *trust = NULL;
	struct policy_decision decision;
	char text[ERR_MSG_MAX];
	const struct policy_resolver resolver = policy_bound_resolver(role->trust_ids);
	int r = policy_parse(POLICY_TRUST, role->trust, strlen(role->trust), &resolver, &trust,
			     err);
	const struct policy_key_side side = {.account = role->account, .policy = {"trust", trust}};
	const struct question question = {
		.action = "sts:AssumeRole", .resource = role->arn, .side = &side};

	if (r < 0 && r != -ENOMEM)
		return err_set(err, EUCLEAN, "stored trust policy of role '%s' makes no sense",
			       role->name);
	if (r < 0)
		return r;
	r = decide(call, &question, &decision, text, err);
	if (r < 0)
		return r;
	if (decision.result == POLICY_ALLOWED)
		return 0;
	if (decision.part != POLICY_PART_KEY)
		return fault_set(err, FAULT_ACCESS_DENIED, "%s", text);
	return fault_set(err, FAULT_ACCESS_DENIED,
			 "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
			 call->caller->arn, role->arn);
}

int authorize_lockout(const struct call *call, const struct key *key, const struct policy *policy,
		      struct err *err)
{
	const struct keyref_place *place = &call->place;
	char arn[KEYREF_ARN_MAX], text[ERR_MSG_MAX];
	const struct policy_key_side side = {.account = key ? key->account : place->account,
					     .policy = {"default", policy}};
	const struct question question = {
		.action = "kms:PutKeyPolicy", .resource = arn, .key = key, .side = &side};
	struct policy_decision decision;
	int r;

	if (call_flag(call, "BypassPolicyLockoutSafetyCheck"))
		return 0;
	/* A policy cannot name a key whose id nobody knows yet, so any id will do. */
	keyref_key_arn(place, key ? key->id : "00000000-0000-0000-0000-000000000000", arn);
	r = decide(call, &question, &decision, text, err);
	if (r < 0)
		return r;
	if (decision.result == POLICY_ALLOWED)
		return 0;
	return fault_set(err, FAULT_MALFORMED_POLICY,
			 "The new key policy will not allow you to update the key policy in the "
			 "future.");
}
