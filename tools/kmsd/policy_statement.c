/*
 * A statement of a policy: its elements, what each kind of document asks of them, and the compiled
 * form. See policy_impl.h. Texts of IAM's kinds are IAM's; of those of key policies only two are
 * known, "... no principal" and "... one or more invalid principals.", the others follow their
 * pattern.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "policy_impl.h"

static bool is_text(const struct kms_json *value)
{
	return kms_json_type(value) == KMS_JSON_STRING;
}

/* The texts of a value that is one or a list of them; *ret_count is 0 when it is neither. */
static const char *text_at(const struct kms_json *value, size_t i)
{
	const struct kms_json *item =
		kms_json_type(value) == KMS_JSON_ARRAY ? kms_json_at(value, i) : value;

	return is_text(item) ? kms_json_string_value(item) : NULL;
}

static size_t text_count(const struct kms_json *value)
{
	return kms_json_type(value) == KMS_JSON_ARRAY ? kms_json_count(value) : 1;
}

/* Principals */

struct reading {
	struct policy *policy;
	struct policy_statement *statement;
	const struct policy_resolver *resolver;
	struct err *err;
};

static int invalid_principal(const struct reading *reading, const char *type, const char *text)
{
	if (reading->policy->kind == POLICY_KEY)
		return fault_set(reading->err, FAULT_MALFORMED_POLICY,
				 "Policy contains a statement with one or more invalid "
				 "principals.");
	return fault_set(reading->err, FAULT_MALFORMED_POLICY,
			 "Invalid principal in policy: \"%s\":\"%.512s\"", type, text ? text : "");
}

static int read_principals(const char *type, struct kms_json *value, void *arg)
{
	struct reading *reading = arg;
	struct policy_statement *statement = reading->statement;
	size_t count = text_count(value);
	struct policy_principal *more = reallocarray(
		statement->principals, statement->principal_count + count + 1, sizeof(*more));

	if (!more)
		return err_set(reading->err, ENOMEM, "policy");
	statement->principals = more;
	if (count == 0)
		return invalid_principal(reading, type, NULL);
	for (size_t i = 0; i < count; i++) {
		const char *text = text_at(value, i);
		int r = text ? policy_principal_read(type, text, reading->resolver,
						     &more[statement->principal_count],
						     reading->err)
			     : -EINVAL;

		if (r == -EINVAL)
			return invalid_principal(reading, type, text);
		if (r < 0)
			return r;
		statement->principal_count++;
	}
	return 0;
}

static int read_principal_element(struct reading *reading, const struct kms_json *doc)
{
	const struct policy *policy = reading->policy;
	struct policy_statement *statement = reading->statement;
	const struct kms_json *is = kms_json_get(doc, "Principal");
	const struct kms_json *is_not = kms_json_get(doc, "NotPrincipal");
	const struct kms_json *value = is ? is : is_not;

	if (!policy_names_principals(policy->kind))
		return value ? policy_malformed(policy->kind, "",
						"Policy document should not specify a principal.",
						reading->err)
			     : 0;
	if (!value)
		return policy_malformed(policy->kind,
					"Policy contains a statement with no principal",
					"Missing required field Principal", reading->err);
	if (is && is_not)
		return policy_malformed(
			policy->kind,
			"Policy contains a statement with both Principal and NotPrincipal", NULL,
			reading->err);
	statement->not_principal = is_not != NULL;
	if (is_text(value))
		return strcmp(kms_json_string_value(value), "*") == 0
			       ? read_principals("AWS", (struct kms_json *)value, reading)
			       : invalid_principal(reading, "AWS", kms_json_string_value(value));
	if (kms_json_type(value) != KMS_JSON_OBJECT || kms_json_count(value) == 0)
		return invalid_principal(reading, "AWS", NULL);
	return kms_json_each(value, read_principals, reading);
}

/* Actions and resources */

static int read_list(const struct policy *policy, const struct kms_json *value, unsigned flags,
		     struct policy_list *ret, struct err *err)
{
	size_t count = text_count(value);

	ret->patterns = calloc(count ? count : 1, sizeof(*ret->patterns));
	if (!ret->patterns)
		return err_set(err, ENOMEM, "policy");
	for (size_t i = 0; i < count; i++) {
		const char *text = text_at(value, i);
		int r = text ? policy_pattern_compile(text, strlen(text), flags, &ret->patterns[i])
			     : -EINVAL;

		if (r == -ENOMEM)
			return err_set(err, ENOMEM, "policy");
		if (r < 0)
			return policy_malformed(
				policy->kind,
				"Policy contains a statement whose actions or resources "
				"are not texts",
				NULL, err);
		ret->count++;
	}
	ret->present = count > 0;
	return 0;
}

