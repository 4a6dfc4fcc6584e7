/*
 * Faults that are injected into a volume's I/O, as AWS FIS injects them into EBS: what an experiment does
 * to a request is a pure function of the request, the time and a seed. A table of kinds; no thread, no
 * clock, no gate.
 */
#ifndef FS_FAULT_H
#define FS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum fault_kind {
	FAULT_PAUSE,	/* all I/O waits: the gate's matter, not a request's */
	FAULT_LATENCY,	/* some requests wait before they are executed */
	FAULT_ERROR,	/* some requests fail, and are not executed */
	FAULT_THROTTLE, /* requests wait for their turn */
};
#define FAULT_KINDS 4

/* Requests, as bits. A discard is a write. */
#define FAULT_READS   1u
#define FAULT_WRITES  2u
#define FAULT_FLUSHES 4u

#define FAULT_ID_LEN	      20   /* "EXP", 15 letters and digits, the NUL */
#define FAULT_ALWAYS	      1000 /* permille */
#define FAULT_LATENCY_MIN_US  1000ULL
#define FAULT_LATENCY_MAX_US  60000000ULL
#define FAULT_DURATION_MAX_MS (12ULL * 3600 * 1000) /* as FIS has it, before it is scaled */
#define FAULT_BURST_US	      10000 /* of a throttle's time that may be used at once */
#define FAULT_TEXT_MAX	      160
#define FAULT_FOREVER	      UINT64_MAX

/* One experiment. Times are of clock_monotonic_us(). */
struct fault {
	char id[FAULT_ID_LEN];
	enum fault_kind kind;
	unsigned targets;  /* FAULT_READS, ...; not of a pause */
	uint32_t permille; /* of the targets; latency and errors */
	uint64_t latency_us;
	int error;		    /* an errno that fault_error_by_name() knows */
	uint64_t iops, bytes_per_s; /* of a throttle; 0: no limit */
	uint64_t seed;
	uint64_t begin_us, end_us; /* FAULT_FOREVER: until it is stopped */
	const char *stopped;	   /* why it has ended before its time; NULL: it has not */
	/* changed by fault_judge() */
	uint64_t seen, hit; /* targets, and those of them that were changed */
	uint64_t next_ns;   /* when the throttle's next turn is */
};

struct fault_verdict {
	int error;	 /* answer with it at once; 0: do not */
	uint64_t due_us; /* do not execute it before; 0: now */
};

/*
 * What happens to a request of the kind @target (one bit; 0: none of them) with @bytes of data that comes at
 * @now_us, under all of @faults. An error counts before all delays; delays add up.
 */
struct fault_verdict fault_judge(struct fault *faults, size_t count, unsigned target,
				 uint64_t bytes, uint64_t now_us);

/* Is the @nth target of an experiment with this seed one of the @permille? */
bool fault_hits(uint64_t seed, uint64_t nth, uint32_t permille);

/* Are the values of @fault's kind within their limits? -EINVAL with a sentence. Times are not looked at. */
int fault_check(const struct fault *fault, struct err *err);

const char *fault_kind_name(enum fault_kind kind); /* "pause", "latency", "error", "throttle" */
int fault_kind_by_name(const char *name, enum fault_kind *ret_kind); /* -ENOENT */

/* As FIS names the action ("aws:ebs:pause-volume-io"), or as it might. */
const char *fault_action(enum fault_kind kind);

const char *fault_error_name(int error);		 /* "EIO"; NULL: none of ours */
int fault_error_by_name(const char *name, int *ret_num); /* -ENOENT */

/* "20ms for 50 % of reads and writes" */
void fault_describe(const struct fault *fault, char ret_text[FAULT_TEXT_MAX]);

#endif
