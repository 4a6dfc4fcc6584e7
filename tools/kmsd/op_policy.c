/* GetKeyPolicy, PutKeyPolicy, ListKeyPolicies. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "keyring.h"
#include "kms_json.h"
#include "operations.h"
#include "policy.h"
#include "policy_bound.h"
#include "principals.h"
#include "secret.h"

#define POLICY_NAME "default"

int op_policy_check(const struct call *call, const struct key *key, const char *text,
		    char **ret_ids, struct err *err)
{
	const struct policy_resolver resolver = principals_of(call->kmsd);
	AUTO(policy_freep) struct policy *policy = NULL;
	int r = policy_parse(POLICY_KEY, text, strlen(text), &resolver, &policy, err);

	if (r == 0 && policy_ineffective_statement(policy) >= 0)
		return fault_set(err, FAULT_MALFORMED_POLICY,
				 "Policy contains a statement with no action or no resource");
	r = r ? r : authorize_lockout(call, key, policy, err);
	return r ? r : policy_bound_text(policy, ret_ids, err);
}

static int check_policy_name(struct call *call, struct err *err)
{
	const char *name = call_text(call, "PolicyName");

	if (name && strcmp(name, POLICY_NAME) != 0)
		return fault_set(err, FAULT_NOT_FOUND, "No such policy exists");
	return 0;
}

int op_get_key_policy(struct call *call, struct err *err)
{
	const struct policy_resolver now = principals_of(call->kmsd);
	AUTO(freep) char *policy = NULL, *ids = NULL, *shown = NULL;
	int r = check_policy_name(call, err);

	r = r ? r : store_load_policy(call->kmsd->store, call->key, &policy, &ids, err);
	r = r ? r : policy_bound_show(policy, ids, &now, &shown, err);
	if (r < 0)
		return r;
	return call_filled(kms_json_set_str(call->output, "Policy", shown) |
				   kms_json_set_str(call->output, "PolicyName", POLICY_NAME),
			   err);
}

int op_put_key_policy(struct call *call, struct err *err)
{
	const char *policy = call_text(call, "Policy");
	AUTO(freep) char *ids = NULL;
	int r = check_policy_name(call, err);

	r = r ? r : op_policy_check(call, call->key, policy, &ids, err);
	return r ? r : keyring_set_policy(call->kmsd->ring, call->key, policy, ids, err);
}

int op_list_key_policies(struct call *call, struct err *err)
{
	struct kms_json *names = kms_json_new_array();
	int r = names ? kms_json_add_str(names, POLICY_NAME) : 0;

	r |= kms_json_set(call->output, "PolicyNames", names) |
	     kms_json_set_bool(call->output, "Truncated", false);
	return call_filled(r, err);
}
