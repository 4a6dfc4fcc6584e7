/* IAM's tables, principals read whole, and the cache of them. See store_iam.h. */
#include "store_iam_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "secret.h"

/*
 * Version 3 of the database's schema: there were such tables before it had a number. Names are unique whatever their
 * case, as in AWS; everything that belongs to a principal is found by its unique id.
 */
const char store_iam_schema[] =
	"CREATE TABLE IF NOT EXISTS iam_principals ("
	" id TEXT PRIMARY KEY, account TEXT NOT NULL, kind INTEGER NOT NULL,"
	" name TEXT NOT NULL COLLATE NOCASE, path TEXT NOT NULL, description TEXT NOT NULL,"
	" trust TEXT, max_session_s INTEGER NOT NULL, boundary_arn TEXT,"
	" created_ms INTEGER NOT NULL, UNIQUE (account, kind, name)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS iam_principals_boundary ON iam_principals (boundary_arn)"
	" WHERE boundary_arn IS NOT NULL;"
	"CREATE TABLE IF NOT EXISTS iam_inline ("
	" owner TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,"
	" PRIMARY KEY (owner, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS iam_policies ("
	" arn TEXT PRIMARY KEY, account TEXT NOT NULL, id TEXT NOT NULL,"
	" name TEXT NOT NULL COLLATE NOCASE, path TEXT NOT NULL, description TEXT NOT NULL,"
	" text TEXT NOT NULL, created_ms INTEGER NOT NULL, UNIQUE (account, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS iam_attached ("
	" owner TEXT NOT NULL, arn TEXT NOT NULL, PRIMARY KEY (owner, arn)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS iam_attached_arn ON iam_attached (arn);"
	"CREATE TABLE IF NOT EXISTS iam_tags ("
	" owner TEXT NOT NULL, tag_key TEXT NOT NULL, tag_value TEXT NOT NULL,"
	" PRIMARY KEY (owner, tag_key)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS iam_access_keys ("
	" access_key_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, wrapped BLOB NOT NULL,"
	" active INTEGER NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS iam_access_keys_user ON iam_access_keys (user_id, created_ms);";

