/*
 * Policy documents ("IAM User Guide, Grammar of the IAM JSON policy language"): read, checked and
 * compiled once, then asked for each request (policy_decide.h). Pure: no files, sockets or clocks.
 */
#ifndef KMSD_POLICY_H
#define KMSD_POLICY_H

#include <stddef.h>

#include "policy_principal.h"

struct err;
struct policy; /* a document; opaque, never changed, safe from any thread */

enum policy_kind {
	POLICY_KEY,	 /* on a KMS key: names principals */
	POLICY_TRUST,	 /* on a role: names principals, no resource */
	POLICY_IDENTITY, /* on a user or role: names resources */
	POLICY_BOUNDARY,
	POLICY_SESSION,
	POLICY_CONTROL, /* service control policy of an organization */
};

#define POLICY_KEY_LEN_MAX 32768  /* bytes: KMS's quota "Key policy document size" */
#define POLICY_LEN_MAX	   131072 /* bytes, of the other kinds; IAM's quotas are its own matter */

/*
 * Read a document. Refusals as AWS words them, where that is known, as faults:
 * MalformedPolicyDocumentException; LimitExceededException for a key policy above its quota. IAM's
 * kinds carry the texts of IAM. @resolver (NULL: nobody is asked) is called for each principal that
 * a key or trust policy names, and its answer kept. -ENOMEM; what the resolver gives.
 *
 * A statement of a key policy without action or resource is taken, and never applies: keys that have
 * one must load. Whoever takes new policies asks policy_ineffective_statement().
 */
int policy_parse(enum policy_kind kind, const char *text, size_t len,
		 const struct policy_resolver *resolver, struct policy **ret_policy,
		 struct err *err);

/* NULL is allowed. */
void policy_free(struct policy *policy);
void policy_freep(struct policy **policy);

size_t policy_statement_count(const struct policy *policy);

/* Index of the first statement that never applies, for want of action or resource; -1: none. */
int policy_ineffective_statement(const struct policy *policy);

/*
 * The principals that the document names, in its order: what whoever keeps the document has to keep
 * beside it, so that a user made anew is not taken for the old one. NULL: no more.
 */
const struct policy_principal *policy_principal_at(const struct policy *policy, size_t i);

#endif
