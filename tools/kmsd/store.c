/* Opening the database: schema, version, root key; and transactions. See store.h. */
#include "store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "datadir.h"
#include "err.h"
#include "secret.h"
#include "store_iam_impl.h"

#define FILE_NAME "kmsd.sqlite"

/*
 * Version 1 of the schema. Everything that belongs to a key is found by (account, region, key id).
 * DESIGN.md, "Database".
 */
static const char schema[] =
	"CREATE TABLE schema_version (version INTEGER NOT NULL);"
	"INSERT INTO schema_version VALUES (1);"
	"CREATE TABLE root_check (wrapped BLOB NOT NULL);"
	"CREATE TABLE access_keys ("
	" access_key_id TEXT PRIMARY KEY, account TEXT NOT NULL, principal_arn TEXT NOT NULL,"
	" wrapped BLOB NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX access_keys_principal ON access_keys (principal_arn, created_ms);"
	"CREATE TABLE keys ("
	" account TEXT NOT NULL, region TEXT NOT NULL, key_id TEXT NOT NULL,"
	" state TEXT NOT NULL, description TEXT NOT NULL, policy TEXT NOT NULL,"
	" material_id BLOB NOT NULL, created_ms INTEGER NOT NULL,"
	" deletion_ms INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY (account, region, key_id)) WITHOUT ROWID;"
	"CREATE INDEX keys_deletion ON keys (deletion_ms) WHERE deletion_ms > 0;"
	"CREATE TABLE materials ("
	" material_id BLOB PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL,"
	" key_id TEXT NOT NULL, wrapped BLOB NOT NULL, created_ms INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX materials_key ON materials (account, region, key_id);"
	"CREATE TABLE aliases ("
	" account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, key_id TEXT NOT NULL,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
	" PRIMARY KEY (account, region, name)) WITHOUT ROWID;"
	"CREATE INDEX aliases_key ON aliases (account, region, key_id, name);"
	"CREATE TABLE tags ("
	" account TEXT NOT NULL, region TEXT NOT NULL, key_id TEXT NOT NULL,"
	" tag_key TEXT NOT NULL, tag_value TEXT NOT NULL,"
	" PRIMARY KEY (account, region, key_id, tag_key)) WITHOUT ROWID;";

/*
 * What each later version adds: the first makes version 2 of version 1, and so on. A new database goes
 * the same way as an old one, so there is one way to each version. Never change what was released.
 */
static const char *const migrations[] = {
	"ALTER TABLE keys ADD COLUMN rotation_days INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE keys ADD COLUMN rotation_next_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE keys ADD COLUMN on_demand_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE keys ADD COLUMN grant_count INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE keys ADD COLUMN policy_ids TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX keys_rotation ON keys (rotation_next_ms) WHERE rotation_next_ms > 0;"
	"CREATE INDEX keys_on_demand ON keys (on_demand_ms) WHERE on_demand_ms > 0;"
	"ALTER TABLE materials ADD COLUMN number INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE materials ADD COLUMN rotation TEXT NOT NULL DEFAULT '';"
	"DROP INDEX materials_key;"
	"CREATE INDEX materials_key ON materials (account, region, key_id, number);"
	"CREATE TABLE grants ("
	" account TEXT NOT NULL, region TEXT NOT NULL, key_id TEXT NOT NULL, grant_id TEXT NOT "
	"NULL,"
	" name TEXT NOT NULL, grantee TEXT NOT NULL, grantee_id TEXT NOT NULL,"
	" retiring TEXT NOT NULL, retiring_id TEXT NOT NULL, issuer TEXT NOT NULL,"
	" operations INTEGER NOT NULL, constraint_kind INTEGER NOT NULL, pairs TEXT NOT NULL,"
	" slot INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
	" PRIMARY KEY (account, region, key_id, grant_id)) WITHOUT ROWID;"
	"CREATE INDEX grants_grantee ON grants (account, region, key_id, grantee, slot);"
	"CREATE INDEX grants_name ON grants (account, region, key_id, name) WHERE name <> '';"
	"CREATE INDEX grants_retiring ON grants (account, region, retiring, key_id, grant_id)"
	" WHERE retiring <> '';"
	"CREATE TABLE last_uses ("
	" account TEXT NOT NULL, region TEXT NOT NULL, key_id TEXT NOT NULL,"
	" operation TEXT NOT NULL, used_ms INTEGER NOT NULL, event_id TEXT NOT NULL,"
	" request_id TEXT NOT NULL, PRIMARY KEY (account, region, key_id)) WITHOUT ROWID;",
	store_iam_schema,
	"ALTER TABLE iam_principals ADD COLUMN trust_ids TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE iam_policies ADD COLUMN default_version INTEGER NOT NULL DEFAULT 1;"
	"ALTER TABLE iam_policies ADD COLUMN last_version INTEGER NOT NULL DEFAULT 1;"
	"ALTER TABLE iam_policies ADD COLUMN updated_ms INTEGER NOT NULL DEFAULT 0;"
	"UPDATE iam_policies SET updated_ms = created_ms;"
	"CREATE TABLE iam_policy_versions ("
	" arn TEXT NOT NULL, version INTEGER NOT NULL, text TEXT NOT NULL,"
	" created_ms INTEGER NOT NULL, PRIMARY KEY (arn, version)) WITHOUT ROWID;"
	"INSERT INTO iam_policy_versions SELECT arn, 1, text, created_ms FROM iam_policies;"
	"DROP INDEX grants_retiring;"
	"CREATE INDEX grants_retiring ON grants (region, retiring, key_id, grant_id)"
	" WHERE retiring <> '';",
};

