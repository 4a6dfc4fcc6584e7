/* What injected faults do to a request. See fault.h. */
#include "fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "units.h"

#define IOPS_MAX      1000000ULL
#define BYTES_PER_MAX (1ULL << 40)
#define BYTES_PER_MIN 4096

static const struct {
	int num;
	const char *name;
} errors[] = {
	{EIO, "EIO"},
	{ENOSPC, "ENOSPC"},
	{EROFS, "EROFS"},
	{ETIMEDOUT, "ETIMEDOUT"},
};

/* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators"), its nth output. */
static uint64_t mix(uint64_t seed, uint64_t nth)
{
	uint64_t z = seed + (nth + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

bool fault_hits(uint64_t seed, uint64_t nth, uint32_t permille)
{
	return mix(seed, nth) % FAULT_ALWAYS < permille;
}

/* When the next request may begin, which costs its share of a second; its delay from @now_us. */
static uint64_t throttle(struct fault *f, uint64_t bytes, uint64_t now_us)
{
	uint64_t now = now_us * 1000, cost = 0, by_bytes;

	if (f->iops)
		cost = 1000000000ULL / f->iops;
	/* A request has less than 2^30 bytes: no overflow. */
	by_bytes = f->bytes_per_s ? bytes * 1000000000ULL / f->bytes_per_s : 0;
	if (by_bytes > cost)
		cost = by_bytes;
	if (f->next_ns < now)
		f->next_ns = now;
	f->next_ns += cost;
	now += FAULT_BURST_US * 1000ULL + cost;
	return f->next_ns > now ? (f->next_ns - now) / 1000 : 0;
}

/* The delay of a request that is a target of @f, or its error. */
static uint64_t apply(struct fault *f, uint64_t bytes, uint64_t now_us, int *ret_error)
{
	uint64_t delay_us = 0;

	if (f->kind == FAULT_THROTTLE) {
		delay_us = throttle(f, bytes, now_us);
		f->seen++;
		f->hit += delay_us > 0;
		return delay_us;
	}
	if (!fault_hits(f->seed, f->seen++, f->permille))
		return 0;
	f->hit++;
	if (f->kind == FAULT_ERROR)
		*ret_error = f->error;
	return f->kind == FAULT_LATENCY ? f->latency_us : 0;
}

struct fault_verdict fault_judge(struct fault *faults, size_t count, unsigned target,
				 uint64_t bytes, uint64_t now_us)
{
	struct fault_verdict v = {0};
	uint64_t delay_us = 0;

	/* Errors first: what is not executed takes nobody's turn. */
	for (int errors_only = 1; errors_only >= 0 && !v.error; errors_only--)
		for (size_t i = 0; i < count && !v.error; i++) {
			struct fault *f = &faults[i];

			if ((f->kind == FAULT_ERROR) == errors_only && (f->targets & target) &&
			    f->kind != FAULT_PAUSE && now_us >= f->begin_us && now_us < f->end_us)
				delay_us += apply(f, bytes, now_us, &v.error);
		}
	if (!v.error && delay_us)
		v.due_us = now_us + delay_us;
	return v;
}

int fault_check(const struct fault *fault, struct err *err)
{
	char text[UNITS_TEXT_MAX];

	if (fault->kind != FAULT_PAUSE && fault->targets == 0)
		return err_set(err, EINVAL, "it is for no requests");
	if (fault->kind == FAULT_THROTTLE) {
		if (!fault->iops && !fault->bytes_per_s)
			return err_set(err, EINVAL, "a throttle needs a limit");
		if (fault->iops > IOPS_MAX || fault->bytes_per_s > BYTES_PER_MAX ||
		    (fault->bytes_per_s && fault->bytes_per_s < BYTES_PER_MIN))
			return err_set(err, EINVAL,
				       "a limit is outside 1 to %llu requests, 4K to 1T bytes "
				       "a second",
				       IOPS_MAX);
		return 0;
	}
	if (fault->kind == FAULT_PAUSE)
		return 0;
	if (fault->permille < 1 || fault->permille > FAULT_ALWAYS)
		return err_set(err, EINVAL, "the part of requests is not in 0.1 to 100 %%");
	if (fault->kind == FAULT_ERROR && !fault_error_name(fault->error))
		return err_set(err, EINVAL, "%d is no error of a disk", fault->error);
	if (fault->kind == FAULT_LATENCY && (fault->latency_us < FAULT_LATENCY_MIN_US ||
					     fault->latency_us > FAULT_LATENCY_MAX_US)) {
		units_format_duration(fault->latency_us / 1000, text);
		return err_set(err, EINVAL, "latency %s is not in 1ms to 60s", text);
	}
	return 0;
}

static const struct {
	const char *name, *action;
} kinds[FAULT_KINDS] = {
	[FAULT_PAUSE] = {"pause", "aws:ebs:pause-volume-io"},
	[FAULT_LATENCY] = {"latency", "aws:ebs:volume-io-latency"},
	[FAULT_ERROR] = {"error", "kmsvol:volume-io-error"},
	[FAULT_THROTTLE] = {"throttle", "kmsvol:volume-io-throttle"},
};

const char *fault_kind_name(enum fault_kind kind)
{
	return kinds[kind].name;
}

const char *fault_action(enum fault_kind kind)
{
	return kinds[kind].action;
}

int fault_kind_by_name(const char *name, enum fault_kind *ret_kind)
{
	for (int i = 0; i < FAULT_KINDS; i++)
		if (strcmp(name, kinds[i].name) == 0) {
			*ret_kind = (enum fault_kind)i;
			return 0;
		}
	return -ENOENT;
}

const char *fault_error_name(int error)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (errors[i].num == error)
			return errors[i].name;
	return NULL;
}

int fault_error_by_name(const char *name, int *ret_num)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (strcmp(errors[i].name, name) == 0) {
			*ret_num = errors[i].num;
			return 0;
		}
	return -ENOENT;
}

