/* Times in JSON: ISO 8601 with milliseconds, UTC; null for "none", which is 0 in memory. */
#ifndef FS_JSONTIME_H
#define FS_JSONTIME_H

#include <stdint.h>

struct err;
struct kms_json;

/* @wall_ms: ms since 1970. -ENOMEM. */
int jsontime_set(struct kms_json *obj, const char *name, uint64_t wall_ms);

/* -EUCLEAN, the sentence names the member: missing, or no time as jsontime_set() writes it. */
int jsontime_get(const struct kms_json *obj, const char *name, uint64_t *ret_wall_ms,
		 struct err *err);

#endif
