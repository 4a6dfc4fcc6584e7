/*
 * Grants, reduced to what a decision needs ("AWS KMS Developer Guide, Grants in AWS KMS"): who, which
 * operations, under which encryption context. A grant only allows.
 */
#ifndef KMSD_POLICY_GRANT_H
#define KMSD_POLICY_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy_principal.h"

struct policy_caller;
struct policy_request;

struct policy_pair {
	const char *name, *value;
};

enum policy_constraint {
	POLICY_CONSTRAINT_NONE,
	POLICY_CONSTRAINT_EQUALS, /* EncryptionContextEquals: these pairs and no other */
	POLICY_CONSTRAINT_SUBSET, /* EncryptionContextSubset: these pairs, and maybe more */
};

/* What a grant permits; also what a CreateGrant asks for. Pairs are borrowed. */
struct policy_permit {
	uint32_t operations; /* bits of policy_grant_operation() */
	enum policy_constraint constraint;
	const struct policy_pair *pairs;
	size_t pair_count;
};

struct policy_grant {
	const char *id;
	struct policy_principal grantee;
	const char *issuing_account; /* of whom created it; NULL: the key's */
	struct policy_permit permit;
};

#define POLICY_GRANT_OPERATION_COUNT 17

/* The bit of a grant operation ("Decrypt", case counts), or 0 if it is none; and the inverse. */
uint32_t policy_grant_operation(const char *name);
const char *policy_grant_operation_name(unsigned bit); /* 0 to the count - 1 */

/* Why a grant does not reach a caller. */
enum policy_grant_miss {
	POLICY_GRANT_REACHES,
	POLICY_GRANT_OPERATION,	 /* the operation is not in it */
	POLICY_GRANT_CONSTRAINT, /* the encryption context does not meet it */
	POLICY_GRANT_WIDER,	 /* the grant to be made would permit more */
	POLICY_GRANT_GRANTEE,	 /* it is another's */
};

/*
 * How the grant reaches the caller of @request for its action: not at all if the operation is not in
 * it, the encryption context does not meet its constraint, or, for kms:CreateGrant, the new grant
 * (@request->new_grant) would permit more than this one. Names and values of an encryption context are
 * compared exactly. *@ret_miss (may be NULL) says why not.
 */
enum policy_reach policy_grant_reach(const struct policy_grant *grant,
				     const struct policy_request *request,
				     enum policy_grant_miss *ret_miss);

#endif
