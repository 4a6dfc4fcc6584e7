/* What policies see of a call. See authorize_context.h. */
#include "authorize_context.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "audit_service.h"
#include "call.h"
#include "caller.h"
#include "kms_json.h"
#include "service.h"

#define PENDING_WINDOW_DEFAULT	30  /* days */
#define ROTATION_PERIOD_DEFAULT 365 /* days */

static bool is_one_of(const char *action, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, action) == 0)
			return true;
	return false;
}

static int add_principal_tags(struct policy_context *table, const struct caller *c)
{
	static const char prefix[] = "aws:PrincipalTag/";
	const struct iam_principal *p = c->principal;
	int r = 0;

	for (size_t i = 0; i < c->session_tag_count; i++)
		r |= policy_context_add_under(table, prefix, c->session_tags[i].key,
					      c->session_tags[i].value);
	for (size_t i = 0; p && i < p->tag_count; i++) {
		bool hidden = false; /* a session's tag stands before the role's */

		for (size_t k = 0; k < c->session_tag_count; k++)
			hidden |= strcasecmp(c->session_tags[k].key, p->tags[i].key) == 0;
		if (!hidden)
			r |= policy_context_add_under(table, prefix, p->tags[i].key,
						      p->tags[i].value);
	}
	return r;
}

/* Who the caller is; of a service in its own name there is no more than its name and for whom. */
static int add_principal(struct policy_context *table, const struct call *call)
{
	static const char *const types[] = {[CALLER_ROOT] = "Account",
					    [CALLER_USER] = "User",
					    [CALLER_ROLE] = "AssumedRole",
					    [CALLER_INSTANCE] = "AssumedRole"};
	const struct caller *c = call->caller;
	int r;

	if (c->kind == CALLER_SERVICE)
		return policy_context_add(table, "aws:PrincipalIsAWSService", "true") |
		       policy_context_add(table, "aws:PrincipalServiceName", c->arn) |
		       policy_context_add(table, "aws:SourceAccount", c->account);
	r = policy_context_add(table, "aws:PrincipalArn", c->issuer_arn) |
	    policy_context_add(table, "aws:PrincipalAccount", c->account) |
	    policy_context_add(table, "aws:PrincipalType", types[c->kind]) |
	    policy_context_add(table, "aws:PrincipalIsAWSService", "false") |
	    add_principal_tags(table, c);
	if (c->kind == CALLER_INSTANCE) /* AWS's guides name it both ways; one is enough */
		r |= policy_context_add(table, "aws:PrincipalArn", c->instance_arn);
	if (c->principal_id[0])
		r |= policy_context_add(table, "aws:userid", c->principal_id);
	if (c->kind == CALLER_USER && c->principal)
		r |= policy_context_add(table, "aws:username", c->principal->name);
	return r;
}

/* Through which service the call came; what comes so has no address that policies could see. */
static int add_way(struct policy_context *table, const struct call *call)
{
	const struct forward *f = &call->forward;
	int r;

	if (!f->service) {
		r = policy_context_add(table, "aws:ViaAWSService", "false");
		if (call->address)
			r |= policy_context_add(table, "aws:SourceIp", call->address);
		if (call->user_agent)
			r |= policy_context_add(table, "aws:UserAgent", call->user_agent);
		return r;
	}
	r = policy_context_add(table, "kms:ViaService", f->principal) |
	    policy_context_add(table, "aws:ViaAWSService", f->own ? "false" : "true") |
	    policy_context_add(table, "aws:UserAgent", audit_service_name(call));
	if (f->own)
		return r;
	return r | policy_context_add(table, "aws:CalledVia", f->source) |
	       policy_context_add(table, "aws:CalledViaFirst", f->source) |
	       policy_context_add(table, "aws:CalledViaLast", f->source);
}

static int add_caller(struct policy_context *table, const struct call *call)
{
	const struct caller *c = call->caller;
	int r = add_principal(table, call) | add_way(table, call) |
		policy_context_add(table, "aws:RequestedRegion",
				   call->service->home ? "us-east-1" : call->place.region) |
		policy_context_add(table, "kms:CallerAccount", c->account) |
		policy_context_add(table, "aws:SecureTransport", call->secure ? "true" : "false");

	if (c->expires_ms)
		r |= policy_context_add(table, "aws:MultiFactorAuthPresent", "false");
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
	const struct kms_json *pairs = call_encryption_context(call, action);

	return pairs ? kms_json_each(pairs, add_pair, table) : 0;
}

/* kms:RequestAlias, where the request names its key by an alias. */
static int add_alias(struct policy_context *table, const struct call *call, const char *action)
{
	static const struct {
		const char *action, *member;
	} others[] = {{"Decrypt", "KeyId"},
		      {"ReEncryptFrom", "SourceKeyId"},
		      {"ReEncryptTo", "DestinationKeyId"}};
	const char *member = call->op->alias_ok ? call->op->key_member : NULL;
	const char *text, *name;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i].action, action) == 0)
			member = others[i].member;
	text = member ? call_text(call, member) : NULL;
	name = text ? strrchr(text, ':') : NULL;
	name = name ? name + 1 : text;
	if (!name || strncmp(name, "alias/", 6) != 0)
		return 0;
	return policy_context_add(table, "kms:RequestAlias", name);
}

