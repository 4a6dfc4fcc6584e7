/* CreateKey, DescribeKey, ListKeys. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "managed.h"
#include "operations.h"
#include "secret.h"

static const char default_policy[] =
	"{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\",\n  \"Statement\" : [ {\n"
	"    \"Sid\" : \"Enable IAM User Permissions\",\n    \"Effect\" : \"Allow\",\n"
	"    \"Principal\" : {\n      \"AWS\" : \"arn:aws:iam::%s:root\"\n    },\n"
	"    \"Action\" : \"kms:*\",\n    \"Resource\" : \"*\"\n  } ]\n}";

static struct kms_json *one_string(const char *text)
{
	struct kms_json *arr = kms_json_new_array();

	if (arr && kms_json_add_str(arr, text) < 0) {
		kms_json_free(arr);
		return NULL;
	}
	return arr;
}

static struct kms_json *metadata(const struct key *key, bool managed)
{
	struct kms_json *m = kms_json_new_object();
	int r;

	if (!m)
		return NULL;
	r = kms_json_set_str(m, "AWSAccountId", key->account) |
	    kms_json_set_str(m, "KeyId", key->id) | kms_json_set_str(m, "Arn", key->arn) |
	    kms_json_set_double(m, "CreationDate", (double)key->created_ms / 1000) |
	    kms_json_set_bool(m, "Enabled", key->state == KEY_STATE_ENABLED) |
	    kms_json_set_str(m, "Description", key->description) |
	    kms_json_set_str(m, "KeyUsage", "ENCRYPT_DECRYPT") |
	    kms_json_set_str(m, "KeyState", keystate_name(key->state)) |
	    kms_json_set_str(m, "Origin", "AWS_KMS") |
	    kms_json_set_str(m, "KeyManager", managed ? "AWS" : "CUSTOMER") |
	    kms_json_set_str(m, "CustomerMasterKeySpec", "SYMMETRIC_DEFAULT") |
	    kms_json_set_str(m, "KeySpec", "SYMMETRIC_DEFAULT") |
	    kms_json_set(m, "EncryptionAlgorithms", one_string("SYMMETRIC_DEFAULT")) |
	    kms_json_set_bool(m, "MultiRegion", false) |
	    kms_json_set_str(m, "CurrentKeyMaterialId", key->material_hex);
	if (key->state == KEY_STATE_PENDING_DELETION)
		r |= kms_json_set_double(m, "DeletionDate", (double)key->deletion_ms / 1000);
	if (r) {
		kms_json_free(m);
		return NULL;
	}
	return m;
}

/* This server makes symmetric encryption keys with material of its own. */
static int check_spec(struct call *call, struct err *err)
{
	const char *spec = call_text(call, "KeySpec");
	const char *old_spec = call_text(call, "CustomerMasterKeySpec");
	const char *usage = call_text(call, "KeyUsage"), *origin = call_text(call, "Origin");

	if (spec && old_spec)
		return fault_set(err, FAULT_VALIDATION,
				 "You cannot specify KeySpec and CustomerMasterKeySpec in the same "
				 "request. CustomerMasterKeySpec is deprecated.");
	spec = spec ? spec : old_spec ? old_spec : "SYMMETRIC_DEFAULT";
	if (strcmp(spec, "SYMMETRIC_DEFAULT") != 0 && !usage)
		return fault_set(err, FAULT_VALIDATION,
				 "You must specify a KeyUsage value for all KMS keys except for "
				 "symmetric encryption keys.");
	if (strcmp(spec, "SYMMETRIC_DEFAULT") != 0)
		return fault_set(err, FAULT_UNSUPPORTED_OPERATION,
				 "kmsd does not support KeySpec %s.", spec);
	if (usage && strcmp(usage, "ENCRYPT_DECRYPT") != 0)
		return fault_set(err, FAULT_VALIDATION,
				 "KeyUsage %s is not compatible with KeySpec SYMMETRIC_DEFAULT",
				 usage);
	if (origin && strcmp(origin, "AWS_KMS") != 0)
		return fault_set(err, FAULT_UNSUPPORTED_OPERATION,
				 "kmsd does not support Origin %s.", origin);
	if (call_flag(call, "MultiRegion"))
		return fault_set(err, FAULT_UNSUPPORTED_OPERATION,
				 "kmsd does not support MultiRegion.");
	return 0;
}

