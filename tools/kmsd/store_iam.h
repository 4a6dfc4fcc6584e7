/*
 * What lasts of IAM: users, roles, their access keys, inline and managed policies, permissions
 * boundaries, tags. Rows and transactions, as store.h; whether a call is allowed is decided above.
 *
 * A principal is read whole, with the text of every policy it has, and cached by its unique id:
 * whoever decides on a request asks no database. Any change of IAM forgets all of them and advances
 * store_iam_generation(), by which others (caller.h) see that what they derived is stale.
 */
#ifndef KMSD_STORE_IAM_H
#define KMSD_STORE_IAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache.h"
#include "ids.h"

struct err;
struct secret;
struct store;

#define IAM_NAME_MAX	    128 /* characters of a policy's name; a user's or role's has 64 */
#define IAM_PATH_MAX	    512
#define IAM_ARN_MAX	    720
#define IAM_KEYS_MAX	    2 /* access keys a user */
#define IAM_ATTACHED_MAX    10
#define IAM_TAGS_MAX	    50
#define IAM_USER_INLINE_MAX 2048 /* characters of all inline policies but white space */
#define IAM_ROLE_INLINE_MAX 10240
#define IAM_MANAGED_MAX	    6144
#define IAM_TRUST_MAX	    2048

enum iam_kind { IAM_USER, IAM_ROLE };

/* A policy document with the name that people know it by. Both texts are owned by what holds it. */
struct iam_document {
	char *name; /* of an inline policy; a managed one's ARN */
	char *text; /* as it was put */
	bool managed;
};

struct iam_tag {
	char *key, *value;
};

/* A user or a role as it was when read; never changed, shared by counting. */
struct iam_principal {
	struct cached cached;
	enum iam_kind kind;
	char account[IDS_ACCOUNT_LEN + 1];
	char id[IDS_UNIQUE_LEN + 1]; /* "AIDA...", "AROA...": never given twice */
	char name[IAM_NAME_MAX + 1];
	char path[IAM_PATH_MAX + 1];
	char arn[IAM_ARN_MAX];
	int64_t created_ms;
	int64_t max_session_s; /* of a role */
	char *description;     /* "" for none */
	char *trust;	       /* a role's trust policy; NULL for a user */
	char *trust_ids;       /* whom it names (policy_bound.h); "" for none */
	struct iam_document *policies;
	size_t policy_count;
	struct iam_document *boundary; /* its permissions boundary; NULL: none */
	struct iam_tag *tags;
	size_t tag_count;
};

/* A managed policy. */
struct iam_policy {
	char account[IDS_ACCOUNT_LEN + 1];
	char id[IDS_UNIQUE_LEN + 1]; /* "ANPA..." */
	char name[IAM_NAME_MAX + 1];
	char path[IAM_PATH_MAX + 1];
	char arn[IAM_ARN_MAX];
	int64_t created_ms, updated_ms;
	int64_t default_version, last_version;
	uint64_t attachments, boundaries; /* principals that have it */
	char *description, *text;	  /* owned; the text is the default version's */
};

struct iam_access_key {
	char id[IDS_ACCESS_KEY_LEN + 1];
	char user_id[IDS_UNIQUE_LEN + 1];
	bool active;
	int64_t created_ms;
};

/* --- principals --- */

/* Rises with every change of IAM. */
uint64_t store_iam_generation(const struct store *store);

/* By unique id, from memory where possible. -ENOENT: no such principal (any more). */
int store_iam_principal(struct store *store, const char *id, struct iam_principal **ret_principal,
			struct err *err);

/* By name, whatever its case. -ENOENT. */
int store_iam_find(struct store *store, const char *account, enum iam_kind kind, const char *name,
		   struct iam_principal **ret_principal, struct err *err);

/*
 * Whom an ARN names: "arn:aws:iam::ACCOUNT:user/PATH/NAME" or ":role/...". *@ret_id is the unique
 * id that a policy or grant binds to. -ENOENT: nobody by that ARN. Path and case must be right.
 */
int store_iam_id_of_arn(struct store *store, const char *arn, char ret_id[IDS_UNIQUE_LEN + 1],
			struct err *err);

/* The inverse: what "AIDA..." or "AROA..." is now. -ENOENT: it was deleted. */
int store_iam_arn_of_id(struct store *store, const char *id, char ret_arn[IAM_ARN_MAX],
			struct err *err);

struct iam_new {
	enum iam_kind kind;
	const char *account, *name, *path;
	const char *description, *trust, *trust_ids, *boundary_arn; /* NULL: none */
	int64_t max_session_s, now_ms;
	const struct iam_tag *tags;
	size_t tag_count;
};

