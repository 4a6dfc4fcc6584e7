/*
 * Who signs: access keys of the root user, of users, and temporary ones, with the signing keys made
 * from them, kept in memory so that a request costs neither a database query nor four HMACs.
 */
#ifndef KMSD_CALLER_H
#define KMSD_CALLER_H

#include "sigv4.h"
#include "store.h"
#include "store_iam.h"

struct callers;
struct err;
struct identity;
struct session;

#define CALLER_SESSION_MAX 64
#define CALLER_ID_MAX	   (IDS_UNIQUE_LEN + 1 + CALLER_SESSION_MAX)

enum caller_kind {
	CALLER_ROOT,
	CALLER_USER,
	CALLER_ROLE,
	CALLER_SERVICE,	 /* of AWS, in its own name; until it says which, who signed with its key */
	CALLER_INSTANCE, /* the identity of an EC2 instance, by which EBS acts for it */
};

/*
 * Someone who may call, as of the IAM generation it was read at; never changed, shared by counting.
 *
 * For the decision: identity has the policies of the user or role, its permissions boundary, and the
 * session policies, which limit temporary credentials; the root user has NULL for principal. What a policy or grant binds to is principal->id, for
 * a single session principal_id.
 */
struct caller {
	struct cached cached;
	enum caller_kind kind;
	char account[IDS_ACCOUNT_LEN + 1];
	char arn[IAM_ARN_MAX];		/* as AccessDenied and GetCallerIdentity say it */
	char issuer_arn[IAM_ARN_MAX];	/* of a session its role's, else arn: aws:PrincipalArn */
	char instance_arn[IAM_ARN_MAX]; /* of an instance: its role with its id, "" for others */
	char principal_id[CALLER_ID_MAX + 1]; /* ACCOUNT, "AIDA...", "AROA...:SESSION" */
	char access_key_id[IDS_ACCESS_KEY_LEN + 1];
	char session_name[CALLER_SESSION_MAX + 1]; /* of a role's session, else "" */
	int64_t issued_ms, expires_ms;		   /* of temporary credentials, else 0 */
	struct iam_principal *principal;	   /* counted */
	struct iam_document *session_policies;	   /* owned */
	size_t session_policy_count;
	struct iam_tag *session_tags; /* owned */
	size_t session_tag_count;
	struct identity *identity; /* the policies of all the above, compiled; owned */
};

/* A signing key: good for one access key, day, region and service. */
struct signer {
	struct cached cached;
	struct caller *caller; /* counted */
	struct secret *key;    /* SIGV4_KEY_LEN bytes; owned */
	char *token;	       /* of temporary credentials: what must come with them; owned */
	uint64_t generation;   /* of IAM when it was read */
};

int callers_new(struct store *store, struct callers **ret_callers, struct err *err);
void callers_free(struct callers *callers);

/*
 * @token is the X-Amz-Security-Token that came along, NULL for none. -ENOKEY: no such access key,
 * inactive, of someone deleted, or the token is not its. -EKEYEXPIRED: it was, until its time was
 * up. The caller puts *@ret_signer back.
 */
int callers_signer(struct callers *callers, const char *access_key_id, const char *token,
		   const struct sigv4_scope *scope, int64_t now_ms, struct signer **ret_signer,
		   struct err *err);

/*
 * Who acts when a service calls in its own name (forward.h), having signed as @signer: the service's
 * principal @name, or an instance of @account. NULL: out of memory. The caller puts it back.
 */
struct caller *caller_of_service(const char *account, const char *name,
				 const struct caller *signer);
struct caller *caller_of_instance(const char *account, const char *instance,
				  const struct caller *signer, int64_t now_ms);

/* Make temporary credentials (session.h). The caller wipes and frees *@ret_token. */
int callers_issue(struct callers *callers, struct session *session, char **ret_token,
		  struct err *err);

#endif
