/* Rows of aliases. See store.h. */
#include "store_impl.h"

#include <errno.h>
#include <stdio.h>

#include "err.h"

int store_create_alias(struct store *store, const struct keyref_place *place,
		       const struct store_alias *alias, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = sql_run(store->writer, STMT_ALIAS_INSERT, err, "ttttii", place->account, place->region,
		    alias->name, alias->key_id, alias->created_ms, alias->updated_ms);
	sql_unlock(store->writer);
	if (r == 0)
		return err_set(err, EEXIST, "'%s' exists", alias->name);
	return r < 0 ? r : 0;
}

int store_update_alias(struct store *store, const struct keyref_place *place, const char *name,
		       const char *key_id, int64_t now_ms, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = sql_run(store->writer, STMT_ALIAS_UPDATE, err, "tttti", place->account, place->region,
		    name, key_id, now_ms);
	sql_unlock(store->writer);
	if (r == 0)
		return err_set(err, ENOKEY, "'%s' does not exist", name);
	return r < 0 ? r : 0;
}

int store_delete_alias(struct store *store, const struct keyref_place *place, const char *name,
		       struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = sql_run(store->writer, STMT_ALIAS_DELETE, err, "ttt", place->account, place->region,
		    name);
	sql_unlock(store->writer);
	if (r == 0)
		return err_set(err, ENOKEY, "'%s' does not exist", name);
	return r < 0 ? r : 0;
}

int store_find_alias(struct store *store, const struct keyref_place *place, const char *name,
		     char ret_key_id[IDS_UUID_LEN + 1], struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_ALIAS_FIND, &stmt, err, "ttt", place->account,
		      place->region, name);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		(void)snprintf(ret_key_id, IDS_UUID_LEN + 1, "%s", sql_text(stmt, 0)); /* fits */
		sql_end(stmt);
		r = 0;
	} else if (r == 0) {
		r = err_set(err, ENOKEY, "'%s' does not exist", name);
	}
	sql_unlock(store->reader);
	return r;
}

int store_count_aliases(struct store *store, const struct keyref_place *place, const char *key_id,
			struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r, count = 0;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_ALIAS_COUNT, &stmt, err, "ttt", place->account,
		      place->region, key_id);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		count = (int)sql_int(stmt, 0);
		sql_end(stmt);
	}
	sql_unlock(store->reader);
	return r < 0 ? r : count;
}

int store_each_alias(struct store *store, const struct keyref_place *place, const char *key_id,
		     const char *after, size_t limit,
		     int (*fn)(const struct store_alias *alias, void *arg), void *arg,
		     struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r, count = 0;

	sql_lock(store->reader);
	if (key_id)
		r = sql_start(store->reader, STMT_ALIAS_LIST_OF_KEY, &stmt, err, "tttit",
			      place->account, place->region, after, (int64_t)limit, key_id);
	else
		r = sql_start(store->reader, STMT_ALIAS_LIST, &stmt, err, "ttti", place->account,
			      place->region, after, (int64_t)limit);
	while (r >= 0 && (r = sql_row(store->reader, stmt, err)) > 0) {
		struct store_alias a = {sql_text(stmt, 0), sql_text(stmt, 1), sql_int(stmt, 2),
					sql_int(stmt, 3)};

		count++;
		r = fn(&a, arg);
		if (r < 0) {
			sql_end(stmt);
			r = err_set(err, -r, "list of aliases");
		}
	}
	sql_unlock(store->reader);
	return r < 0 ? r : count;
}