static const char *const statements[IAM_STATEMENT_COUNT] = {
	[IAM_PRINCIPAL_INSERT] = "INSERT OR IGNORE INTO iam_principals (id, account, kind, name,"
				 " path, description, trust, max_session_s, boundary_arn,"
				 " created_ms, trust_ids)"
				 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[IAM_PRINCIPAL_LOAD] = "SELECT p.account, p.kind, p.name, p.path, p.description, p.trust,"
			       " p.max_session_s, p.created_ms, p.boundary_arn, b.text, p.trust_ids"
			       " FROM iam_principals p LEFT JOIN iam_policies b"
			       " ON b.arn = p.boundary_arn WHERE p.id = ?1",
	[IAM_PRINCIPAL_FIND] = "SELECT id FROM iam_principals"
			       " WHERE account = ?1 AND kind = ?2 AND name = ?3",
	[IAM_PRINCIPAL_DELETE] = "DELETE FROM iam_principals WHERE id = ?1",
	[IAM_PRINCIPAL_LIST] = "SELECT id FROM iam_principals WHERE account = ?1 AND kind = ?2"
			       " AND name > ?3 ORDER BY name",
	[IAM_PRINCIPAL_SET_TRUST] = "UPDATE iam_principals SET trust = ?2, trust_ids = ?3"
				    " WHERE id = ?1",
	[IAM_PRINCIPAL_SET_BOUNDARY] = "UPDATE iam_principals SET boundary_arn = ?2 WHERE id = ?1",
	[IAM_INLINE_PUT] = "INSERT OR REPLACE INTO iam_inline VALUES (?1, ?2, ?3)",
	[IAM_INLINE_DELETE] = "DELETE FROM iam_inline WHERE owner = ?1 AND name = ?2",
	[IAM_POLICIES_OF] = "SELECT name, text, 0 FROM iam_inline WHERE owner = ?1"
			    " UNION ALL SELECT p.arn, p.text, 1 FROM iam_attached a"
			    " JOIN iam_policies p ON p.arn = a.arn WHERE a.owner = ?1",
	[IAM_USES_OF] = "SELECT count(*) FROM iam_inline WHERE owner = ?1"
			" UNION ALL SELECT count(*) FROM iam_attached WHERE owner = ?1"
			" UNION ALL SELECT count(*) FROM iam_access_keys WHERE user_id = ?1",
	[IAM_ATTACH] = "INSERT OR IGNORE INTO iam_attached SELECT ?1, arn FROM iam_policies"
		       " WHERE arn = ?2",
	[IAM_DETACH] = "DELETE FROM iam_attached WHERE owner = ?1 AND arn = ?2",
	[IAM_POLICY_INSERT] = "INSERT OR IGNORE INTO iam_policies (arn, account, id, name, path,"
			      " description, text, created_ms, updated_ms)"
			      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
	[IAM_POLICY_LOAD] = "SELECT account, id, name, path, description, text, created_ms,"
			    " (SELECT count(*) FROM iam_attached WHERE arn = ?1),"
			    " (SELECT count(*) FROM iam_principals WHERE boundary_arn = ?1),"
			    " default_version, last_version, updated_ms"
			    " FROM iam_policies WHERE arn = ?1",
	[IAM_POLICY_DELETE] = "DELETE FROM iam_policies WHERE arn = ?1",
	[IAM_POLICY_LIST] = "SELECT arn FROM iam_policies WHERE account = ?1 AND name > ?2"
			    " ORDER BY name",
	[IAM_VERSION_INSERT] = "INSERT INTO iam_policy_versions VALUES (?1, ?2, ?3, ?4)",
	[IAM_VERSION_LIST] = "SELECT v.version, v.text, v.created_ms, v.version = p.default_version"
			     " FROM iam_policy_versions v JOIN iam_policies p ON p.arn = v.arn"
			     " WHERE v.arn = ?1 ORDER BY v.version DESC",
	[IAM_VERSION_DELETE] = "DELETE FROM iam_policy_versions WHERE arn = ?1 AND version = ?2",
	[IAM_VERSION_DELETE_ALL] = "DELETE FROM iam_policy_versions WHERE arn = ?1",
	[IAM_POLICY_SET_LAST] =
		"UPDATE iam_policies SET last_version = ?2, updated_ms = ?3 WHERE arn = ?1",
	[IAM_POLICY_SET_DEFAULT] =
		"UPDATE iam_policies SET default_version = ?2, text = v.text, updated_ms = ?3"
		" FROM iam_policy_versions v WHERE iam_policies.arn = ?1 AND v.arn = ?1"
		" AND v.version = ?2",
	[IAM_TAG_PUT] = "INSERT OR REPLACE INTO iam_tags VALUES (?1, ?2, ?3)",
	[IAM_TAG_DELETE] = "DELETE FROM iam_tags WHERE owner = ?1 AND tag_key = ?2",
	[IAM_TAG_DELETE_ALL] = "DELETE FROM iam_tags WHERE owner = ?1",
	[IAM_TAGS_OF] = "SELECT tag_key, tag_value FROM iam_tags WHERE owner = ?1",
	[IAM_KEY_INSERT] = "INSERT INTO iam_access_keys VALUES (?1, ?2, ?3, 1, ?4)",
	[IAM_KEY_LOAD] = "SELECT user_id, active, created_ms, wrapped FROM iam_access_keys"
			 " WHERE access_key_id = ?1",
	[IAM_KEYS_OF] = "SELECT access_key_id, active, created_ms FROM iam_access_keys"
			" WHERE user_id = ?1 ORDER BY created_ms, access_key_id",
	[IAM_KEY_SET_STATUS] = "UPDATE iam_access_keys SET active = ?3"
			       " WHERE access_key_id = ?2 AND user_id = ?1",
	[IAM_KEY_DELETE] = "DELETE FROM iam_access_keys WHERE access_key_id = ?2 AND user_id = ?1",
};

int store_iam_open(struct store *store, const char *path, struct err *err)
{
	struct store_iam *iam = calloc(1, sizeof(*iam));
	int r;

	if (!iam)
		return err_set(err, ENOMEM, "IAM");
	store->iam = iam; /* store_close() takes it, half open too */
	r = cache_new(IAM_PRINCIPALS_MAX, &iam->principals, err);
	r = r ? r : sql_open(path, statements, IAM_STATEMENT_COUNT, &iam->sql, err);
	r = r ? r
	      : sql_exec(iam->sql, "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;", err);
	return r;
}

void store_iam_close(struct store_iam *iam)
{
	if (!iam)
		return;
	cache_free(iam->principals);
	sql_close(iam->sql);
	free(iam);
}

uint64_t store_iam_generation(const struct store *store)
{
	return atomic_load_explicit(&store->iam->changes, memory_order_acquire);
}

int store_iam_begin(struct store *store, struct err *err)
{
	int r;

	sql_lock(store->iam->sql);
	r = sql_exec(store->iam->sql, "BEGIN IMMEDIATE", err);
	if (r < 0)
		sql_unlock(store->iam->sql);
	return r;
}

