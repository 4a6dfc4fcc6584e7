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
	char *description;				    /* owned */
	struct policy *policy; /* compiled; owned; NULL unless the keyring found the key */
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
	const struct store_tag *tags;
	size_t tag_count;
	int64_t now_ms;
};

/* Make an enabled symmetric key with new material. The caller puts *@ret_key back. */
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
 * and tags. Returns how many.
 */
int store_delete_expired(struct store *store, int64_t now_ms, struct err *err);

/* The policy document; the caller frees. */
int store_load_policy(struct store *store, const struct key *key, char **ret_policy,
		      struct err *err);
int store_set_policy(struct store *store, const struct key *key, const char *policy,
		     struct err *err);

/*
 * Call @fn with up to @limit key ids behind @after ("" for the first), in order. Returns how many;
 * one more than it will use tells a caller that there are more.
 */
int store_each_key(struct store *store, const struct keyref_place *place, const char *after,
		   size_t limit, int (*fn)(const char *key_id, void *arg), void *arg,
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

/* The oldest access key of the account's root user, made when there is none. */
int store_root_access_key(struct store *store, const char *account, int64_t now_ms,
			  struct access_key **ret_key, struct err *err);

#endif
