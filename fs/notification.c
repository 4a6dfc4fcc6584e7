/* EventBridge's event of a failed attachment. See notification.h. */
#include "notification.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "kms_json.h"
#include "utc.h"

#define PART_MAX 63

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
	char arn[2 * PART_MAX + 64];

	(void)snprintf(arn, sizeof(arn), "arn:aws:ec2:%s:%s:volume/%.32s", region, account,
		       n->volume_id); /* fits */
	if (list && (kms_json_add_str(list, arn) | kms_json_add_str(list, n->key_arn))) {
		kms_json_free(list);
		return NULL;
	}
	return list;
}

struct kms_json *notification_attach_failed(const struct notification *n)
{
	char region[PART_MAX + 1], account[PART_MAX + 1], uuid[37], time[UTC_LEN];
	struct kms_json *obj;
	int r;

	if (sscanf(n->key_arn, "arn:%*[^:]:kms:%63[^:]:%63[^:]:", region, account) != 2 ||
	    !new_uuid(uuid) || utc_format(n->seconds, time) < 0)
		return NULL;
	obj = kms_json_new_object();
	if (!obj)
		return NULL;
	r = kms_json_set_str(obj, "version", "0") | kms_json_set_str(obj, "id", uuid) |
	    kms_json_set_str(obj, "detail-type", "EBS Volume Notification") |
	    kms_json_set_str(obj, "source", "aws.ec2") | kms_json_set_str(obj, "account", account) |
	    kms_json_set_str(obj, "time", time) | kms_json_set_str(obj, "region", region) |
	    kms_json_set(obj, "resources", resources_of(n, region, account)) |
	    kms_json_set(obj, "detail", detail_of(n));
	if (r == 0)
		return obj;
	kms_json_free(obj);
	return NULL;
}
