/* CreateGrant. */
#include "op_grant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "grants.h"
#include "keyring.h"
#include "kms_json.h"
#include "operations.h"
#include "principals.h"
#include "secret.h"

bool op_grant_is_id(const char *text)
{
	return strlen(text) == GRANT_ID_LEN && strspn(text, "0123456789abcdef") == GRANT_ID_LEN;
}

int op_grant_check_id(const char *text, struct err *err)
{
	return !text || op_grant_is_id(text)
		       ? 0
		       : fault_set(err, FAULT_INVALID_GRANT_ID, "Invalid grant ID %s", text);
}

static int check_operations(const struct call *call, struct err *err)
{
	const struct kms_json *list = kms_json_get(call->input, "Operations");
	uint32_t valid = grant_operations_symmetric(), asked = 0;
	char bad[512], good[512];

	for (size_t i = 0; i < kms_json_count(list); i++)
		asked |= policy_grant_operation(kms_json_string_value(kms_json_at(list, i)));
	if (asked & ~valid) {
		grant_operations_text(asked & ~valid, bad);
		grant_operations_text(valid, good);
		return fault_set(
			err, FAULT_VALIDATION,
			"Operations [%s] are not supported when creating a grant for a "
			"symmetric KMS key with key usage ENCRYPT_DECRYPT. Valid operations "
			"are [%s]",
			bad, good);
	}
	if (asked == policy_grant_operation("CreateGrant"))
		return fault_set(err, FAULT_VALIDATION,
				 "Grants must not contain only the CreateGrant operation.");
	return 0;
}

static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* Shapes are checked; here is how many constraints, and how large. */
static int check_constraints(const struct call *call, const struct policy_permit *permit,
			     struct err *err)
{
	const struct kms_json *c = kms_json_get(call->input, "Constraints");

	if (!c)
		return 0;
	if (kms_json_get(c, "EncryptionContextEquals") &&
	    kms_json_get(c, "EncryptionContextSubset"))
		return fault_set(err, FAULT_VALIDATION, "More than one constraint supplied");
	if (permit->constraint != POLICY_CONSTRAINT_NONE &&
	    (permit->pair_count == 0 || permit->pair_count > GRANT_PAIRS_MAX))
		return fault_set(err, FAULT_VALIDATION,
				 "A grant constraint has 1 to %d encryption context pairs",
				 GRANT_PAIRS_MAX);
	for (size_t i = 0; i < permit->pair_count; i++)
		if (characters(permit->pairs[i].value) > GRANT_VALUE_MAX)
			return fault_set(err, FAULT_VALIDATION,
					 "A value of a grant constraint has at most %d characters",
					 GRANT_VALUE_MAX);
	return 0;
}

/* As AWS records it: the grant's id, the key, and no token. */
static int audit_grant(struct call *call, const struct grant *grant)
{
	call->response_elements = kms_json_new_object();
	if (!call->response_elements)
		return -ENOMEM;
	return kms_json_set_str(call->response_elements, "grantId", grant->id) |
	       kms_json_set_str(call->response_elements, "keyId", call->key->arn);
}

static int create(struct call *call, const struct grant *wanted, struct err *err)
{
	AUTO(cached_putp) struct grant *grant = NULL;
	AUTO(freep) char *token = NULL;
	int r = grants_create(keyring_grants(call->kmsd->ring), call->key, wanted, &grant, err);

	r = r ? r : store_seal_token(call->kmsd->store, grant, &token, err);
	if (r < 0)
		return r;
	return call_filled(kms_json_set_str(call->output, "GrantToken", token) |
				   kms_json_set_str(call->output, "GrantId", grant->id) |
				   audit_grant(call, grant),
			   err);
}

/* Users and roles must be there, and are bound by their unique ids. */
static int bind(const struct call *call, const char *member, struct policy_principal *ret,
		struct err *err)
{
	const struct policy_resolver resolver = principals_of(call->kmsd);
	const char *text = call_text(call, member);
	int r;

	if (grant_is_unique_id(text))
		return fault_set(err, FAULT_INVALID_ARN, "%s does not refer to a valid principal.",
				 member);
	r = grant_check_principal(text, forward_may_name(call, text), err);
	r = r ? r : policy_principal_read_grantee(text, &resolver, ret, err);
	return r == -EINVAL ? fault_set(err, FAULT_INVALID_ARN,
					"ARN does not refer to a valid principal: %s", text)
			    : r;
}

int op_create_grant(struct call *call, struct err *err)
{
	const char *retiring = call_text(call, "RetiringPrincipal");
	const char *name = call_text(call, "Name");
	AUTO(freep) struct policy_pair *pairs = NULL;
	struct policy_principal grantee = {0}, retirer = {0};
	struct grant wanted = {
		.name = name ? name : "",
		.grantee = call_text(call, "GranteePrincipal"),
		.retiring = retiring ? retiring : "",
		.grantee_id = grantee.id,
		.retiring_id = retirer.id,
		.created_ms = call->now_ms,
	};
	int r = call_new_permit(call, &wanted.permit, &pairs, err);

	r = r ? r : forward_check_grant(call, wanted.grantee, retiring, err);
	r = r ? r : bind(call, "GranteePrincipal", &grantee, err);
	r = r || !retiring ? r : bind(call, "RetiringPrincipal", &retirer, err);
	r = r ? r : check_operations(call, err);
	r = r ? r : check_constraints(call, &wanted.permit, err);
	r = r ? r : call_dry_run(call, err);
	if (r < 0)
		return r;
	(void)snprintf(wanted.account, sizeof(wanted.account), "%s", call->key->account); /* fits */
	(void)snprintf(wanted.region, sizeof(wanted.region), "%s", call->key->region);	  /* fits */
	(void)snprintf(wanted.key_id, sizeof(wanted.key_id), "%s", call->key->id);	  /* fits */
	(void)snprintf(wanted.issuer, sizeof(wanted.issuer), "%s",
		       call->caller->account); /* fits */
	return create(call, &wanted, err);
}
