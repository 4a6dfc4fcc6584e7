/* The results as tables and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "kms_json.h"
#include "kmsvol_bench.h"
#include "secret.h"

#define COLUMNS_MAX 7 /* beside each other */
#define CELL_MAX    32
#define NAMES_MAX   64

/* Different jobs or targets of some layers, in order of appearance. */
struct names {
	const char *names[NAMES_MAX];
	size_t count;
};

static void collect(struct names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->names[i], name) == 0)
			return;
	if (names->count < NAMES_MAX)
		names->names[names->count++] = name;
}

/* The row of one of the layers from @first to @last. */
static const struct bench_row *find(const struct bench *b, enum bench_layer first,
				    enum bench_layer last, const char *job, const char *target)
{
	const struct bench_row *row = NULL;

	for (int l = first; !row && l <= (int)last; l++)
		row = bench_find(b, (enum bench_layer)l, job, target);
	return row;
}

static void cell(const struct bench_row *row, enum bench_number number, char ret[CELL_MAX])
{
	struct bench_stat s = bench_row_stat(row, number);

	if (s.count == 0)
		(void)snprintf(ret, CELL_MAX, "-");
	else
		(void)snprintf(ret, CELL_MAX, "%.*f ±%.0f%%", number == BENCH_CPU ? 2 : 0, s.median,
			       bench_spread_percent(&s)); /* fits */
}

/* Pads to @width columns: "±" is one, of two bytes. */
static void print_padded(const char *text, int width)
{
	int columns = 0;

	for (const char *p = text; *p; p++)
		columns += ((unsigned char)*p & 0xc0) != 0x80;
	printf("%*s%s", width > columns ? width - columns : 0, "", text);
}

struct table {
	const struct bench *b;
	enum bench_layer first, last;
	enum bench_number number;
	struct names jobs, targets;
};

static void print_part(const struct table *t, size_t from, size_t to)
{
	printf("%-24s", "");
	for (size_t j = from; j < to; j++)
		printf("  %16s", t->jobs.names[j]);
	printf("\n");
	for (size_t i = 0; i < t->targets.count; i++) {
		printf("%-24s", t->targets.names[i]);
		for (size_t j = from; j < to; j++) {
			char text[CELL_MAX];

			cell(find(t->b, t->first, t->last, t->jobs.names[j], t->targets.names[i]),
			     t->number, text);
			printf("  ");
			print_padded(text, 16);
		}
		printf("\n");
	}
}

/* "enc 4k x1" and "dec 4k x1" do not stand beside each other. */
static bool same_kind(const char *job, const char *other)
{
	size_t len = strcspn(job, " ");

	return job[len] == '\0' || strncmp(job, other, len + 1) == 0;
}

/* How many rounds there were of a layer's rows, at least. */
static unsigned rounds_of(const struct bench *b, enum bench_layer layer)
{
	unsigned least = BENCH_ROUNDS_MAX;

	for (size_t i = 0; i < b->row_count; i++)
		if (b->rows[i].layer == layer && b->rows[i].count < least)
			least = b->rows[i].count;
	return least;
}

static void print_table(const struct bench *b, enum bench_layer first, enum bench_layer last,
			enum bench_number number, const char *title)
{
	struct table t = {.b = b, .first = first, .last = last, .number = number};

	for (size_t i = 0; i < b->row_count; i++) {
		const struct bench_row *row = &b->rows[i];

		if (row->layer < first || row->layer > last ||
		    bench_row_stat(row, number).count == 0)
			continue;
		collect(&t.jobs, row->job);
		collect(&t.targets, row->target);
	}
	if (t.jobs.count == 0)
		return;
	printf("\n%s; rounds: %u\n", title, rounds_of(b, t.last == BENCH_PEERS ? first : last));
	for (size_t from = 0, to; from < t.jobs.count; from = to) {
		for (to = from + 1; to < t.jobs.count && to < from + COLUMNS_MAX; to++)
			if (!same_kind(t.jobs.names[from], t.jobs.names[to]))
				break;
		print_part(&t, from, to);
	}
}

static void print_list(const char *title, const struct kms_json *arr)
{
	size_t count = arr ? kms_json_count(arr) : 0;

	if (count)
		printf("\n%s\n", title);
	for (size_t i = 0; i < count; i++)
		printf("- %s\n", kms_json_string_value(kms_json_at(arr, i)));
}

static int print_member(const char *name, struct kms_json *value, void *arg)
{
	(void)arg;
	if (kms_json_type(value) == KMS_JSON_INT)
		printf("  %s: %" PRId64 "\n", name, kms_json_int_value(value));
	else
		printf("  %s: %s\n", name, kms_json_string_value(value));
	return 0;
}

