/* What a call has to do with grants: its tokens, who asks, what a CreateGrant asks for. See call.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "err.h"
#include "fault.h"
#include "grants.h"
#include "keyring.h"
#include "kms_json.h"
#include "secret.h"

int call_open_token(struct call *call, const char *token, struct store_token *ret, struct err *err)
{
	int r = store_open_token(call->kmsd->store, token, ret, err);

	return r == -EBADMSG ? fault_set(err, FAULT_INVALID_GRANT_TOKEN, NULL) : r;
}

/* A token may be of a grant that has ended; but it must be ours. */
int call_check_tokens(struct call *call, struct err *err)
{
	const struct kms_json *tokens = kms_json_get(call->input, "GrantTokens");
	size_t count = tokens ? kms_json_count(tokens) : 0;
	struct store_token token;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		r = call_open_token(call, kms_json_string_value(kms_json_at(tokens, i)), &token,
				    err);
		if (r == 0 && call->tokens.count < GRANT_TOKENS_MAX)
			memcpy(call->tokens.ids[call->tokens.count++], token.grant_id,
			       sizeof(token.grant_id));
	}
	return r;
}

void call_grant_caller(const struct call *call, struct grant_caller *ret)
{
	const struct caller *c = call->caller;
	bool session = c->kind == CALLER_ROLE;

	*ret = (struct grant_caller){
		.arn = c->arn,
		.role_arn = session ? c->issuer_arn : NULL,
		.account = c->account,
		.is_root = c->kind == CALLER_ROOT,
		.id = c->principal_id,
		.role_id = session && c->principal ? c->principal->id : NULL,
	};
}

int call_new_permit(const struct call *call, struct policy_permit *ret_permit,
		    struct policy_pair **ret_pairs, struct err *err)
{
	const struct kms_json *operations = kms_json_get(call->input, "Operations");
	const struct kms_json *constraints = kms_json_get(call->input, "Constraints");
	const struct kms_json *pairs = NULL;
	struct policy_permit p = {0};
	int r;

	for (size_t i = 0; operations && i < kms_json_count(operations); i++)
		p.operations |=
			policy_grant_operation(kms_json_string_value(kms_json_at(operations, i)));
	if (constraints && (pairs = kms_json_get(constraints, "EncryptionContextEquals")))
		p.constraint = POLICY_CONSTRAINT_EQUALS;
	else if (constraints && (pairs = kms_json_get(constraints, "EncryptionContextSubset")))
		p.constraint = POLICY_CONSTRAINT_SUBSET;
	r = grant_pairs(pairs, ret_pairs, &p.pair_count, err);
	if (r < 0)
		return r;
	p.pairs = *ret_pairs;
	*ret_permit = p;
	return 0;
}

const struct kms_json *call_encryption_context(const struct call *call, const char *action)
{
	const char *member = "EncryptionContext";

	if (strcmp(action, "ReEncryptFrom") == 0)
		member = "SourceEncryptionContext";
	else if (strcmp(action, "ReEncryptTo") == 0)
		member = "DestinationEncryptionContext";
	return kms_json_get(call->input, member);
}
