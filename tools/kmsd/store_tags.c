/* Rows of tags. See store.h. */
#include "store_impl.h"

#include <errno.h>

#include "err.h"

static int count_locked(struct store *store, const struct key *key, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int count = 0;
	int r = sql_start(store->writer, STMT_TAG_COUNT, &stmt, err, "ttt", key->account,
			  key->region, key->id);

	r = r ? r : sql_row(store->writer, stmt, err);
	if (r > 0) {
		count = (int)sql_int(stmt, 0);
		sql_end(stmt);
	}
	return r < 0 ? r : count;
}

static int set_locked(struct store *store, const struct key *key, const struct store_tag *tags,
		      size_t count, size_t max, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++)
		r = sql_run(store->writer, STMT_TAG_SET, err, "ttttt", key->account, key->region,
			    key->id, tags[i].key, tags[i].value);
	r = r < 0 ? r : count_locked(store, key, err);
	if (r >= 0 && (size_t)r > max)
		return err_set(err, E2BIG, "key '%s' would have %d tags", key->id, r);
	return r < 0 ? r : 0;
}

int store_set_tags(struct store *store, const struct key *key, const struct store_tag *tags,
		   size_t count, size_t max, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = store_begin(store, err);
	if (r == 0)
		r = store_end(store, set_locked(store, key, tags, count, max, err), err);
	sql_unlock(store->writer);
	return r;
}

int store_delete_tags(struct store *store, const struct key *key, const char *const *names,
		      size_t count, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = store_begin(store, err);
	if (r == 0) {
		for (size_t i = 0; i < count && r >= 0; i++)
			r = sql_run(store->writer, STMT_TAG_DELETE, err, "tttt", key->account,
				    key->region, key->id, names[i]);
		r = store_end(store, r < 0 ? r : 0, err);
	}
	sql_unlock(store->writer);
	return r;
}

int store_each_tag(struct store *store, const struct key *key, const struct store_page *page,
		   int (*fn)(const struct store_tag *tag, void *arg), void *arg, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r, count = 0;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_TAG_LIST, &stmt, err, "tttti", key->account, key->region,
		      key->id, page->after, (int64_t)page->limit);
	while (r >= 0 && (r = sql_row(store->reader, stmt, err)) > 0) {
		struct store_tag tag = {sql_text(stmt, 0), sql_text(stmt, 1)};

		count++;
		r = fn(&tag, arg);
		if (r < 0) {
			sql_end(stmt);
			r = err_set(err, -r, "tags of key '%s'", key->id);
		}
	}
	sql_unlock(store->reader);
	return r < 0 ? r : count;
}
