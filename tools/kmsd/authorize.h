/*
 * May this caller do that? Puts caller, key and request into the form that policy_decide.h asks for,
 * and its answer into an exception.
 */
#ifndef KMSD_AUTHORIZE_H
#define KMSD_AUTHORIZE_H

struct call;
struct err;
struct iam_principal;
struct key;
struct policy;

/*
 * Whether the caller of @call may do @action ("Decrypt", without "kms:") on @key (NULL: what concerns
 * no key). 0: allowed. AccessDeniedException with AWS's sentence and reason.
 */
int authorize(const struct call *call, const char *action, const struct key *key, struct err *err);

/* Whether the caller's own policies let it do @action ("iam:GetUser") on @resource (an ARN, "*"). */
int authorize_on(const struct call *call, const char *action, const char *resource,
		 struct err *err);

/*
 * Whether the caller may assume @role: its trust policy must name the caller, or the caller's account
 * and then the caller's own policies allow it; and no policy may deny it.
 */
int authorize_assume(const struct call *call, const struct iam_principal *role, struct err *err);

/*
 * The lockout safety check: whether the caller could change the policy of @key (NULL: of a key to be
 * made) again, were @policy in force. MalformedPolicyDocumentException with AWS's sentence; 0 also
 * when the caller bypasses the check.
 */
int authorize_lockout(const struct call *call, const struct key *key, const struct policy *policy,
		      struct err *err);

#endif
