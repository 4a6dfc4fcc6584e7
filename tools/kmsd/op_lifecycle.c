/* EnableKey, DisableKey, ScheduleKeyDeletion, CancelKeyDeletion: a key from one state to another. */
#include <time.h>

#include "err.h"
#include "fault.h"
#include "keyring.h"
#include "kms_json.h"
#include "operations.h"

#define DAY_MS	       (24 * 60 * 60 * INT64_C(1000))
#define WINDOW_MIN     7
#define WINDOW_MAX     30
#define WINDOW_DEFAULT 30 /* days */

static int set_state(struct call *call, enum key_state to, int64_t deletion_ms, struct err *err)
{
	if (call->key->state == to)
		return 0;
	return keyring_set_state(call->kmsd->ring, call->key, to, deletion_ms, err);
}

/* A key that is not usable for a reason of its own stays so (footnote 12 of the state table). */
static bool unavailable(const struct call *call)
{
	return call->key->state == KEY_STATE_UNAVAILABLE;
}

int op_enable_key(struct call *call, struct err *err)
{
	return unavailable(call) ? 0 : set_state(call, KEY_STATE_ENABLED, 0, err);
}

int op_disable_key(struct call *call, struct err *err)
{
	return unavailable(call) ? 0 : set_state(call, KEY_STATE_DISABLED, 0, err);
}

static int audit_deletion(struct call *call, int64_t deletion_ms, int64_t days)
{
	time_t t = (time_t)(deletion_ms / 1000);
	char date[32];
	struct tm tm;

	call->response_elements = kms_json_new_object();
	if (!call->response_elements || !gmtime_r(&t, &tm) ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return -1;
	return kms_json_set_str(call->response_elements, "keyId", call->key->arn) |
	       kms_json_set_str(call->response_elements, "deletionDate", date) |
	       kms_json_set_str(call->response_elements, "keyState",
				keystate_name(KEY_STATE_PENDING_DELETION)) |
	       kms_json_set_i64(call->response_elements, "pendingWindowInDays", days);
}

int op_schedule_key_deletion(struct call *call, struct err *err)
{
	int64_t days = call_number(call, "PendingWindowInDays", WINDOW_DEFAULT);
	int64_t deletion_ms = call->now_ms + days * DAY_MS;
	int r;

	if (days < WINDOW_MIN || days > WINDOW_MAX)
		return fault_set(err, FAULT_VALIDATION,
				 "PendingWindowInDays must be between %d and %d", WINDOW_MIN,
				 WINDOW_MAX);
	r = set_state(call, KEY_STATE_PENDING_DELETION, deletion_ms, err);
	if (r < 0)
		return r;
	r = kms_json_set_str(call->output, "KeyId", call->key->arn) |
	    kms_json_set_double(call->output, "DeletionDate", (double)deletion_ms / 1000) |
	    kms_json_set_str(call->output, "KeyState", keystate_name(KEY_STATE_PENDING_DELETION)) |
	    kms_json_set_i64(call->output, "PendingWindowInDays", days) |
	    audit_deletion(call, deletion_ms, days);
	return call_filled(r, err);
}

int op_cancel_key_deletion(struct call *call, struct err *err)
{
	int r = set_state(call, KEY_STATE_DISABLED, 0, err);

	return r < 0 ? r
		     : call_filled(kms_json_set_str(call->output, "KeyId", call->key->arn), err);
}