int store_iam_end(struct store *store, int r, struct err *err)
{
	struct store_iam *iam = store->iam;
	int e = r < 0 ? r : sql_exec(iam->sql, "COMMIT", err);

	if (e < 0)
		(void)sql_exec(iam->sql, "ROLLBACK", NULL); /* the first failure is told */
	sql_unlock(iam->sql);
	if (e >= 0) {
		cache_drop(iam->principals, NULL);
		atomic_fetch_add_explicit(&iam->changes, 1, memory_order_release);
	}
	return e < 0 ? e : r;
}

static void free_document(struct iam_document *d)
{
	free(d->name);
	free(d->text);
}

static void principal_free(struct cached *obj)
{
	struct iam_principal *p = (struct iam_principal *)obj;

	for (size_t i = 0; i < p->policy_count; i++)
		free_document(&p->policies[i]);
	for (size_t i = 0; i < p->tag_count; i++) {
		free(p->tags[i].key);
		free(p->tags[i].value);
	}
	if (p->boundary)
		free_document(p->boundary);
	free(p->boundary);
	free(p->policies);
	free(p->tags);
	free(p->description);
	free(p->trust);
	free(p->trust_ids);
	free(p);
}

/* A column as text; NULL: out of memory. */
static char *column(struct sqlite3_stmt *stmt, int i)
{
	return strdup(sql_text(stmt, i));
}

static int take_row(struct sqlite3_stmt *stmt, struct iam_principal *p)
{
	(void)snprintf(p->account, sizeof(p->account), "%s", sql_text(stmt, 0)); /* fits */
	p->kind = sql_int(stmt, 1) == IAM_ROLE ? IAM_ROLE : IAM_USER;
	(void)snprintf(p->name, sizeof(p->name), "%s", sql_text(stmt, 2)); /* fits */
	(void)snprintf(p->path, sizeof(p->path), "%s", sql_text(stmt, 3)); /* fits */
	(void)snprintf(p->arn, sizeof(p->arn), "arn:aws:iam::%s:%s%s%s", p->account,
		       p->kind == IAM_ROLE ? "role" : "user", p->path, p->name); /* fits */
	p->description = column(stmt, 4);
	p->trust = p->kind == IAM_ROLE ? column(stmt, 5) : NULL;
	p->trust_ids = column(stmt, 10);
	p->max_session_s = sql_int(stmt, 6);
	p->created_ms = sql_int(stmt, 7);
	if (!p->description || !p->trust_ids || (p->kind == IAM_ROLE && !p->trust))
		return -ENOMEM;
	if (!*sql_text(stmt, 8))
		return 0;
	p->boundary = calloc(1, sizeof(*p->boundary));
	if (!p->boundary)
		return -ENOMEM;
	*p->boundary = (struct iam_document){column(stmt, 8), column(stmt, 9), true};
	return p->boundary->name && p->boundary->text ? 0 : -ENOMEM;
}

static int take_policy(struct sqlite3_stmt *stmt, struct iam_principal *p)
{
	struct iam_document *list =
		realloc(p->policies, (p->policy_count + 1) * sizeof(*p->policies));
	struct iam_document *d;

	if (!list)
		return -ENOMEM;
	p->policies = list;
	d = &list[p->policy_count++];
	*d = (struct iam_document){column(stmt, 0), column(stmt, 1), sql_int(stmt, 2) != 0};
	return d->name && d->text ? 0 : -ENOMEM;
}

static int take_tag(struct sqlite3_stmt *stmt, struct iam_principal *p)
{
	struct iam_tag *list = realloc(p->tags, (p->tag_count + 1) * sizeof(*p->tags));
	struct iam_tag *t;

	if (!list)
		return -ENOMEM;
	p->tags = list;
	t = &list[p->tag_count++];
	*t = (struct iam_tag){column(stmt, 0), column(stmt, 1)};
	return t->key && t->value ? 0 : -ENOMEM;
}

/* Run a statement about @p's id and hand each row to @take. Returns the number of rows. */
static int each_row_locked(struct sql *sql, unsigned id, struct iam_principal *p,
			   int (*take)(struct sqlite3_stmt *stmt, struct iam_principal *p),
			   struct err *err)
{
	struct sqlite3_stmt *stmt;
	int n = 0, r = sql_start(sql, id, &stmt, err, "t", p->id);

