/* GetKeyPolicy, PutKeyPolicy, ListKeyPolicies. Policies are kept, not evaluated (authorize.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "operations.h"
#include "secret.h"

#define POLICY_QUOTA 32768 /* bytes */
#define POLICY_NAME  "default"

static int check_statement(const struct kms_json *statement, struct err *err)
{
	if (kms_json_type(statement) != KMS_JSON_OBJECT)
		return fault_set(err, FAULT_MALFORMED_POLICY,
				 "Policy contains a statement that is not an object");
	if (!kms_json_get(statement, "Effect"))
		return fault_set(err, FAULT_MALFORMED_POLICY,
				 "Policy contains a statement with no effect");
	if (!kms_json_get(statement, "Principal") && !kms_json_get(statement, "NotPrincipal"))
		return fault_set(err, FAULT_MALFORMED_POLICY,
				 "Policy contains a statement with no principal");
	return 0;
}

static int check_document(const struct kms_json *doc, struct err *err)
{
	const struct kms_json *version = kms_json_get(doc, "Version");
	const struct kms_json *statements = kms_json_get(doc, "Statement");
	int r = 0;

	if (!version || kms_json_type(version) != KMS_JSON_STRING ||
	    (strcmp(kms_json_string_value(version), "2012-10-17") != 0 &&
	     strcmp(kms_json_string_value(version), "2008-10-17") != 0))
		return fault_set(err, FAULT_MALFORMED_POLICY, "Policy has no valid Version");
	if (!statements)
		return fault_set(err, FAULT_MALFORMED_POLICY, "Policy has no Statement");
	if (kms_json_type(statements) != KMS_JSON_ARRAY)
		return check_statement(statements, err);
	if (kms_json_count(statements) == 0)
		return fault_set(err, FAULT_MALFORMED_POLICY, "Policy has no Statement");
	for (size_t i = 0; i < kms_json_count(statements) && r == 0; i++)
		r = check_statement(kms_json_at(statements, i), err);
	return r;
}

int op_policy_check(const char *policy, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *doc = NULL;
	size_t len = strlen(policy);
	int r;

	if (len > POLICY_QUOTA)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "The policy document is larger than %d bytes", POLICY_QUOTA);
	r = kms_json_parse(policy, len, &doc, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return fault_set(err, FAULT_MALFORMED_POLICY, "Policy is not a JSON object");
	return check_document(doc, err);
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
	AUTO(freep) char *policy = NULL;
	int r = check_policy_name(call, err);

	r = r ? r : store_load_policy(call->kmsd->store, call->key, &policy, err);
	if (r < 0)
		return r;
	return call_filled(kms_json_set_str(call->output, "Policy", policy) |
				   kms_json_set_str(call->output, "PolicyName", POLICY_NAME),
			   err);
}

int op_put_key_policy(struct call *call, struct err *err)
{
	const char *policy = call_text(call, "Policy");
	int r = check_policy_name(call, err);

	r = r ? r : op_policy_check(policy, err);
	return r ? r : store_set_policy(call->kmsd->store, call->key, policy, err);
}

int op_list_key_policies(struct call *call, struct err *err)
{
	struct kms_json *names = kms_json_new_array();
	int r = names ? kms_json_add_str(names, POLICY_NAME) : 0;

	r |= kms_json_set(call->output, "PolicyNames", names) |
	     kms_json_set_bool(call->output, "Truncated", false);
	return call_filled(r, err);
}
