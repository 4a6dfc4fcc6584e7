/* SQLite, wrapped. See sql.h. */
#include "sql.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "err.h"

#define BUSY_MS 5000 /* wait for the other connection's lock this long */

struct sql {
	pthread_mutex_t lock;
	sqlite3 *db;		  /* guarded by lock */
	const char *const *texts; /* fixed at open */
	size_t count;
	sqlite3_stmt **stmts; /* guarded by lock */
};

static int failed(struct sql *sql, const char *what, struct err *err)
{
	int code = sqlite3_errcode(sql->db) & 0xff;
	int num = code == SQLITE_FULL	    ? ENOSPC
		  : code == SQLITE_NOMEM    ? ENOMEM
		  : code == SQLITE_CORRUPT  ? EUCLEAN
		  : code == SQLITE_NOTADB   ? EUCLEAN
		  : code == SQLITE_READONLY ? EROFS
					    : EIO;

	return err_set(err, num, "database: %s: %s", what, sqlite3_errmsg(sql->db));
}

int sql_open(const char *path, const char *const *texts, size_t text_count, struct sql **ret_sql,
	     struct err *err)
{
	struct sql *sql = calloc(1, sizeof(*sql));
	int r;

	if (!sql)
		return err_set(err, ENOMEM, "database '%s'", path);
	sql->texts = texts;
	sql->count = text_count;
	sql->stmts = calloc(text_count, sizeof(sqlite3_stmt *));
	if (!sql->stmts || pthread_mutex_init(&sql->lock, NULL) != 0) {
		free(sql->stmts);
		free(sql);
		return err_set(err, ENOMEM, "database '%s'", path);
	}
	if (sqlite3_open_v2(path, &sql->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				    SQLITE_OPEN_EXRESCODE,
			    NULL) != SQLITE_OK) {
		r = err_set(err, EIO, "database '%s': %s", path, sqlite3_errmsg(sql->db));
		sql_close(sql);
		return r;
	}
	(void)sqlite3_busy_timeout(sql->db, BUSY_MS); /* fails only for a closed connection */
	*ret_sql = sql;
	return 0;
}

void sql_close(struct sql *sql)
{
	if (!sql)
		return;
	for (size_t i = 0; i < sql->count; i++)
		(void)sqlite3_finalize(sql->stmts[i]); /* repeats the last run's result */
	(void)sqlite3_close(sql->db);		       /* no statement is open */
	(void)pthread_mutex_destroy(&sql->lock);       /* nobody holds it */
	free(sql->stmts);
	free(sql);
}

void sql_lock(struct sql *sql)
{
	pthread_mutex_lock(&sql->lock);
}

void sql_unlock(struct sql *sql)
{
	pthread_mutex_unlock(&sql->lock);
}

void sql_unlockp(struct sql **sql)
{
	if (*sql)
		sql_unlock(*sql);
}

int sql_exec(struct sql *sql, const char *text, struct err *err)
{
	if (sqlite3_exec(sql->db, text, NULL, NULL, NULL) != SQLITE_OK)
		return failed(sql, text, err);
	return 0;
}

static int start(struct sql *sql, unsigned id, sqlite3_stmt **ret_stmt, struct err *err,
		 const char *types, va_list ap)
{
	sqlite3_stmt *stmt;
	int e = SQLITE_OK;

	if (!sql->stmts[id] &&
	    sqlite3_prepare_v3(sql->db, sql->texts[id], -1, SQLITE_PREPARE_PERSISTENT,
			       &sql->stmts[id], NULL) != SQLITE_OK)
		return failed(sql, sql->texts[id], err);
	stmt = sql->stmts[id];
	for (int i = 1; types[i - 1] && e == SQLITE_OK; i++) {
		const struct sql_blob *b;

		switch (types[i - 1]) {
		case 't':
			e = sqlite3_bind_text(stmt, i, va_arg(ap, const char *), -1,
					      SQLITE_TRANSIENT);
			break;
		case 'i':
			e = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
			break;
		default:
			b = va_arg(ap, const struct sql_blob *);
			e = sqlite3_bind_blob(stmt, i, b->bytes, (int)b->len, SQLITE_TRANSIENT);
			break;
		}
	}
	if (e != SQLITE_OK) {
		sql_end(stmt);
		return failed(sql, sql->texts[id], err);
	}
	*ret_stmt = stmt;
	return 0;
}

int sql_start(struct sql *sql, unsigned id, sqlite3_stmt **ret_stmt, struct err *err,
	      const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(sql, id, ret_stmt, err, types, ap);
	va_end(ap);
	return r;
}

int sql_row(struct sql *sql, sqlite3_stmt *stmt, struct err *err)
{
	int r, e = sqlite3_step(stmt);

	if (e == SQLITE_ROW)
		return 1;
	r = e == SQLITE_DONE ? 0 : failed(sql, sqlite3_sql(stmt), err);
	sql_end(stmt);
	return r;
}

void sql_end(sqlite3_stmt *stmt)
{
	if (!stmt)
		return;
	(void)sqlite3_reset(stmt);	    /* repeats the last step's result */
	(void)sqlite3_clear_bindings(stmt); /* cannot fail */
}

void sql_endp(sqlite3_stmt **stmt)
{
	sql_end(*stmt);
}

int sql_run(struct sql *sql, unsigned id, struct err *err, const char *types, ...)
{
	sqlite3_stmt *stmt;
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(sql, id, &stmt, err, types, ap);
	va_end(ap);
	if (r < 0)
		return r;
	do
		r = sql_row(sql, stmt, err);
	while (r > 0);
	return r < 0 ? r : sqlite3_changes(sql->db);
}

const char *sql_text(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	return text ? text : "";
}

int64_t sql_int(sqlite3_stmt *stmt, int column)
{
	return sqlite3_column_int64(stmt, column);
}

struct sql_blob sql_bytes(sqlite3_stmt *stmt, int column)
{
	const void *bytes = sqlite3_column_blob(stmt, column);

	return (struct sql_blob){bytes, (size_t)sqlite3_column_bytes(stmt, column)};
}
