/* Rows of keys, their material, policy and tags. See store.h. */
#include "store_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "bytes.h"
#include "err.h"
#include "policy.h"
#include "secret.h"

#define MATERIAL_NAME_MAX 256

static void key_free(struct cached *obj)
{
	struct key *key = (struct key *)obj;

	free(key->description);
	policy_free(key->policy);
	for (size_t i = 0; i < key->label_count; i++) {
		free(key->labels[i].name);
		free(key->labels[i].value);
	}
	free(key->labels);
	free(key);
}

static void material_free(struct cached *obj)
{
	struct material *m = (struct material *)obj;

	secret_free(m->bytes);
	free(m);
}

/* What wrapped material is bound to: it cannot be moved to another key's row. */
static void material_name(const struct keyref_place *place, const char *key_id,
			  const uint8_t id[CIPHERTEXT_MATERIAL_LEN], char ret[MATERIAL_NAME_MAX])
{
	char hex[2 * CIPHERTEXT_MATERIAL_LEN + 1];

	bytes_to_hex(id, CIPHERTEXT_MATERIAL_LEN, hex);
	(void)snprintf(ret, MATERIAL_NAME_MAX, "material/%s/%s/%s/%s", place->account,
		       place->region, key_id, hex); /* fits: all parts are bounded */
}

static int new_key(const struct keyref_place *place, const char *key_id, const char *description,
		   const uint8_t *material_id, struct key **ret_key, struct err *err)
{
	struct key *key = calloc(1, sizeof(*key));

	if (key)
		key->description = strdup(description);
	if (!key || !key->description) {
		free(key);
		return err_set(err, ENOMEM, "key '%s'", key_id);
	}
	key->cached.free = key_free;
	atomic_init(&key->cached.refs, 1);
	(void)snprintf(key->account, sizeof(key->account), "%s", place->account); /* fits */
	(void)snprintf(key->region, sizeof(key->region), "%s", place->region);	  /* fits */
	(void)snprintf(key->id, sizeof(key->id), "%s", key_id);			  /* fits */
	keyref_key_arn(place, key_id, key->arn);
	memcpy(key->material_id, material_id, CIPHERTEXT_MATERIAL_LEN);
	bytes_to_hex(material_id, CIPHERTEXT_MATERIAL_LEN, key->material_hex);
	*ret_key = key;
	return 0;
}

int store_insert_material(struct store *store, const struct key *key,
			  const uint8_t material_id[CIPHERTEXT_MATERIAL_LEN], const char *how,
			  int64_t now_ms, struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	struct keyref_place place = {key->account, key->region};
	struct sql_blob id = {material_id, CIPHERTEXT_MATERIAL_LEN}, blob;
	uint8_t wrapped[ROOTKEY_WRAPPED_MAX];
	char name[MATERIAL_NAME_MAX];
	size_t n = 0;
	int r = secret_new(AEAD_KEY_LEN, &s, err);

	r = r ? r : ids_random(secret_bytes(s), AEAD_KEY_LEN, true, err);
	if (r < 0)
		return r;
	material_name(&place, key->id, material_id, name);
	r = rootkey_wrap(store->rootkey, name, s, wrapped, &n, err);
	if (r < 0)
		return r;
	blob = (struct sql_blob){wrapped, n};
	r = sql_run(store->writer, STMT_MATERIAL_INSERT, err, "tttbbit", key->account, key->region,
		    key->id, &id, &blob, now_ms, how);
	return r < 0 ? r : 0;
}

static int insert_names(struct store *store, const struct store_new_key *wanted,
			const struct key *key, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < wanted->tag_count && r >= 0; i++)
		r = sql_run(store->writer, STMT_TAG_INSERT, err, "ttttt", key->account, key->region,
			    key->id, wanted->tags[i].key, wanted->tags[i].value);
	if (r < 0 || !wanted->alias)
		return r;
	r = sql_run(store->writer, STMT_ALIAS_INSERT, err, "ttttii", key->account, key->region,
		    wanted->alias, key->id, wanted->now_ms, wanted->now_ms);
	return r == 0 ? err_set(err, EEXIST, "'%s' exists", wanted->alias) : r;
}

static int insert_key(struct store *store, const struct store_new_key *wanted,
		      const struct key *key, struct err *err)
{
	struct sql_blob id = {key->material_id, CIPHERTEXT_MATERIAL_LEN};
	int r = sql_run(store->writer, STMT_KEY_INSERT, err, "ttttttbitii", key->account,
			key->region, key->id, keystate_name(key->state), key->description,
			wanted->policy, &id, key->created_ms,
			wanted->policy_ids ? wanted->policy_ids : "", (int64_t)key->rotation.days,
			key->rotation.next_ms);

	r = r < 0 ? r : insert_names(store, wanted, key, err);
	return r < 0 ? r
		     : store_insert_material(store, key, key->material_id, "", wanted->now_ms, err);
}

