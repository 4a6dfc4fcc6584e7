/*
 * The audit trail: each request one line in the form of a CloudTrail record (AWS CloudTrail User
 * Guide, "CloudTrail record contents"), refusals included, secrets never.
 */
#ifndef KMSD_AUDIT_H
#define KMSD_AUDIT_H

struct audit;
struct call;
struct err;

struct audit_source {
	const char *event_name; /* the operation; of a request without a valid one, what it said */
	const char *request_id;
	const char *address;
	const char *user_agent; /* NULL: it gave none */
	const char *error_code; /* NULL: it succeeded */
	const char *error_message;
};

/*
 * Append to "audit.jsonl" in the data directory. A last line that a crash has torn is ended first.
 * The file outlives a kill of the server; it is not synced, so not a loss of power.
 */
int audit_open(int dir_fd, struct audit **ret_audit, struct err *err);
void audit_close(struct audit *audit);

/*
 * Write the record of a call that has been answered or refused. call->caller NULL: nobody we know.
 * Any thread.
 */
int audit_write(struct audit *audit, const struct call *call, const struct audit_source *source,
		struct err *err);

#endif
