/* Opening the database: schema, version, root key; and transactions. See store.h. */
#include "store_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "err.h"
#include "secret.h"
#include "store_iam_impl.h"

#define SCHEMA_VERSION 1
#define FILE_NAME      "kmsd.sqlite"

/* Everything that belongs to a key is found by (account, region, key id). DESIGN.md, "Database". */
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

#define OF_KEY "account = ?1 AND region = ?2 AND key_id = ?3"

static const char *const statements[STMT_COUNT] = {
	[STMT_KEY_INSERT] = "INSERT INTO keys (account, region, key_id, state, description, policy,"
			    " material_id, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[STMT_KEY_LOAD] =
		"SELECT state, description, material_id, created_ms, deletion_ms FROM keys"
		" WHERE " OF_KEY,
	[STMT_KEY_SET_STATE] =
		"UPDATE keys SET state = ?4, deletion_ms = ?5 WHERE " OF_KEY " AND state = ?6",
	[STMT_KEY_EXPIRED] = "SELECT account, region, key_id FROM keys WHERE deletion_ms > 0"
			     " AND deletion_ms <= ?1 LIMIT 1",
	[STMT_KEY_DELETE] = "DELETE FROM keys WHERE " OF_KEY,
	[STMT_KEY_LIST] = "SELECT key_id FROM keys WHERE account = ?1 AND region = ?2"
			  " AND key_id > ?3 ORDER BY key_id LIMIT ?4",
	[STMT_POLICY_LOAD] = "SELECT policy FROM keys WHERE " OF_KEY,
	[STMT_POLICY_SET] = "UPDATE keys SET policy = ?4 WHERE " OF_KEY,
	[STMT_TAG_INSERT] = "INSERT INTO tags VALUES (?1, ?2, ?3, ?4, ?5)",
	[STMT_TAG_DELETE_ALL] = "DELETE FROM tags WHERE " OF_KEY,
	[STMT_MATERIAL_INSERT] = "INSERT INTO materials VALUES (?4, ?1, ?2, ?3, ?5, ?6)",
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
	[STMT_ACCESS_INSERT] = "INSERT INTO access_keys VALUES (?1, ?2, ?3, ?4, ?5)",
	[STMT_ACCESS_LOAD] = "SELECT account, principal_arn, wrapped FROM access_keys"
			     " WHERE access_key_id = ?1",
	[STMT_ACCESS_OF_PRINCIPAL] =
		"SELECT access_key_id FROM access_keys WHERE principal_arn = ?1"
		" ORDER BY created_ms LIMIT 1",
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

/* 1: the schema is there and ours; 0: the database is empty. */
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
	if (n != SCHEMA_VERSION)
		return err_set(err, EUCLEAN,
			       "'" FILE_NAME "' has schema version %lld, this kmsd knows %d",
			       (long long)n, SCHEMA_VERSION);
	return 1;
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

/* The schema and the check of the root key are one transaction: a database is whole or empty. */
static int prepare(struct store *store, struct sqlite3 *db, int dir_fd, struct err *err)
{
	int r;

	if (sqlite3_exec(db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, EUCLEAN, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	r = check_version(db, err);
	if (r < 0)
		return r;
	if (r > 0) {
		r = rootkey_load(dir_fd, 0, &store->rootkey, err);
		return r < 0 ? r : check_root_key(store, db, err);
	}
	r = rootkey_load(dir_fd, 1, &store->rootkey, err);
	if (r < 0)
		return r;
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, EIO, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	r = insert_check(store, db, err);
	if (r == 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		r = err_set(err, EIO, "'" FILE_NAME "': %s", sqlite3_errmsg(db));
	return r;
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
