/* ListGrants, ListRetirableGrants. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "op_grant.h"
#include "operations.h"
#include "principals.h"

#define LIMIT 50 /* when the request names none */

static struct kms_json *operations_of(const struct grant *grant)
{
	struct kms_json *list = kms_json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (unsigned i = 0; i < POLICY_GRANT_OPERATION_COUNT && r == 0; i++)
		if (grant->permit.operations >> i & 1)
			r = kms_json_add_str(list, policy_grant_operation_name(i));
	if (r < 0) {
		kms_json_free(list);
		return NULL;
	}
	return list;
}

static struct kms_json *constraints_of(const struct grant *grant)
{
	const struct policy_permit *p = &grant->permit;
	struct kms_json *outer = kms_json_new_object(), *pairs = kms_json_new_object();
	int r = outer && pairs ? 0 : -ENOMEM;

	for (size_t i = 0; i < p->pair_count && r == 0; i++)
		r = kms_json_set_str(pairs, p->pairs[i].name, p->pairs[i].value);
	if (r < 0) {
		kms_json_free(pairs);
		kms_json_free(outer);
		return NULL;
	}
	if (kms_json_set(outer,
			 p->constraint == POLICY_CONSTRAINT_EQUALS ? "EncryptionContextEquals"
								   : "EncryptionContextSubset",
			 pairs) < 0) {
		kms_json_free(outer);
		return NULL;
	}
	return outer;
}

/* Who a grant names; a user, role or session that was deleted is shown by its id, as AWS does. */
static const char *shown(const struct kmsd *kmsd, const char *arn, const char *id)
{
	const struct policy_resolver now = principals_of(kmsd);
	char is[POLICY_ID_MAX];
	struct err ignored;

	if (!id[0] || strspn(id, "0123456789") == strlen(id))
		return arn; /* a service, or an account */
	return now.resolve(now.arg, arn, is, &ignored) == 0 && strcmp(is, id) == 0 ? arn : id;
}

struct kms_json *op_grant_entry(const struct kmsd *kmsd, const struct grant *grant)
{
	struct keyref_place place = {grant->account, grant->region};
	struct kms_json *e = kms_json_new_object();
	char arn[KEYREF_ARN_MAX], issuer[64];
	int r;

	if (!e)
		return NULL;
	keyref_key_arn(&place, grant->key_id, arn);
	(void)snprintf(issuer, sizeof(issuer), "arn:aws:iam::%s:root", grant->issuer); /* fits */
	r = kms_json_set_str(e, "KeyId", arn) | kms_json_set_str(e, "GrantId", grant->id) |
	    kms_json_set_str(e, "Name", grant->name) |
	    kms_json_set_double(e, "CreationDate", (double)grant->created_ms / 1000) |
	    kms_json_set_str(e, "GranteePrincipal", shown(kmsd, grant->grantee, grant->grantee_id));
	if (grant->retiring[0])
		r |= kms_json_set_str(e, "RetiringPrincipal",
				      shown(kmsd, grant->retiring, grant->retiring_id));
	r |= kms_json_set_str(e, "IssuingAccount", issuer) |
	     kms_json_set(e, "Operations", operations_of(grant));
	if (grant->permit.constraint != POLICY_CONSTRAINT_NONE)
		r |= kms_json_set(e, "Constraints", constraints_of(grant));
	if (r) {
		kms_json_free(e);
		return NULL;
	}
	return e;
}

struct listing {
	const struct kmsd *kmsd;
	struct kms_json *grants;
	size_t limit, count;
	bool of_all_keys;
	char last[IDS_UUID_LEN + 1 + GRANT_ID_LEN + 1]; /* as a marker */
};

