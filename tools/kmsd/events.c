/* The index of the audit trail: opening it, and looking up. See events.h. */
#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "bytes.h"
#include "err.h"
#include "events_impl.h"
#include "kms_json.h"
#include "linefile.h"
#include "secret.h"

#define INDEX	    "events.sqlite"
#define VERSION	    2	 /* of its form: user_version */
#define CATCH_UP_MS 1000 /* that a look-up waits for the index at most */

/* An offset is a PLACE(). */
static const char schema[] =
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA user_version = 2;"
	"PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 8000;" /* 64 MiB; 32 MiB */
	"CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1),"
	" inode INTEGER NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS events ("
	" offset INTEGER PRIMARY KEY, len INTEGER NOT NULL, time INTEGER NOT NULL,"
	" event_id TEXT NOT NULL, name TEXT NOT NULL, read_only TEXT NOT NULL, username TEXT,"
	" source TEXT NOT NULL, access_key_id TEXT, account TEXT NOT NULL, region TEXT NOT NULL);"
	"CREATE INDEX IF NOT EXISTS events_time ON events (account, region, time, offset);"
	"CREATE INDEX IF NOT EXISTS events_id ON events (event_id);"
	"CREATE INDEX IF NOT EXISTS events_name ON events (account, region, name, time, offset);"
	"CREATE INDEX IF NOT EXISTS events_user ON events (account, region, username, time, "
	"offset);"
	"CREATE INDEX IF NOT EXISTS events_key ON events (account, region, access_key_id, time, "
	"offset);"
	"CREATE TABLE IF NOT EXISTS resources ("
	" offset INTEGER NOT NULL, type TEXT NOT NULL, name TEXT NOT NULL,"
	" PRIMARY KEY (offset, type, name)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS resources_name ON resources (name, offset);";

#define LOOKUP(condition)                                                                          \
	"SELECT offset, len, time, event_id FROM events WHERE " condition                          \
	" AND account = ?7 AND region = ?8 AND time BETWEEN ?1 AND ?2 AND (time, offset) < (?3, "  \
	"?4)"                                                                                      \
	" ORDER BY time DESC, offset DESC LIMIT ?5"

