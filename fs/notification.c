/* EventBridge's events of volumes and snapshots. See notification.h. */
#include "notification.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "kms_json.h"
#include "utc.h"

#define PART_MAX 63
#define ARN_MAX	 (2 * PART_MAX + 64)

/* Region and account of a key. */
static bool parts(const char *key_arn, char region[PART_MAX + 1], char account[PART_MAX + 1])
{
	return sscanf(key_arn, "arn:%*[^:]:kms:%63[^:]:%63[^:]:", region, account) == 2;
}

/* Version 4, RFC 9562. */
static bool new_uuid(char ret[37])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return false;
	b[6] = (uint8_t)(0x40 | (b[6] & 0x0f));
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
	(void)snprintf(ret, 37,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		       b[13], b[14], b[15]); /* fits */
	return true;
}

static struct kms_json *detail_of(const struct notification *n)
{
	struct kms_json *d = kms_json_new_object();

	if (d && (kms_json_set_str(d, "event", "attachVolume") |
		  kms_json_set_str(d, "result", "failed") | kms_json_set_str(d, "cause", n->cause) |
		  kms_json_set_str(d, "request-id", ""))) {
		kms_json_free(d);
		return NULL;
	}
	return d;
}

static struct kms_json *resources_of(const struct notification *n, const char *region,
				     const char *account)
{
	struct kms_json *list = kms_json_new_array();
	char arn[ARN_MAX];

	(void)snprintf(arn, sizeof(arn), "arn:aws:ec2:%s:%s:volume/%.32s", region, account,
		       n->volume_id); /* fits */
	if (list && (kms_json_add_str(list, arn) | kms_json_add_str(list, n->key_arn))) {
		kms_json_free(list);
		return NULL;
	}
	return list;
}

/* The frame of an event. Takes @resources and @detail; NULL: out of memory, or no ARN. */
static struct kms_json *event_from(const char *source, const char *type, const char *key_arn,
				   int64_t seconds, struct kms_json *resources,
				   struct kms_json *detail)
{
	char region[PART_MAX + 1], account[PART_MAX + 1], uuid[37], time[UTC_LEN];
	struct kms_json *obj = kms_json_new_object();

	if (obj && resources && detail && parts(key_arn, region, account) && new_uuid(uuid) &&
	    utc_format(seconds, time) == 0 &&
	    (kms_json_set_str(obj, "version", "0") | kms_json_set_str(obj, "id", uuid) |
	     kms_json_set_str(obj, "detail-type", type) | kms_json_set_str(obj, "source", source) |
	     kms_json_set_str(obj, "account", account) | kms_json_set_str(obj, "time", time) |
	     kms_json_set_str(obj, "region", region)) == 0) {
		if ((kms_json_set(obj, "resources", resources) |
		     kms_json_set(obj, "detail", detail)) == 0)
			return obj;
		kms_json_free(obj); /* with what it took */
		return NULL;
	}
	kms_json_free(resources);
	kms_json_free(detail);
	kms_json_free(obj);
	return NULL;
}

static struct kms_json *event_of(const char *type, const char *key_arn, int64_t seconds,
				 struct kms_json *resources, struct kms_json *detail)
{
	return event_from("aws.ec2", type, key_arn, seconds, resources, detail);
}

struct kms_json *notification_attach_failed(const struct notification *n)
{
	char region[PART_MAX + 1], account[PART_MAX + 1];

	if (!parts(n->key_arn, region, account))
		return NULL;
	return event_of("EBS Volume Notification", n->key_arn, n->seconds,
			resources_of(n, region, account), detail_of(n));
}

/* The region stands where others have the account, as AWS has it. */
static void ec2_arn(const char *region, const char *kind, const char *id, char arn[ARN_MAX])
{
	(void)snprintf(arn, ARN_MAX, "arn:aws:ec2::%s:%s/%.32s", region, kind, id); /* fits */
}

struct kms_json *notification_snapshot(const struct notification_snapshot *n)
{
	char region[PART_MAX + 1], account[PART_MAX + 1], start[UTC_LEN], end[UTC_LEN];
	char snapshot[ARN_MAX], source[ARN_MAX];
	bool copy = n->source_id && *n->source_id;
	struct kms_json *list = kms_json_new_array(), *d = kms_json_new_object();

	if (!list || !d || !parts(n->key_arn, region, account) || utc_format(n->start, start) < 0 ||
	    utc_format(n->end, end) < 0)
		goto fail;
	ec2_arn(region, "snapshot", n->snapshot_id, snapshot);
	ec2_arn(region, copy ? "snapshot" : "volume", copy ? n->source_id : n->volume_id, source);
	if ((kms_json_add_str(list, snapshot) |
	     kms_json_set_str(d, "event", copy ? "copySnapshot" : "createSnapshot") |
	     kms_json_set_str(d, "result", n->cause ? "failed" : "succeeded") |
	     kms_json_set_str(d, "cause", n->cause ? n->cause : "") |
	     kms_json_set_str(d, "request-id", "") | kms_json_set_str(d, "snapshot_id", snapshot) |
	     kms_json_set_str(d, "source", source) | kms_json_set_str(d, "startTime", start) |
	     kms_json_set_str(d, "endTime", end) |
	     /* Under a new key nothing is shared. */
	     (copy && !n->cause ? kms_json_set_str(d, "incremental", "false") : 0)) < 0)
		goto fail;
	return event_of("EBS Snapshot Notification", n->key_arn, n->end, list, d);
fail:
	kms_json_free(list);
	kms_json_free(d);
	return NULL;
}

static struct kms_json *state_of(const char *status, const char *reason)
{
	struct kms_json *obj = kms_json_new_object();

	if (obj &&
	    (kms_json_set_str(obj, "status", status) | kms_json_set_str(obj, "reason", reason)) < 0)
		kms_json_freep(&obj);
	return obj;
}

struct kms_json *notification_experiment(const struct notification_experiment *n)
{
	char region[PART_MAX + 1], account[PART_MAX + 1], arn[ARN_MAX];
	struct kms_json *list = kms_json_new_array(), *d = kms_json_new_object();

	if (!list || !d || !parts(n->key_arn, region, account))
		goto fail;
	(void)snprintf(arn, sizeof(arn), "arn:aws:fis:%s:%s:experiment/%.32s", region, account,
		       n->experiment_id); /* fits */
	if ((kms_json_add_str(list, arn) | kms_json_set_str(d, "experiment-id", n->experiment_id) |
	     kms_json_set_str(d, "experiment-template-id", "") |
	     kms_json_set(d, "new-state", state_of(n->to, n->reason)) |
	     kms_json_set(d, "old-state", state_of(n->from, ""))) < 0)
		goto fail;
	return event_from("aws.fis", "FIS Experiment State Change", n->key_arn, n->seconds, list,
			  d);
fail:
	kms_json_free(list);
	kms_json_free(d);
	return NULL;
}
