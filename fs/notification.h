/*
 * What AWS tells of a volume that could not be attached: the event that EventBridge delivers ("Amazon EC2
 * User Guide, EventBridge events for Amazon EBS", EBS Volume Notification).
 */
#ifndef FS_NOTIFICATION_H
#define FS_NOTIFICATION_H

#include <stdint.h>

struct kms_json;

struct notification {
	const char *volume_id;
	const char *key_arn; /* its region and account are the volume's */
	const char *cause;   /* "KEY-ARN is disabled.", as KMS said it */
	int64_t seconds;     /* since 1970 */
};

/* The caller frees. NULL: out of memory, or no ARN. */
struct kms_json *notification_attach_failed(const struct notification *n);

#endif
