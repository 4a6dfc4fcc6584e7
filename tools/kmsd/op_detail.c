/* UpdateKeyDescription, GetKeyLastUsage, and what needs a key of another usage than ours have. */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "keyring.h"
#include "kms_json.h"
#include "operations.h"
#include "usage.h"

int op_update_key_description(struct call *call, struct err *err)
{
	const char *description = call_text(call, "Description");

	if (strcmp(description, call->key->description) == 0)
		return 0;
	return keyring_set_description(call->kmsd->ring, call->key, description, err);
}

static struct kms_json *last_use(const struct store_use *use)
{
	struct kms_json *v = kms_json_new_object();
	int r;

	if (!v)
		return NULL;
	r = kms_json_set_str(v, "Operation", use->operation) |
	    kms_json_set_double(v, "Timestamp", (double)use->used_ms / 1000) |
	    kms_json_set_str(v, "CloudTrailEventId", use->event_id) |
	    kms_json_set_str(v, "KmsRequestId", use->request_id);
	if (r) {
		kms_json_free(v);
		return NULL;
	}
	return v;
}

/* Uses are tracked from a key's first day on. */
int op_get_key_last_usage(struct call *call, struct err *err)
{
	double created = (double)call->key->created_ms / 1000;
	struct store_use use;
	int r = usage_find(keyring_usage(call->kmsd->ring), call->key, &use, err);

	if (r < 0 && r != -ENOENT)
		return r;
	return call_filled(kms_json_set_str(call->output, "KeyId", call->key->arn) |
				   kms_json_set(call->output, "KeyLastUsage",
						r == 0 ? last_use(&use) : kms_json_new_object()) |
				   kms_json_set_double(call->output, "TrackingStartDate", created) |
				   kms_json_set_double(call->output, "KeyCreationDate", created),
			   err);
}

int op_other_usage(struct call *call, struct err *err)
{
	return fault_set(err, FAULT_INVALID_KEY_USAGE,
			 "%s key usage is ENCRYPT_DECRYPT which is not valid for %s.",
			 call->key->arn, call->op->name);
}

int op_other_origin(struct call *call, struct err *err)
{
	return fault_set(err, FAULT_UNSUPPORTED_OPERATION,
			 "%s origin is AWS_KMS which is not valid for this operation.",
			 call->key->arn);
}

int op_other_spec(struct call *call, struct err *err)
{
	return fault_set(err, FAULT_UNSUPPORTED_OPERATION,
			 "%s key spec is SYMMETRIC_DEFAULT which is not valid for %s.",
			 call->key->arn, call->op->name);
}

int op_single_region(struct call *call, struct err *err)
{
	return fault_set(err, FAULT_UNSUPPORTED_OPERATION, "%s is not a multi-Region primary key.",
			 call->key->arn);
}
