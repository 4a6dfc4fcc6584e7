/*
 * A new data key for a mounted volume, in its daemon: a thread that begins it, waits until the store has
 * written all anew, and ends it. A volume that was mounted in the middle goes on.
 */
#ifndef FS_ROTATE_JOB_H
#define FS_ROTATE_JOB_H

struct change_setup;
struct err;
struct events;
struct kms_json;
struct rotate_job;

/* All borrowed and to outlive the job; *@setup is copied. NULL: out of memory. */
struct rotate_job *rotate_job_new(const struct change_setup *setup, struct events *events);

/* Wait for what runs (after watch_end()) and free. NULL is allowed. */
void rotate_job_free(struct rotate_job *job);

/*
 * Begin, or go on where the header has a previous data key. 0 also when it runs already. -EROFS. One caller at a
 * time, as for the next.
 */
int rotate_job_start(struct rotate_job *job, struct err *err);

/*
 * {"ok":true,"state":S} with S "idle", "beginning", "renewing" or "done", and "renewing" with "remaining_bytes",
 * "total_bytes", "no_room"; or the error that ended it.
 */
struct kms_json *rotate_job_status(struct rotate_job *job);

#endif