#define SCHEMA_VERSION (1 + (int)(sizeof(migrations) / sizeof(migrations[0])))

#define OF_KEY "account = ?1 AND region = ?2 AND key_id = ?3"
#define SET_ROTATION                                                                               \
	"SET material_id = ?5, rotation_days = ?6, rotation_next_ms = ?7, on_demand_ms = ?8"       \
	" WHERE " OF_KEY " AND material_id = ?4 AND rotation_days = ?9"                            \
	" AND rotation_next_ms = ?10 AND on_demand_ms = ?11"
/*
 * SQLite, which has no statistics here, would always walk a key's grants by the primary key: 8 ms with
 * 50,000 of them. So the index is named where there is a better one.
 */
#define GRANT_SELECT(by)                                                                           \
	"SELECT account, region, key_id, grant_id, name, grantee, grantee_id, retiring,"           \
	" retiring_id, issuer, operations, constraint_kind, pairs, created_ms FROM grants" by      \
	" WHERE "

static const char *const statements[STMT_COUNT] = {
	[STMT_KEY_INSERT] = "INSERT INTO keys (account, region, key_id, state, description, policy,"
			    " material_id, created_ms, policy_ids, rotation_days, rotation_next_ms)"
			    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[STMT_KEY_LOAD] =
		"SELECT state, description, material_id, created_ms, deletion_ms, rotation_days,"
		" rotation_next_ms, on_demand_ms FROM keys WHERE " OF_KEY,
	[STMT_KEY_SET_DESCRIPTION] = "UPDATE keys SET description = ?4 WHERE " OF_KEY,
	[STMT_KEY_SET_ROTATION] = "UPDATE keys " SET_ROTATION,
	[STMT_KEY_ROTATE] = "UPDATE keys " SET_ROTATION " AND state = 'Enabled'",
	[STMT_KEY_ROTATION_DUE] =
		"SELECT account, region, key_id FROM keys INDEXED BY keys_rotation"
		" WHERE rotation_next_ms > 0 AND rotation_next_ms <= ?1 AND state = 'Enabled'"
		" UNION SELECT account, region, key_id FROM keys INDEXED BY keys_on_demand"
		" WHERE on_demand_ms > 0 AND on_demand_ms <= ?2 AND state = 'Enabled' LIMIT 64",
	[STMT_KEY_ADD_GRANT] = "UPDATE keys SET grant_count = grant_count + 1 WHERE " OF_KEY
			       " AND grant_count < ?4",
	[STMT_KEY_DROP_GRANT] = "UPDATE keys SET grant_count = grant_count - 1 WHERE " OF_KEY,
	[STMT_KEY_SET_STATE] =
		"UPDATE keys SET state = ?4, deletion_ms = ?5 WHERE " OF_KEY " AND state = ?6",
	[STMT_KEY_EXPIRED] = "SELECT account, region, key_id FROM keys WHERE deletion_ms > 0"
			     " AND deletion_ms <= ?1 LIMIT 1",
	[STMT_KEY_DELETE] = "DELETE FROM keys WHERE " OF_KEY,
	[STMT_KEY_LIST] = "SELECT key_id FROM keys WHERE account = ?1 AND region = ?2"
			  " AND key_id > ?3 ORDER BY key_id LIMIT ?4",
	[STMT_POLICY_LOAD] = "SELECT policy, policy_ids FROM keys WHERE " OF_KEY,
	[STMT_POLICY_SET] = "UPDATE keys SET policy = ?4, policy_ids = ?5 WHERE " OF_KEY,
	[STMT_TAG_INSERT] = "INSERT INTO tags VALUES (?1, ?2, ?3, ?4, ?5)",
	[STMT_TAG_SET] = "INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3, ?4, ?5)",
	[STMT_TAG_DELETE] = "DELETE FROM tags WHERE " OF_KEY " AND tag_key = ?4",
	[STMT_TAG_COUNT] = "SELECT count(*) FROM tags WHERE " OF_KEY,
	[STMT_TAG_LIST] = "SELECT tag_key, tag_value FROM tags WHERE " OF_KEY
			  " AND tag_key > ?4 ORDER BY tag_key LIMIT ?5",
	[STMT_TAG_DELETE_ALL] = "DELETE FROM tags WHERE " OF_KEY,
	[STMT_MATERIAL_INSERT] =
		"INSERT INTO materials (material_id, account, region, key_id, wrapped, created_ms,"
		" number, rotation) SELECT ?4, ?1, ?2, ?3, ?5, ?6, count(*), ?7 FROM materials"
		" WHERE " OF_KEY,
	[STMT_MATERIAL_LIST] =
		"SELECT material_id, created_ms, number, rotation FROM materials WHERE " OF_KEY
		" AND number > ?4 ORDER BY number LIMIT ?5",
	[STMT_MATERIAL_COUNT] = "SELECT count(*) FROM materials WHERE " OF_KEY " AND rotation = ?4",
	[STMT_MATERIAL_LOAD] = "SELECT account, region, key_id, wrapped FROM materials"
			       " WHERE material_id = ?1",
	[STMT_MATERIAL_DESTROY] = "DELETE FROM materials WHERE " OF_KEY,
	[STMT_ALIAS_INSERT] = "INSERT OR IGNORE INTO aliases VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[STMT_ALIAS_UPDATE] = "UPDATE aliases SET key_id = ?4, updated_ms = ?5"
			      " WHERE account = ?1 AND region = ?2 AND name = ?3",
	[STMT_ALIAS_DELETE] = "DELETE FROM aliases"
			      " WHERE account = ?1 AND region = ?2 AND name = ?3",
	[STMT_ALIAS_DELETE_ALL] = "DELETE FROM aliases WHERE " OF_KEY,
	[STMT_ALIAS_FIND] = "SELECT key_id FROM aliases"
			    " WHERE account = ?1 AND region = ?2 AND name = ?3",
	[STMT_ALIAS_COUNT] = "SELECT count(*) FROM aliases WHERE " OF_KEY,
	[STMT_ALIAS_LIST] = "SELECT name, key_id, created_ms, updated_ms FROM aliases"
			    " WHERE account = ?1 AND region = ?2 AND name > ?3"
			    " ORDER BY name LIMIT ?4",
	[STMT_ALIAS_LIST_OF_KEY] = "SELECT name, key_id, created_ms, updated_ms FROM aliases"
				   " WHERE account = ?1 AND region = ?2 AND name > ?3"
				   " AND key_id = ?5 ORDER BY name LIMIT ?4",
	[STMT_GRANT_INSERT] = "INSERT INTO grants VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
			      " ?11, ?12, ?13, ?14, ?15)",
	[STMT_GRANT_LOAD] = GRANT_SELECT("") OF_KEY " AND grant_id = ?4",
	[STMT_GRANT_OF_NAME] =
		GRANT_SELECT(" INDEXED BY grants_name") OF_KEY " AND name = ?4 AND name <> ''",
	[STMT_GRANT_LIST] = GRANT_SELECT("") OF_KEY " AND grant_id > ?4"
						    " AND (?5 IS NULL OR grantee = ?5)"
						    " AND (?6 IS NULL OR grant_id = ?6)"
						    " ORDER BY grant_id LIMIT ?7",
	[STMT_GRANT_RETIRABLE] = GRANT_SELECT(
		" INDEXED BY grants_retiring") "region = ?1 AND retiring = ?2 AND retiring <> ''"
					       " AND (key_id, grant_id) > (?3, ?4)"
					       " ORDER BY key_id, grant_id LIMIT ?5",
	[STMT_GRANT_OF_GRANTEE] =
		GRANT_SELECT(" INDEXED BY grants_grantee") OF_KEY " AND grantee = ?4 LIMIT ?5",
	[STMT_GRANT_OF_SLOT] =
		GRANT_SELECT(" INDEXED BY grants_grantee") OF_KEY " AND grantee = ?4 AND slot = ?5",
	[STMT_GRANT_OF_OPERATION] = GRANT_SELECT(" INDEXED BY grants_grantee") OF_KEY
	" AND grantee = ?4 AND operations & ?5"
	" LIMIT ?6",
	[STMT_GRANT_DELETE] = "DELETE FROM grants WHERE " OF_KEY " AND grant_id = ?4",
	[STMT_GRANT_DELETE_ALL] = "DELETE FROM grants WHERE " OF_KEY,
	[STMT_USE_SET] = "INSERT OR REPLACE INTO last_uses SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"
			 " FROM keys WHERE " OF_KEY,
	[STMT_USE_LOAD] = "SELECT operation, used_ms, event_id, request_id FROM last_uses"
			  " WHERE " OF_KEY,
	[STMT_USE_DELETE] = "DELETE FROM last_uses WHERE " OF_KEY,
	[STMT_ACCESS_INSERT] = "INSERT INTO access_keys VALUES (?1, ?2, ?3, ?4, ?5)",
	[STMT_ACCESS_LOAD] = "SELECT account, principal_arn, wrapped FROM access_keys"
			     " WHERE access_key_id = ?1",
	[STMT_ACCESS_OF_PRINCIPAL] =
		"SELECT access_key_id FROM access_keys WHERE principal_arn = ?1"
		" ORDER BY created_ms LIMIT 1",
	[STMT_ACCOUNT_LIST] = "SELECT DISTINCT account FROM access_keys ORDER BY account",
};

