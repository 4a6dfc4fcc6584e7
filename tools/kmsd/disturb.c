/* Throttling and faults applied. See disturb.h. */
#include "disturb.h"

#include <stdint.h>
#include <string.h>

#include "calendar.h"
#include "call.h"
#include "err.h"
#include "fault.h"
#include "flow.h"
#include "inject.h"
#include "service.h"
#include "throttle.h"

static int throttled(const struct call *call, struct err *err)
{
	if (strcmp(call->service->name, "kms") != 0)
		return fault_set(err, FAULT_THROTTLING, "Rate exceeded");
	return fault_set(err, FAULT_THROTTLING,
			 "You have exceeded the rate at which you may call KMS. Reduce the "
			 "frequency of your calls.");
}

static int meet(struct call *call, const char *key_id, struct err *err)
{
	struct inject_effect *e = &call->effect;

	inject_meet(call->kmsd->inject, call->op->name, key_id, calendar_monotonic_ms(), e);
	if (!e->fails)
		return 0;
	if (e->kind == INJECT_THROTTLE)
		return throttled(call, err);
	if (e->kind == INJECT_DROP)
		return fault_set(err, FAULT_KMS_INTERNAL, NULL); /* nobody sees it */
	return e->message[0] ? fault_set(err, e->fault, "%s", e->message)
			     : fault_set(err, e->fault, NULL);
}

int disturb_call(struct call *call, struct err *err)
{
	if (strcmp(call->service->name, "kms") == 0 &&
	    !throttle_take(call->kmsd->throttle, call->caller->account, call->place.region,
			   call->op->name, calendar_monotonic_ms()))
		return throttled(call, err);
	return meet(call, NULL, err);
}

int disturb_key(struct call *call, const char *key_id, struct err *err)
{
	return meet(call, key_id, err);
}

void disturb_reply(const struct call *call, struct flow_reply *reply)
{
	const struct inject_effect *e = &call->effect;

	reply->delay_ms = e->delay_ms;
	reply->cut = e->cut;
	reply->drop = e->fails && e->kind == INJECT_DROP;
}
