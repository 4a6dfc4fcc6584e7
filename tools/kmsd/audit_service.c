/* Records of calls by services. See audit_service.h. */
#include "audit_service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "ids.h"
#include "kms_json.h"

#define INTERNAL "AWS Internal"

/* Instances act, and grants are retired, inside AWS, where nobody is named. */
const char *audit_service_name(const struct call *call)
{
	const struct forward *f = &call->forward;

	if (!f->service)
		return NULL;
	if (!f->own)
		return f->service->front;
	if (call->caller->kind == CALLER_INSTANCE ||
	    (call->op && strcmp(call->op->name, "RetireGrant") == 0))
		return INTERNAL;
	return f->service->own_name;
}

bool audit_service_retires(const struct call *call)
{
	return call->forward.own && call->grant_id[0];
}

/* For which instance its identity acted. */
static int put_scope(struct kms_json *id, const struct call *call)
{
	struct kms_json *scope = kms_json_new_object();
	char arn[160];

	if (!scope)
		return -ENOMEM;
	(void)snprintf(arn, sizeof(arn), "arn:aws:ec2:%s:%s:instance/%s", call->place.region,
		       call->caller->account, call->caller->session_name); /* fits */
	return kms_json_set_str(scope, "issuerType", "AWS::EC2::Instance") |
	       kms_json_set_str(scope, "credentialsIssuedTo", arn) |
	       kms_json_set(id, "inScopeOf", scope);
}

int audit_service_identity(struct kms_json *id, const struct call *call)
{
	int r = kms_json_set_str(id, "invokedBy", audit_service_name(call));

	return call->caller->kind == CALLER_INSTANCE ? r | put_scope(id, call) : r;
}

int audit_service_place(struct kms_json *rec, const struct call *call, const char *shared_id)
{
	char own[IDS_UUID_LEN + 1];
	int r = 0;

	if (!shared_id && call->forward.service) {
		if (ids_uuid(own, NULL) < 0)
			return -ENOMEM;
		shared_id = own;
	}
	if (shared_id)
		r = kms_json_set_str(rec, "sharedEventID", shared_id);
	if (!call->forward.service)
		return r;
	return r | kms_json_set_str(rec, "vpcEndpointId", INTERNAL) |
	       kms_json_set_str(rec, "vpcEndpointAccountId", INTERNAL);
}
