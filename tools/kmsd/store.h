/*
 * What lasts: keys, their material, aliases, policies, tags, access keys, in SQLite (WAL, full
 * sync: a call that returned 0 is on the disk). Knows rows and transactions, not the API: whether a
 * call is allowed or a key in the right state is decided above. Any thread may call; readers do not
 * wait for writers.
 */
#ifndef KMSD_STORE_H
#define KMSD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache.h"
#include "ciphertext.h"
#include "grant.h"
#include "ids.h"
#include "keyref.h"
#include "keystate.h"

struct err;
struct policy;
struct rootkey;
struct secret;
struct store;

#define STORE_DESCRIPTION_MAX 8192
#define STORE_ARN_MAX	      512

struct key_rotation {
	int days;	      /* period of the automatic rotation; 0: it is off */
	int64_t next_ms;      /* when the next one is due; 0: it is off */
	int64_t on_demand_ms; /* when a rotation on demand began that is under way; 0: none */
};

/* A tag of a key, or the name of an alias ("alias/...", value NULL). Both texts are owned. */
struct key_label {
	char *name, *value;
};

/* One key as it was when read; never changed, shared by counting. */
struct key {
	struct cached cached;
	char account[IDS_ACCOUNT_LEN + 1];
	char region[KEYREF_REGION_MAX + 1];
	char id[IDS_UUID_LEN + 1];
	char arn[KEYREF_ARN_MAX];
	enum key_state state;
	int64_t created_ms;
	int64_t deletion_ms;				    /* 0: none planned */
	uint8_t material_id[CIPHERTEXT_MATERIAL_LEN];	    /* the one to encrypt with */
	char material_hex[2 * CIPHERTEXT_MATERIAL_LEN + 1]; /* the same */
	struct key_rotation rotation;
	char *description;	  /* owned */
	struct policy *policy;	  /* compiled; owned; NULL unless the keyring found the key */
	struct key_label *labels; /* owned; as policy */
	size_t label_count;
};

/* Key material, unwrapped. */
struct material {
	struct cached cached;
	uint8_t id[CIPHERTEXT_MATERIAL_LEN];
	char account[IDS_ACCOUNT_LEN + 1]; /* of its key */
	char region[KEYREF_REGION_MAX + 1];
	char key_id[IDS_UUID_LEN + 1];
	struct secret *bytes; /* 32; owned */
};

/* Who an access key speaks for. */
struct access_key {
	struct cached cached;
	char id[IDS_ACCESS_KEY_LEN + 1];
	char account[IDS_ACCOUNT_LEN + 1];
	char principal_arn[STORE_ARN_MAX];
	struct secret *secret; /* text without NUL; owned */
};

/*
 * Open the database in the data directory @dir (a path; @dir_fd the same, open), making schema and
 * root key when it is new. -EUCLEAN: a newer schema, or not our database.
 */
int store_open(const char *dir, int dir_fd, struct store **ret_store, struct err *err);
void store_close(struct store *store);

/* What secrets are wrapped under and keys for other uses are derived from; the store's. */
const struct rootkey *store_rootkey(const struct store *store);

/* --- keys --- */

struct store_tag {
	const char *key, *value;
};

struct store_new_key {
	struct keyref_place place;
	const char *description;
	const char *policy;
	const char *policy_ids; /* policy_bound.h; NULL: none */
	const struct store_tag *tags;
	size_t tag_count;
	struct key_rotation rotation;
	const char *alias; /* to make with it; NULL: none */
	int64_t now_ms;
};

/*
 * Make an enabled symmetric key with new material, all at once. The caller puts *@ret_key back. -EEXIST:
 * the alias is there already.
 */
int store_create_key(struct store *store, const struct store_new_key *wanted, struct key **ret_key,
		     struct err *err);

/* -ENOKEY: no such key. */
int store_load_key(struct store *store, const struct keyref_place *place, const char *key_id,
		   struct key **ret_key, struct err *err);

/* Change a key's state if it still is @from; -EAGAIN: it is not any more. */
int store_set_state(struct store *store, const struct key *key, enum key_state to,
		    int64_t deletion_ms, struct err *err);

