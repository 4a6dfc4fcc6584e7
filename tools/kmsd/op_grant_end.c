/* RevokeGrant, RetireGrant: the two ways in which a grant ends. */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "grants.h"
#include "keyring.h"
#include "kms_json.h"
#include "op_grant.h"
#include "operations.h"
#include "secret.h"

static int not_found(const char *grant_id, struct err *err)
{
	return fault_set(err, FAULT_NOT_FOUND, "Grant ID %s not found", grant_id);
}

static int load(struct call *call, const struct key *key, const char *grant_id,
		struct grant **ret_grant, struct err *err)
{
	const struct keyref_place place = {key->account, key->region};
	int r = op_grant_check_id(grant_id, err);

	r = r ? r : store_load_grant(call->kmsd->store, &place, key->id, grant_id, ret_grant, err);
	return r == -ENOENT ? not_found(grant_id, err) : r;
}

/* The last step of both: the dry run ends here. */
static int end(struct call *call, const struct grant *grant, struct err *err)
{
	int r = call_dry_run(call, err);

	r = r ? r : grants_delete(keyring_grants(call->kmsd->ring), grant, err);
	if (r == 0)
		memcpy(call->grant_id, grant->id, sizeof(call->grant_id));
	return r == -ENOENT ? not_found(grant->id, err) : r;
}

int op_revoke_grant(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct grant *grant = NULL;
	int r = load(call, call->key, call_text(call, "GrantId"), &grant, err);

	return r ? r : end(call, grant, err);
}

/* Who may retire a grant, the grant says; key policies and IAM have no part in it. */
static int check_retirer(struct call *call, const struct key *key, const struct grant *grant,
			 struct err *err)
{
	struct grant_caller caller;

	call_grant_caller(call, &caller);
	if (grant_may_retire(grant, &caller))
		return 0;
	return fault_set(err, FAULT_ACCESS_DENIED,
			 "User: %s is not authorized to perform: kms:RetireGrant on resource: %s",
			 caller.arn, key->arn);
}

static int find_by_token(struct call *call, const char *token, struct key **ret_key,
			 struct grant **ret_grant, struct err *err)
{
	struct store_token t;
	struct keyref_place place = {t.account, t.region};
	char arn[KEYREF_ARN_MAX];
	int r = call_open_token(call, token, &t, err);

	if (r < 0)
		return r;
	keyref_key_arn(&place, t.key_id, arn);
	r = call_find_key(call, arn, call->op->name, ret_key, err);
	return r ? r : load(call, *ret_key, t.grant_id, ret_grant, err);
}

int op_retire_grant(struct call *call, struct err *err)
{
	const char *token = call_text(call, "GrantToken"), *key_id = call_text(call, "KeyId");
	const char *grant_id = call_text(call, "GrantId");
	AUTO(cached_putp) struct grant *grant = NULL;
	AUTO(cached_putp) struct key *key = NULL;
	int r;

	if (token ? key_id || grant_id : !key_id || !grant_id)
		return fault_set(err, FAULT_VALIDATION,
				 "Please specify either a grant token or both a key ID and a grant "
				 "ID.");
	if (token) {
		r = find_by_token(call, token, &key, &grant, err);
	} else {
		r = call_find_key(call, key_id, call->op->name, &key, err);
		r = r ? r : load(call, key, grant_id, &grant, err);
	}
	r = r ? r : check_retirer(call, key, grant, err);
	return r ? r : end(call, grant, err);
}
