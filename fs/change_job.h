/* Changes of a mounted volume's header in its daemon: a thread, so that KMS holds up nothing else. */
#ifndef FS_CHANGE_JOB_H
#define FS_CHANGE_JOB_H

#include <stdbool.h>

struct change_job;
struct err;
struct fusefs;
struct kms;
struct kms_config;
struct kms_json;
struct volume_header;
struct watch;

/* All borrowed and to outlive the job; @header is changed by the watch's thread only. */
struct change_setup {
	const char *volume_dir;
	struct volume_header *header;
	struct kms *kms;
	const struct kms_config *kms_config; /* of that */
	struct watch *watch;
	struct fusefs *fusefs;
	bool read_only; /* it is mounted so: nothing is changed */
};

struct change_job *change_job_new(const struct change_setup *setup); /* NULL: out of memory */

/* Wait for what runs (after watch_end()) and free. NULL is allowed. */
void change_job_free(struct change_job *job);

/*
 * Begin what the request asks for: "op" is "resize" with "size_bytes", or "rewrap". -EBUSY: a change is
 * under way; -EINVAL: the size is none that the volume can get. One caller at a time, as for the next.
 */
int change_job_start(struct change_job *job, const struct kms_json *request, struct err *err);

/* How the one begun last is: {"ok":true,"state":S} with S "running" or "done"; or its error. */
struct kms_json *change_job_status(struct change_job *job);

#endif
