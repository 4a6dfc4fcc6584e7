/* The decision. See authorize.h. */
#include "authorize.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "authorize_context.h"
#include "call.h"
#include "err.h"
#include "fault.h"
#include "identity.h"
#include "policy_decide.h"
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
		[CALLER_ROOT] = POLICY_CALLER_ROOT,
		[CALLER_USER] = POLICY_CALLER_USER,
		[CALLER_ROLE] = POLICY_CALLER_SESSION,
	};
	const struct caller *c = call->caller;
	struct policy_caller caller = {
		.kind = kinds[c->kind],
		.arn = c->arn,
		.account = c->account,
		.id = c->principal_id[0] ? c->principal_id : NULL,
		.role_arn = c->kind == CALLER_ROLE ? c->issuer_arn : NULL,
	};

	if (c->identity) {
		caller.identity = c->identity->policies;
		caller.boundary = c->identity->boundary;
		caller.session = c->identity->session;
	}
	return caller;
}

/* The decision and, unless it is yes, its sentence. */
static int decide(const struct call *call, const struct question *question,
		  struct policy_decision *ret, char text[ERR_MSG_MAX])
{
	const struct policy_caller caller = caller_of(call);
	struct authorize_context context = {0};
	struct policy_request request = {.caller = &caller,
					 .action = question->action,
					 .resource = question->resource,
					 .key = question->side,
					 .context = &context.table};
	int r = authorize_context_fill(&context, call, question->action, question->side != NULL);

	if (r == 0)
		*ret = policy_decide(&request, NULL);
	if (r == 0 && ret->result != POLICY_ALLOWED)
		policy_decision_text(&request, ret, text, ERR_MSG_MAX);
	authorize_context_free(&context);
	return r;
}

static int answer(const struct call *call, const struct question *question, struct err *err)
{
	struct policy_decision decision;
	char text[ERR_MSG_MAX];
	int r = decide(call, question, &decision, text);

	if (r < 0)
		return err_set(err, -r, "request context of %s", question->action);
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
	int r = policy_parse(POLICY_TRUST, role->trust, strlen(role->trust), NULL, &trust, err);
	const struct policy_key_side side = {.account = role->account, .policy = {"trust", trust}};
	const struct question question = {
		.action = "sts:AssumeRole", .resource = role->arn, .side = &side};

	if (r < 0 && r != -ENOMEM)
		return err_set(err, EUCLEAN, "stored trust policy of role '%s' makes no sense",
			       role->name);
	if (r < 0)
		return r;
	r = decide(call, &question, &decision, text);
	if (r < 0)
		return err_set(err, -r, "request context of AssumeRole");
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
	const struct keyref_place *place = &call->kmsd->place;
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
	r = decide(call, &question, &decision, text);
	if (r < 0)
		return err_set(err, -r, "request context of PutKeyPolicy");
	if (decision.result == POLICY_ALLOWED)
		return 0;
	return fault_set(err, FAULT_MALFORMED_POLICY,
			 "The new key policy will not allow you to update the key policy in the "
			 "future.");
}