static const char *targets_text(unsigned targets)
{
	static const char *const texts[] = {
		"nothing",
		"reads",
		"writes",
		"reads and writes",
		"flushes",
		"reads and flushes",
		"writes and flushes",
		"all requests",
	};

	return texts[targets & 7];
}

void fault_describe(const struct fault *fault, char ret_text[FAULT_TEXT_MAX])
{
	char what[2 * UNITS_TEXT_MAX + 32] = "", size[UNITS_TEXT_MAX], part[32];
	size_t at = 0;

	switch (fault->kind) {
	case FAULT_PAUSE:
		(void)snprintf(ret_text, FAULT_TEXT_MAX, "all I/O waits");
		return;
	case FAULT_LATENCY:
		units_format_duration(fault->latency_us / 1000, what);
		break;
	case FAULT_ERROR:
		(void)snprintf(what, sizeof(what), "%s", fault_error_name(fault->error));
		break;
	case FAULT_THROTTLE:
		if (fault->iops)
			at = (size_t)snprintf(what, sizeof(what), "%" PRIu64 " requests/s",
					      fault->iops);
		units_format_size(fault->bytes_per_s, size);
		if (fault->bytes_per_s)
			(void)snprintf(what + at, sizeof(what) - at, "%s%s/s", at ? ", " : "",
				       size);
		(void)snprintf(ret_text, FAULT_TEXT_MAX, "at most %s for %s", what,
			       targets_text(fault->targets));
		return;
	}
	if (fault->permille == FAULT_ALWAYS)
		part[0] = '\0';
	else if (fault->permille % 10)
		(void)snprintf(part, sizeof(part), "%u.%u %% of ", (unsigned)fault->permille / 10,
			       (unsigned)fault->permille % 10);
	else
		(void)snprintf(part, sizeof(part), "%u %% of ", (unsigned)fault->permille / 10);
	(void)snprintf(ret_text, FAULT_TEXT_MAX, "%s for %s%s", what, part,
		       targets_text(fault->targets));
}
