/* Injected faults in requests and replies of the control socket. */
#ifndef FS_FAULT_JSON_H
#define FS_FAULT_JSON_H

#include <stdint.h>

struct err;
struct fault;
struct kms_json;

/*
 * Read "kind", and by kind "latency_us", "error", "iops", "bytes_per_s"; "reads", "writes", "flushes",
 * "permille" (all), "seed" (@fault's); "duration_ms" (for ever). -EINVAL, -EUCLEAN: a sentence.
 */
int fault_from_json(const struct kms_json *request, struct fault *fault, uint64_t *ret_duration_ms,
		    struct err *err);

/* NULL: out of memory. Times are ms since 1970, 0: none. */
struct kms_json *fault_to_json(const struct fault *fault, uint64_t begin_wall_ms,
			       uint64_t end_wall_ms);

#endif
