/*
 * The parts of kmsvol bench: what is measured (a task), what comes of it (a row of results), and who measures. A
 * layer gives tasks; bench_run() does them in rounds; text, JSON and plot are made of the results.
 */
#ifndef TOOLS_KMSVOL_BENCH_H
#define TOOLS_KMSVOL_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blockcrypt.h"
#include "kmsvol_cmd.h"

struct err;
struct kms_json;

#define BENCH_ROUNDS_MAX 99
#define BENCH_ROWS_MAX	 400
#define BENCH_NAME_MAX	 48

/* Targets that encrypt nothing. */
#define BENCH_PASSTHROUGH "passthrough, no crypto"
#define BENCH_PLAIN_FILE  "plain file, no FUSE"

enum bench_layer {
	BENCH_MEMORY, /* copying */
	BENCH_CIPHER, /* each cipher of each provider */
	BENCH_STORE,  /* the store without FUSE */
	BENCH_MOUNT,  /* mounted volumes */
	BENCH_PEERS,  /* others, on the same jobs as mounts */
	BENCH_LAYERS,
};

extern const char *const bench_layer_names[]; /* NULL-terminated */

/* One measurement. Numbers that were not had are negative. */
struct bench_sample {
	double rate;	      /* in the task's unit */
	double p99_us;	      /* latency */
	double cpu_s_per_gib; /* of the processes that serve */
};

#define BENCH_SAMPLE_NONE                                                                          \
	(struct bench_sample)                                                                      \
	{                                                                                          \
		-1, -1, -1                                                                         \
	}

/* What is measured, and all that was. */
struct bench_row {
	enum bench_layer layer;
	char job[BENCH_NAME_MAX];
	char target[BENCH_NAME_MAX];
	const char *unit; /* "MiB/s", "IOPS" */
	unsigned threads;
	unsigned count;
	struct bench_sample samples[BENCH_ROUNDS_MAX];
};

/* Of some numbers: the median, the quartiles, the ends. */
struct bench_stat {
	unsigned count; /* 0: the rest is 0, too */
	double median, low, high, min, max;
};

struct bench_stat bench_stat(const double *values, size_t count);

/* A number of the samples of a row: rates, or one of the others. */
enum bench_number { BENCH_RATE, BENCH_P99, BENCH_CPU };
struct bench_stat bench_row_stat(const struct bench_row *row, enum bench_number number);

/* Half of the distance between smallest and largest, in percent of the median. */
double bench_spread_percent(const struct bench_stat *stat);

/* What the command was told. */
struct bench_options {
	uint64_t time_ms;
	uint64_t rounds;
	uint64_t size_bytes; /* of each volume */
	const char *dir;     /* where backing files go */
	bool layers[BENCH_LAYERS];
	bool ciphers[BENCH_LAYERS + 1]; /* by enum blockcrypt_cipher; [0] is not used */
	int provider;			/* enum blockcrypt_want */
	const char *passthrough;	/* a program; NULL: look for one */
};

struct bench {
	const struct bench_options *options;
	const atomic_bool *stop; /* a signal came */
	char work[256];		 /* our directory in options->dir */
	uint64_t begun_ms;
	struct bench_row *rows; /* BENCH_ROWS_MAX of them; the first @row_count are filled */
	size_t row_count;
	struct kms_json *left_out; /* an array of sentences: what could not be measured, and why */
	char transport[32];	   /* of our mounts, as their status says; "": none */
};

struct bench_task {
	enum bench_layer layer;
	const char *job, *target, *unit; /* borrowed or, with copies, of the task's maker */
	unsigned threads;
	/* Measure for about @ms. */
	int (*run)(const struct bench *b, const struct bench_task *task, uint64_t ms,
		   struct bench_sample *ret, struct err *err);
	void *arg;
	unsigned number;  /* the maker's */
	bool encrypt;	  /* the maker's */
	const void *what; /* the maker's */
};

/* How long one measurement of a kind must take to mean something, and need not be longer than; overhead of one. */
struct bench_pace {
	uint64_t budget_ms, min_ms, max_ms, overhead_ms;
};

/* The plan for @tasks measurements a round: how many rounds, of how long. Pure. */
struct bench_plan {
	unsigned rounds;
	uint64_t ms;
};
struct bench_plan bench_plan(const struct bench_pace *pace, size_t tasks, uint64_t rounds);

/*
 * Do all tasks, @count of them with those of one job beside each other, in rounds; in each round another
 * task of a job comes first. Results go to new rows of @b. -EINTR: told to stop.
 */
int bench_run(struct bench *b, const struct bench_task *tasks, size_t count,
	      const struct bench_pace *pace, struct err *err);

/* What is going on, on a line of stderr that is written anew; only where that is a terminal. NULL: take it away. */
void bench_show(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Something is not measured: kept for the report. */
void bench_leave_out(struct bench *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The layers. */
int bench_memory(struct bench *b, uint64_t budget_ms, struct err *err);
int bench_store(struct bench *b, uint64_t budget_ms, struct err *err);
int bench_mounts(struct bench *b, uint64_t budget_ms, struct err *err);

/* The jobs on a disk: fio's, and the store's by ourselves. */
struct bench_job {
	const char *name, *text; /* text as in "sequential read" */
	unsigned threads;
	bool write, random, fsync;
	uint32_t len; /* bytes of one I/O */
	const char *unit;
};
extern const struct bench_job bench_jobs[];
extern const size_t bench_job_count;

/* What the figures were measured on. The caller frees; NULL: out of memory. */
struct kms_json *bench_machine(const struct bench *b);

/* Row of a layer, job and target; NULL: was not measured. */
const struct bench_row *bench_find(const struct bench *b, enum bench_layer layer, const char *job,
				   const char *target);

/* Print tables and reading. @machine as made by bench_machine(). */
void bench_print(const struct bench *b, const struct kms_json *machine);

/* Sentences on what the figures say: an array. The caller frees; NULL: out of memory. */
struct kms_json *bench_reading(const struct bench *b);

/* All as JSON. The caller frees; NULL: out of memory. */
struct kms_json *bench_json(const struct bench *b, const struct kms_json *machine);

/* An SVG picture. The caller frees; NULL: out of memory. */
char *bench_svg(const struct bench *b, const struct kms_json *machine);

/* Put the picture into @path: SVG, or PNG when it ends with .png, by rsvg-convert. */
int bench_plot(const struct bench *b, const struct kms_json *machine, const char *path,
	       struct err *err);

#endif
