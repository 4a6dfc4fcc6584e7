/* The making of a snapshot in the daemon of a mounted volume: a thread, so that it holds up nothing else. */
#ifndef FS_SNAPSHOT_JOB_H
#define FS_SNAPSHOT_JOB_H

struct err;
struct kms_json;
struct snapshot_job;
struct watch;

/* For the volume in @volume_dir (absolute, copied), whose store @watch has. NULL: out of memory. */
struct snapshot_job *snapshot_job_new(const char *volume_dir, struct watch *watch);

/* Wait for what runs and free. NULL is allowed. */
void snapshot_job_free(struct snapshot_job *job);

/*
 * Begin to fill the directory that the request's "stage" names. -EBUSY: one is being made, or
 * has just been, and who began it has not asked how it went; -EINVAL: no such directory. One caller at a time, as for the next.
 */
int snapshot_job_start(struct snapshot_job *job, const struct kms_json *request, struct err *err);

/*
 * How the one begun last is, whose directory @request names: {"ok":true,"state":S,"held_ms":N,"key_lost":B} with S "running", "taken" (its moment has
 * passed) or "done"; or its error. NULL: out of memory.
 */
struct kms_json *snapshot_job_status(struct snapshot_job *job, const struct kms_json *request);

#endif
