/*
 * A SQLite connection with its prepared statements: the only file that binds and steps. A
 * connection is used by one thread at a time, between sql_lock() and sql_unlock().
 */
#ifndef KMSD_SQL_H
#define KMSD_SQL_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct sql;
struct sqlite3_stmt;

/* Bytes for 'b' of sql_start(). */
struct sql_blob {
	const void *bytes;
	size_t len;
};

/* Open @path (made when it is not there); @texts are the statements, prepared when first used. */
int sql_open(const char *path, const char *const *texts, size_t text_count, struct sql **ret_sql,
	     struct err *err);
void sql_close(struct sql *sql);

void sql_lock(struct sql *sql);
void sql_unlock(struct sql *sql);
void sql_unlockp(struct sql **sql); /* for AUTO() */

/* Run SQL text that gives no rows: schema, pragmas, BEGIN, COMMIT. */
int sql_exec(struct sql *sql, const char *text, struct err *err);

/*
 * Begin statement number @id with values as @types says: t const char * (NULL: null), i int64_t,
 * b const struct sql_blob *.
 */
int sql_start(struct sql *sql, unsigned id, struct sqlite3_stmt **ret_stmt, struct err *err,
	      const char *types, ...);

/* 1: a row is there; 0: no more, and the statement has ended; negative: failed, and has ended. */
int sql_row(struct sql *sql, struct sqlite3_stmt *stmt, struct err *err);

/* End a statement early. Text and blobs of its row are gone. NULL is allowed. */
void sql_end(struct sqlite3_stmt *stmt);
void sql_endp(struct sqlite3_stmt **stmt); /* for AUTO() */

/* sql_start() and sql_row() for what gives no rows; returns the number of rows changed. */
int sql_run(struct sql *sql, unsigned id, struct err *err, const char *types, ...);

/* Columns of the row; texts live until the next sql_row() or sql_end(). Null text: "". */
const char *sql_text(struct sqlite3_stmt *stmt, int column);
int64_t sql_int(struct sqlite3_stmt *stmt, int column);
struct sql_blob sql_bytes(struct sqlite3_stmt *stmt, int column);

#endif
