/*
 * The life of a volume as lines of JSON in VOLUME/events.jsonl: mounts, changes of state, errors.
 * For people and programs that ask afterwards what happened and why; nothing here reads it back.
 */
#ifndef FS_EVENTS_H
#define FS_EVENTS_H

#include <stdint.h>

struct err;
struct events;
struct notification_experiment;
struct notification_snapshot;

#define EVENTS_FILE "events.jsonl"
#define EVENTS_OLD  "events.jsonl.1"
#define EVENTS_SIZE_MAX                                                                            \
	(16 * 1024 * 1024) /* then EVENTS_FILE becomes EVENTS_OLD, replacing the last */

/*
 * NULL members are left out. Names: mounted, unmounting; key-check (result: ok, refused, transient,
 * wrong-call); state-changed (from, to); what was done about it: io-held, io-refused, writes-refused,
 * key-wiped, io-resumed; data-key-rotation (result: begun, completed, failed); hook (result); start-failed,
 * close-failed; snapshot, snapshot-copy (result: succeeded, failed); experiment (from, to: states of FIS),
 * volume-status (from, to: as EC2 has them).
 */
struct event {
	const char *name;
	const char *result;
	const char *from, *to;
	const char *reason;
	const struct err *err; /* code and request id of AWS, where it has them */
	const char *rds_event; /* "RDS-EVENT-0418", and then its text for this volume follows */
	const struct notification_snapshot *snapshot; /* a snapshot was made, or not */
	const struct notification_experiment *experiment;
	const char *failed_key; /* key that kept an EBS volume from being attached; @err says why */
};

/* For the volume @volume_id in the directory @dir_fd (the caller's, to stay open). NULL: no memory */
struct events *events_new(int dir_fd, const char *volume_id);
void events_free(struct events *events);

/* Append a line. From any thread. What fails is logged, once in a row, and otherwise ignored: the
 * volume's life must not depend on its diary. */
void events_add(struct events *events, const struct event *event);

#endif
