/* The index of the audit trail: following it, and looking up. See events.h. */
#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"
#include "sql.h"

#define TRAIL	   "audit.jsonl"
#define INDEX	   "events.sqlite"
#define BATCH_MAX  (1024 * 1024)     /* bytes of the trail in one transaction */
#define RECORD_MAX (4 * 1024 * 1024) /* a longer line is skipped */
#define IDLE_MS	   200		     /* between looks at the trail */
#define NICENESS   10
#define REST	   3 /* it works a quarter of the time at most: requests come first */

enum statement {
	STATE_LOAD = EVENTS_ATTRIBUTE_COUNT, /* below: a look-up by that attribute */
	STATE_SAVE,
	EVENT_INSERT,
	RESOURCE_INSERT,
	STATEMENT_COUNT
};

struct events {
	struct sql *sql; /* its lock guards offset too */
	int trail;	 /* fixed at open */
	int64_t inode;	 /* of the trail; fixed at open */
	int64_t offset;	 /* the trail is indexed up to here */
	pthread_t thread;
	bool running;
	pthread_mutex_t stop_lock;
	pthread_cond_t stop_cond;
	bool stop; /* guarded by stop_lock */
};

/* Offsets are where the records lie in the trail. */
static const char schema[] =
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA user_version = 1;"
	"PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 8000;" /* 64 MiB; 32 MiB */
	"CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1),"
	" inode INTEGER NOT NULL, offset INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS events ("
	" offset INTEGER PRIMARY KEY, len INTEGER NOT NULL, time INTEGER NOT NULL,"
	" event_id TEXT NOT NULL, name TEXT NOT NULL, read_only TEXT NOT NULL, username TEXT,"
	" source TEXT NOT NULL, access_key_id TEXT);"
	"CREATE INDEX IF NOT EXISTS events_time ON events (time, offset);"
	"CREATE INDEX IF NOT EXISTS events_id ON events (event_id);"
	"CREATE INDEX IF NOT EXISTS events_name ON events (name, time, offset);"
	"CREATE INDEX IF NOT EXISTS events_user ON events (username, time, offset);"
	"CREATE INDEX IF NOT EXISTS events_key ON events (access_key_id, time, offset);"
	"CREATE TABLE IF NOT EXISTS resources ("
	" offset INTEGER NOT NULL, type TEXT NOT NULL, name TEXT NOT NULL,"
	" PRIMARY KEY (offset, type, name)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS resources_name ON resources (name, offset);";

#define LOOKUP(condition)                                                                          \
	"SELECT offset, len, time, event_id FROM events WHERE " condition                          \
	" AND time BETWEEN ?1 AND ?2 AND (time, offset) < (?3, ?4)"                                \
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
	[STATE_LOAD] = "SELECT inode, offset FROM state",
	[STATE_SAVE] = "INSERT OR REPLACE INTO state VALUES (1, ?1, ?2)",
	[EVENT_INSERT] =
		"INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[RESOURCE_INSERT] = "INSERT OR REPLACE INTO resources VALUES (?1, ?2, ?3)",
};

static const char *const attribute_names[EVENTS_ATTRIBUTE_COUNT] = {
	[EVENTS_ANY] = "",
	[EVENTS_EVENT_ID] = "EventId",
	[EVENTS_EVENT_NAME] = "EventName",
	[EVENTS_READ_ONLY] = "ReadOnly",
	[EVENTS_USERNAME] = "Username",
	[EVENTS_RESOURCE_TYPE] = "ResourceType",
	[EVENTS_RESOURCE_NAME] = "ResourceName",
	[EVENTS_EVENT_SOURCE] = "EventSource",
	[EVENTS_ACCESS_KEY_ID] = "AccessKeyId",
};

enum events_attribute events_attribute(const char *name)
{
	unsigned i = EVENTS_EVENT_ID;

	while (i < EVENTS_ATTRIBUTE_COUNT && strcmp(attribute_names[i], name) != 0)
		i++;
	return i;
}

/* --- what a record says --- */

const char *events_text(const struct kms_json *record, const char *outer, const char *inner)
{
	const struct kms_json *v = kms_json_get(record, outer);

	if (v && inner)
		v = kms_json_type(v) == KMS_JSON_OBJECT ? kms_json_get(v, inner) : NULL;
	return v && kms_json_type(v) == KMS_JSON_STRING ? kms_json_string_value(v) : NULL;
}

const char *events_username(const struct kms_json *record)
{
	const char *type = events_text(record, "userIdentity", "type");
	const char *arn = events_text(record, "userIdentity", "arn");
	const char *slash = arn ? strrchr(arn, '/') : NULL;

	if (type && strcmp(type, "Root") == 0)
		return "root";
	if (type && strcmp(type, "AssumedRole") == 0)
		return slash ? slash + 1 : NULL;
	return events_text(record, "userIdentity", "userName");
}