/* -EEXIST: the name is taken (in another case too). -ENOENT: no such boundary. */
int store_iam_create(struct store *store, const struct iam_new *wanted,
		     struct iam_principal **ret_principal, struct err *err);

/*
 * -EBUSY: it still has policies, access keys or attached policies; nothing was deleted.
 * A boundary and tags go with it.
 */
int store_iam_delete(struct store *store, const struct iam_principal *principal, struct err *err);

int store_iam_set_trust(struct store *store, const struct iam_principal *principal,
			const char *trust, const char *trust_ids, struct err *err);

/* NULL takes the boundary away. -ENOENT: no such managed policy. */
int store_iam_set_boundary(struct store *store, const struct iam_principal *principal,
			   const char *policy_arn, struct err *err);

/* Set one tag; @value NULL takes it away. */
int store_iam_set_tag(struct store *store, const struct iam_principal *principal, const char *key,
		      const char *value, struct err *err);

/* Call @fn with ids in order of name, from behind @after (""). Stops at a negative. */
int store_iam_each(struct store *store, const char *account, enum iam_kind kind, const char *after,
		   int (*fn)(const char *id, void *arg), void *arg, struct err *err);

/* --- policies --- */

int store_iam_put_inline(struct store *store, const struct iam_principal *principal,
			 const char *name, const char *text, struct err *err);
/* -ENOENT: it has none of that name. */
int store_iam_delete_inline(struct store *store, const struct iam_principal *principal,
			    const char *name, struct err *err);

/* -EEXIST: the ARN is taken. The caller frees *@ret_policy. */
int store_iam_create_policy(struct store *store, const struct iam_new *wanted, const char *text,
			    struct iam_policy **ret_policy, struct err *err);
/* -ENOENT. */
int store_iam_load_policy(struct store *store, const char *arn, struct iam_policy **ret_policy,
			  struct err *err);
void store_iam_free_policy(struct iam_policy *policy);
void store_iam_free_policyp(struct iam_policy **policy);

/* -EBUSY: attached, or someone's boundary. -ENOTEMPTY: it has versions beside the default one. */
int store_iam_delete_policy(struct store *store, const char *arn, struct err *err);

/* Versions (store_iam_version.c). Numbers rise and are never given twice. */
struct iam_version {
	int64_t number, created_ms;
	const char *text;
	bool is_default;
};

#define IAM_VERSIONS_MAX 5

/* -ENOENT: no such policy. -E2BIG: it has IAM_VERSIONS_MAX. */
int store_iam_create_version(struct store *store, const char *arn, const char *text,
			     bool as_default, int64_t now_ms, int64_t *ret_number, struct err *err);
/* -ENOENT: no such policy or version. */
int store_iam_set_default_version(struct store *store, const char *arn, int64_t number,
				  int64_t now_ms, struct err *err);
/* -ENOENT; -EBUSY: it is the default one. */
int store_iam_delete_version(struct store *store, const char *arn, int64_t number, struct err *err);
/* Newest first; @fn must not come back here. Returns how many; stops at a negative of @fn. */
int store_iam_each_version(struct store *store, const char *arn,
			   int (*fn)(const struct iam_version *version, void *arg), void *arg,
			   struct err *err);
int store_iam_each_policy(struct store *store, const char *account, const char *after,
			  int (*fn)(const char *arn, void *arg), void *arg, struct err *err);

/* -ENOENT: no such policy. Attaching twice is no error. */
int store_iam_attach(struct store *store, const struct iam_principal *principal,
		     const char *policy_arn, struct err *err);
/* -ENOENT: it is not attached. */
int store_iam_detach(struct store *store, const struct iam_principal *principal,
		     const char *policy_arn, struct err *err);

/* --- users' access keys --- */

/* A new one. -EDQUOT: the user has IAM_KEYS_MAX. The caller owns *@ret_secret (text, no NUL). */
int store_iam_create_key(struct store *store, const struct iam_principal *user, int64_t now_ms,
			 struct iam_access_key *ret_key, struct secret **ret_secret,
			 struct err *err);
/* -ENOENT: no such key of a user (the root user's are in store.h). */
int store_iam_load_key(struct store *store, const char *key_id, struct iam_access_key *ret_key,
		       struct secret **ret_secret, struct err *err);
/* A user's keys, oldest first; returns how many. */
int store_iam_keys(struct store *store, const struct iam_principal *user,
		   struct iam_access_key ret_keys[IAM_KEYS_MAX], struct err *err);
/* -ENOENT: the user has no such key. */
int store_iam_set_key(struct store *store, const struct iam_principal *user, const char *key_id,
		      bool active, struct err *err);
int store_iam_delete_key(struct store *store, const struct iam_principal *user, const char *key_id,
			 struct err *err);

#endif
