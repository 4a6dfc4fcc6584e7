/*
 * What AWS tells of a volume that could not be attached, of a snapshot, and of an experiment: the events that
 * EventBridge delivers ("Amazon EC2 User Guide, EventBridge events for Amazon EBS", EBS Volume Notification
 * and EBS Snapshot Notification; "AWS FIS User Guide, Monitor AWS FIS experiments using Amazon EventBridge").
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

struct notification_snapshot {
	const char *snapshot_id, *volume_id;
	const char *source_id; /* of the snapshot that it is a copy of; NULL or "": it is none */
	const char *key_arn;   /* its region and account are the snapshot's */
	const char *cause;     /* NULL: it succeeded */
	int64_t start, end;    /* seconds since 1970 */
};

/* createSnapshot, or copySnapshot. As above. */
struct kms_json *notification_snapshot(const struct notification_snapshot *n);

struct notification_experiment {
	const char *experiment_id;
	const char *key_arn;   /* its region and account are the experiment's */
	const char *from, *to; /* "initiating", "running", "completed", "stopped", "failed" */
	const char *reason;    /* of the new state */
	int64_t seconds;       /* since 1970 */
};

/* FIS Experiment State Change. As above; there is no template, so its id is "". */
struct kms_json *notification_experiment(const struct notification_experiment *n);

#endif
