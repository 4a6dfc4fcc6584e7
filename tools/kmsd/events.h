/*
 * CloudTrail's event history: an index of the audit trail, for LookupEvents. The trail's file
 * (audit.h) is the truth and the queue: a thread of low priority reads what was appended and puts
 * batches of it into a SQLite file of its own, so that a request costs nothing more than its line.
 * What a kill or a lost index file leaves undone is read again at the next start.
 */
#ifndef KMSD_EVENTS_H
#define KMSD_EVENTS_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct events;
struct kms_json;

/* Attributes of a look-up, in the order of events_attribute_names. */
enum events_attribute {
	EVENTS_ANY,
	EVENTS_EVENT_ID,
	EVENTS_EVENT_NAME,
	EVENTS_READ_ONLY,
	EVENTS_USERNAME,
	EVENTS_RESOURCE_TYPE,
	EVENTS_RESOURCE_NAME,
	EVENTS_EVENT_SOURCE,
	EVENTS_ACCESS_KEY_ID,
	EVENTS_ATTRIBUTE_COUNT
};

/* "EventId", ...; EVENTS_ATTRIBUTE_COUNT: no such attribute. */
enum events_attribute events_attribute(const char *name);

/* Where a page ends: the next one begins behind it. Times are seconds since 1970. */
struct events_place {
	int64_t time;
	int64_t offset;
};

struct events_query {
	enum events_attribute attribute;
	const char *value;
	const char *account, *region; /* whose events, and where */
	int64_t from, to;	      /* seconds, both included */
	struct events_place behind;
	size_t limit;
};

/* The first page. */
#define EVENTS_START ((struct events_place){INT64_MAX, INT64_MAX})

/*
 * Open the index beside the audit trail of the data directory @dir (a path; @dir_fd the same, open)
 * and begin to follow. audit_open() comes first. An index that is damaged is made anew.
 */
int events_open(const char *dir, int dir_fd, struct events **ret_events, struct err *err);
void events_close(struct events *events);

/*
 * Call @fn with the records that match, newest first, all that was in the trail when it began
 * included. The record is @fn's to look at only. Returns how many; a negative of @fn ends it.
 */
int events_lookup(struct events *events, const struct events_query *query,
		  int (*fn)(const struct kms_json *record, const char *text,
			    struct events_place place, void *arg),
		  void *arg, struct err *err);

/* Resources and user of a record, as LookupEvents shows them. */
int events_each_resource(const struct kms_json *record,
			 int (*fn)(const char *type, const char *name, void *arg), void *arg);
const char *events_username(const struct kms_json *record); /* NULL: none */

/* A string inside of @record by its path of two names (@inner NULL: one); NULL: absent. */
const char *events_text(const struct kms_json *record, const char *outer, const char *inner);

#endif
