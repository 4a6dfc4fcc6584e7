/* GetCallerIdentity, AssumeRole, GetSessionToken. See op_iam.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "op_iam.h"
#include "secret.h"
#include "session.h"

#define ROLE_DEFAULT	3600 /* seconds */
#define TOKEN_DEFAULT	43200
#define CHAIN_MAX	3600
#define ROOT_MAX	3600
#define POLICY_ARNS_MAX 10
#define PACKED_MAX	2048 /* characters of a session policy; AWS's measure is not public */

int op_sts_get_caller_identity(struct call *call, struct err *err)
{
	const struct caller *c = call->caller;

	return call_filled(kms_json_set_str(call->output, "UserId", c->principal_id) |
				   kms_json_set_str(call->output, "Account", c->account) |
				   kms_json_set_str(call->output, "Arn", c->arn),
			   err);
}

static int not_authorized(struct call *call, const char *role_arn, struct err *err)
{
	return fault_set(err, FAULT_ACCESS_DENIED,
			 "User: %s is not authorized to perform: sts:AssumeRole on resource: %s",
			 call->caller->arn, role_arn);
}

static int find_role(struct call *call, struct iam_principal **ret_role, struct err *err)
{
	const char *arn = call_text(call, "RoleArn");
	char id[IDS_UNIQUE_LEN + 1];
	int r;

	if (strncmp(arn, "arn:", 4) != 0)
		return fault_set(err, FAULT_VALIDATION, "%s is invalid", arn);
	r = store_iam_id_of_arn(call->kmsd->store, arn, id, err);
	r = r ? r : store_iam_principal(call->kmsd->store, id, ret_role, err);
	if (r == -ENOENT || (r == 0 && (*ret_role)->kind != IAM_ROLE))
		return not_authorized(call, arn, err);
	return r;
}

static int check_duration(struct call *call, const struct iam_principal *role, int64_t seconds,
			  struct err *err)
{
	if (seconds > role->max_session_s)
		return fault_set(err, FAULT_VALIDATION,
				 "The requested DurationSeconds exceeds the MaxSessionDuration set "
				 "for this role.");
	if (call->caller->kind == CALLER_ROLE && seconds > CHAIN_MAX)
		return fault_set(err, FAULT_VALIDATION,
				 "The requested DurationSeconds exceeds the 1 hour session limit "
				 "for roles assumed by role chaining");
	return 0;
}

/* Session policies of the input, copied: the session owns them. */
static int take_policies(struct call *call, struct session *s, struct err *err)
{
	const struct kms_json *arns = kms_json_get(call->input, "PolicyArns");
	const char *text = call_text(call, "Policy");
	size_t n = arns ? kms_json_count(arns) : 0;
	int r = text ? iam_check_document(call, text, POLICY_SESSION, err) : 0;

	if (r < 0)
		return r;
	if (n > POLICY_ARNS_MAX)
		return fault_set(err, FAULT_VALIDATION,
				 "1 validation error detected: Value at 'policyArns' failed to "
				 "satisfy constraint: Member must have length less than or equal "
				 "to %d",
				 POLICY_ARNS_MAX);
	s->policies = calloc(n + 1, sizeof(*s->policies));
	if (!s->policies)
		return err_set(err, ENOMEM, "session policies");
	if (text) {
		s->policies[s->policy_count].text = strdup(text);
		if (!s->policies[s->policy_count++].text)
			return err_set(err, ENOMEM, "session policies");
	}
	for (size_t i = 0; i < n; i++) {
		const struct kms_json *arn = kms_json_get(kms_json_at(arns, i), "arn");
		struct iam_document *d = &s->policies[s->policy_count];

		if (!arn || strlen(kms_json_string_value(arn)) >= IAM_ARN_MAX)
			return fault_set(err, FAULT_VALIDATION, "Policy ARN is invalid");
		d->name = strdup(kms_json_string_value(arn));
		d->managed = true;
		s->policy_count++;
		if (!d->name)
			return err_set(err, ENOMEM, "session policies");
	}
	return 0;
}

static int take_tags(struct call *call, struct session *s, struct err *err)
{
	AUTO(freep) struct iam_tag *tags = NULL;
	size_t n = 0;
	int r = iam_take_tags(call, &tags, &n, err);

	if (r < 0)
		return r;
	s->tags = calloc(n + 1, sizeof(*s->tags));
	if (!s->tags)
		return err_set(err, ENOMEM, "session tags");
	for (size_t i = 0; i < n; i++) {
		struct iam_tag *t = &s->tags[s->tag_count++];

		*t = (struct iam_tag){strdup(tags[i].key), strdup(tags[i].value)};
		if (!t->key || !t->value)
			return err_set(err, ENOMEM, "session tags");
	}
	return 0;
}