/* The audit record's keyMetadata has small first letters. */
static int audit_metadata(const char *name, struct kms_json *value, void *arg)
{
	char small[64];

	validate_member_name(name, small);
	return kms_json_set(arg, small, kms_json_copy(value));
}

static int fill_created(struct call *call, const struct key *key, struct err *err)
{
	struct kms_json *m = metadata(key, false), *copy = kms_json_new_object();
	int r = copy && m ? kms_json_each(m, audit_metadata, copy) : -ENOMEM;

	call->response_elements = kms_json_new_object();
	if (r == 0 && call->response_elements) {
		r = kms_json_set(call->response_elements, "keyMetadata", copy);
	} else {
		kms_json_free(copy);
		r = -ENOMEM;
	}
	r |= kms_json_set(call->output, "KeyMetadata", m);
	return call_filled(r, err);
}

int op_create_key(struct call *call, struct err *err)
{
	const char *policy = call_text(call, "Policy"),
		   *description = call_text(call, "Description");
	struct store_tag tags[TAGS_MAX];
	char policy_text[1024];
	struct store_new_key wanted = {
		.place = call->place,
		.description = description ? description : "",
		.policy = policy ? policy : policy_text,
		.tags = tags,
		.now_ms = call->now_ms,
	};
	AUTO(cached_putp) struct key *key = NULL;
	AUTO(freep) char *ids = NULL;
	int r = check_spec(call, err);

	r = r ? r : op_take_tags(call, tags, &wanted.tag_count, err);
	r = r ? r : call_authorize(call, "CreateKey", NULL, err);
	if (r == 0 && policy)
		r = op_policy_check(call, NULL, policy, &ids, err);
	if (r < 0)
		return r;
	wanted.policy_ids = ids;
	(void)snprintf(policy_text, sizeof(policy_text), default_policy,
		       call->place.account); /* fits */
	r = store_create_key(call->kmsd->store, &wanted, &key, err);
	if (r < 0)
		return r;
	(void)snprintf(call->resources[call->resource_count++], KEYREF_ARN_MAX, "%s", key->arn);
	return fill_created(call, key, err);
}

int op_describe_key(struct call *call, struct err *err)
{
	int managed = managed_is(call, call->key, err);

	if (managed < 0)
		return managed;
	return call_filled(kms_json_set(call->output, "KeyMetadata", metadata(call->key, managed)),
			   err);
}

struct listing {
	struct call *call;
	struct kms_json *keys;
	size_t limit, count;
	char last[IDS_UUID_LEN + 1];
};

static int list_key(const char *key_id, void *arg)
{
	struct listing *l = arg;
	char arn[KEYREF_ARN_MAX];
	struct kms_json *entry;
	int r;

	if (l->count++ == l->limit)
		return 0; /* there is one more: that is all we want to know */
	keyref_key_arn(&l->call->place, key_id, arn);
	(void)snprintf(l->last, sizeof(l->last), "%s", key_id); /* a UUID */
	entry = kms_json_new_object();
	if (!entry)
		return -ENOMEM;
	r = kms_json_set_str(entry, "KeyId", key_id) | kms_json_set_str(entry, "KeyArn", arn);
	return r | kms_json_add(l->keys, entry) ? -ENOMEM : 0;
}

int op_list_keys(struct call *call, struct err *err)
{
	const char *marker = call_text(call, "Marker");
	struct listing l = {.call = call, .limit = (size_t)call_number(call, "Limit", 100)};
	uint8_t uuid[16];
	struct store_page page;
	int r = call_authorize(call, "ListKeys", NULL, err);

	if (r < 0)
		return r;
	if (marker && ids_uuid_parse(marker, uuid) < 0)
		return fault_set(err, FAULT_INVALID_MARKER, "Invalid marker");
	l.keys = kms_json_new_array();
	page = (struct store_page){.after = marker ? marker : "", .limit = l.limit + 1};
	r = l.keys ? store_each_key(call->kmsd->store, &call->place, &page, list_key, &l, err)
		   : err_set(err, ENOMEM, "list of keys");
	if (r < 0) {
		kms_json_free(l.keys);
		return r;
	}
	r = kms_json_set(call->output, "Keys", l.keys) |
	    kms_json_set_bool(call->output, "Truncated", l.count > l.limit);
	if (l.count > l.limit)
		r |= kms_json_set_str(call->output, "NextMarker", l.last);
	return call_filled(r, err);
}
