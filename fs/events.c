/* events.jsonl. See events.h. */
#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "kms_json.h"
#include "notification.h"
#include "say.h"
#include "secret.h"

struct events {
	int dir_fd;
	char volume_id[64];
	pthread_mutex_t lock;
	bool failed; /* guarded by lock: the last line could not be written, and that was said */
};

/* Amazon RDS event categories and messages, with the volume for the database instance. */
static const struct {
	const char *id;
	const char *category;
	const char *before, *behind;
} rds_events[] = {
	{"RDS-EVENT-0418", "failure",
	 "kmsvol is unable to access the KMS encryption key for volume ",
	 ". This is likely due to the key being disabled or kmsvol being unable to access it. If "
	 "this "
	 "continues the volume will be placed into an inaccessible state."},
	{"RDS-EVENT-0419", "availability",
	 "kmsvol has been unable to access the KMS encryption key for volume ",
	 ". This volume will be placed into an inaccessible state."},
	{"RDS-EVENT-0420", "failure",
	 "kmsvol can now successfully access the KMS encryption key for volume ", "."},
};

struct events *events_new(int dir_fd, const char *volume_id)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->dir_fd = dir_fd;
	(void)snprintf(e->volume_id, sizeof(e->volume_id), "%s", volume_id);
	pthread_mutex_init(&e->lock, NULL);
	return e;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	pthread_mutex_destroy(&events->lock);
	free(events);
}

static int set_if(struct kms_json *obj, const char *name, const char *text)
{
	return text && *text ? kms_json_set_str(obj, name, text) : 0;
}

static int set_rds(struct kms_json *obj, const struct events *e, const char *id)
{
	for (size_t i = 0; id && i < sizeof(rds_events) / sizeof(rds_events[0]); i++) {
		char text[512];

		if (strcmp(id, rds_events[i].id) != 0)
			continue;
		(void)snprintf(text, sizeof(text), "%s%s%s", rds_events[i].before, e->volume_id,
			       rds_events[i].behind);
		return kms_json_set_str(obj, "rds_event", id) |
		       kms_json_set_str(obj, "category", rds_events[i].category) |
		       kms_json_set_str(obj, "message", text);
	}
	return 0;
}

/* As AWS tells it, beside our own words. */
static int set_notification(struct kms_json *obj, const struct events *e, const struct event *event)
{
	const struct notification n = {
		.volume_id = e->volume_id,
		.key_arn = event->failed_key,
		.cause = event->err->aws_message,
		.seconds = (int64_t)(clock_wall_ms() / 1000),
	};

	struct kms_json *v = notification_attach_failed(&n);

	return v ? kms_json_set(obj, "notification", v) : 0; /* our own words will do */
}

static int set_snapshot(struct kms_json *obj, const struct notification_snapshot *n)
{
	struct kms_json *v = notification_snapshot(n);

	return kms_json_set_str(obj, "snapshot", n->snapshot_id) |
	       (v ? kms_json_set(obj, "notification", v) : 0);
}

static int set_experiment(struct kms_json *obj, const struct notification_experiment *n)
{
	struct kms_json *v = notification_experiment(n);

	return kms_json_set_str(obj, "experiment", n->experiment_id) |
	       (v ? kms_json_set(obj, "notification", v) : 0); /* our own words will do */
}

/* The line for @event, with its newline; the caller frees. NULL: out of memory. */
static char *make_line(const struct events *e, const struct event *event)
{
	AUTO(kms_json_freep) struct kms_json *obj = kms_json_new_object();
	char now[CLOCK_ISO_LEN];
	char *text, *line;
	int r;

	if (!obj)
		return NULL;
	clock_iso(clock_wall_ms(), now);
	r = kms_json_set_str(obj, "time", now) | kms_json_set_str(obj, "event", event->name) |
	    kms_json_set_str(obj, "volume", e->volume_id) | set_if(obj, "result", event->result) |
	    set_if(obj, "from", event->from) | set_if(obj, "to", event->to) |
	    set_rds(obj, e, event->rds_event) | set_if(obj, "reason", event->reason);
	if (event->err)
		r |= set_if(obj, "kms_error", event->err->code) |
		     set_if(obj, "kms_request_id", event->err->request_id);
	if (event->failed_key && event->err)
		r |= set_notification(obj, e, event);
	if (event->experiment)
		r |= set_experiment(obj, event->experiment);
	if (event->snapshot)
		r |= set_snapshot(obj, event->snapshot);
	text = r ? NULL : kms_json_text(obj);
	if (!text)
		return NULL;
	line = realloc(text, strlen(text) + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	return strcat(line, "\n");
}

/* Append @line in one write, so that lines stay whole; rotate first when the file is full. */
static int append_locked(struct events *e, const char *line)
{
	size_t len = strlen(line);
	struct stat st;
	ssize_t n;
	int fd, num;

	if (fstatat(e->dir_fd, EVENTS_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (uint64_t)st.st_size + len > EVENTS_SIZE_MAX &&
	    renameat(e->dir_fd, EVENTS_FILE, e->dir_fd, EVENTS_OLD) < 0)
		return -errno;
	fd = openat(e->dir_fd, EVENTS_FILE,
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	n = write(fd, line, len);
	num = n < 0 ? errno : (size_t)n < len ? ENOSPC : 0;
	(void)close(fd); /* not synced: what counts for the volume stands in its log */
	return -num;
}

void events_add(struct events *events, const struct event *event)
{
	AUTO(freep) char *line = make_line(events, event);
	int r;

	pthread_mutex_lock(&events->lock);
	r = line ? append_locked(events, line) : -ENOMEM;
	if (r < 0 && !events->failed)
		say_warning("event '%s': cannot append to %s: %s", event->name, EVENTS_FILE,
			    strerror(-r));
	events->failed = r < 0;
	pthread_mutex_unlock(&events->lock);
}