int events_each_resource(const struct kms_json *record,
			 int (*fn)(const char *type, const char *name, void *arg), void *arg)
{
	static const struct {
		const char *member, *type;
	} iam[] = {{"userName", "AWS::IAM::User"},
		   {"roleName", "AWS::IAM::Role"},
		   {"policyArn", "AWS::IAM::Policy"},
		   {"policyName", "AWS::IAM::Policy"},
		   {"accessKeyId", "AWS::IAM::AccessKey"}};
	const struct kms_json *list = kms_json_get(record, "resources");
	const char *source = events_text(record, "eventSource", NULL);
	int r = 0;

	for (size_t i = 0; list && i < kms_json_count(list) && r == 0; i++) {
		const struct kms_json *e = kms_json_at(list, i);
		const char *type = events_text(e, "type", NULL), *arn = events_text(e, "ARN", NULL);

		if (type && arn)
			r = fn(type, arn, arg);
	}
	if (!source || strcmp(source, "iam.amazonaws.com") != 0)
		return r;
	for (size_t i = 0; i < sizeof(iam) / sizeof(iam[0]) && r == 0; i++) {
		const char *name = events_text(record, "requestParameters", iam[i].member);

		if (name)
			r = fn(iam[i].type, name, arg);
	}
	return r;
}

/* --- following the trail --- */

static int64_t time_of(const char *text)
{
	struct tm tm = {0};

	return text && strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ? (int64_t)timegm(&tm) : -1;
}

struct insertion {
	struct sql *sql;
	int64_t offset;
	struct err *err;
};

static int insert_resource(const char *type, const char *name, void *arg)
{
	struct insertion *in = arg;
	int r = sql_run(in->sql, RESOURCE_INSERT, in->err, "itt", in->offset, type, name);

	return r < 0 ? r : 0;
}

/* A line that is not a record (one that a crash has torn) is passed over. */
static int index_line(struct events *ev, const char *line, size_t len, int64_t offset,
		      struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *rec = NULL;
	struct insertion in = {ev->sql, offset, err};
	const struct kms_json *read_only;
	const char *id, *name, *source;
	int64_t when;
	int r = kms_json_parse(line, len, &rec, err);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	id = events_text(rec, "eventID", NULL);
	name = events_text(rec, "eventName", NULL);
	source = events_text(rec, "eventSource", NULL);
	when = time_of(events_text(rec, "eventTime", NULL));
	if (!id || !name || !source || when < 0)
		return 0;
	read_only = kms_json_get(rec, "readOnly");
	r = sql_run(ev->sql, EVENT_INSERT, err, "iiitttttt", offset, (int64_t)len, when, id, name,
		    read_only && kms_json_bool_value(read_only) ? "true" : "false",
		    events_username(rec), source, events_text(rec, "userIdentity", "accessKeyId"));
	return r < 0 ? r : events_each_resource(rec, insert_resource, &in);
}

/* The whole lines of @bytes, which lie at ev->offset. Returns how many bytes they have. */
static ssize_t index_lines(struct events *ev, const char *bytes, size_t len, struct err *err)
{
	const char *p = bytes, *end;

	while ((end = memchr(p, '\n', len - (size_t)(p - bytes)))) {
		int r = index_line(ev, p, (size_t)(end - p), ev->offset + (p - bytes), err);

		if (r < 0)
			return r;
		p = end + 1;
	}
	return p - bytes;
}

/* Read more until there is a whole line: BATCH_MAX is enough but for the longest records. */
static ssize_t read_batch(struct events *ev, char **ret_bytes, size_t *ret_len, struct err *err)
{
	for (size_t size = BATCH_MAX; size <= RECORD_MAX; size *= 4) {
		char *bytes = malloc(size);
		ssize_t n = bytes ? pread(ev->trail, bytes, size, ev->offset) : -1;

		if (n < 0) {
			free(bytes);
			return err_set(err, bytes ? errno : ENOMEM, "'" TRAIL "'");
		}
		if ((size_t)n < size || memchr(bytes, '\n', (size_t)n) || size * 4 > RECORD_MAX) {
			*ret_bytes = bytes;
			*ret_len = (size_t)n;
			return n;
		}
		free(bytes);
	}
	return 0;
}

