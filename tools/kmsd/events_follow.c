/* Following the audit trail: what was appended is put into the index. See events.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"
#include "bytes.h"
#include "err.h"
#include "events_impl.h"
#include "kms_json.h"
#include "linefile.h"
#include "secret.h"

#define BATCH_MAX  (1024 * 1024)     /* bytes of the trail in one transaction */
#define RECORD_MAX (4 * 1024 * 1024) /* a longer line is skipped */
#define IDLE_MS	   200		     /* between looks at the trail */
#define NICENESS   10
#define REST	   3 /* it works a quarter of the time at most: requests come first */

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
	const char *id, *name, *source, *account, *region;
	int64_t when;
	int r = kms_json_parse(line, len, &rec, err);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	id = events_text(rec, "eventID", NULL);
	name = events_text(rec, "eventName", NULL);
	source = events_text(rec, "eventSource", NULL);
	account = events_text(rec, "recipientAccountId", NULL);
	region = events_text(rec, "awsRegion", NULL);
	when = time_of(events_text(rec, "eventTime", NULL));
	if (!id || !name || !source || !account || !region || when < 0)
		return 0;
	read_only = kms_json_get(rec, "readOnly");
	r = sql_run(ev->sql, EVENT_INSERT, err, "iiitttttttt", offset, (int64_t)len, when, id, name,
		    read_only && kms_json_bool_value(read_only) ? "true" : "false",
		    events_username(rec), source, events_text(rec, "userIdentity", "accessKeyId"),
		    account, region);
	return r < 0 ? r : events_each_resource(rec, insert_resource, &in);
}

/* The whole lines of @bytes, which lie at ev->offset. Returns how many bytes they have. */
static ssize_t index_lines(struct events *ev, const char *bytes, size_t len, struct err *err)
{
	const char *p = bytes, *end;

	while ((end = memchr(p, '\n', len - (size_t)(p - bytes)))) {
		int r = index_line(ev, p, (size_t)(end - p),
				   PLACE(ev->number, ev->offset + (p - bytes)), err);

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
			return err_set(err, bytes ? errno : ENOMEM, "'" AUDIT_STEM "'");
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

int events_follow_file(struct events *ev, uint32_t number, int64_t inode, int64_t offset)
{
	int fd = linefile_open_number(ev->dir_fd, AUDIT_STEM, number);
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0 || (inode && (int64_t)st.st_ino != inode) || offset > st.st_size) {
		(void)close(fd); /* only read */
		return 0;
	}
	if (ev->trail >= 0)
		(void)close(ev->trail); /* only read */
	ev->trail = fd;
	ev->number = number;
	ev->inode = (int64_t)st.st_ino;
	ev->offset = offset;
	return 1;
}

/* The end of a file that is full, and nothing more can come: on to the next that is there. */
static int next_file_locked(struct events *ev, struct err *err)
{
	uint32_t first, last;
	struct stat st;
	int r = linefile_numbers(ev->dir_fd, AUDIT_STEM, &first, &last, err);

	if (r < 0 || last < ev->number)
		return r; /* it is still written to */
	if (fstat(ev->trail, &st) == 0 && st.st_size > ev->offset)
		return 1; /* written before it was full, after we looked */
	for (uint32_t n = ev->number + 1; n <= last + 1; n++) {
		if (n < first || !events_follow_file(ev, n, 0, 0))
			continue;
		/* What is no file any more is no history. */
		r = sql_run(ev->sql, EVENT_PURGE, err, "i", PLACE(first, 0));
		r = r < 0 ? r : sql_run(ev->sql, RESOURCE_PURGE, err, "i", PLACE(first, 0));
		return r < 0 ? r : 1;
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
		  : sql_run(ev->sql, STATE_SAVE, err, "iii", ev->inode, (int64_t)ev->number,
			    ev->offset + (int64_t)n);
	r = r < 0 ? r : sql_exec(ev->sql, "COMMIT", err);
	if (r < 0) {
		(void)sql_exec(ev->sql, "ROLLBACK", NULL); /* the first failure is told */
		return r;
	}
	ev->offset += n;
	return n;
}

/* A file that was full when it was looked at is read to its end before the next one is begun. */
ssize_t events_batch_locked(struct events *ev, struct err *err)
{
	ssize_t n = index_batch_locked(ev, err);
	int r;

	if (n != 0)
		return n;
	r = next_file_locked(ev, err);
	return r <= 0 ? r : index_batch_locked(ev, err) < 0 ? -EIO : 1;
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

int64_t events_monotonic_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock always is */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void *events_follow(void *arg)
{
	struct events *ev = arg;
	int64_t began, wait_ms = 0;
	bool told = false;
	ssize_t n = 0;

	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS); /* or as the rest */
	while (!stopping(ev, wait_ms)) {
		struct err err = {0};

		began = events_monotonic_ms();
		sql_lock(ev->sql);
		n = events_batch_locked(ev, &err);
		sql_unlock(ev->sql);
		if (n < 0 && !told) /* stderr is the last resort; once, or it would not end */
			(void)fprintf(stderr, "kmsd: event history: %s\n", err.msg);
		told = n < 0;
		wait_ms = n <= 0 ? IDLE_MS : (int64_t)REST * (events_monotonic_ms() - began);
	}
	return NULL;
}
