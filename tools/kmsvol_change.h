/* What resize and rotate share: a change of the header, done by the daemon of a mounted volume or here. */
#ifndef TOOLS_KMSVOL_CHANGE_H
#define TOOLS_KMSVOL_CHANGE_H

#include <stdatomic.h>
#include <stdbool.h>

struct err;
struct kms;
struct kms_config;
struct kms_json;
struct secret;
struct volume_header;

/* A volume that is not mounted: locked, its data keys (fs/keys.h) unwrapped. All borrowed. */
struct change_volume {
	const char *dir;
	struct volume_header *header;
	struct kms *kms; /* acts as EBS or RDS, where it can */
	const struct secret *data_keys;
	const atomic_bool *stop; /* true: a signal wants us to end */
};

/* What to do with it. */
typedef int change_fn(const struct change_volume *volume, void *arg, struct err *err);

/*
 * Have the daemon of the volume in @dir do @request (see fs/change_job.h) and wait for it; when there is
 * none, do @fn here. *@ret_mounted: the daemon did it. Sentences begin with the volume.
 */
int change_run(const char *dir, const struct kms_config *config, const struct kms_json *request,
	       change_fn *fn, void *arg, bool *ret_mounted, struct err *err);

/* The latter of the two: the volume is not mounted. -EBUSY: it is, or is in use otherwise. */
int change_here(const char *dir, const struct kms_config *config, change_fn *fn, void *arg,
		struct err *err);

#endif
