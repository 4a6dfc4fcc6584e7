/* The versions of managed policies. See store_iam.h. */
#include <errno.h>
#include <stdlib.h>

#include "err.h"
#include "store_iam_impl.h"

static int each_locked(struct sql *sql, const char *arn,
		       int (*fn)(const struct iam_version *version, void *arg), void *arg,
		       struct err *err)
{
	struct sqlite3_stmt *stmt;
	int count = 0, r = sql_start(sql, IAM_VERSION_LIST, &stmt, err, "t", arn);

	while (r >= 0 && (r = sql_row(sql, stmt, err)) > 0) {
		const struct iam_version v = {
			.number = sql_int(stmt, 0),
			.created_ms = sql_int(stmt, 2),
			.text = sql_text(stmt, 1),
			.is_default = sql_int(stmt, 3) != 0,
		};

		count++;
		r = fn(&v, arg);
		if (r < 0) {
			sql_end(stmt);
			return err_set(err, -r, "versions of a policy");
		}
	}
	return r < 0 ? r : count;
}

int store_iam_each_version(struct store *store, const char *arn,
			   int (*fn)(const struct iam_version *version, void *arg), void *arg,
			   struct err *err)
{
	int r;

	sql_lock(store->iam->sql);
	r = each_locked(store->iam->sql, arn, fn, arg, err);
	sql_unlock(store->iam->sql);
	return r;
}

static int only_count(const struct iam_version *version, void *arg)
{
	(void)version;
	(void)arg;
	return 0;
}

static int create_locked(struct sql *sql, const char *arn, const char *text, int64_t now_ms,
			 int64_t *ret_number, struct err *err)
{
	struct iam_policy *p = NULL;
	int r = store_iam_load_policy_locked(sql, arn, &p, err);

	if (r < 0)
		return r;
	*ret_number = p->last_version + 1;
	store_iam_free_policy(p);
	r = each_locked(sql, arn, only_count, NULL, err);
	if (r >= IAM_VERSIONS_MAX)
		return err_set(err, E2BIG, "policy '%s' has %d versions", arn, r);
	r = r < 0 ? r
		  : sql_run(sql, IAM_VERSION_INSERT, err, "titi", arn, *ret_number, text, now_ms);
	return r < 0 ? r : sql_run(sql, IAM_POLICY_SET_LAST, err, "tii", arn, *ret_number, now_ms);
}

int store_iam_create_version(struct store *store, const char *arn, const char *text,
			     bool as_default, int64_t now_ms, int64_t *ret_number, struct err *err)
{
	struct sql *sql = store->iam->sql;
	int r = store_iam_begin(store, err);

	if (r < 0)
		return r;
	r = create_locked(sql, arn, text, now_ms, ret_number, err);
	if (r >= 0 && as_default)
		r = sql_run(sql, IAM_POLICY_SET_DEFAULT, err, "tii", arn, *ret_number, now_ms);
	r = store_iam_end(store, r, err);
	return r < 0 ? r : 0;
}

int store_iam_set_default_version(struct store *store, const char *arn, int64_t number,
				  int64_t now_ms, struct err *err)
{
	int r = store_iam_change(store, IAM_POLICY_SET_DEFAULT, err, "tii", arn, number, now_ms);

	return r == 0 ? err_set(err, ENOENT, "no such version of '%s'", arn) : r < 0 ? r : 0;
}

int store_iam_delete_version(struct store *store, const char *arn, int64_t number, struct err *err)
{
	struct iam_policy *p = NULL;
	struct sql *sql = store->iam->sql;
	int r = store_iam_begin(store, err);

	if (r < 0)
		return r;
	r = store_iam_load_policy_locked(sql, arn, &p, err);
	if (r == 0 && p->default_version == number)
		r = err_set(err, EBUSY, "version %lld is the default", (long long)number);
	store_iam_free_policy(p);
	r = r ? r : sql_run(sql, IAM_VERSION_DELETE, err, "ti", arn, number);
	if (r == 0)
		r = err_set(err, ENOENT, "no such version of '%s'", arn);
	r = store_iam_end(store, r, err);
	return r < 0 ? r : 0;
}