static int set_credentials(struct call *call, const struct session *s, const char *token)
{
	struct kms_json *e = kms_json_new_object();
	char text[IDS_SECRET_KEY_LEN + 1];
	int r;

	if (!e)
		return -ENOMEM;
	memcpy(text, secret_cbytes(s->secret), IDS_SECRET_KEY_LEN);
	text[IDS_SECRET_KEY_LEN] = '\0';
	r = kms_json_set_str(e, "AccessKeyId", s->access_key_id) |
	    kms_json_set_str(e, "SecretAccessKey", text) |
	    kms_json_set_str(e, "SessionToken", token) |
	    iam_set_time(e, "Expiration", s->expires_ms) |
	    kms_json_set(call->output, "Credentials", e);
	OPENSSL_cleanse(text, sizeof(text));
	return r;
}

static int issue(struct call *call, struct session *s, int64_t seconds, struct err *err)
{
	char *token = NULL;
	int r;

	s->issued_ms = call->now_ms;
	s->expires_ms = (call->now_ms / 1000 + seconds) * 1000; /* as Expiration says it */
	r = callers_issue(call->kmsd->callers, s, &token, err);
	if (r == -EMSGSIZE)
		return fault_set(err, FAULT_PACKED_POLICY,
				 "Packed size of session policies and tags is too large");
	if (r < 0)
		return r;
	r = set_credentials(call, s, token);
	OPENSSL_cleanse(token, strlen(token));
	free(token);
	return call_filled(r, err);
}

static int set_role_user(struct call *call, const struct iam_principal *role,
			 const struct session *s)
{
	char id[CALLER_ID_MAX + 1], arn[IAM_ARN_MAX];
	struct kms_json *e = kms_json_new_object();
	const char *text = call_text(call, "Policy");
	int r;

	if (!e)
		return -ENOMEM;
	(void)snprintf(id, sizeof(id), "%s:%s", role->id, s->name); /* fits */
	(void)snprintf(arn, sizeof(arn), "arn:aws:sts::%s:assumed-role/%s/%s", role->account,
		       role->name, s->name); /* fits */
	r = kms_json_set_str(e, "AssumedRoleId", id) | kms_json_set_str(e, "Arn", arn) |
	    kms_json_set(call->output, "AssumedRoleUser", e);
	if (text)
		r |= kms_json_set_u64(call->output, "PackedPolicySize",
				      strlen(text) * 100 / PACKED_MAX);
	return r;
}

int op_sts_assume_role(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *role = NULL;
	AUTO(session_freep) struct session *s = calloc(1, sizeof(*s));
	int64_t seconds = call_number(call, "DurationSeconds", ROLE_DEFAULT);
	int r;

	if (!s)
		return err_set(err, ENOMEM, "session");
	if (call->caller->kind == CALLER_ROOT)
		return fault_set(err, FAULT_ACCESS_DENIED,
				 "Roles may not be assumed by root accounts.");
	r = find_role(call, &role, err);
	r = r ? r : authorize_assume(call, role, err);
	if (r < 0)
		return r;
	call_note(call, "AWS::IAM::Role", role->arn);
	r = check_duration(call, role, seconds, err);
	r = r ? r : take_policies(call, s, err);
	r = r ? r : take_tags(call, s, err);
	if (r < 0)
		return r;
	s->kind = CALLER_ROLE;
	memcpy(s->account, role->account, sizeof(s->account));
	memcpy(s->principal_id, role->id, sizeof(s->principal_id));
	(void)snprintf(s->name, sizeof(s->name), "%s", call_text(call, "RoleSessionName"));
	r = issue(call, s, seconds, err);
	return r ? r : call_filled(set_role_user(call, role, s), err);
}

int op_sts_get_session_token(struct call *call, struct err *err)
{
	AUTO(session_freep) struct session *s = calloc(1, sizeof(*s));
	const struct caller *c = call->caller;
	int64_t seconds = call_number(call, "DurationSeconds", TOKEN_DEFAULT);

	if (!s)
		return err_set(err, ENOMEM, "session");
	if (c->expires_ms)
		return fault_set(err, FAULT_ACCESS_DENIED,
				 "Cannot call GetSessionToken with session credentials");
	if (c->kind == CALLER_ROOT && seconds > ROOT_MAX)
		seconds = ROOT_MAX;
	s->kind = c->kind;
	memcpy(s->account, c->account, sizeof(s->account));
	if (c->principal)
		memcpy(s->principal_id, c->principal->id, sizeof(s->principal_id));
	return issue(call, s, seconds, err);
}