/* Action or NotAction, Resource or NotResource: one of them, or none. */
static int read_either(const struct policy *policy, const struct kms_json *doc, const char *name,
		       const char *not_name, unsigned flags, struct policy_list *ret,
		       struct err *err)
{
	const struct kms_json *is = kms_json_get(doc, name), *is_not = kms_json_get(doc, not_name);

	if (is && is_not)
		return policy_malformed(
			policy->kind,
			"Policy contains a statement with an element and its negation", NULL, err);
	if (!is && !is_not)
		return 0;
	ret->negated = is_not != NULL;
	return read_list(policy, is ? is : is_not, flags, ret, err);
}

static int check_action(const struct policy *policy, const char *action, struct err *err)
{
	const char *colon = strchr(action, ':');
	size_t vendor_len = colon ? (size_t)(colon - action) : strlen(action);

	if (strcmp(action, "*") == 0)
		return 0;
	if (!colon || colon == action || !colon[1])
		return policy_malformed(
			policy->kind,
			"Policy contains a statement with one or more invalid actions",
			"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, "
			"ec2, etc.",
			err);
	if (strchr(colon + 1, ':'))
		return policy_malformed(
			policy->kind,
			"Policy contains a statement with one or more invalid actions",
			"Actions/Condition can contain only one colon.", err);
	if (strspn(action, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*") <
	    vendor_len)
		return policy->kind == POLICY_KEY
			       ? policy_malformed(
					 policy->kind,
					 "Policy contains a statement with one or more invalid "
					 "actions",
					 NULL, err)
			       : fault_set(err, FAULT_MALFORMED_POLICY, "Vendor %.*s is not valid",
					   (int)(vendor_len < 256 ? vendor_len : 256), action);
	if (policy->kind == POLICY_TRUST && strncmp(action, "sts:", 4) != 0)
		return policy_malformed(
			policy->kind, "",
			"AssumeRole policy may only specify STS AssumeRole actions.", err);
	return 0;
}

static int check_resource(const struct policy *policy, const char *resource, struct err *err)
{
	if (strcmp(resource, "*") == 0 || strncmp(resource, "arn:", 4) == 0)
		return 0;
	if (policy->kind == POLICY_KEY)
		return fault_set(err, FAULT_MALFORMED_POLICY,
				 "Policy contains a statement with one or more invalid resources");
	return fault_set(err, FAULT_MALFORMED_POLICY,
			 "Resource %.512s must be in ARN format or \"*\".", resource);
}

/* Each text of @name or @not_name by @check. */
static int check_texts(const struct policy *policy, const struct kms_json *doc, const char *name,
		       const char *not_name,
		       int (*check)(const struct policy *policy, const char *text, struct err *err),
		       struct err *err)
{
	const struct kms_json *value = kms_json_get(doc, name);
	int r = 0;

	value = value ? value : kms_json_get(doc, not_name);
	for (size_t i = 0; value && i < text_count(value) && r == 0; i++)
		r = check(policy, text_at(value, i), err);
	return r;
}

static int read_actions(const struct policy *policy, const struct kms_json *doc,
			struct policy_statement *statement, struct err *err)
{
	int r = read_either(policy, doc, "Action", "NotAction", POLICY_PATTERN_WILD,
			    &statement->actions, err);

	if (r == 0 && !statement->actions.present && policy->kind != POLICY_KEY)
		return policy_malformed(policy->kind, "", "Policy statement must contain actions.",
					err);
	return r ? r : check_texts(policy, doc, "Action", "NotAction", check_action, err);
}

static int read_resources(const struct policy *policy, const struct kms_json *doc,
			  struct policy_statement *statement, struct err *err)
{
	unsigned flags = POLICY_PATTERN_WILD | (policy->variables ? POLICY_PATTERN_VARIABLES : 0);
	int r = read_either(policy, doc, "Resource", "NotResource", flags, &statement->resources,
			    err);

	if (r < 0)
		return r;
	if (policy->kind == POLICY_TRUST)
		return statement->resources.present
			       ? policy_malformed(policy->kind, "", "Has prohibited field Resource",
						  err)
			       : 0;
	if (!statement->resources.present && policy->kind != POLICY_KEY)
		return policy_malformed(policy->kind, "",
					"Policy statement must contain resources.", err);
	return check_texts(policy, doc, "Resource", "NotResource", check_resource, err);
}

/* Statements */

static int check_member(const char *name, struct kms_json *value, void *arg)
{
	static const char *const known[] = {"Sid",	    "Effect",	   "Principal",
					    "NotPrincipal", "Action",	   "NotAction",
					    "Resource",	    "NotResource", "Condition"};

	(void)arg;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i]) == 0)
			return value ? 0 : -EINVAL;
	return -EINVAL;
}

