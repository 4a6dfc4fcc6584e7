/* Rows of access keys. See store.h. */
#include "store_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "secret.h"

static void access_key_free(struct cached *obj)
{
	struct access_key *key = (struct access_key *)obj;

	secret_free(key->secret);
	free(key);
}

static void access_name(const char *id, char ret[64])
{
	(void)snprintf(ret, 64, "access-key/%s", id); /* an id too long was never wrapped */
}

static int take_access(struct store *store, struct sqlite3_stmt *stmt, struct access_key *key,
		       struct err *err)
{
	struct sql_blob wrapped = sql_bytes(stmt, 2);
	char name[64];

	(void)snprintf(key->account, sizeof(key->account), "%s", sql_text(stmt, 0)); /* fits */
	(void)snprintf(key->principal_arn, sizeof(key->principal_arn), "%s",
		       sql_text(stmt, 1)); /* fits */
	access_name(key->id, name);
	return rootkey_unwrap(store->rootkey, name, wrapped.bytes, wrapped.len, &key->secret, err);
}

int store_load_access_key(struct store *store, const char *id, struct access_key **ret_key,
			  struct err *err)
{
	struct access_key *key;
	struct sqlite3_stmt *stmt;
	int r;

	if (strlen(id) > IDS_ACCESS_KEY_LEN)
		return err_set(err, ENOKEY, "no such access key");
	key = calloc(1, sizeof(*key));
	if (!key)
		return err_set(err, ENOMEM, "access key");
	key->cached.free = access_key_free;
	atomic_init(&key->cached.refs, 1);
	(void)snprintf(key->id, sizeof(key->id), "%s", id); /* measured above */
	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_ACCESS_LOAD, &stmt, err, "t", id);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		r = take_access(store, stmt, key, err);
		sql_end(stmt);
	} else if (r == 0) {
		r = err_set(err, ENOKEY, "no such access key");
	}
	sql_unlock(store->reader);
	if (r < 0) {
		cached_put(key);
		return r;
	}
	*ret_key = key;
	return 0;
}

static int insert_access(struct store *store, const char *account, const char *arn, int64_t now_ms,
			 struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	char id[IDS_ACCESS_KEY_LEN + 1], text[IDS_SECRET_KEY_LEN + 1], name[64];
	uint8_t wrapped[ROOTKEY_WRAPPED_MAX];
	struct sql_blob blob = {wrapped, 0};
	int r = ids_access_key(id, err);

	r = r ? r : ids_secret_key(text, err);
	r = r ? r : secret_from(text, IDS_SECRET_KEY_LEN, &s, err);
	OPENSSL_cleanse(text, sizeof(text));
	if (r < 0)
		return r;
	access_name(id, name);
	r = rootkey_wrap(store->rootkey, name, s, wrapped, &blob.len, err);
	if (r < 0)
		return r;
	r = sql_run(store->writer, STMT_ACCESS_INSERT, err, "tttbi", id, account, arn, &blob,
		    now_ms);
	return r < 0 ? r : 0;
}

#define ROOT_ARN "arn:aws:iam::%s:root"

static int find_access_of(struct sql *sql, const char *arn, char ret_id[IDS_ACCESS_KEY_LEN + 1],
			  struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r = sql_start(sql, STMT_ACCESS_OF_PRINCIPAL, &stmt, err, "t", arn);

	r = r ? r : sql_row(sql, stmt, err);
	if (r > 0) {
		(void)snprintf(ret_id, IDS_ACCESS_KEY_LEN + 1, "%s", sql_text(stmt, 0)); /* fits */
		sql_end(stmt);
	}
	return r;
}

int store_root_access_key(struct store *store, const char *account, int64_t now_ms,
			  struct access_key **ret_key, struct err *err)
{
	char arn[STORE_ARN_MAX], id[IDS_ACCESS_KEY_LEN + 1];
	int r;

	(void)snprintf(arn, sizeof(arn), ROOT_ARN, account); /* fits */
	sql_lock(store->writer);
	r = find_access_of(store->writer, arn, id, err);
	if (r == 0) {
		r = insert_access(store, account, arn, now_ms, err);
		r = r < 0 ? r : find_access_of(store->writer, arn, id, err);
	}
	sql_unlock(store->writer);
	return r < 0 ? r : store_load_access_key(store, id, ret_key, err);
}

int store_has_account(struct store *store, const char *account, struct err *err)
{
	char arn[STORE_ARN_MAX], id[IDS_ACCESS_KEY_LEN + 1];
	int r;

	(void)snprintf(arn, sizeof(arn), ROOT_ARN, account); /* fits */
	sql_lock(store->reader);
	r = find_access_of(store->reader, arn, id, err);
	sql_unlock(store->reader);
	return r;
}

int store_each_account(struct store *store, int (*fn)(const char *account, void *arg), void *arg,
		       struct err *err)
{
	struct sqlite3_stmt *stmt;
	char(*accounts)[IDS_ACCOUNT_LEN + 1] = NULL, (*more)[IDS_ACCOUNT_LEN + 1];
	size_t count = 0;
	int r;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_ACCOUNT_LIST, &stmt, err, "");
	while (r >= 0 && (r = sql_row(store->reader, stmt, err)) > 0) {
		more = reallocarray(accounts, count + 1, sizeof(*accounts));
		if (!more) {
			sql_end(stmt);
			r = err_set(err, ENOMEM, "accounts");
			break;
		}
		accounts = more;
		(void)snprintf(accounts[count++], sizeof(*accounts), "%s",
			       sql_text(stmt, 0)); /* fits */
	}
	sql_unlock(store->reader);
	for (size_t i = 0; i < count && r >= 0; i++) /* @fn may come back here */
		r = fn(accounts[i], arg);
	free(accounts);
	return r < 0 ? r : 0;
}
