/*
 * The request context that policies see of a call: the keys of "AWS KMS Developer Guide, Condition
 * keys for AWS KMS" and of "IAM User Guide, AWS global condition context keys" that a request to this
 * server has. Several values have aws:TagKeys, kms:GrantOperations, kms:EncryptionContextKeys,
 * kms:ResourceAliases; the others one.
 */
#ifndef KMSD_AUTHORIZE_CONTEXT_H
#define KMSD_AUTHORIZE_CONTEXT_H

#include <stdbool.h>

#include "policy_context.h"

struct call;
struct key;

/* All zero is an empty one. What the table points to lives in it and in the call. */
struct authorize_context {
	struct policy_context table;
	char days[24];
};

/*
 * Fill the context for @action ("kms:ReEncryptFrom") of a call. @with_key: it concerns a key; @key is
 * that key, NULL for one to be made. The context must not be moved afterwards. -ENOMEM.
 */
int authorize_context_fill(struct authorize_context *context, const struct call *call,
			   const char *action, bool with_key, const struct key *key);
void authorize_context_free(struct authorize_context *context);

#endif
