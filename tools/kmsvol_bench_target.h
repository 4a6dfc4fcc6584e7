/* What fio runs on: a file in a mount of ours or of a peer. */
#ifndef TOOLS_KMSVOL_BENCH_TARGET_H
#define TOOLS_KMSVOL_BENCH_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kmsvol_bench.h"

struct err;

#define TARGET_PIDS_MAX 2
#define TARGETS_MAX	16

struct target {
	char name[BENCH_NAME_MAX];
	enum bench_layer layer;
	char dir[PATH_MAX / 2];	     /* its own, in the bench's; made before set_up() */
	char mountpoint[PATH_MAX];   /* "": it is no mount */
	char file[PATH_MAX];	     /* that fio reads and writes */
	pid_t pids[TARGET_PIDS_MAX]; /* that serve it; 0: none */
};

/* How a target is made. */
struct target_kind {
	const char *name;
	const char *programs[4]; /* that it needs; NULL-terminated */
	/*
	 * Make it: a file of options->size_bytes at t->file, served. When it fails, what has been started is in
	 * t->pids.
	 */
	int (*set_up)(const struct bench *b, struct target *t, struct err *err);
};

/* Those of others, and a plain file. */
extern const struct target_kind target_peers[];
extern const size_t target_peer_count;

/* Is it mounted at this moment, or no mount at all? Else -ENOTCONN: nothing may be measured there. */
int target_check(const struct target *t, struct err *err);

/* Wait until it is mounted: a process of it that ends before is an error with what it said in NAME.err. */
int target_wait(const struct bench *b, const struct target *t, const char *name, struct err *err);

/* Unmount, end the processes. */
void target_end(struct target *t);

/* Start a program for @t as its next process; NAME.out and NAME.err are in the bench's directory. */
int target_start(const struct bench *b, struct target *t, const char *name,
		 const char *const argv[], struct err *err);

/* Write every block of its file once, by fio. */
int fio_fill(const struct bench *b, const struct target *t, struct err *err);

/* One measurement by fio: a task whose arg is the target and whose number is that of the job. */
int fio_run(const struct bench *b, const struct bench_task *task, uint64_t ms,
	    struct bench_sample *ret, struct err *err);

/* The figures in fio's JSON. -EUCLEAN. Pure. */
int fio_parse(const char *text, const struct bench_job *job, struct bench_sample *ret,
	      double *ret_gib, struct err *err);

#endif
