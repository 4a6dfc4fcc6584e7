/* EnableKeyRotation, DisableKeyRotation, GetKeyRotationStatus, RotateKeyOnDemand, ListKeyRotations. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "keyring.h"
#include "kms_json.h"
#include "operations.h"

#define DAY_MS	       (24 * 60 * 60 * INT64_C(1000))
#define PERIOD_DEFAULT 365 /* days */
#define ON_DEMAND_MAX  25  /* of a key, ever */
#define LIMIT	       100 /* when the request names none */

/*
 * The first rotation is a period from now. Where rotation is on already, a new period counts from
 * where the old one began.
 */
int op_enable_key_rotation(struct call *call, struct err *err)
{
	int days = (int)call_number(call, "RotationPeriodInDays", PERIOD_DEFAULT);
	struct key_rotation to = call->key->rotation;
	int64_t since_ms = to.days ? to.next_ms - to.days * DAY_MS : call->now_ms;

	if (to.days == days)
		return 0;
	to.days = days;
	to.next_ms = since_ms + days * DAY_MS;
	return keyring_set_rotation(call->kmsd->ring, call->key, &to, err);
}

int op_disable_key_rotation(struct call *call, struct err *err)
{
	struct key_rotation to = {.on_demand_ms = call->key->rotation.on_demand_ms};

	if (call->key->rotation.days == 0)
		return 0;
	return keyring_set_rotation(call->kmsd->ring, call->key, &to, err);
}

int op_get_key_rotation_status(struct call *call, struct err *err)
{
	const struct key_rotation *is = &call->key->rotation;
	bool pending = call->key->state == KEY_STATE_PENDING_DELETION;
	bool on = is->days > 0 && !pending;
	int r = kms_json_set_bool(call->output, "KeyRotationEnabled", on) |
		kms_json_set_str(call->output, "KeyId", call->key->arn);

	if (on)
		r |= kms_json_set_i64(call->output, "RotationPeriodInDays", is->days) |
		     kms_json_set_double(call->output, "NextRotationDate",
					 (double)is->next_ms / 1000);
	if (is->on_demand_ms && !pending)
		r |= kms_json_set_double(call->output, "OnDemandRotationStartDate",
					 (double)is->on_demand_ms / 1000);
	return call_filled(r, err);
}

int op_rotate_key_on_demand(struct call *call, struct err *err)
{
	struct key_rotation to = call->key->rotation;
	int r = 0;

	if (!to.on_demand_ms) { /* else: that one will do */
		r = store_count_rotations(call->kmsd->store, call->key, STORE_ROTATION_ON_DEMAND,
					  err);
		if (r >= ON_DEMAND_MAX)
			return fault_set(err, FAULT_LIMIT_EXCEEDED,
					 "The on-demand rotations limit has been reached for the "
					 "given keyId. No more on-demand rotations can be "
					 "performed for this key: %s",
					 call->key->arn);
		to.on_demand_ms = call->now_ms;
		r = r < 0 ? r : keyring_set_rotation(call->kmsd->ring, call->key, &to, err);
	}
	return r < 0 ? r
		     : call_filled(kms_json_set_str(call->output, "KeyId", call->key->arn), err);
}

struct listing {
	const struct key *key;
	struct kms_json *rotations;
	size_t limit, count;
	int64_t last;
};

static int list_material(const struct store_material *m, void *arg)
{
	struct listing *l = arg;
	struct kms_json *e;
	char hex[2 * CIPHERTEXT_MATERIAL_LEN + 1];
	int r;

	if (l->count++ == l->limit)
		return 0; /* there is one more: that is all we want to know */
	l->last = m->number;
	bytes_to_hex(m->id, CIPHERTEXT_MATERIAL_LEN, hex);
	e = kms_json_new_object();
	if (!e)
		return -ENOMEM;
	r = kms_json_set_str(e, "KeyId", l->key->arn) | kms_json_set_str(e, "KeyMaterialId", hex) |
	    kms_json_set_str(e, "KeyMaterialState",
			     strcmp(hex, l->key->material_hex) == 0 ? "CURRENT" : "NON_CURRENT");
	if (m->how[0])
		r |= kms_json_set_double(e, "RotationDate", (double)m->created_ms / 1000) |
		     kms_json_set_str(e, "RotationType", m->how);
	return r | kms_json_add(l->rotations, e) ? -ENOMEM : 0;
}

/* A marker is the number of the last one shown. */
static int take_marker(struct call *call, int64_t *number, struct err *err)
{
	const char *marker = call_text(call, "Marker");
	size_t n = marker ? strlen(marker) : 0;

	if (!marker)
		return 0;
	if (n > 9 || strspn(marker, "0123456789") != n)
		return fault_set(err, FAULT_INVALID_MARKER, "Invalid marker");
	*number = strtol(marker, NULL, 10);
	return 0;
}

int op_list_key_rotations(struct call *call, struct err *err)
{
	const char *include = call_text(call, "IncludeKeyMaterial");
	bool all = include && strcmp(include, "ALL_KEY_MATERIAL") == 0;
	struct listing l = {.key = call->key, .limit = (size_t)call_number(call, "Limit", LIMIT)};
	struct store_page page = {.after_number = all ? -1 : 0, .limit = l.limit + 1};
	char next[32];
	int r = take_marker(call, &page.after_number, err);

	if (r < 0)
		return r;
	l.rotations = kms_json_new_array();
	r = l.rotations ? store_each_material(call->kmsd->store, call->key, &page, list_material,
					      &l, err)
			: err_set(err, ENOMEM, "list of rotations");
	if (r < 0) {
		kms_json_free(l.rotations);
		return r;
	}
	r = kms_json_set(call->output, "Rotations", l.rotations) |
	    kms_json_set_bool(call->output, "Truncated", l.count > l.limit);
	if (l.count > l.limit) {
		(void)snprintf(next, sizeof(next), "%lld", (long long)l.last); /* fits */
		r |= kms_json_set_str(call->output, "NextMarker", next);
	}
	return call_filled(r, err);
}
