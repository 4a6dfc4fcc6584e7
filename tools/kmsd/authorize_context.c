/* What policies see of a call. See authorize_context.h. */
#include "authorize_context.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "kms_json.h"
#include "policy_decide.h"

#define PENDING_WINDOW_DEFAULT 30 /* days */

static bool is_one_of(const char *action, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, action) == 0)
			return true;
	return false;
}

static int add_caller(struct policy_context *table, const struct call *call,
		      const struct policy_caller *caller)
{
	const char *slash = strrchr(caller->arn, '/');
	bool root = caller->kind == POLICY_CALLER_ROOT;
	int r = policy_context_add(table, "aws:PrincipalArn", caller->arn) |
		policy_context_add(table, "aws:PrincipalAccount", caller->account) |
		policy_context_add(table, "aws:PrincipalType", root ? "Account" : "User") |
		policy_context_add(table, "kms:CallerAccount", caller->account) |
		policy_context_add(table, "aws:SecureTransport", "false");

	if (caller->id)
		r |= policy_context_add(table, "aws:userid", caller->id);
	if (!root && slash)
		r |= policy_context_add(table, "aws:username", slash + 1);
	if (call->address)
		r |= policy_context_add(table, "aws:SourceIp", call->address);
	if (call->user_agent)
		r |= policy_context_add(table, "aws:UserAgent", call->user_agent);
	return r;
}

static int add_pair(const char *name, struct kms_json *value, void *arg)
{
	struct policy_context *table = arg;

	return policy_context_add_under(table, "kms:EncryptionContext:", name,
					kms_json_string_value(value)) |
	       policy_context_add(table, "kms:EncryptionContextKeys", name);
}

static int add_encryption_context(struct policy_context *table, const struct call *call,
				  const char *action)
{
	const char *member = "EncryptionContext";
	const struct kms_json *pairs;

	if (strcmp(action, "ReEncryptFrom") == 0)
		member = "SourceEncryptionContext";
	else if (strcmp(action, "ReEncryptTo") == 0)
		member = "DestinationEncryptionContext";
	pairs = kms_json_get(call->input, member);
	return pairs ? kms_json_each(pairs, add_pair, table) : 0;
}

/* kms:RequestAlias, where the request names its key by an alias. */
static int add_alias(struct policy_context *table, const struct call *call)
{
	const char *text = call->op->key_member ? call_text(call, call->op->key_member) : NULL;
	const char *name = text ? strrchr(text, ':') : NULL;

	name = name ? name + 1 : text;
	if (!name || strncmp(name, "alias/", 6) != 0)
		return 0;
	return policy_context_add(table, "kms:RequestAlias", name);
}

static int add_tags(struct policy_context *table, const struct call *call)
{
	const struct kms_json *tags = kms_json_get(call->input, "Tags");
	int r = 0;

	for (size_t i = 0; tags && i < kms_json_count(tags); i++) {
		const struct kms_json *tag = kms_json_at(tags, i);
		const struct kms_json *name = kms_json_get(tag, "TagKey");
		const struct kms_json *value = kms_json_get(tag, "TagValue");

		if (!name || !value)
			continue;
		r |= policy_context_add_under(table, "aws:RequestTag/", kms_json_string_value(name),
					      kms_json_string_value(value)) |
		     policy_context_add(table, "aws:TagKeys", kms_json_string_value(name));
	}
	return r;
}

static int add_request(struct authorize_context *context, const struct call *call,
		       const char *action)
{
	static const char *const with_algorithm[] = {"Encrypt", "Decrypt", "ReEncryptFrom",
						     "ReEncryptTo", NULL};
	static const char *const of_grants[] = {"CreateGrant", "ListGrants", "RevokeGrant", NULL};
	static const char *const of_policy[] = {"CreateKey", "PutKeyPolicy", NULL};
	struct policy_context *table = &context->table;
	int r = 0;

	if (is_one_of(action, with_algorithm))
		r |= policy_context_add(table, "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
	if (is_one_of(action, of_grants))
		r |= policy_context_add(table, "kms:GrantIsForAWSResource", "false");
	if (is_one_of(action, of_policy))
		r |= policy_context_add(
			table, "kms:BypassPolicyLockoutSafetyCheck",
			call_flag(call, "BypassPolicyLockoutSafetyCheck") ? "true" : "false");
	if (strcmp(action, "ScheduleKeyDeletion") == 0) {
		(void)snprintf(context->days, sizeof(context->days), "%" PRId64,
			       call_number(call, "PendingWindowInDays",
					   PENDING_WINDOW_DEFAULT)); /* fits */
		r |= policy_context_add(table, "kms:ScheduleKeyDeletionPendingWindowInDays",
					context->days);
	}
	return r;
}

/* All our keys are of one kind. */
static int add_key(struct policy_context *table)
{
	return policy_context_add(table, "kms:KeySpec", "SYMMETRIC_DEFAULT") |
	       policy_context_add(table, "kms:KeyUsage", "ENCRYPT_DECRYPT") |
	       policy_context_add(table, "kms:KeyOrigin", "AWS_KMS") |
	       policy_context_add(table, "kms:MultiRegion", "false");
}

int authorize_context_fill(struct authorize_context *context, const struct call *call,
			   const struct policy_caller *caller, const char *action, bool with_key)
{
	struct policy_context *table = &context->table;
	int r = add_caller(table, call, caller) | policy_context_add_time(table, call->now_ms) |
		add_encryption_context(table, call, action) | add_alias(table, call) |
		add_tags(table, call) | add_request(context, call, action);

	if (with_key || strcmp(action, "CreateKey") == 0)
		r |= add_key(table);
	return r ? -ENOMEM : 0;
}

void authorize_context_free(struct authorize_context *context)
{
	policy_context_free(&context->table);
}
