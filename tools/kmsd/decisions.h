/*
 * The chains of decisions, kept beside the audit trail for `kmsd explain`: written when the request is
 * answered, so what is shown is what decided, whatever changed since. JSON lines; those of refused
 * requests and, if they are asked for, those of allowed ones in files of their own, so that a burst of the one does not
 * push out the other. Bounded: the oldest go. Not synced.
 *
 *   {"EventId", "Time", "Service", "Operation", "Caller": {"Arn", "Account", "Id", "Issuer"},
 *    "Error": {"Code", "Message"}, "Decisions": [policy_trace_json() and {"Action", "Resource",
 *    "ResourceAccount", "GrantsAsked", "Context", "Brief"}]}
 */
#ifndef KMSD_DECISIONS_H
#define KMSD_DECISIONS_H

#include <stdbool.h>

struct audit_source;
struct call;
struct decisions;
struct err;

#define DECISIONS_REFUSED "decisions"
#define DECISIONS_ALLOWED "decisions-allowed"

/* @allowed: keep the chains of requests that were not refused, too. */
int decisions_open(int dir_fd, bool allowed, struct decisions **ret_decisions, struct err *err);
void decisions_close(struct decisions *decisions);

/* Whether the steps of a decision that allows are to be kept. */
bool decisions_of_allowed(const struct decisions *decisions);

/* Keep what was decided on a call whose caller is known; takes call->decisions. Any thread. */
int decisions_write(struct decisions *decisions, struct call *call,
		    const struct audit_source *source, struct err *err);

#endif