static const char *const statements[STATEMENT_COUNT] = {
	[EVENTS_ANY] = LOOKUP("(?6 IS NULL OR 1)"),
	[EVENTS_EVENT_ID] = LOOKUP("event_id = ?6"),
	[EVENTS_EVENT_NAME] = LOOKUP("name = ?6"),
	[EVENTS_READ_ONLY] = LOOKUP("read_only = ?6"),
	[EVENTS_USERNAME] = LOOKUP("username = ?6"),
	[EVENTS_RESOURCE_TYPE] = LOOKUP("EXISTS (SELECT 1 FROM resources r"
					" WHERE r.offset = events.offset AND r.type = ?6)"),
	[EVENTS_RESOURCE_NAME] = LOOKUP("offset IN (SELECT offset FROM resources WHERE name = ?6)"),
	[EVENTS_EVENT_SOURCE] = LOOKUP("source = ?6"),
	[EVENTS_ACCESS_KEY_ID] = LOOKUP("access_key_id = ?6"),
	[STATE_LOAD] = "SELECT inode, number, offset FROM state",
	[STATE_SAVE] = "INSERT OR REPLACE INTO state VALUES (1, ?1, ?2, ?3)",
	[EVENT_INSERT] = ("INSERT OR REPLACE INTO events "
			  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"),
	[VERSION_LOAD] = "PRAGMA user_version",
	[EVENT_PURGE] = "DELETE FROM events WHERE offset < ?1",
	[RESOURCE_PURGE] = "DELETE FROM resources WHERE offset < ?1",
	[RESOURCE_INSERT] = "INSERT OR REPLACE INTO resources VALUES (?1, ?2, ?3)",
};

/* --- opening --- */

static int begin_anew(struct events *ev, struct err *err)
{
	uint32_t first, last;
	int r = linefile_numbers(ev->dir_fd, AUDIT_STEM, &first, &last, err);

	if (r == 0 && (!first || !events_follow_file(ev, first, 0, 0)) &&
	    !events_follow_file(ev, last + 1, 0, 0))
		r = err_set(err, ENOENT, "'" AUDIT_STEM ".jsonl' cannot be read");
	return r ? r
		 : sql_exec(ev->sql,
			    "DELETE FROM events; DELETE FROM resources; DELETE FROM state;", err);
}

/* Where the index ends, if that is still in the trail. */
static int load_state(struct events *ev, struct err *err)
{
	int64_t inode = 0, number = 0, offset = 0;
	struct sqlite3_stmt *stmt;
	int r = sql_start(ev->sql, STATE_LOAD, &stmt, err, "");

	r = r ? r : sql_row(ev->sql, stmt, err);
	if (r > 0) {
		inode = sql_int(stmt, 0);
		number = sql_int(stmt, 1);
		offset = sql_int(stmt, 2);
		sql_end(stmt);
	}
	if (r < 0)
		return r;
	if (inode && events_follow_file(ev, (uint32_t)number, inode, offset))
		return 0;
	return begin_anew(ev, err); /* another trail */
}

/* An index of an older form is made anew: all that is in it is in the trail too. */
static int drop_old(struct events *ev, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int64_t version = VERSION;
	int r = sql_start(ev->sql, VERSION_LOAD, &stmt, err, "");

	r = r ? r : sql_row(ev->sql, stmt, err);
	if (r > 0) {
		version = sql_int(stmt, 0);
		sql_end(stmt);
	}
	if (r < 0 || version == VERSION)
		return r < 0 ? r : 0;
	return sql_exec(ev->sql,
			"DROP TABLE IF EXISTS state; DROP TABLE IF EXISTS events;"
			"DROP TABLE IF EXISTS resources;",
			err);
}

static int open_index(struct events *ev, const char *dir, struct err *err)
{
	char path[4096];
	int r = snprintf(path, sizeof(path), "%s/" INDEX, dir);

	if (r < 0 || (size_t)r >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "'%s'", dir);
	r = sql_open(path, statements, STATEMENT_COUNT, &ev->sql, err);
	r = r ? r : drop_old(ev, err);
	r = r ? r : sql_exec(ev->sql, schema, err);
	return r ? r : load_state(ev, err);
}

static int start(struct events *ev, struct err *err)
{
	if (pthread_mutex_init(&ev->stop_lock, NULL) != 0)
		return err_set(err, ENOMEM, "event history");
	if (pthread_cond_init(&ev->stop_cond, NULL) != 0) {
		(void)pthread_mutex_destroy(&ev->stop_lock); /* nobody holds it */
		return err_set(err, ENOMEM, "event history");
	}
	if (pthread_create(&ev->thread, NULL, events_follow, ev) != 0) {
		(void)pthread_cond_destroy(&ev->stop_cond);  /* nobody waits */
		(void)pthread_mutex_destroy(&ev->stop_lock); /* nobody holds it */
		return err_set(err, EAGAIN, "event history: no thread");
	}
	ev->running = true;
	return 0;
}

int events_open(const char *dir, int dir_fd, struct events **ret_events, struct err *err)
{
	static const char *const files[] = {INDEX, INDEX "-wal", INDEX "-shm"};
	struct events *ev = calloc(1, sizeof(*ev));
	int r;

	if (!ev)
		return err_set(err, ENOMEM, "event history");
	ev->dir_fd = dir_fd;
	ev->trail = -1;
	r = open_index(ev, dir, err);
	if (r == -EUCLEAN) { /* all that is in it is in the trail too */
		sql_close(ev->sql);
		ev->sql = NULL;
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
			(void)unlinkat(dir_fd, files[i], 0); /* opening tells */
		r = open_index(ev, dir, err);
	}
	r = r ? r : start(ev, err);
	if (r < 0) {
		events_close(ev);
		return r;
	}
	*ret_events = ev;
	return 0;
}

void events_close(struct events *events)
{
	if (!events)
		return;
	if (events->running) {
		pthread_mutex_lock(&events->stop_lock);
		events->stop = true;
		pthread_cond_signal(&events->stop_cond);
		pthread_mutex_unlock(&events->stop_lock);
		(void)pthread_join(events->thread, NULL);	 /* it is ours and joinable */
		(void)pthread_cond_destroy(&events->stop_cond);	 /* nobody waits any more */
		(void)pthread_mutex_destroy(&events->stop_lock); /* nor holds it */
	}
	sql_close(events->sql);
	if (events->trail >= 0)
		(void)close(events->trail); /* only read */
	free(events);
}

/* --- looking up --- */

/*
 * All that is in the trail, but for CATCH_UP_MS only: what is behind that comes to be seen later, as on
 * AWS, where it takes minutes.
 */
static int catch_up_locked(struct events *ev, struct err *err)
{
	int64_t until = events_monotonic_ms() + CATCH_UP_MS;
	ssize_t n = 1;

	while (n > 0 && events_monotonic_ms() < until)
		n = events_batch_locked(ev, err);
	return n < 0 ? (int)n : 0;
}

struct hit {
	struct events_place place;
	int64_t len;
	char id[64];
};

static int find_locked(struct events *ev, const struct events_query *q, struct hit *hits,
		       size_t *ret_count, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r = sql_start(ev->sql, q->attribute, &stmt, err, "iiiiittt", q->from, q->to,
			  q->behind.time, q->behind.offset, (int64_t)q->limit, q->value, q->account,
			  q->region);

	if (r < 0)
		return r;
	while ((r = sql_row(ev->sql, stmt, err)) > 0) {
		struct hit *h = &hits[(*ret_count)++];

		h->place = (struct events_place){sql_int(stmt, 2), sql_int(stmt, 0)};
		h->len = sql_int(stmt, 1);
		(void)snprintf(h->id, sizeof(h->id), "%s", sql_text(stmt, 3)); /* a UUID */
	}
	return r;
}

/* Hand over one record; one that the trail does not have there any more is passed over. */
static int show(struct events *ev, const struct hit *hit,
		int (*fn)(const struct kms_json *record, const char *text,
			  struct events_place place, void *arg),
		void *arg, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *rec = NULL;
	AUTO(freep) char *text = malloc((size_t)hit->len + 1);
	struct err ignored;
	const char *id;
	ssize_t n;
	int fd;

	if (!text)
		return err_set(err, ENOMEM, "event");
	fd = linefile_open_number(ev->dir_fd, AUDIT_STEM,
				  (uint32_t)(hit->place.offset >> PLACE_BITS));
	if (fd < 0)
		return 0;
	n = pread(fd, text, (size_t)hit->len, hit->place.offset & (PLACE(1, 0) - 1));
	(void)close(fd); /* only read */
	if (n != hit->len)
		return 0;
	text[hit->len] = '\0';
	if (kms_json_parse(text, (size_t)hit->len, &rec, &ignored) < 0)
		return 0;
	id = events_text(rec, "eventID", NULL);
	return id && strcmp(id, hit->id) == 0 ? fn(rec, text, hit->place, arg) : 0;
}

int events_lookup(struct events *events, const struct events_query *query,
		  int (*fn)(const struct kms_json *record, const char *text,
			    struct events_place place, void *arg),
		  void *arg, struct err *err)
{
	AUTO(freep) struct hit *hits = calloc(query->limit + 1, sizeof(*hits));
	size_t count = 0;
	int r;

	if (!hits)
		return err_set(err, ENOMEM, "event history");
	sql_lock(events->sql);
	r = catch_up_locked(events, err);
	r = r ? r : find_locked(events, query, hits, &count, err);
	sql_unlock(events->sql);
	for (size_t i = 0; i < count && r >= 0; i++)
		r = show(events, &hits[i], fn, arg, err);
	return r < 0 ? r : (int)count;
}