static int list_grant(struct grant *grant, void *arg)
{
	struct listing *l = arg;

	if (l->count++ == l->limit)
		return 0; /* there is one more: that is all we want to know */
	(void)snprintf(l->last, sizeof(l->last), "%s%s%s", l->of_all_keys ? grant->key_id : "",
		       l->of_all_keys ? "/" : "", grant->id); /* fits */
	return kms_json_add(l->grants, op_grant_entry(l->kmsd, grant));
}

static int list(struct call *call, struct store_grant_query *query, struct err *err)
{
	struct listing l = {.kmsd = call->kmsd,
			    .grants = kms_json_new_array(),
			    .limit = (size_t)call_number(call, "Limit", LIMIT),
			    .of_all_keys = query->filter == STORE_GRANTS_RETIRABLE};
	int r;

	query->page.limit = l.limit + 1;
	r = l.grants ? store_each_grant(call->kmsd->store, query, list_grant, &l, err)
		     : err_set(err, ENOMEM, "list of grants");
	if (r < 0) {
		kms_json_free(l.grants);
		return r;
	}
	r = kms_json_set(call->output, "Grants", l.grants) |
	    kms_json_set_bool(call->output, "Truncated", l.count > l.limit);
	if (l.count > l.limit)
		r |= kms_json_set_str(call->output, "NextMarker", l.last);
	return call_filled(r, err);
}

int op_list_grants(struct call *call, struct err *err)
{
	const char *marker = call_text(call, "Marker");
	struct store_grant_query query = {
		.filter = STORE_GRANTS_ALL,
		.place = {call->key->account, call->key->region},
		.key_id = call->key->id,
		.grant_id = call_text(call, "GrantId"),
		.grantee = call_text(call, "GranteePrincipal"),
		.page.after = marker ? marker : "",
	};
	int r = op_grant_check_id(query.grant_id, err);

	if (r == 0 && query.grantee && grant_is_unique_id(query.grantee))
		r = fault_set(err, FAULT_INVALID_ARN, "Input does not refer to a valid principal");
	if (r == 0 && query.grantee)
		r = grant_check_principal(query.grantee, true, err);
	if (r == 0 && marker && !op_grant_is_id(marker))
		r = fault_set(err, FAULT_INVALID_MARKER, "Invalid marker");
	return r ? r : list(call, &query, err);
}

/* "KEY/GRANT". */
static bool is_marker(const char *text)
{
	char key_id[IDS_UUID_LEN + 1];
	uint8_t uuid[16];

	(void)snprintf(key_id, sizeof(key_id), "%s", text); /* cut: compared below */
	return ids_uuid_parse(key_id, uuid) == 0 && text[IDS_UUID_LEN] == '/' &&
	       op_grant_is_id(text + IDS_UUID_LEN + 1);
}

int op_list_retirable_grants(struct call *call, struct err *err)
{
	const char *marker = call_text(call, "Marker");
	struct store_grant_query query = {
		.filter = STORE_GRANTS_RETIRABLE,
		.place = call->place,
		.retiring = call_text(call, "RetiringPrincipal"),
		.page.after = marker ? marker : "",
	};
	int r = call_authorize(call, "ListRetirableGrants", NULL, err);

	if (r == 0 && grant_is_unique_id(query.retiring))
		r = fault_set(err, FAULT_NOT_FOUND, "Retiring principal %s could not be found",
			      query.retiring);
	r = r ? r : grant_check_principal(query.retiring, true, err);
	if (r == 0 && strncmp(query.retiring, "arn:aws:", 8) == 0 &&
	    strncmp(query.retiring + strlen("arn:aws:iam::"), call->place.account,
		    IDS_ACCOUNT_LEN) != 0)
		return fault_set(err, FAULT_ACCESS_DENIED,
				 "User: %s is not authorized to perform: kms:ListRetirableGrants "
				 "for principals of another account",
				 call->caller->arn);
	if (r == 0 && marker && !is_marker(marker))
		r = fault_set(err, FAULT_INVALID_MARKER, "Invalid marker");
	return r ? r : list(call, &query, err);
}
