/* Changes of users, roles and policies. See store_iam.h. */
#include "store_iam_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

/* Whether there is a managed policy of that ARN. */
static int policy_exists_locked(struct sql *sql, const char *arn, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r = sql_start(sql, IAM_POLICY_LOAD, &stmt, err, "t", arn);

	r = r ? r : sql_row(sql, stmt, err);
	if (r > 0)
		sql_end(stmt);
	return r == 0 ? err_set(err, ENOENT, "no policy '%s'", arn) : r < 0 ? r : 0;
}

static int insert_locked(struct sql *sql, const struct iam_new *w, const char *id, struct err *err)
{
	int r = w->boundary_arn ? policy_exists_locked(sql, w->boundary_arn, err) : 0;

	if (r < 0)
		return r;
	r = sql_run(sql, IAM_PRINCIPAL_INSERT, err, "ttittttitit", id, w->account, (int64_t)w->kind,
		    w->name, w->path, w->description ? w->description : "", w->trust,
		    w->max_session_s, w->boundary_arn, w->now_ms, w->trust_ids ? w->trust_ids : "");
	if (r == 0)
		return err_set(err, EEXIST, "'%s' is there", w->name);
	for (size_t i = 0; i < w->tag_count && r > 0; i++)
		r = sql_run(sql, IAM_TAG_PUT, err, "ttt", id, w->tags[i].key, w->tags[i].value);
	return r < 0 ? r : 0;
}

int store_iam_create(struct store *store, const struct iam_new *wanted,
		     struct iam_principal **ret_principal, struct err *err)
{
	char id[IDS_UNIQUE_LEN + 1];
	int r = ids_unique(wanted->kind == IAM_ROLE ? "AROA" : "AIDA", id, err);

	r = r ? r : store_iam_begin(store, err);
	if (r < 0)
		return r;
	r = store_iam_end(store, insert_locked(store->iam->sql, wanted, id, err), err);
	return r < 0 ? r : store_iam_principal(store, id, ret_principal, err);
}

/* What must be gone before the principal: rows of policies, attachments, access keys. */
static int uses_locked(struct sql *sql, const char *id, struct err *err)
{
	static const char *const first[] = {"delete policies", "detach all policies",
					    "delete access keys"};
	struct sqlite3_stmt *stmt;
	int64_t counts[3] = {0};
	size_t n = 0;
	int r = sql_start(sql, IAM_USES_OF, &stmt, err, "t", id);

	if (r < 0)
		return r;
	while ((r = sql_row(sql, stmt, err)) > 0)
		if (n < 3)
			counts[n++] = sql_int(stmt, 0);
	if (r < 0)
		return r;
	for (n = 0; n < 3; n++)
		if (counts[n])
			return err_set(err, EBUSY, "Cannot delete entity, must %s first.",
				       first[n]);
	return 0;
}

int store_iam_delete(struct store *store, const struct iam_principal *principal, struct err *err)
{
	struct sql *sql = store->iam->sql;
	int r = store_iam_begin(store, err);

	if (r < 0)
		return r;
	r = uses_locked(sql, principal->id, err);
	r = r < 0 ? r : sql_run(sql, IAM_TAG_DELETE_ALL, err, "t", principal->id);
	r = r < 0 ? r : sql_run(sql, IAM_PRINCIPAL_DELETE, err, "t", principal->id);
	if (r == 0)
		r = err_set(err, ENOENT, "no principal '%s'", principal->id);
	r = store_iam_end(store, r, err);
	return r < 0 ? r : 0;
}

/* A change that must hit a row. */
static int hit(int r, const char *what, struct err *err)
{
	return r < 0 ? r : r == 0 ? err_set(err, ENOENT, "no %s", what) : 0;
}

int store_iam_set_trust(struct store *store, const struct iam_principal *principal,
			const char *trust, const char *trust_ids, struct err *err)
{
	int r = store_iam_change(store, IAM_PRINCIPAL_SET_TRUST, err, "ttt", principal->id, trust,
				 trust_ids);

	return hit(r, principal->id, err);
}

