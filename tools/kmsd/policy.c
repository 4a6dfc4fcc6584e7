/* Policy documents: syntax, version, and the statements in their order. See policy.h. */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "policy_impl.h"
#include "secret.h"

#define SYNTAX "Syntax errors in policy."

int policy_malformed(enum policy_kind kind, const char *kms, const char *iam, struct err *err)
{
	if (kind == POLICY_KEY)
		return fault_set(err, FAULT_MALFORMED_POLICY, "%s", kms);
	return fault_set(err, FAULT_MALFORMED_POLICY, "%s", iam ? iam : SYNTAX);
}

static bool is_text(const struct kms_json *value)
{
	return kms_json_type(value) == KMS_JSON_STRING;
}

static int read_statements(struct policy *policy, const struct policy_resolver *resolver,
			   struct err *err)
{
	const struct kms_json *list = kms_json_get(policy->doc, "Statement");
	bool array = kms_json_type(list) == KMS_JSON_ARRAY;
	size_t count = !list ? 0 : array ? kms_json_count(list) : 1;
	int r = 0;

	if (count == 0)
		return policy_malformed(policy->kind, "Policy has no Statement", NULL, err);
	policy->statements = calloc(count, sizeof(*policy->statements));
	if (!policy->statements)
		return err_set(err, ENOMEM, "policy");
	for (size_t i = 0; i < count && r == 0; i++) {
		policy->count++;
		r = policy_statement_read(policy, array ? kms_json_at(list, i) : list, resolver,
					  err);
	}
	return r;
}

/* The document */

static int check_top_member(const char *name, struct kms_json *value, void *arg)
{
	(void)arg;
	return (strcmp(name, "Version") == 0 || strcmp(name, "Id") == 0 ||
		strcmp(name, "Statement") == 0) &&
			       value
		       ? 0
		       : -EINVAL;
}

static int read_version(struct policy *policy, struct err *err)
{
	const struct kms_json *version = kms_json_get(policy->doc, "Version");
	const struct kms_json *id = kms_json_get(policy->doc, "Id");
	const char *text = is_text(version) ? kms_json_string_value(version) : "";
	bool old = strcmp(text, "2008-10-17") == 0;

	policy->variables = strcmp(text, "2012-10-17") == 0;
	if (version && !old && !policy->variables)
		return policy_malformed(policy->kind, "Policy has no valid Version", NULL, err);
	if (!version && policy->kind == POLICY_KEY)
		return policy_malformed(policy->kind, "Policy has no valid Version", NULL, err);
	if (id && !is_text(id))
		return policy_malformed(policy->kind, "Policy has an Id that is not a text", NULL,
					err);
	if (!policy->variables && !policy_names_principals(policy->kind))
		return policy_malformed(policy->kind, "",
					"Policy document must be version 2012-10-17 or greater.",
					err);
	return 0;
}

static int read_document(struct policy *policy, const char *text, size_t len,
			 const struct policy_resolver *resolver, struct err *err)
{
	struct err local = {0};
	int r = kms_json_parse(text, len, &policy->doc, &local);

	if (r < 0 && r != -ENOMEM)
		return policy_malformed(policy->kind, "Policy is not a JSON object", NULL, err);
	r = r ? r : policy_scan(text, len, &local);
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "policy");
	if (r < 0)
		return policy->kind == POLICY_KEY ? fault_set(err, FAULT_MALFORMED_POLICY,
							      "Policy contains %s", local.msg)
						  : policy_malformed(policy->kind, "", NULL, err);
	if (kms_json_each(policy->doc, check_top_member, NULL) < 0)
		return policy_malformed(policy->kind, "Policy has an unknown element", NULL, err);
	r = read_version(policy, err);
	return r ? r : read_statements(policy, resolver, err);
}

int policy_parse(enum policy_kind kind, const char *text, size_t len,
		 const struct policy_resolver *resolver, struct policy **ret_policy,
		 struct err *err)
{
	AUTO(policy_freep) struct policy *policy = NULL;
	int r;

	if (kind == POLICY_KEY && len > POLICY_KEY_LEN_MAX)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "The policy document is larger than %d bytes", POLICY_KEY_LEN_MAX);
	policy = calloc(1, sizeof(*policy));
	if (!policy)
		return err_set(err, ENOMEM, "policy");
	policy->kind = kind;
	if (len > POLICY_LEN_MAX)
		return policy_malformed(policy->kind, "", NULL, err);
	r = read_document(policy, text, len, resolver, err);
	if (r == 0) {
		*ret_policy = policy;
		policy = NULL;
	}
	return r;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->count; i++)
		policy_statement_release(&policy->statements[i]);
	free(policy->statements);
	kms_json_free(policy->doc);
	free(policy);
}

void policy_freep(struct policy **policy)
{
	policy_free(*policy);
	*policy = NULL;
}

size_t policy_statement_count(const struct policy *policy)
{
	return policy->count;
}

int policy_ineffective_statement(const struct policy *policy)
{
	for (size_t i = 0; i < policy->count; i++)
		if (!policy_statement_effective(policy, &policy->statements[i]))
			return (int)i;
	return -1;
}

const struct policy_principal *policy_principal_at(const struct policy *policy, size_t i)
{
	for (size_t s = 0; s < policy->count; s++) {
		if (i < policy->statements[s].principal_count)
			return &policy->statements[s].principals[i];
		i -= policy->statements[s].principal_count;
	}
	return NULL;
}
