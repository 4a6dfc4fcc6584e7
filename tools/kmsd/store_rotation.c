/* Rows of a key's material and when it gets new. See store.h. */
#include "store_impl.h"

#include <errno.h>

#include "err.h"

/* Both statements change a row only if its rotation still is that of @key. */
static int run_change(struct store *store, unsigned id, const struct key *key,
		      const struct key_rotation *to, const uint8_t *material_id, struct err *err)
{
	struct sql_blob old = {key->material_id, CIPHERTEXT_MATERIAL_LEN};
	struct sql_blob new = {material_id, CIPHERTEXT_MATERIAL_LEN};
	const struct key_rotation *was = &key->rotation;
	int r = sql_run(store->writer, id, err, "tttbbiiiiii", key->account, key->region, key->id,
			&old, &new, (int64_t)to->days, to->next_ms, to->on_demand_ms,
			(int64_t)was->days, was->next_ms, was->on_demand_ms);

	if (r == 0)
		return err_set(err, EAGAIN, "key '%s' has changed meanwhile", key->id);
	return r < 0 ? r : 0;
}

int store_set_rotation(struct store *store, const struct key *key,
		       const struct key_rotation *wanted, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = run_change(store, STMT_KEY_SET_ROTATION, key, wanted, key->material_id, err);
	sql_unlock(store->writer);
	return r;
}

int store_rotate(struct store *store, const struct key *key, const struct key_rotation *wanted,
		 const char *how, int64_t now_ms, struct err *err)
{
	uint8_t uuid[16], id[CIPHERTEXT_MATERIAL_LEN];
	int r;

	if (ids_uuid_parse(key->id, uuid) < 0)
		return err_set(err, EUCLEAN, "key '%s': its id makes no sense", key->id);
	r = ciphertext_material_id(uuid, id, err);
	if (r < 0)
		return r;
	sql_lock(store->writer);
	r = store_begin(store, err);
	if (r == 0) {
		r = run_change(store, STMT_KEY_ROTATE, key, wanted, id, err);
		r = r ? r : store_insert_material(store, key, id, how, now_ms, err);
		r = store_end(store, r, err);
	}
	sql_unlock(store->writer);
	return r;
}

int store_each_rotation_due(struct store *store, int64_t due_ms, int64_t begun_ms,
			    int (*fn)(const struct keyref_place *place, const char *key_id,
				      void *arg),
			    void *arg, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r, count = 0;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_KEY_ROTATION_DUE, &stmt, err, "ii", due_ms, begun_ms);
	while (r >= 0 && (r = sql_row(store->reader, stmt, err)) > 0) {
		const struct keyref_place place = {sql_text(stmt, 0), sql_text(stmt, 1)};

		count++;
		r = fn(&place, sql_text(stmt, 2), arg);
		if (r < 0) {
			sql_end(stmt);
			r = err_set(err, -r, "keys to rotate");
		}
	}
	sql_unlock(store->reader);
	return r < 0 ? r : count;
}

int store_count_rotations(struct store *store, const struct key *key, const char *how,
			  struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r, count = 0;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_MATERIAL_COUNT, &stmt, err, "tttt", key->account,
		      key->region, key->id, how);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		count = (int)sql_int(stmt, 0);
		sql_end(stmt);
	}
	sql_unlock(store->reader);
	return r < 0 ? r : count;
}

int store_each_material(struct store *store, const struct key *key, const struct store_page *page,
			int (*fn)(const struct store_material *m, void *arg), void *arg,
			struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r, count = 0;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_MATERIAL_LIST, &stmt, err, "tttii", key->account,
		      key->region, key->id, page->after_number, (int64_t)page->limit);
	while (r >= 0 && (r = sql_row(store->reader, stmt, err)) > 0) {
		struct sql_blob id = sql_bytes(stmt, 0);
		struct store_material m = {id.bytes, sql_int(stmt, 1), sql_int(stmt, 2),
					   sql_text(stmt, 3)};

		count++;
		r = id.len == CIPHERTEXT_MATERIAL_LEN ? fn(&m, arg) : -EUCLEAN;
		if (r < 0) {
			sql_end(stmt);
			r = err_set(err, -r, "material of key '%s'", key->id);
		}
	}
	sql_unlock(store->reader);
	return r < 0 ? r : count;
}