int store_iam_set_boundary(struct store *store, const struct iam_principal *principal,
			   const char *policy_arn, struct err *err)
{
	struct sql *sql = store->iam->sql;
	int r = store_iam_begin(store, err);

	if (r < 0)
		return r;
	r = policy_arn ? policy_exists_locked(sql, policy_arn, err) : 0;
	r = r ? r : sql_run(sql, IAM_PRINCIPAL_SET_BOUNDARY, err, "tt", principal->id, policy_arn);
	return hit(store_iam_end(store, r, err), principal->id, err);
}

int store_iam_set_tag(struct store *store, const struct iam_principal *principal, const char *key,
		      const char *value, struct err *err)
{
	int r = value ? store_iam_change(store, IAM_TAG_PUT, err, "ttt", principal->id, key, value)
		      : store_iam_change(store, IAM_TAG_DELETE, err, "tt", principal->id, key);

	return r < 0 ? r : 0;
}

/* Ids or ARNs in the first column, collected first: @fn may use the connection. */
static int each(struct sql *sql, struct sqlite3_stmt *stmt, int (*fn)(const char *text, void *arg),
		void *arg, struct err *err)
{
	char **list = NULL, **more;
	size_t n = 0;
	int r;

	while ((r = sql_row(sql, stmt, err)) > 0) {
		more = realloc(list, (n + 1) * sizeof(*list));
		list = more ? more : list;
		if (!more || !(list[n] = strdup(sql_text(stmt, 0)))) {
			sql_end(stmt);
			r = err_set(err, ENOMEM, "list");
			break;
		}
		n++;
	}
	sql_unlock(sql);
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = fn(list[i], arg);
		free(list[i]);
	}
	free(list);
	return r;
}

int store_iam_each(struct store *store, const char *account, enum iam_kind kind, const char *after,
		   int (*fn)(const char *id, void *arg), void *arg, struct err *err)
{
	struct sql *sql = store->iam->sql;
	struct sqlite3_stmt *stmt;
	int r;

	sql_lock(sql);
	r = sql_start(sql, IAM_PRINCIPAL_LIST, &stmt, err, "tit", account, (int64_t)kind, after);
	if (r < 0) {
		sql_unlock(sql);
		return r;
	}
	return each(sql, stmt, fn, arg, err);
}

int store_iam_each_policy(struct store *store, const char *account, const char *after,
			  int (*fn)(const char *arn, void *arg), void *arg, struct err *err)
{
	struct sql *sql = store->iam->sql;
	struct sqlite3_stmt *stmt;
	int r;

	sql_lock(sql);
	r = sql_start(sql, IAM_POLICY_LIST, &stmt, err, "tt", account, after);
	if (r < 0) {
		sql_unlock(sql);
		return r;
	}
	return each(sql, stmt, fn, arg, err);
}

int store_iam_put_inline(struct store *store, const struct iam_principal *principal,
			 const char *name, const char *text, struct err *err)
{
	int r = store_iam_change(store, IAM_INLINE_PUT, err, "ttt", principal->id, name, text);

	return r < 0 ? r : 0;
}

int store_iam_delete_inline(struct store *store, const struct iam_principal *principal,
			    const char *name, struct err *err)
{
	return hit(store_iam_change(store, IAM_INLINE_DELETE, err, "tt", principal->id, name),
		   "such policy", err);
}

int store_iam_create_policy(struct store *store, const struct iam_new *wanted, const char *text,
			    struct iam_policy **ret_policy, struct err *err)
{
	char id[IDS_UNIQUE_LEN + 1], arn[IAM_ARN_MAX];
	int r = ids_unique("ANPA", id, err);

	if (r < 0)
		return r;
	(void)snprintf(arn, sizeof(arn), "arn:aws:iam::%s:policy%s%s", wanted->account,
		       wanted->path, wanted->name); /* fits */
	r = store_iam_begin(store, err);
	if (r < 0)
		return r;
	r = sql_run(store->iam->sql, IAM_POLICY_INSERT, err, "ttttttti", arn, wanted->account, id,
		    wanted->name, wanted->path, wanted->description ? wanted->description : "",
		    text, wanted->now_ms);
	if (r == 0)
		r = err_set(err, EEXIST, "policy '%s' is there", wanted->name);
	if (r > 0)
		r = sql_run(store->iam->sql, IAM_VERSION_INSERT, err, "titi", arn, (int64_t)1, text,
			    wanted->now_ms);
	r = store_iam_end(store, r, err);
	return r < 0 ? r : store_iam_load_policy(store, arn, ret_policy, err);
}

