/*
 * Temporary credentials. The session token carries all there is to know about its session, sealed
 * with AES-256-GCM under a key made from the root key: the server keeps no list of sessions, and
 * tokens outlive a restart. Pure but for random bytes.
 */
#ifndef KMSD_SESSION_H
#define KMSD_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "caller.h"
#include "ids.h"

struct err;
struct rootkey;
struct secret;
struct sessions;

#define SESSION_TOKEN_MAX 16384 /* characters; headers of a request must hold it */

/* A session as its token has it. Policies of managed ones have a name (the ARN) and no text. */
struct session {
	enum caller_kind kind;
	char account[IDS_ACCOUNT_LEN + 1];
	char access_key_id[IDS_ACCESS_KEY_LEN + 1];
	struct secret *secret;		       /* text without NUL; owned */
	char principal_id[IDS_UNIQUE_LEN + 1]; /* of the user or role; "" for root */
	char name[CALLER_SESSION_MAX + 1];     /* of a role's session */
	int64_t issued_ms, expires_ms;
	struct iam_document *policies; /* session policies; owned */
	size_t policy_count;
	struct iam_tag *tags; /* owned */
	size_t tag_count;
};

int sessions_new(const struct rootkey *rootkey, struct sessions **ret_sessions, struct err *err);
void sessions_free(struct sessions *sessions);

/* Make access key id and secret of @session, then its token, which the caller wipes and frees. */
int sessions_issue(const struct sessions *sessions, struct session *session, char **ret_token,
		   struct err *err);

/* -EBADMSG: not a token of ours. The caller frees *@ret_session. */
int sessions_open(const struct sessions *sessions, const char *token, struct session **ret_session,
		  struct err *err);

/* Free what a session owns, and @session itself. NULL is allowed. */
void session_free(struct session *session);
void session_freep(struct session **session);

#endif