void bench_print(const struct bench *b, const struct kms_json *machine)
{
	AUTO(kms_json_freep) struct kms_json *reading = bench_reading(b);

	printf("measured on:\n");
	(void)kms_json_each(machine, print_member, NULL); /* ours never ends it */
	printf("\nmedian ± half of the range in percent of it; order rotated\n");
	print_table(b, BENCH_MEMORY, BENCH_MEMORY, BENCH_RATE, "copying in memory, MiB/s");
	print_table(b, BENCH_CIPHER, BENCH_CIPHER, BENCH_RATE,
		    "ciphers, MiB/s, by block size and threads");
	print_table(b, BENCH_STORE, BENCH_STORE, BENCH_RATE,
		    "the store without FUSE, MiB/s (sequential) and IOPS (random)");
	print_table(b, BENCH_MOUNT, BENCH_PEERS, BENCH_RATE,
		    "mounts, by fio with --direct=1 --ioengine=psync, MiB/s and IOPS");
	print_table(b, BENCH_MOUNT, BENCH_PEERS, BENCH_P99,
		    "mounts, 99th percentile of latency, us");
	print_table(b, BENCH_MOUNT, BENCH_PEERS, BENCH_CPU,
		    "mounts, CPU seconds of the daemon for a GiB");
	print_list("left out:", b->left_out);
	print_list("what it says:", reading);
}

static struct kms_json *stat_json(const struct bench_row *row, enum bench_number number)
{
	struct bench_stat s = bench_row_stat(row, number);
	struct kms_json *obj = kms_json_new_object();

	if (obj &&
	    (kms_json_set_double(obj, "median", s.median) |
	     kms_json_set_double(obj, "low_quartile", s.low) |
	     kms_json_set_double(obj, "high_quartile", s.high) |
	     kms_json_set_double(obj, "min", s.min) | kms_json_set_double(obj, "max", s.max) |
	     kms_json_set_double(obj, "spread_percent", bench_spread_percent(&s)))) {
		kms_json_free(obj);
		obj = NULL;
	}
	return obj;
}

static struct kms_json *row_json(const struct bench_row *row)
{
	struct kms_json *obj = kms_json_new_object(), *samples = kms_json_new_array();
	int r = 0;

	for (unsigned i = 0; samples && i < row->count; i++) {
		struct kms_json *one = kms_json_new_object();

		if (one)
			r |= kms_json_set_double(one, "rate", row->samples[i].rate);
		if (one && row->samples[i].p99_us >= 0)
			r |= kms_json_set_double(one, "p99_us", row->samples[i].p99_us);
		if (one && row->samples[i].cpu_s_per_gib >= 0)
			r |= kms_json_set_double(one, "cpu_s_per_gib",
						 row->samples[i].cpu_s_per_gib);
		r |= kms_json_add(samples, one);
	}
	if (!obj) {
		kms_json_free(samples);
		return NULL;
	}
	r |= kms_json_set_str(obj, "layer", bench_layer_names[row->layer]) |
	     kms_json_set_str(obj, "job", row->job) | kms_json_set_str(obj, "target", row->target) |
	     kms_json_set_str(obj, "unit", row->unit) |
	     kms_json_set_u64(obj, "threads", row->threads) |
	     kms_json_set_u64(obj, "rounds", row->count) |
	     kms_json_set(obj, "rate", stat_json(row, BENCH_RATE)) |
	     kms_json_set(obj, "samples", samples);
	if (bench_row_stat(row, BENCH_P99).count)
		r |= kms_json_set(obj, "p99_us", stat_json(row, BENCH_P99));
	if (bench_row_stat(row, BENCH_CPU).count)
		r |= kms_json_set(obj, "cpu_s_per_gib", stat_json(row, BENCH_CPU));
	if (r == 0)
		return obj;
	kms_json_free(obj);
	return NULL;
}

struct kms_json *bench_json(const struct bench *b, const struct kms_json *machine)
{
	struct kms_json *obj = kms_json_new_object(), *results = kms_json_new_array();
	int r = 0;

	for (size_t i = 0; results && i < b->row_count; i++)
		r |= kms_json_add(results, row_json(&b->rows[i]));
	if (!obj) {
		kms_json_free(results);
		return NULL;
	}
	r |= kms_json_set(obj, "measured_on", kms_json_copy(machine)) |
	     kms_json_set(obj, "results", results) |
	     kms_json_set(obj, "left_out", kms_json_copy(b->left_out)) |
	     kms_json_set(obj, "reading", bench_reading(b));
	if (r == 0)
		return obj;
	kms_json_free(obj);
	return NULL;
}