void store_iam_free_policy(struct iam_policy *policy)
{
	if (!policy)
		return;
	free(policy->description);
	free(policy->text);
	free(policy);
}

void store_iam_free_policyp(struct iam_policy **policy)
{
	store_iam_free_policy(*policy);
	*policy = NULL;
}

static int take_policy(struct sqlite3_stmt *stmt, const char *arn, struct iam_policy *p)
{
	(void)snprintf(p->arn, sizeof(p->arn), "%s", arn); /* as it was found */
	(void)snprintf(p->account, sizeof(p->account), "%s", sql_text(stmt, 0)); /* fits */
	(void)snprintf(p->id, sizeof(p->id), "%s", sql_text(stmt, 1));		 /* fits */
	(void)snprintf(p->name, sizeof(p->name), "%s", sql_text(stmt, 2));	 /* fits */
	(void)snprintf(p->path, sizeof(p->path), "%s", sql_text(stmt, 3));	 /* fits */
	p->description = strdup(sql_text(stmt, 4));
	p->text = strdup(sql_text(stmt, 5));
	p->created_ms = sql_int(stmt, 6);
	p->attachments = (uint64_t)sql_int(stmt, 7);
	p->boundaries = (uint64_t)sql_int(stmt, 8);
	p->default_version = sql_int(stmt, 9);
	p->last_version = sql_int(stmt, 10);
	p->updated_ms = sql_int(stmt, 11);
	return p->description && p->text ? 0 : -ENOMEM;
}

int store_iam_load_policy_locked(struct sql *sql, const char *arn, struct iam_policy **ret_policy,
				 struct err *err)
{
	struct iam_policy *p;
	struct sqlite3_stmt *stmt;
	int r = sql_start(sql, IAM_POLICY_LOAD, &stmt, err, "t", arn);

	r = r ? r : sql_row(sql, stmt, err);
	if (r == 0)
		return err_set(err, ENOENT, "no policy '%s'", arn);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	r = p ? take_policy(stmt, arn, p) : -ENOMEM;
	sql_end(stmt);
	if (r < 0) {
		store_iam_free_policy(p);
		return err_set(err, ENOMEM, "policy");
	}
	*ret_policy = p;
	return 0;
}

int store_iam_load_policy(struct store *store, const char *arn, struct iam_policy **ret_policy,
			  struct err *err)
{
	int r;

	if (strlen(arn) >= IAM_ARN_MAX)
		return err_set(err, ENOENT, "no policy of so long an ARN");
	sql_lock(store->iam->sql);
	r = store_iam_load_policy_locked(store->iam->sql, arn, ret_policy, err);
	sql_unlock(store->iam->sql);
	return r;
}

int store_iam_delete_policy(struct store *store, const char *arn, struct err *err)
{
	struct iam_policy *p = NULL;
	struct sql *sql = store->iam->sql;
	int r = store_iam_begin(store, err);

	if (r < 0)
		return r;
	r = store_iam_load_policy_locked(sql, arn, &p, err);
	if (r == 0 && (p->attachments || p->boundaries))
		r = err_set(err, EBUSY, "policy '%s' is in use", arn);
	r = r ? r : sql_run(sql, IAM_VERSION_DELETE_ALL, err, "t", arn);
	if (r > 1)
		r = err_set(err, ENOTEMPTY, "policy '%s' has other versions", arn);
	r = r < 0 ? r : sql_run(sql, IAM_POLICY_DELETE, err, "t", arn);
	store_iam_free_policy(p);
	r = store_iam_end(store, r, err);
	return r < 0 ? r : 0;
}

int store_iam_attach(struct store *store, const struct iam_principal *principal,
		     const char *policy_arn, struct err *err)
{
	struct sql *sql = store->iam->sql;
	int r = store_iam_begin(store, err);

	if (r < 0)
		return r;
	r = policy_exists_locked(sql, policy_arn, err);
	r = r ? r : sql_run(sql, IAM_ATTACH, err, "tt", principal->id, policy_arn);
	r = store_iam_end(store, r, err);
	return r < 0 ? r : 0;
}

int store_iam_detach(struct store *store, const struct iam_principal *principal,
		     const char *policy_arn, struct err *err)
{
	return hit(store_iam_change(store, IAM_DETACH, err, "tt", principal->id, policy_arn),
		   "such policy", err);
}
