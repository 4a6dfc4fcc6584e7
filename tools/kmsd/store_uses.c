/* Rows of when a key was last used. See store.h. */
#include "store_impl.h"

#include <errno.h>
#include <stdio.h>

#include "err.h"

int store_set_uses(struct store *store, const struct store_use *uses, size_t count, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = store_begin(store, err);
	if (r == 0) {
		for (size_t i = 0; i < count && r >= 0; i++)
			r = sql_run(store->writer, STMT_USE_SET, err, "ttttitt", uses[i].account,
				    uses[i].region, uses[i].key_id, uses[i].operation,
				    uses[i].used_ms, uses[i].event_id, uses[i].request_id);
		r = store_end(store, r < 0 ? r : 0, err);
	}
	sql_unlock(store->writer);
	return r;
}

int store_load_use(struct store *store, const struct key *key, struct store_use *ret,
		   struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_USE_LOAD, &stmt, err, "ttt", key->account, key->region,
		      key->id);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		*ret = (struct store_use){.used_ms = sql_int(stmt, 1)};
		(void)snprintf(ret->operation, sizeof(ret->operation), "%s",
			       sql_text(stmt, 0)); /* as inserted */
		(void)snprintf(ret->event_id, sizeof(ret->event_id), "%s",
			       sql_text(stmt, 2)); /* as inserted */
		(void)snprintf(ret->request_id, sizeof(ret->request_id), "%s",
			       sql_text(stmt, 3)); /* as inserted */
		sql_end(stmt);
		r = 0;
	} else if (r == 0) {
		r = err_set(err, ENOENT, "key '%s' was never used", key->id);
	}
	sql_unlock(store->reader);
	return r;
}
