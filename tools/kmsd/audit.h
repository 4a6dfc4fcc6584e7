/*
 * The audit trail: each request one line in the form of a CloudTrail record (AWS CloudTrail User
 * Guide, "CloudTrail record contents"), refusals included, secrets never.
 */
#ifndef KMSD_AUDIT_H
#define KMSD_AUDIT_H

#include <stdint.h>

#define AUDIT_STEM "audit" /* linefile.h */

struct audit;
struct call;
struct err;
struct kms_json;

struct audit_source {
	const char *event_name; /* the operation; of a request without a valid one, what it said */
	const char *request_id;
	const char *address;
	const char *user_agent; /* NULL: it gave none */
	const char *error_code; /* NULL: it succeeded */
	const char *error_message;
};

#define AUDIT_FILE_MAX (INT64_C(256) << 20) /* bytes; then the file is turned over (linefile.h) */
#define AUDIT_KEEP     8		    /* full files that stay */
#define AUDIT_SYNC_S   1

/*
 * Append to "audit.jsonl" in the data directory; @max_bytes 0: AUDIT_FILE_MAX. It outlives a kill of the
 * server; a loss of power takes what was not synced, AUDIT_SYNC_S seconds about.
 */
int audit_open(int dir_fd, int64_t max_bytes, struct audit **ret_audit, struct err *err);
void audit_close(struct audit *audit);

/*
 * Write the record of a call that has been answered or refused. call->caller NULL: nobody we know.
 * Any thread.
 */
int audit_write(struct audit *audit, const struct call *call, const struct audit_source *source,
		struct err *err);

/* Append a record that is complete. Any thread. */
int audit_append(struct audit *audit, const struct kms_json *record, struct err *err);

/* "2026-09-26T06:05:16Z", as records have it. -EINVAL: no such time. */
#define AUDIT_TIME_MAX 32
int audit_time(int64_t ms, char ret[AUDIT_TIME_MAX]);

#endif