static int add_tags(struct policy_context *table, const struct call *call)
{
	const struct kms_json *tags = kms_json_get(call->input, "Tags");
	const struct kms_json *names = kms_json_get(call->input, "TagKeys"); /* to be taken away */
	int r = 0;

	for (size_t i = 0; names && i < kms_json_count(names); i++)
		r |= policy_context_add(table, "aws:TagKeys",
					kms_json_string_value(kms_json_at(names, i)));

	for (size_t i = 0; tags && i < kms_json_count(tags); i++) {
		const struct kms_json *tag = kms_json_at(tags, i);
		const struct kms_json *name = kms_json_get(tag, "TagKey"); /* KMS's */
		const struct kms_json *value = kms_json_get(tag, "TagValue");

		name = name ? name : kms_json_get(tag, "Key"); /* IAM's */
		value = value ? value : kms_json_get(tag, "Value");
		if (!name || !value)
			continue;
		r |= policy_context_add_under(table, "aws:RequestTag/", kms_json_string_value(name),
					      kms_json_string_value(value)) |
		     policy_context_add(table, "aws:TagKeys", kms_json_string_value(name));
	}
	return r;
}

/* What a CreateGrant asks for; its constraint counts as an encryption context. */
static int add_new_grant(struct policy_context *table, const struct call *call)
{
	static const char *const types[] = {"EncryptionContextEquals", "EncryptionContextSubset"};
	const struct kms_json *operations = kms_json_get(call->input, "Operations");
	const struct kms_json *constraints = kms_json_get(call->input, "Constraints");
	const char *grantee = call_text(call, "GranteePrincipal");
	const char *retiring = call_text(call, "RetiringPrincipal");
	int r = 0;

	if (grantee)
		r |= policy_context_add(table, "kms:GranteePrincipal", grantee);
	if (retiring)
		r |= policy_context_add(table, "kms:RetiringPrincipal", retiring);
	for (size_t i = 0; operations && i < kms_json_count(operations); i++)
		r |= policy_context_add(table, "kms:GrantOperations",
					kms_json_string_value(kms_json_at(operations, i)));
	for (size_t i = 0; constraints && i < 2; i++) {
		const struct kms_json *pairs = kms_json_get(constraints, types[i]);

		if (pairs)
			r |= policy_context_add(table, "kms:GrantConstraintType", types[i]) |
			     kms_json_each(pairs, add_pair, table);
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
		r |= policy_context_add(table, "kms:GrantIsForAWSResource",
					call->forward.service ? "true" : "false");
	if (strcmp(action, "CreateGrant") == 0)
		r |= add_new_grant(table, call);
	if (strcmp(action, "EnableKeyRotation") == 0) {
		(void)snprintf(context->days, sizeof(context->days), "%" PRId64,
			       call_number(call, "RotationPeriodInDays",
					   ROTATION_PERIOD_DEFAULT)); /* fits */
		r |= policy_context_add(table, "kms:RotationPeriodInDays", context->days);
	}
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
static int add_kind(struct policy_context *table)
{
	return policy_context_add(table, "kms:KeySpec", "SYMMETRIC_DEFAULT") |
	       policy_context_add(table, "kms:KeyUsage", "ENCRYPT_DECRYPT") |
	       policy_context_add(table, "kms:KeyOrigin", "AWS_KMS") |
	       policy_context_add(table, "kms:MultiRegion", "false");
}

/* Whose the key is, its tags and its aliases. */
static int add_key(struct policy_context *table, const struct key *key)
{
	int r = policy_context_add(table, "aws:ResourceAccount", key->account);

	for (size_t i = 0; i < key->label_count; i++) {
		const struct key_label *label = &key->labels[i];

		if (label->value)
			r |= policy_context_add_under(table, "aws:ResourceTag/", label->name,
						      label->value);
		else
			r |= policy_context_add(table, "kms:ResourceAliases", label->name);
	}
	return r;
}

/* kms:ReEncryptOnSameKey, of both halves. */
static int add_same_key(struct policy_context *table, const struct call *call, const char *action)
{
	if (strncmp(action, "ReEncrypt", 9) != 0 || call->same_key == CALL_KEYS_UNKNOWN)
		return 0;
	return policy_context_add(table, "kms:ReEncryptOnSameKey",
				  call->same_key == CALL_KEYS_SAME ? "true" : "false");
}

/* What AssumeRole's trust policies and identity policies look at. */
static int add_assume(struct policy_context *table, const struct call *call)
{
	const char *external = call_text(call, "ExternalId");
	const char *session = call_text(call, "RoleSessionName");
	int r = external ? policy_context_add(table, "sts:ExternalId", external) : 0;

	return session ? r | policy_context_add(table, "sts:RoleSessionName", session) : r;
}

int authorize_context_fill(struct authorize_context *context, const struct call *call,
			   const char *action, bool with_key, const struct key *key)
{
	struct policy_context *table = &context->table;
	int r = add_caller(table, call) | policy_context_add_time(table, call->now_ms) |
		add_tags(table, call);

	if (strcmp(action, "sts:AssumeRole") == 0)
		r |= add_assume(table, call);
	if (strncmp(action, "kms:", 4) != 0)
		return r ? -ENOMEM : 0;
	action += 4;
	r |= add_encryption_context(table, call, action) | add_alias(table, call, action) |
	     add_request(context, call, action);
	if (with_key || strcmp(action, "CreateKey") == 0)
		r |= add_kind(table);
	if (key)
		r |= add_key(table, key) | add_same_key(table, call, action);
	return r ? -ENOMEM : 0;
}

void authorize_context_free(struct authorize_context *context)
{
	policy_context_free(&context->table);
}
