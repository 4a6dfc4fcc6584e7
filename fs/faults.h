/*
 * The experiments on a mounted volume: the table of injected faults, the thread that ends them and tells
 * of it, the threads that let go of delayed requests. What a fault does is decided in fault.c.
 */
#ifndef FS_FAULTS_H
#define FS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "fault.h"
#include "health.h"

struct err;
struct events;
struct faults;
struct gate;
struct kms_json;

#define FAULTS_MAX 16 /* experiments at a time */

/* All borrowed and to outlive the faults. */
struct faults_setup {
	struct gate *gate;
	struct events *events;
	const char *key_arn; /* of the volume: region and account of its experiments */
	uint32_t time_scale;
	uint64_t hold_limit_ms; /* no request may be delayed for longer; 0: no limit */
};

struct faults_status {
	uint64_t pause_end_wall_ms;    /* 0: not paused */
	bool degraded;		       /* something else than a pause is injected */
	uint64_t delays, errors;       /* injected since the mount */
	char text[4 * FAULT_TEXT_MAX]; /* what is injected, for people; "" */
};

/* NULL: out of memory. No thread before the first experiment. */
struct faults *faults_new(const struct faults_setup *setup);

/* Stop all experiments, let go of all requests that they keep, end the threads. None may be added any more;
 * faults_judge() goes on to answer. NULL is allowed. */
void faults_end(struct faults *faults);
void faults_free(struct faults *faults); /* after faults_end(); NULL is allowed */

/* fault_judge() with what is injected now. Cheap when nothing is. From any thread. */
struct fault_verdict faults_judge(struct faults *faults, unsigned target, uint64_t bytes);

/*
 * Begin the experiment that @request describes (fault_from_json(); its duration is scaled here). The reply:
 * {"ok":true,"experiment":ID,"ends":TIME or null}. NULL: @err says why not. One caller at a time.
 */
struct kms_json *faults_begin(struct faults *faults, const struct kms_json *request,
			      struct err *err);

#define FAULTS_ALL (-1)

/* Stop those experiments that have this id (NULL: any) and kind (FAULTS_ALL: any). How many. Does not wait
 * until what they held is let go. */
size_t faults_stop(struct faults *faults, const char *id, int kind);

/* {"ok":true,"experiments":[...]}. NULL: out of memory. */
struct kms_json *faults_list(struct faults *faults);

void faults_status(struct faults *faults, struct faults_status *ret_status);

#endif