/* -ENOKEY: no such material, or it was destroyed with its key. */
int store_load_material(struct store *store, const uint8_t id[CIPHERTEXT_MATERIAL_LEN],
			struct material **ret_material, struct err *err);

/*
 * Destroy the keys whose planned deletion is at or before @now_ms, with material, aliases, policy
 * and tags, and call @fn for each; it must not come back to the store. Returns how many.
 */
int store_delete_expired(struct store *store, int64_t now_ms,
			 void (*fn)(const struct keyref_place *place, const char *key_id,
				    void *arg),
			 void *arg, struct err *err);

/* The policy document, and the ids that it is bound to (policy_bound.h); the caller frees both. */
int store_load_policy(struct store *store, const struct key *key, char **ret_policy, char **ret_ids,
		      struct err *err);
int store_set_policy(struct store *store, const struct key *key, const char *policy,
		     const char *ids, struct err *err);

struct store_page {
	const char *after;    /* text of the last one seen; "" for the first page */
	int64_t after_number; /* the same, where they are numbered */
	size_t limit;
};

/*
 * Call @fn with the key ids of @page, in order. Returns how many; one more than it will use tells a
 * caller that there are more.
 */
int store_each_key(struct store *store, const struct keyref_place *place,
		   const struct store_page *page, int (*fn)(const char *key_id, void *arg),
		   void *arg, struct err *err);

int store_set_description(struct store *store, const struct key *key, const char *description,
			  struct err *err);

/* --- rotation (store_rotation.c) --- */

#define STORE_ROTATION_AUTOMATIC "AUTOMATIC"
#define STORE_ROTATION_ON_DEMAND "ON_DEMAND"

/* A generation of a key's material. */
struct store_material {
	const uint8_t *id;
	int64_t created_ms;
	int64_t number;	 /* 0 for the first */
	const char *how; /* one of the above; "" for the first */
};

/* Change a key's rotation if that and its material still are as in @key; -EAGAIN: they are not. */
int store_set_rotation(struct store *store, const struct key *key,
		       const struct key_rotation *wanted, struct err *err);

/* Give an enabled key new material too; @how: one of the above. -EAGAIN: as before. */
int store_rotate(struct store *store, const struct key *key, const struct key_rotation *wanted,
		 const char *how, int64_t now_ms, struct err *err);

/* Call @fn with up to 64 enabled keys whose rotation is due, or whose one on demand began by then. */
int store_each_rotation_due(struct store *store, int64_t due_ms, int64_t begun_ms,
			    int (*fn)(const struct keyref_place *place, const char *key_id,
				      void *arg),
			    void *arg, struct err *err);

/* How often the key was rotated so. */
int store_count_rotations(struct store *store, const struct key *key, const char *how,
			  struct err *err);

/* As store_each_key(), in order of number. */
int store_each_material(struct store *store, const struct key *key, const struct store_page *page,
			int (*fn)(const struct store_material *m, void *arg), void *arg,
			struct err *err);

/* --- tags (store_tags.c) --- */

/* All or nothing; -E2BIG: the key would have more than @max. */
int store_set_tags(struct store *store, const struct key *key, const struct store_tag *tags,
		   size_t count, size_t max, struct err *err);
int store_delete_tags(struct store *store, const struct key *key, const char *const *names,
		      size_t count, struct err *err);
int store_each_tag(struct store *store, const struct key *key, const struct store_page *page,
		   int (*fn)(const struct store_tag *tag, void *arg), void *arg, struct err *err);

/* --- last use (store_uses.c) --- */

struct store_use {
	char account[IDS_ACCOUNT_LEN + 1]; /* of the key */
	char region[KEYREF_REGION_MAX + 1];
	char key_id[IDS_UUID_LEN + 1];
	char operation[64];
	char event_id[IDS_UUID_LEN + 1], request_id[IDS_UUID_LEN + 1];
	int64_t used_ms;
};

/* Uses of keys that are gone are left out. One transaction. */
int store_set_uses(struct store *store, const struct store_use *uses, size_t count,
		   struct err *err);
/* -ENOENT: never used. */
int store_load_use(struct store *store, const struct key *key, struct store_use *ret,
		   struct err *err);

/* --- grants (store_grants.c) --- */

