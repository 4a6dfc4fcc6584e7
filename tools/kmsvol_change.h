/* What resize and rotate share: a change of the header, done by the daemon of a mounted volume or here. */
#ifndef TOOLS_KMSVOL_CHANGE_H
#define TOOLS_KMSVOL_CHANGE_H

#include <stdbool.h>

struct err;
struct kms;
struct kms_config;
struct kms_json;
struct secret;
struct volume_header;

/* What to do with a volume that is not mounted: locked, @data_key unwrapped (borrowed). */
typedef int change_fn(const char *dir, struct volume_header *header, struct kms *kms,
		      const struct secret *data_key, void *arg, struct err *err);

/*
 * Have the daemon of the volume in @dir do @request (see fs/change_job.h) and wait for it; when there is
 * none, do @fn here. *@ret_mounted: the daemon did it. Sentences begin with the volume.
 */
int change_run(const char *dir, const struct kms_config *config, const struct kms_json *request,
	       change_fn *fn, void *arg, bool *ret_mounted, struct err *err);

#endif
