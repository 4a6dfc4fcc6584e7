/*
 * A grant and what it allows ("AWS KMS Developer Guide, Grants in AWS KMS"). Pure. A grant only
 * allows: whether something else denies is not asked here.
 */
#ifndef KMSD_GRANT_H
#define KMSD_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache.h"
#include "ids.h"
#include "keyref.h"
#include "policy_grant.h"

struct err;
struct kms_json;

#define GRANT_ID_LEN	    64 /* hex digits */
#define GRANT_NAME_MAX	    256
#define GRANT_PRINCIPAL_MAX 256
#define GRANT_PAIRS_MAX	    8	/* of a constraint */
#define GRANT_VALUE_MAX	    384 /* characters of a constraint's value */

/* Never changed, shared by counting; made by grant_new(), which copies all texts. */
struct grant {
	struct cached cached;
	char id[GRANT_ID_LEN + 1];
	char account[IDS_ACCOUNT_LEN + 1]; /* of the key */
	char region[KEYREF_REGION_MAX + 1];
	char key_id[IDS_UUID_LEN + 1];
	char issuer[IDS_ACCOUNT_LEN + 1]; /* the account that issued it */
	const char *name;		  /* "": none */
	const char *grantee;
	const char *retiring; /* "": nobody */
	/* Unique ids of the two, where they are users or roles whose ids are known; else "". */
	const char *grantee_id, *retiring_id;
	struct policy_permit permit; /* pairs sorted by name */
	int64_t created_ms;
};

/* A new grant with the contents of @from (whose cached is ignored). NULL: out of memory. */
struct grant *grant_new(const struct grant *from);

/* --- operations --- */

/* What a grant for a symmetric key with usage ENCRYPT_DECRYPT may hold. */
uint32_t grant_operations_symmetric(void);

/* "Decrypt, Encrypt, ..." of a mask. */
void grant_operations_text(uint32_t operations, char ret[512]);

/* --- pairs --- */

/*
 * The pairs of a JSON object of strings (NULL: none), sorted by name; the texts stay the object's.
 * The caller frees *@ret_pairs.
 */
int grant_pairs(const struct kms_json *object, struct policy_pair **ret_pairs, size_t *ret_count,
		struct err *err);

/*
 * Under which number a grant with that permit is filed: GRANT_SLOT_FREE if it has no pairs, else one
 * made of its first pair, which every request that meets the constraint must contain. Never 0.
 */
#define GRANT_SLOT_FREE INT64_C(2)
int64_t grant_slot(const struct policy_permit *permit);
int64_t grant_slot_of_pair(const struct policy_pair *pair);

/* --- principals --- */

/*
 * What a CreateGrant may name: the ARN of an account's root, a user, a role, a role's session, a
 * federated user; @service_ok: or "NAME.amazonaws.com". InvalidArnException "ARN is not valid: ...".
 */
int grant_check_principal(const char *text, bool service_ok, struct err *err);

/* "AROA..." or "AROA...:session": what is left of a principal that is gone. */
bool grant_is_unique_id(const char *text);

/* Who asks, in all the forms in which a grant may mean it. NULL where there is none. */
struct grant_caller {
	const char *arn;      /* of a user, a session, the root user; or a service's name */
	const char *role_arn; /* of a session's role */
	const char *account;
	bool is_root;
	const char *id;	     /* "AIDA...", "AROA...:session" */
	const char *role_id; /* of a session's role: "AROA..." */
};

/*
 * Whether @principal means the caller. @id, where it is not "", is what counts: a user made anew under
 * an old name is another.
 */
bool grant_means(const char *principal, const char *id, const struct grant_caller *caller);

/* --- decisions --- */

#define GRANT_TOKENS_MAX 10 /* of a request */

/* The grants whose tokens came along with a request. */
struct grant_tokens {
	size_t count;
	char ids[GRANT_TOKENS_MAX][GRANT_ID_LEN + 1];
};

struct grant_request {
	uint32_t operation;		 /* one bit */
	const struct policy_pair *pairs; /* its encryption context, sorted */
	size_t pair_count;
	const struct policy_permit *new_grant; /* what a CreateGrant asks for; else NULL */
	const struct grant_tokens *tokens;     /* what came along; NULL: none */
};

/* Its retiring principal, the grantee if it may RetireGrant, the root user of who issued it. */
bool grant_may_retire(const struct grant *grant, const struct grant_caller *caller);

/* Whether a CreateGrant with the same Name would make the same grant again. */
bool grant_same(const struct grant *a, const struct grant *b);

#endif