/* -E2BIG: the key has @max grants already. -ENOKEY: the key is gone. */
int store_create_grant(struct store *store, const struct grant *grant, int64_t max,
		       struct err *err);

/* -ENOENT: no such grant. The caller puts it back. */
int store_load_grant(struct store *store, const struct keyref_place *place, const char *key_id,
		     const char *grant_id, struct grant **ret_grant, struct err *err);
int store_delete_grant(struct store *store, const struct grant *grant, struct err *err);

/* Which grants of a key store_each_grant() visits; the order is that of ids where none is named. */
enum store_grant_filter {
	STORE_GRANTS_ALL,	   /* @page; @grantee and @grant_id, where they are not NULL */
	STORE_GRANTS_OF_NAME,	   /* @name */
	STORE_GRANTS_OF_GRANTEE,   /* @grantee, up to @page.limit, in no order */
	STORE_GRANTS_OF_SLOT,	   /* @grantee and @slot (grant_slot()) */
	STORE_GRANTS_OF_OPERATION, /* @grantee and a bit of @operations, up to @page.limit */
	STORE_GRANTS_RETIRABLE, /* of all keys of the region; @retiring; @page.after is "KEY/GRANT" */
};

struct store_grant_query {
	enum store_grant_filter filter;
	struct keyref_place place;
	const char *key_id, *grant_id, *name, *grantee, *retiring;
	int64_t slot;
	uint32_t operations;
	struct store_page page;
};

/* @fn may count and keep the grant. Returns how many were visited; stops when @fn returns nonzero. */
int store_each_grant(struct store *store, const struct store_grant_query *query,
		     int (*fn)(struct grant *grant, void *arg), void *arg, struct err *err);

/*
 * Grant tokens: a grant's names sealed under the root key, another text each time. The caller frees.
 * store_open_token(): -EBADMSG: it is none of ours.
 */
struct store_token {
	char account[IDS_ACCOUNT_LEN + 1];
	char region[KEYREF_REGION_MAX + 1];
	char key_id[IDS_UUID_LEN + 1];
	char grant_id[GRANT_ID_LEN + 1];
};

int store_seal_token(struct store *store, const struct grant *grant, char **ret_token,
		     struct err *err);
int store_open_token(struct store *store, const char *token, struct store_token *ret,
		     struct err *err);

/* --- aliases --- */

struct store_alias {
	const char *name; /* "alias/..." */
	const char *key_id;
	int64_t created_ms, updated_ms;
};

/* -EEXIST: that alias is there. */
int store_create_alias(struct store *store, const struct keyref_place *place,
		       const struct store_alias *alias, struct err *err);
/* -ENOKEY: no such alias. */
int store_update_alias(struct store *store, const struct keyref_place *place, const char *name,
		       const char *key_id, int64_t now_ms, struct err *err);
int store_delete_alias(struct store *store, const struct keyref_place *place, const char *name,
		       struct err *err);
int store_find_alias(struct store *store, const struct keyref_place *place, const char *name,
		     char ret_key_id[IDS_UUID_LEN + 1], struct err *err);
int store_count_aliases(struct store *store, const struct keyref_place *place, const char *key_id,
			struct err *err);

/* As store_each_key(), ordered by name; @key_id NULL: of every key. */
int store_each_alias(struct store *store, const struct keyref_place *place, const char *key_id,
		     const char *after, size_t limit,
		     int (*fn)(const struct store_alias *alias, void *arg), void *arg,
		     struct err *err);

/* --- access keys --- */

/* -ENOKEY: no such access key. */
int store_load_access_key(struct store *store, const char *id, struct access_key **ret_key,
			  struct err *err);

/* Call @fn with each account that has a root user here, in order; stops at a negative of @fn. */
int store_each_account(struct store *store, int (*fn)(const char *account, void *arg), void *arg,
		       struct err *err);

/* 1: the account has a root user here, so its users and roles are known; 0: it is none of ours. */
int store_has_account(struct store *store, const char *account, struct err *err);

/* The oldest access key of the account's root user, made when there is none. */
int store_root_access_key(struct store *store, const char *account, int64_t now_ms,
			  struct access_key **ret_key, struct err *err);

#endif
