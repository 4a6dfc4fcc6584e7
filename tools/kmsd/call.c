/* What operations share. See call.h. */
#include "call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "disturb.h"
#include "err.h"
#include "fault.h"
#include "keyring.h"
#include "managed.h"
#include "kms_json.h"
#include "lag.h"
#include "secret.h"

const char *call_text(const struct call *call, const char *name)
{
	const struct kms_json *v = kms_json_get(call->input, name);

	return v ? kms_json_string_value(v) : NULL;
}

int64_t call_number(const struct call *call, const char *name, int64_t otherwise)
{
	const struct kms_json *v = kms_json_get(call->input, name);

	return v ? kms_json_int_value(v) : otherwise;
}

bool call_flag(const struct call *call, const char *name)
{
	const struct kms_json *v = kms_json_get(call->input, name);

	return v && kms_json_bool_value(v);
}

void call_note(struct call *call, const char *type, const char *name)
{
	for (unsigned i = 0; i < call->resource_count; i++)
		if (strcmp(call->resources[i], name) == 0)
			return;
	if (call->resource_count == CALL_RESOURCES_MAX)
		return;
	call->resource_types[call->resource_count] = type;
	(void)snprintf(call->resources[call->resource_count++], IAM_ARN_MAX, "%s", name); /* fits */
}

/* Of another account's key one is told no more than this, whether it exists or not. */
static int foreign_denied(const struct call *call, const char *action, struct err *err)
{
	return fault_set(err, FAULT_ACCESS_DENIED,
			 "User: %s is not authorized to perform: kms:%s on this resource because "
			 "the resource does not exist in this Region, no resource-based policies "
			 "allow access, or a resource-based policy explicitly denies access",
			 call->caller->arn, action);
}

int call_find_key(struct call *call, const char *text, const char *action, struct key **ret_key,
		  struct err *err)
{
	const struct keyref_place *place = &call->place;
	struct keyref ref;
	int r = keyref_parse(text, place, call->op->alias_ok, call->op->arn_fault, &ref, err);
	bool foreign;
	unsigned noted;

	if (r < 0)
		return r;
	foreign = strcmp(ref.account, place->account) != 0;
	if (foreign && !call->op->cross_account)
		return foreign_denied(call, action, err);
	r = keyring_find(call->kmsd->ring, place, &ref, call->now_ms, ret_key, err);
	if (r < 0 && ref.alias && !foreign && fault_is(err, FAULT_NOT_FOUND)) {
		int made = managed_make(call, ref.name, err);

		if (made != 0)
			r = made < 0 ? made
				     : keyring_find(call->kmsd->ring, place, &ref, call->now_ms,
						    ret_key, err);
	}
	if (r < 0 && fault_is(err, FAULT_NOT_FOUND) && foreign)
		return foreign_denied(call, action, err);
	if (r < 0)
		return r;
	noted = call->resource_count;
	call_note(call, NULL, (*ret_key)->arn);
	if (call->resource_count > noted) /* once a request, however often it looks */
		r = disturb_key(call, (*ret_key)->id, err);
	if (r < 0)
		cached_putp(ret_key);
	return r;
}

int call_authorize(struct call *call, const char *action, const struct key *key, struct err *err)
{
	AUTO(cached_putp) struct key *counts = key ? lag_key(call->kmsd->lag, key) : NULL;

	return authorize(call, action, counts, err);
}

/* What manages a key, or makes its next version, goes by the present. */
int call_check_state(const struct call *call, enum key_use use, const struct key *key,
		     struct err *err)
{
	bool lags = use == KEY_USE_CRYPTO || use == KEY_USE_CREATE_GRANT;
	AUTO(cached_putp) struct key *counts = lag_key(lags ? call->kmsd->lag : NULL, key);

	return keystate_check(use, counts->state, counts->arn, err);
}

int call_authorize_on(struct call *call, const char *action, const char *resource_arn,
		      struct err *err)
{
	return authorize_on(call, action, resource_arn, err);
}

int call_dry_run(const struct call *call, struct err *err)
{
	if (!call_flag(call, "DryRun"))
		return 0;
	return fault_set(err, FAULT_DRY_RUN,
			 "The request would have succeeded, but the DryRun option is set.");
}

int call_filled(int r, struct err *err)
{
	return r ? err_set(err, ENOMEM, "reply") : 0;
}
