/* Users' access keys: their secrets wrapped under the root key. See store_iam.h. */
#include "store_iam_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "secret.h"

/* The user is bound in: a row moved to another user does not unwrap. */
static void wrap_name(const char *key_id, const char *user_id, char ret[96])
{
	(void)snprintf(ret, 96, "access-key/%s/%s", key_id, user_id); /* fits */
}

static int insert_locked(struct store *store, const struct iam_access_key *key,
			 const struct secret *secret, struct err *err)
{
	uint8_t wrapped[ROOTKEY_WRAPPED_MAX];
	struct sql_blob blob = {wrapped, 0};
	struct sqlite3_stmt *stmt;
	struct sql *sql = store->iam->sql;
	unsigned count = 0;
	char name[96];
	int r = sql_start(sql, IAM_KEYS_OF, &stmt, err, "t", key->user_id);

	if (r < 0)
		return r;
	while ((r = sql_row(sql, stmt, err)) > 0)
		count++;
	if (r == 0 && count >= IAM_KEYS_MAX)
		return err_set(err, EDQUOT, "the user has %u access keys", count);
	wrap_name(key->id, key->user_id, name);
	r = r ? r : rootkey_wrap(store->rootkey, name, secret, wrapped, &blob.len, err);
	return r ? r
		 : sql_run(sql, IAM_KEY_INSERT, err, "ttbi", key->id, key->user_id, &blob,
			   key->created_ms);
}

int store_iam_create_key(struct store *store, const struct iam_principal *user, int64_t now_ms,
			 struct iam_access_key *ret_key, struct secret **ret_secret,
			 struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	struct iam_access_key key = {.active = true, .created_ms = now_ms};
	char text[IDS_SECRET_KEY_LEN + 1];
	int r = ids_access_key(key.id, err);

	r = r ? r : ids_secret_key(text, err);
	r = r ? r : secret_from(text, IDS_SECRET_KEY_LEN, &s, err);
	OPENSSL_cleanse(text, sizeof(text));
	memcpy(key.user_id, user->id, sizeof(key.user_id));
	r = r ? r : store_iam_begin(store, err);
	if (r < 0)
		return r;
	r = store_iam_end(store, insert_locked(store, &key, s, err), err);
	if (r < 0)
		return r;
	*ret_key = key;
	*ret_secret = s;
	s = NULL;
	return 0;
}

int store_iam_load_key(struct store *store, const char *key_id, struct iam_access_key *ret_key,
		       struct secret **ret_secret, struct err *err)
{
	struct sql *sql = store->iam->sql;
	struct iam_access_key key = {0};
	struct sqlite3_stmt *stmt;
	struct sql_blob b;
	char name[96];
	int r;

	if (strlen(key_id) > IDS_ACCESS_KEY_LEN)
		return err_set(err, ENOENT, "no such access key");
	(void)snprintf(key.id, sizeof(key.id), "%s", key_id); /* measured above */
	sql_lock(sql);
	r = sql_start(sql, IAM_KEY_LOAD, &stmt, err, "t", key_id);
	r = r ? r : sql_row(sql, stmt, err);
	if (r > 0) {
		(void)snprintf(key.user_id, sizeof(key.user_id), "%s",
			       sql_text(stmt, 0)); /* fits */
		key.active = sql_int(stmt, 1) != 0;
		key.created_ms = sql_int(stmt, 2);
		b = sql_bytes(stmt, 3);
		wrap_name(key.id, key.user_id, name);
		r = rootkey_unwrap(store->rootkey, name, b.bytes, b.len, ret_secret, err);
		sql_end(stmt);
	} else if (r == 0) {
		r = err_set(err, ENOENT, "no such access key");
	}
	sql_unlock(sql);
	if (r == 0)
		*ret_key = key;
	return r;
}

int store_iam_keys(struct store *store, const struct iam_principal *user,
		   struct iam_access_key ret_keys[IAM_KEYS_MAX], struct err *err)
{
	struct sql *sql = store->iam->sql;
	struct sqlite3_stmt *stmt;
	int n = 0, r;

	sql_lock(sql);
	r = sql_start(sql, IAM_KEYS_OF, &stmt, err, "t", user->id);
	while (r >= 0 && (r = sql_row(sql, stmt, err)) > 0) {
		struct iam_access_key *k = &ret_keys[n];

		if (n == IAM_KEYS_MAX) {
			sql_end(stmt);
			break;
		}
		n++;
		(void)snprintf(k->id, sizeof(k->id), "%s", sql_text(stmt, 0)); /* fits */
		memcpy(k->user_id, user->id, sizeof(k->user_id));
		k->active = sql_int(stmt, 1) != 0;
		k->created_ms = sql_int(stmt, 2);
	}
	sql_unlock(sql);
	return r < 0 ? r : n;
}

static int hit(int r, struct err *err)
{
	return r < 0 ? r : r == 0 ? err_set(err, ENOENT, "no such access key") : 0;
}

int store_iam_set_key(struct store *store, const struct iam_principal *user, const char *key_id,
		      bool active, struct err *err)
{
	return hit(store_iam_change(store, IAM_KEY_SET_STATUS, err, "tti", user->id, key_id,
				    (int64_t)active),
		   err);
}

int store_iam_delete_key(struct store *store, const struct iam_principal *user, const char *key_id,
			 struct err *err)
{
	return hit(store_iam_change(store, IAM_KEY_DELETE, err, "tt", user->id, key_id), err);
}
