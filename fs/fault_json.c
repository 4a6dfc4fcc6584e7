/* Faults as JSON. See fault_json.h. */
#include "fault_json.h"

#include <errno.h>
#include <stdbool.h>

#include "err.h"
#include "fault.h"
#include "jsontime.h"
#include "kms_json.h"

/* The member as a number; @fallback when it is not there. */
static int optional(const struct kms_json *request, const char *name, uint64_t fallback,
		    uint64_t *ret, struct err *err)
{
	*ret = fallback;
	return kms_json_has(request, name) ? kms_json_u64(request, name, ret, err) : 0;
}

static int add_target(const struct kms_json *request, const char *name, unsigned bit,
		      struct fault *fault, struct err *err)
{
	bool wanted = false;
	int r = kms_json_has(request, name) ? kms_json_bool(request, name, &wanted, err) : 0;

	if (wanted)
		fault->targets |= bit;
	return r;
}

static int read_values(const struct kms_json *request, struct fault *fault, struct err *err)
{
	uint64_t permille = 0;
	const char *name;
	int r = kms_json_str(request, "kind", &name, err);

	if (r == 0 && fault_kind_by_name(name, &fault->kind) < 0)
		r = err_set(err, EINVAL, "'%s' is no kind of fault", name);
	if (r == 0)
		r = add_target(request, "reads", FAULT_READS, fault, err);
	if (r == 0)
		r = add_target(request, "writes", FAULT_WRITES, fault, err);
	if (r == 0)
		r = add_target(request, "flushes", FAULT_FLUSHES, fault, err);
	if (r == 0)
		r = optional(request, "permille", FAULT_ALWAYS, &permille, err);
	fault->permille = permille > FAULT_ALWAYS ? FAULT_ALWAYS + 1 : (uint32_t)permille;
	if (r == 0)
		r = optional(request, "latency_us", 0, &fault->latency_us, err);
	if (r == 0)
		r = optional(request, "iops", 0, &fault->iops, err);
	if (r == 0)
		r = optional(request, "bytes_per_s", 0, &fault->bytes_per_s, err);
	if (r == 0)
		r = optional(request, "seed", fault->seed, &fault->seed, err);
	if (r == 0 && fault->kind == FAULT_ERROR) {
		r = kms_json_str(request, "error", &name, err);
		if (r == 0 && fault_error_by_name(name, &fault->error) < 0)
			r = err_set(err, EINVAL, "'%s' is none of EIO, ENOSPC, EROFS, ETIMEDOUT",
				    name);
	}
	return r < 0 ? r : fault_check(fault, err);
}

int fault_from_json(const struct kms_json *request, struct fault *fault, uint64_t *ret_duration_ms,
		    struct err *err)
{
	uint64_t ms;
	int r = read_values(request, fault, err);

	if (r == 0)
		r = optional(request, "duration_ms", FAULT_FOREVER, &ms, err);
	if (r < 0)
		return r;
	if (ms == FAULT_FOREVER && fault->kind == FAULT_PAUSE)
		return err_set(err, EINVAL, "a pause needs a duration");
	if (ms != FAULT_FOREVER && (ms == 0 || ms > FAULT_DURATION_MAX_MS))
		return err_set(err, EINVAL, "the duration is not in 1ms to 12h");
	*ret_duration_ms = ms;
	return 0;
}

struct kms_json *fault_to_json(const struct fault *fault, uint64_t begin_wall_ms,
			       uint64_t end_wall_ms)
{
	struct kms_json *obj = kms_json_new_object();
	char text[FAULT_TEXT_MAX];

	fault_describe(fault, text);
	if (obj &&
	    (kms_json_set_str(obj, "experiment", fault->id) |
	     kms_json_set_str(obj, "action", fault_action(fault->kind)) |
	     kms_json_set_str(obj, "kind", fault_kind_name(fault->kind)) |
	     kms_json_set_str(obj, "what", text) | jsontime_set(obj, "started", begin_wall_ms) |
	     jsontime_set(obj, "ends", end_wall_ms) | kms_json_set_u64(obj, "seed", fault->seed) |
	     kms_json_set_u64(obj, "requests", fault->seen) |
	     kms_json_set_u64(obj, "requests_hit", fault->hit)))
		kms_json_freep(&obj);
	return obj;
}