/* One transaction. Returns the bytes that were indexed; 0: there is no whole line more. */
static ssize_t index_batch_locked(struct events *ev, struct err *err)
{
	AUTO(freep) char *bytes = NULL;
	size_t len = 0;
	ssize_t n = read_batch(ev, &bytes, &len, err);
	int r;

	if (n <= 0)
		return n;
	r = sql_exec(ev->sql, "BEGIN", err);
	if (r < 0)
		return r;
	n = index_lines(ev, bytes, len, err);
	if (n == 0 && len == RECORD_MAX)
		n = (ssize_t)len; /* no end of a line in sight */
	r = n < 0 ? (int)n
		  : sql_run(ev->sql, STATE_SAVE, err, "ii", ev->inode, ev->offset + (int64_t)n);
	r = r < 0 ? r : sql_exec(ev->sql, "COMMIT", err);
	if (r < 0) {
		(void)sql_exec(ev->sql, "ROLLBACK", NULL); /* the first failure is told */
		return r;
	}
	ev->offset += n;
	return n;
}

/* Wait @wait_ms, or until the end; whether it is the end. */
static bool stopping(struct events *ev, int64_t wait_ms)
{
	struct timespec until;
	bool stop;

	(void)clock_gettime(CLOCK_REALTIME, &until); /* this clock always is */
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000L;
	until.tv_sec += (time_t)(wait_ms / 1000) + until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&ev->stop_lock);
	if (!ev->stop)
		(void)pthread_cond_timedwait(&ev->stop_cond, &ev->stop_lock, &until);
	stop = ev->stop;
	pthread_mutex_unlock(&ev->stop_lock);
	return stop;
}

static int64_t monotonic_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock always is */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *follow(void *arg)
{
	struct events *ev = arg;
	int64_t began, wait_ms = 0;
	bool told = false;
	ssize_t n = 0;

	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS); /* or as the rest */
	while (!stopping(ev, wait_ms)) {
		struct err err = {0};

		began = monotonic_ms();
		sql_lock(ev->sql);
		n = index_batch_locked(ev, &err);
		sql_unlock(ev->sql);
		if (n < 0 && !told) /* stderr is the last resort; once, or it would not end */
			(void)fprintf(stderr, "kmsd: event history: %s\n", err.msg);
		told = n < 0;
		wait_ms = n <= 0 ? IDLE_MS : (int64_t)REST * (monotonic_ms() - began);
	}
	return NULL;
}

/* --- opening --- */

static int load_state(struct events *ev, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int64_t inode = 0, offset = 0;
	struct stat st;
	int r;

	if (fstat(ev->trail, &st) < 0)
		return err_set(err, errno, "'" TRAIL "': %s", strerror(errno));
	ev->inode = (int64_t)st.st_ino;
	r = sql_start(ev->sql, STATE_LOAD, &stmt, err, "");
	r = r ? r : sql_row(ev->sql, stmt, err);
	if (r > 0) {
		inode = sql_int(stmt, 0);
		offset = sql_int(stmt, 1);
		sql_end(stmt);
	}
	if (r < 0)
		return r;
	if (inode == ev->inode && offset <= st.st_size) {
		ev->offset = offset;
		return 0;
	}
	return sql_exec(ev->sql, "DELETE FROM events; DELETE FROM resources; DELETE FROM state;",
			err); /* another trail: begin anew */
}

static int open_index(struct events *ev, const char *dir, struct err *err)
{
	char path[4096];
	int r = snprintf(path, sizeof(path), "%s/" INDEX, dir);

	if (r < 0 || (size_t)r >= sizeof(path))
		return err_set(err, ENAMETOOLONG, "'%s'", dir);
	r = sql_open(path, statements, STATEMENT_COUNT, &ev->sql, err);
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
	if (pthread_create(&ev->thread, NULL, follow, ev) != 0) {
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
	ev->trail = openat(dir_fd, TRAIL, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	r = ev->trail < 0 ? err_set(err, errno, "'" TRAIL "': %s", strerror(errno))
			  : open_index(ev, dir, err);
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

/* What is in the trail now; not what comes while we read. */
static int catch_up_locked(struct events *ev, struct err *err)
{
	struct stat st;
	ssize_t n = 1;

	if (fstat(ev->trail, &st) < 0)
		return err_set(err, errno, "'" TRAIL "': %s", strerror(errno));
	while (n > 0 && ev->offset < st.st_size)
		n = index_batch_locked(ev, err);
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
	int r = sql_start(ev->sql, q->attribute, &stmt, err, "iiiiit", q->from, q->to,
			  q->behind.time, q->behind.offset, (int64_t)q->limit, q->value);

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

	if (!text)
		return err_set(err, ENOMEM, "event");
	if (pread(ev->trail, text, (size_t)hit->len, hit->place.offset) != hit->len)
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