	if (r < 0)
		return r;
	while ((r = sql_row(sql, stmt, err)) > 0) {
		n++;
		if (take(stmt, p) < 0) {
			sql_end(stmt);
			return err_set(err, ENOMEM, "principal");
		}
	}
	return r < 0 ? r : n;
}

/* In one transaction, or its parts could be of different times. */
static int load(struct store *store, struct iam_principal *p, struct err *err)
{
	struct sql *sql = store->iam->sql;
	int r, e;

	sql_lock(sql);
	r = sql_exec(sql, "BEGIN", err);
	if (r == 0) {
		r = each_row_locked(sql, IAM_PRINCIPAL_LOAD, p, take_row, err);
		if (r == 0)
			r = err_set(err, ENOENT, "no principal '%s'", p->id);
		r = r < 0 ? r : each_row_locked(sql, IAM_POLICIES_OF, p, take_policy, err);
		r = r < 0 ? r : each_row_locked(sql, IAM_TAGS_OF, p, take_tag, err);
		e = sql_exec(sql, "COMMIT", r < 0 ? NULL : err); /* it only read */
		r = r < 0 ? r : e;
	}
	sql_unlock(sql);
	return r;
}

int store_iam_principal(struct store *store, const char *id, struct iam_principal **ret_principal,
			struct err *err)
{
	struct cache *cache = store->iam->principals;
	struct iam_principal *p;
	uint64_t generation;
	int r;

	if (strlen(id) > IDS_UNIQUE_LEN)
		return err_set(err, ENOENT, "no principal '%s'", id);
	*ret_principal = cache_find(cache, id);
	if (*ret_principal)
		return 0;
	generation = cache_generation(cache);
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, ENOMEM, "principal");
	p->cached.free = principal_free;
	atomic_init(&p->cached.refs, 1);
	(void)snprintf(p->id, sizeof(p->id), "%s", id); /* measured above */
	r = load(store, p, err);
	if (r < 0) {
		cached_put(p);
		return r;
	}
	cache_put(cache, id, p, generation);
	*ret_principal = p;
	return 0;
}

static int find_id(struct store *store, const char *account, enum iam_kind kind, const char *name,
		   char ret_id[IDS_UNIQUE_LEN + 1], struct err *err)
{
	struct sql *sql = store->iam->sql;
	struct sqlite3_stmt *stmt;
	int r;

	sql_lock(sql);
	r = sql_start(sql, IAM_PRINCIPAL_FIND, &stmt, err, "tit", account, (int64_t)kind, name);
	r = r ? r : sql_row(sql, stmt, err);
	if (r > 0) {
		(void)snprintf(ret_id, IDS_UNIQUE_LEN + 1, "%s", sql_text(stmt, 0)); /* fits */
		sql_end(stmt);
	}
	sql_unlock(sql);
	return r == 0 ? err_set(err, ENOENT, "no principal '%s'", name) : r < 0 ? r : 0;
}

int store_iam_find(struct store *store, const char *account, enum iam_kind kind, const char *name,
		   struct iam_principal **ret_principal, struct err *err)
{
	char id[IDS_UNIQUE_LEN + 1];
	int r = find_id(store, account, kind, name, id, err);

	return r ? r : store_iam_principal(store, id, ret_principal, err);
}

int store_iam_id_of_arn(struct store *store, const char *arn, char ret_id[IDS_UNIQUE_LEN + 1],
			struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	char account[IDS_ACCOUNT_LEN + 1], kind[8], rest[IAM_ARN_MAX];
	const char *name;
	int r;

	if (strlen(arn) >= IAM_ARN_MAX ||
	    sscanf(arn, "arn:aws:iam::%12[0-9]:%4[a-z]/%719s", account, kind, rest) != 3 ||
	    (strcmp(kind, "user") != 0 && strcmp(kind, "role") != 0))
		return err_set(err, ENOENT, "nobody by the ARN '%s'", arn);
	name = strrchr(rest, '/');
	r = store_iam_find(store, account, kind[0] == 'r' ? IAM_ROLE : IAM_USER,
			   name ? name + 1 : rest, &p, err);
	if (r < 0)
		return r;
	if (strcmp(p->arn, arn) != 0)
		return err_set(err, ENOENT, "nobody by the ARN '%s'", arn);
	memcpy(ret_id, p->id, sizeof(p->id));
	return 0;
}

int store_iam_arn_of_id(struct store *store, const char *id, char ret_arn[IAM_ARN_MAX],
			struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	int r = store_iam_principal(store, id, &p, err);

	if (r == 0)
		memcpy(ret_arn, p->arn, sizeof(p->arn));
	return r;
}