static int read_effect(const struct policy *policy, const struct kms_json *doc,
		       struct policy_statement *statement, struct err *err)
{
	const struct kms_json *effect = kms_json_get(doc, "Effect");
	const char *text = is_text(effect) ? kms_json_string_value(effect) : "";

	if (!effect)
		return policy_malformed(policy->kind, "Policy contains a statement with no effect",
					NULL, err);
	statement->deny = strcmp(text, "Deny") == 0;
	if (!statement->deny && strcmp(text, "Allow") != 0)
		return policy_malformed(policy->kind,
					"Policy contains a statement with an invalid effect", NULL,
					err);
	return 0;
}

static int read_sid(const struct policy *policy, const struct kms_json *doc,
		    struct policy_statement *statement, struct err *err)
{
	const struct kms_json *sid = kms_json_get(doc, "Sid");

	if (!sid)
		return 0;
	if (!is_text(sid))
		return policy_malformed(
			policy->kind, "Policy contains a statement with an invalid Sid", NULL, err);
	statement->sid = kms_json_string_value(sid);
	for (size_t i = 0;
	     statement->sid[0] && policy->kind != POLICY_KEY && &policy->statements[i] < statement;
	     i++)
		if (policy->statements[i].sid &&
		    strcmp(policy->statements[i].sid, statement->sid) == 0)
			return policy_malformed(
				policy->kind, "",
				"Statement IDs (SID) in a single policy must be unique.", err);
	return 0;
}

static int read_condition(const struct policy *policy, const struct kms_json *doc,
			  struct policy_statement *statement, struct err *err)
{
	const struct kms_json *block = kms_json_get(doc, "Condition");
	struct err local = {0};
	int r;

	if (!block)
		return 0;
	r = policy_condition_compile(block, policy->variables, &statement->condition, &local);
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "policy");
	if (r < 0 && policy->kind == POLICY_KEY)
		return fault_set(err, FAULT_MALFORMED_POLICY,
				 "Policy contains a statement with an invalid condition: %s",
				 local.msg);
	return r < 0 ? policy_malformed(policy->kind, "", NULL, err) : 0;
}

static int read_elements(struct reading *reading, const struct kms_json *doc)
{
	struct policy *policy = reading->policy;
	struct policy_statement *statement = reading->statement;
	int r;

	if (kms_json_type(doc) != KMS_JSON_OBJECT)
		return policy_malformed(policy->kind,
					"Policy contains a statement that is not an object", NULL,
					reading->err);
	if (kms_json_each(doc, check_member, NULL) < 0)
		return policy_malformed(policy->kind,
					"Policy contains a statement with an unknown element", NULL,
					reading->err);
	r = read_effect(policy, doc, statement, reading->err);
	r = r ? r : read_principal_element(reading, doc);
	r = r ? r : read_condition(policy, doc, statement, reading->err);
	r = r ? r : read_sid(policy, doc, statement, reading->err);
	r = r ? r : read_actions(policy, doc, statement, reading->err);
	return r ? r : read_resources(policy, doc, statement, reading->err);
}

int policy_statement_read(struct policy *policy, const struct kms_json *doc,
			  const struct policy_resolver *resolver, struct err *err)
{
	struct reading reading = {.policy = policy,
				  .statement = &policy->statements[policy->count - 1],
				  .resolver = resolver,
				  .err = err};

	return read_elements(&reading, doc);
}

static void free_list(struct policy_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		policy_pattern_free(&list->patterns[i]);
	free(list->patterns);
}

void policy_statement_release(struct policy_statement *statement)
{
	free_list(&statement->actions);
	free_list(&statement->resources);
	free(statement->principals);
	policy_condition_free(&statement->condition);
}
