/* Records of rotations and deletions. See key_events.h. */
#include "key_events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "err.h"
#include "ids.h"
#include "keyring.h"
#include "kms_json.h"
#include "secret.h"

#define INTERNAL "AWS Internal"

struct subject {
	const char *event; /* its name */
	int64_t now_ms;
	const char *account, *region;
	char arn[KEYREF_ARN_MAX];
};

static struct kms_json *identity(const struct subject *s)
{
	struct kms_json *v = kms_json_new_object();

	if (v && (kms_json_set_str(v, "accountId", s->account) |
		  kms_json_set_str(v, "invokedBy", INTERNAL))) {
		kms_json_free(v);
		return NULL;
	}
	return v;
}

static struct kms_json *resources(const struct subject *s)
{
	struct kms_json *list = kms_json_new_array(), *e = kms_json_new_object();
	int r = -ENOMEM;

	if (list && e)
		r = kms_json_set_str(e, "accountId", s->account) |
		    kms_json_set_str(e, "type", "AWS::KMS::Key") |
		    kms_json_set_str(e, "ARN", s->arn);
	if (r == 0)
		r = kms_json_add(list, e);
	else
		kms_json_free(e);
	if (r) {
		kms_json_free(list);
		return NULL;
	}
	return list;
}

/* Takes @response and @details (NULL: none) over. */
static int write_record(struct audit *audit, const struct subject *s, struct kms_json *response,
			struct kms_json *details, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *rec = kms_json_new_object();
	char id[IDS_UUID_LEN + 1], when[AUDIT_TIME_MAX];
	int r = ids_uuid(id, err);

	r = r ? r : audit_time(s->now_ms, when);
	if (r < 0 || !rec) {
		kms_json_free(response);
		kms_json_free(details);
		return r < 0 ? r : err_set(err, ENOMEM, "audit record");
	}
	r = kms_json_set_str(rec, "eventVersion", "1.11") |
	    kms_json_set(rec, "userIdentity", identity(s)) |
	    kms_json_set_str(rec, "eventTime", when) |
	    kms_json_set_str(rec, "eventSource", "kms.amazonaws.com") |
	    kms_json_set_str(rec, "eventName", s->event) |
	    kms_json_set_str(rec, "awsRegion", s->region) |
	    kms_json_set_str(rec, "sourceIPAddress", INTERNAL) |
	    kms_json_set_str(rec, "userAgent", INTERNAL) |
	    kms_json_set_null(rec, "requestParameters");
	r |= response ? kms_json_set(rec, "responseElements", response)
		      : kms_json_set_null(rec, "responseElements");
	r |= kms_json_set_str(rec, "eventID", id) | kms_json_set_bool(rec, "readOnly", false) |
	     kms_json_set(rec, "resources", resources(s)) |
	     kms_json_set_str(rec, "eventType", "AwsServiceEvent") |
	     kms_json_set_bool(rec, "managementEvent", true) |
	     kms_json_set_str(rec, "recipientAccountId", s->account);
	if (details)
		r |= kms_json_set(rec, "serviceEventDetails", details);
	r |= kms_json_set_str(rec, "eventCategory", "Management");
	return r ? err_set(err, ENOMEM, "audit record") : audit_append(audit, rec, err);
}

static void rotated(void *arg, const struct key *before, const struct key *after, const char *how,
		    int64_t now_ms)
{
	struct kms_json *d = kms_json_new_object();
	struct subject s = {"RotateKey", now_ms, after->account, after->region, ""};
	struct err err = {0};
	int r = -ENOMEM;

	memcpy(s.arn, after->arn, sizeof(s.arn));
	if (d)
		r = kms_json_set_str(d, "rotationType", how) |
		    kms_json_set_str(d, "keyOrigin", "AWS_KMS") |
		    kms_json_set_str(d, "previousKeyMaterialId", before->material_hex) |
		    kms_json_set_str(d, "currentKeyMaterialId", after->material_hex) |
		    kms_json_set_str(d, "keyId", after->id);
	if (r)
		kms_json_free(d);
	else
		r = write_record(arg, &s, NULL, d, &err);
	if (r)
		(void)fprintf(stderr, "kmsd: RotateKey of '%s' is not in the audit trail: %s\n",
			      s.arn, err.msg); /* the last resort */
}

static void deleted(void *arg, const struct keyref_place *place, const char *key_id, int64_t now_ms)
{
	struct kms_json *response = kms_json_new_object();
	struct subject s = {"DeleteKey", now_ms, place->account, place->region, ""};
	struct err err = {0};
	int r = -ENOMEM;

	keyref_key_arn(place, key_id, s.arn);
	if (response)
		r = kms_json_set_str(response, "keyId", s.arn);
	if (r)
		kms_json_free(response);
	else
		r = write_record(arg, &s, response, NULL, &err);
	if (r)
		(void)fprintf(stderr, "kmsd: DeleteKey of '%s' is not in the audit trail: %s\n",
			      s.arn, err.msg); /* the last resort */
}

void key_events_watch(struct keyring *ring, struct audit *audit)
{
	const struct keyring_observer observer = {
		.rotated = rotated, .deleted = deleted, .arg = audit};

	keyring_observe(ring, &observer);
}
