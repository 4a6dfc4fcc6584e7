/* The decision. See authorize.h. */
#include "authorize.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "authorize_context.h"
#include "call.h"
#include "err.h"
#include "fault.h"
#include "policy_decide.h"

#define ACTION_MAX 64

static struct policy_caller caller_of(const struct call *call)
{
	const char *arn = call->caller->principal_arn;
	size_t len = strlen(arn);
	struct policy_caller caller = {
		.kind = POLICY_CALLER_USER, .arn = arn, .account = call->caller->account};

	if (len > 5 && strcmp(arn + len - 5, ":root") == 0) {
		caller.kind = POLICY_CALLER_ROOT;
		caller.id = call->caller->account;
	}
	return caller;
}

/* The decision on @action under @policy (NULL: no key), and its sentence. */
static int decide(const struct call *call, const char *action, const struct policy *policy,
		  const char *account, const char *resource, struct policy_decision *ret,
		  char text[ERR_MSG_MAX])
{
	const struct policy_caller caller = caller_of(call);
	const struct policy_key_side side = {.account = account, .policy = {"default", policy}};
	struct authorize_context context = {0};
	char name[ACTION_MAX];
	struct policy_request request = {.caller = &caller,
					 .action = name,
					 .resource = resource,
					 .key = policy ? &side : NULL,
					 .context = &context.table};
	int r = authorize_context_fill(&context, call, &caller, action, policy != NULL);

	(void)snprintf(name, sizeof(name), "kms:%s", action); /* fits */
	if (r == 0) {
		*ret = policy_decide(&request, NULL);
		policy_decision_text(&request, ret, text, ERR_MSG_MAX);
	}
	authorize_context_free(&context);
	return r;
}

int authorize(const struct call *call, const char *action, const struct key *key, struct err *err)
{
	struct policy_decision decision;
	char text[ERR_MSG_MAX];
	int r;

	if (key && !key->policy)
		return err_set(err, EUCLEAN, "key '%s' was loaded without its policy", key->id);
	r = decide(call, action, key ? key->policy : NULL, key ? key->account : NULL,
		   key ? key->arn : "*", &decision, text);
	if (r < 0)
		return err_set(err, -r, "request context of %s", action);
	return decision.result == POLICY_ALLOWED ? 0
						 : fault_set(err, FAULT_ACCESS_DENIED, "%s", text);
}

int authorize_lockout(const struct call *call, const struct key *key, const struct policy *policy,
		      struct err *err)
{
	const struct keyref_place *place = &call->kmsd->place;
	char arn[KEYREF_ARN_MAX], text[ERR_MSG_MAX];
	struct policy_decision decision;
	int r;

	if (call_flag(call, "BypassPolicyLockoutSafetyCheck"))
		return 0;
	/* A policy cannot name a key whose id nobody knows yet, so any id will do. */
	keyref_key_arn(place, key ? key->id : "00000000-0000-0000-0000-000000000000", arn);
	r = decide(call, "PutKeyPolicy", policy, key ? key->account : place->account, arn,
		   &decision, text);
	if (r < 0)
		return err_set(err, -r, "request context of PutKeyPolicy");
	if (decision.result == POLICY_ALLOWED)
		return 0;
	return fault_set(err, FAULT_MALFORMED_POLICY,
			 "The new key policy will not allow you to update the key policy in the "
			 "future.");
}