int store_create_key(struct store *store, const struct store_new_key *wanted, struct key **ret_key,
		     struct err *err)
{
	uint8_t uuid[16], material_id[CIPHERTEXT_MATERIAL_LEN];
	char id[IDS_UUID_LEN + 1];
	struct key *key = NULL;
	int r = ids_uuid(id, err);

	if (r == 0 && ids_uuid_parse(id, uuid) < 0)
		r = err_set(err, EIO, "made-up UUID '%s'", id);
	r = r ? r : ciphertext_material_id(uuid, material_id, err);
	r = r ? r : new_key(&wanted->place, id, wanted->description, material_id, &key, err);
	if (r < 0)
		return r;
	key->state = KEY_STATE_ENABLED;
	key->created_ms = wanted->now_ms;
	key->rotation = wanted->rotation;
	sql_lock(store->writer);
	r = store_begin(store, err);
	if (r == 0)
		r = store_end(store, insert_key(store, wanted, key, err), err);
	sql_unlock(store->writer);
	if (r < 0) {
		cached_put(key);
		return r;
	}
	*ret_key = key;
	return 0;
}

static int take_key(struct sqlite3_stmt *stmt, const struct keyref_place *place, const char *key_id,
		    struct key **ret_key, struct err *err)
{
	struct sql_blob id = sql_bytes(stmt, 2);
	enum key_state state = keystate_from_name(sql_text(stmt, 0));
	int r;

	if (id.len != CIPHERTEXT_MATERIAL_LEN || state == KEY_STATE_COUNT)
		return err_set(err, EUCLEAN, "key '%s': its row in the database makes no sense",
			       key_id);
	r = new_key(place, key_id, sql_text(stmt, 1), id.bytes, ret_key, err);
	if (r < 0)
		return r;
	(*ret_key)->state = state;
	(*ret_key)->created_ms = sql_int(stmt, 3);
	(*ret_key)->deletion_ms = sql_int(stmt, 4);
	(*ret_key)->rotation =
		(struct key_rotation){(int)sql_int(stmt, 5), sql_int(stmt, 6), sql_int(stmt, 7)};
	return 0;
}

int store_load_key(struct store *store, const struct keyref_place *place, const char *key_id,
		   struct key **ret_key, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_KEY_LOAD, &stmt, err, "ttt", place->account,
		      place->region, key_id);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		r = take_key(stmt, place, key_id, ret_key, err);
		sql_end(stmt);
	} else if (r == 0) {
		r = err_set(err, ENOKEY, "key '%s' does not exist", key_id);
	}
	sql_unlock(store->reader);
	return r;
}

int store_set_state(struct store *store, const struct key *key, enum key_state to,
		    int64_t deletion_ms, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = sql_run(store->writer, STMT_KEY_SET_STATE, err, "ttttit", key->account, key->region,
		    key->id, keystate_name(to), deletion_ms, keystate_name(key->state));
	sql_unlock(store->writer);
	if (r == 0)
		return err_set(err, EAGAIN, "key '%s' has changed meanwhile", key->id);
	return r < 0 ? r : 0;
}

static int take_material(struct store *store, struct sqlite3_stmt *stmt, struct material *m,
			 struct err *err)
{
	char name[MATERIAL_NAME_MAX];
	struct keyref_place place = {m->account, m->region};
	struct sql_blob wrapped = sql_bytes(stmt, 3);
	int r;

	(void)snprintf(m->account, sizeof(m->account), "%s", sql_text(stmt, 0)); /* cut: no match */
	(void)snprintf(m->region, sizeof(m->region), "%s", sql_text(stmt, 1));	 /* cut: no match */
	(void)snprintf(m->key_id, sizeof(m->key_id), "%s", sql_text(stmt, 2));	 /* cut: no match */
	material_name(&place, m->key_id, m->id, name);
	r = rootkey_unwrap(store->rootkey, name, wrapped.bytes, wrapped.len, &m->bytes, err);
	if (r == 0 && secret_len(m->bytes) != AEAD_KEY_LEN)
		r = err_set(err, EUCLEAN, "%s: %zu bytes", name, secret_len(m->bytes));
	return r;
}

int store_load_material(struct store *store, const uint8_t id[CIPHERTEXT_MATERIAL_LEN],
			struct material **ret_material, struct err *err)
{
	struct sql_blob blob = {id, CIPHERTEXT_MATERIAL_LEN};
	struct material *m = calloc(1, sizeof(*m));
	struct sqlite3_stmt *stmt;
	int r;

	if (!m)
		return err_set(err, ENOMEM, "key material");
	m->cached.free = material_free;
	atomic_init(&m->cached.refs, 1);
	memcpy(m->id, id, CIPHERTEXT_MATERIAL_LEN);
	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_MATERIAL_LOAD, &stmt, err, "b", &blob);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		r = take_material(store, stmt, m, err);
		sql_end(stmt);
	} else if (r == 0) {
		r = err_set(err, ENOKEY, "no such key material");
	}
	sql_unlock(store->reader);
	if (r < 0) {
		cached_put(m);
		return r;
	}
	*ret_material = m;
	return 0;
}