int store_begin(struct store *store, struct err *err)
{
	return sql_exec(store->writer, "BEGIN IMMEDIATE", err);
}

int store_end(struct store *store, int r, struct err *err)
{
	int e;

	if (r >= 0) {
		e = sql_exec(store->writer, "COMMIT", err);
		if (e == 0)
			return r;
		r = e;
	}
	(void)sql_exec(store->writer, "ROLLBACK", NULL); /* the first failure is the one to tell */
	return r;
}

/* 0 or 1 row with one column, for the few questions asked before statements are prepared. */
static int ask(struct sqlite3 *db, const char *text, struct sqlite3_stmt **ret_stmt,
	       struct err *err)
{
	int e;

	if (sqlite3_prepare_v2(db, text, -1, ret_stmt, NULL) != SQLITE_OK)
		return err_set(err, EUCLEAN, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	e = sqlite3_step(*ret_stmt);
	if (e != SQLITE_ROW && e != SQLITE_DONE)
		return err_set(err, EUCLEAN, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	return e == SQLITE_ROW;
}

/* The version of the schema that is there, at most ours; 0: the database is empty. */
static int check_version(struct sqlite3 *db, struct err *err)
{
	struct sqlite3_stmt *stmt = NULL;
	int r = ask(db, "SELECT count(*) FROM sqlite_schema", &stmt, err);
	int64_t n = r > 0 ? sql_int(stmt, 0) : 0;

	(void)sqlite3_finalize(stmt); /* its result was told above */
	if (r < 0 || n == 0)
		return r < 0 ? r : 0;
	stmt = NULL;
	r = ask(db, "SELECT version FROM schema_version", &stmt, err);
	n = r > 0 ? sql_int(stmt, 0) : 0;
	(void)sqlite3_finalize(stmt); /* its result was told above */
	if (r < 0)
		return r;
	if (n < 1 || n > SCHEMA_VERSION)
		return err_set(err, EUCLEAN,
			       "'" FILE_NAME "' has schema version %lld, this kmsd knows 1 to %d",
			       (long long)n, SCHEMA_VERSION);
	return (int)n;
}

static int change(struct sqlite3 *db, const char *text, struct err *err)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, EIO, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	return 0;
}

/* From @version (at least 1) to ours; inside the caller's transaction. */
static int migrate(struct sqlite3 *db, int version, struct err *err)
{
	char text[64];
	int r = 0;

	for (; version < SCHEMA_VERSION && r == 0; version++)
		r = change(db, migrations[version - 1], err);
	(void)snprintf(text, sizeof(text), "UPDATE schema_version SET version = %d",
		       SCHEMA_VERSION); /* fits */
	return r ? r : change(db, text, err);
}

/* The root key must be the one that wrapped what is in the database: ask before anything fails. */
static int check_root_key(struct store *store, struct sqlite3 *db, struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	struct sqlite3_stmt *stmt = NULL;
	struct sql_blob b;
	int r = ask(db, "SELECT wrapped FROM root_check", &stmt, err);

	if (r == 0)
		r = err_set(err, EUCLEAN, "'" FILE_NAME "' has no root_check");
	if (r > 0) {
		b = sql_bytes(stmt, 0);
		r = rootkey_unwrap(store->rootkey, "root-check", b.bytes, b.len, &s, err);
		if (r == -EBADMSG)
			r = err_set(err, EUCLEAN,
				    "'root-key' is not the one that '" FILE_NAME "' was made with");
	}
	(void)sqlite3_finalize(stmt); /* its result was told above */
	return r;
}

static int insert_check(struct store *store, struct sqlite3 *db, struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	uint8_t wrapped[ROOTKEY_WRAPPED_MAX];
	struct sqlite3_stmt *stmt = NULL;
	size_t n = 0;
	int r = secret_new(1, &s, err);

	r = r ? r : rootkey_wrap(store->rootkey, "root-check", s, wrapped, &n, err);
	if (r < 0)
		return r;
	if (sqlite3_prepare_v2(db, "INSERT INTO root_check VALUES (?1)", -1, &stmt, NULL) !=
		    SQLITE_OK ||
	    sqlite3_bind_blob(stmt, 1, wrapped, (int)n, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_DONE)
		r = err_set(err, EIO, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	(void)sqlite3_finalize(stmt); /* its result was told above */
	return r;
}

/* WAL is a property of the file, the others of a connection. */
static const char pragmas[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			      "PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON;"
			      "PRAGMA wal_autocheckpoint = 1000;";

/*
 * A new schema with the check of the root key is one transaction, and so are all migrations: whatever
 * happens, a database is empty or whole, of the old version or of ours. Closing without COMMIT undoes.
 */
static int prepare(struct store *store, struct sqlite3 *db, int dir_fd, struct err *err)
{
	int r, version;

	if (sqlite3_exec(db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, EUCLEAN, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	r = check_version(db, err);
	if (r < 0)
		return r;
	version = r;
	/* The credentials are written when a first start is complete. */
	if (version == 0 && faccessat(dir_fd, DATADIR_CREDENTIALS, F_OK, 0) == 0)
		return err_set(err, ENOENT,
			       "'" FILE_NAME "' is missing or empty, but '" DATADIR_CREDENTIALS
			       "' says that it was there: put it back, or start with an empty "
			       "directory");
	r = rootkey_load(dir_fd, version == 0, &store->rootkey, err);
	if (r == 0 && version > 0)
		r = check_root_key(store, db, err);
	if (r < 0 || version == SCHEMA_VERSION)
		return r;
	r = change(db, "BEGIN IMMEDIATE", err);
	if (r == 0 && version == 0) {
		r = change(db, schema, err);
		r = r ? r : insert_check(store, db, err);
		version = 1;
	}
	r = r ? r : migrate(db, version, err);
	return r ? r : change(db, "COMMIT", err);
}

static int open_connections(struct store *store, const char *path, struct err *err)
{
	int r = sql_open(path, statements, STMT_COUNT, &store->writer, err);

	r = r ? r : sql_exec(store->writer, pragmas, err);
	r = r ? r : sql_open(path, statements, STMT_COUNT, &store->reader, err);
	return r ? r : sql_exec(store->reader, "PRAGMA query_only = ON;", err);
}

int store_open(const char *dir, int dir_fd, struct store **ret_store, struct err *err)
{
	struct store *store = calloc(1, sizeof(*store));
	struct sqlite3 *db = NULL;
	char path[4096];
	int r;

	if (!store)
		return err_set(err, ENOMEM, "store");
	r = snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	if (r < 0 || (size_t)r >= sizeof(path)) {
		r = err_set(err, ENAMETOOLONG, "'%s'", dir);
		goto fail;
	}
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
	    SQLITE_OK)
		r = err_set(err, EIO, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	else
		r = prepare(store, db, dir_fd, err);
	(void)sqlite3_close(db); /* no statement is open */
	r = r < 0 ? r : open_connections(store, path, err);
	r = r < 0 ? r : store_iam_open(store, path, err);
	if (r < 0)
		goto fail;
	*ret_store = store;
	return 0;
fail:
	store_close(store);
	return r;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store_iam_close(store->iam);
	sql_close(store->reader);
	sql_close(store->writer); /* the last one closed empties the log */
	rootkey_free(store->rootkey);
	free(store);
}

const struct rootkey *store_rootkey(const struct store *store)
{
	return store->rootkey;
}