struct doomed {
	char account[IDS_ACCOUNT_LEN + 1], region[KEYREF_REGION_MAX + 1], id[IDS_UUID_LEN + 1];
};

/* 1: @ret was destroyed; 0: none is due. */
static int delete_one_locked(struct store *store, int64_t now_ms, struct doomed *ret,
			     struct err *err)
{
	static const unsigned char steps[] = {STMT_MATERIAL_DESTROY, STMT_ALIAS_DELETE_ALL,
					      STMT_TAG_DELETE_ALL,   STMT_GRANT_DELETE_ALL,
					      STMT_USE_DELETE,	     STMT_KEY_DELETE};
	struct sqlite3_stmt *stmt;
	int r = sql_start(store->writer, STMT_KEY_EXPIRED, &stmt, err, "i", now_ms);

	r = r ? r : sql_row(store->writer, stmt, err);
	if (r <= 0)
		return r;
	(void)snprintf(ret->account, sizeof(ret->account), "%s",
		       sql_text(stmt, 0)); /* as inserted, all three */
	(void)snprintf(ret->region, sizeof(ret->region), "%s", sql_text(stmt, 1));
	(void)snprintf(ret->id, sizeof(ret->id), "%s", sql_text(stmt, 2));
	sql_end(stmt);
	for (size_t i = 0; i < sizeof(steps) && r >= 0; i++)
		r = sql_run(store->writer, steps[i], err, "ttt", ret->account, ret->region,
			    ret->id);
	return r < 0 ? r : 1;
}

int store_delete_expired(struct store *store, int64_t now_ms,
			 void (*fn)(const struct keyref_place *place, const char *key_id,
				    void *arg),
			 void *arg, struct err *err)
{
	struct doomed key;
	const struct keyref_place place = {key.account, key.region};
	int r, count = 0;

	sql_lock(store->writer);
	do {
		r = store_begin(store, err);
		if (r == 0)
			r = store_end(store, delete_one_locked(store, now_ms, &key, err), err);
		if (r > 0)
			fn(&place, key.id, arg);
		count += r > 0;
	} while (r > 0);
	/* The log may still hold the wrapped material; secure_delete has cleared the pages. */
	if (r == 0 && count > 0)
		r = sql_exec(store->writer, "PRAGMA wal_checkpoint(TRUNCATE)", err);
	sql_unlock(store->writer);
	return r < 0 ? r : count;
}

int store_load_policy(struct store *store, const struct key *key, char **ret_policy, char **ret_ids,
		      struct err *err)
{
	struct sqlite3_stmt *stmt;
	char *policy = NULL, *ids = NULL;
	int r;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_POLICY_LOAD, &stmt, err, "ttt", key->account, key->region,
		      key->id);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		policy = strdup(sql_text(stmt, 0));
		ids = strdup(sql_text(stmt, 1));
		r = policy && ids ? 0 : err_set(err, ENOMEM, "policy of key '%s'", key->id);
		sql_end(stmt);
	} else if (r == 0) {
		r = err_set(err, ENOKEY, "key '%s' does not exist", key->id);
	}
	sql_unlock(store->reader);
	if (r < 0) {
		free(policy);
		free(ids);
		return r;
	}
	*ret_policy = policy;
	*ret_ids = ids;
	return 0;
}

int store_set_policy(struct store *store, const struct key *key, const char *policy,
		     const char *ids, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = sql_run(store->writer, STMT_POLICY_SET, err, "ttttt", key->account, key->region,
		    key->id, policy, ids);
	sql_unlock(store->writer);
	if (r == 0)
		return err_set(err, ENOKEY, "key '%s' does not exist", key->id);
	return r < 0 ? r : 0;
}

int store_set_description(struct store *store, const struct key *key, const char *description,
			  struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = sql_run(store->writer, STMT_KEY_SET_DESCRIPTION, err, "tttt", key->account, key->region,
		    key->id, description);
	sql_unlock(store->writer);
	if (r == 0)
		return err_set(err, ENOKEY, "key '%s' does not exist", key->id);
	return r < 0 ? r : 0;
}

int store_each_key(struct store *store, const struct keyref_place *place,
		   const struct store_page *page, int (*fn)(const char *key_id, void *arg),
		   void *arg, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r, count = 0;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_KEY_LIST, &stmt, err, "ttti", place->account,
		      place->region, page->after, (int64_t)page->limit);
	while (r >= 0 && (r = sql_row(store->reader, stmt, err)) > 0) {
		count++;
		r = fn(sql_text(stmt, 0), arg);
		if (r < 0) {
			sql_end(stmt);
			r = err_set(err, -r, "list of keys");
		}
	}
	sql_unlock(store->reader);
	return r < 0 ? r : count;
}
