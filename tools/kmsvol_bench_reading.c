/* What the figures say, in sentences: costs and ratios, each of medians of one run. Pure. */
#include <stdio.h>
#include <string.h>

#include "kms_json.h"
#include "kmsvol_bench.h"

#define SENTENCE_MAX  1024
#define ROUNDS_ENOUGH 3
#define OURS	      "kmsvol aes-256-gcm"

/* Two rows of each job. The second target NULL: the best peer. */
struct comparison {
	enum bench_layer layer, other_layer;
	const char *target, *other;
	enum bench_number number;
	bool cost;   /* how many percent are lost; else a ratio */
	bool single; /* of jobs with one thread only */
};

static bool is_better(double a, double b, enum bench_number number)
{
	return number == BENCH_RATE ? a > b : a < b;
}

/* The best of those that encrypt. */
static const struct bench_row *best_peer(const struct bench *b, const char *job,
					 enum bench_number number)
{
	const struct bench_row *best = NULL;
	double best_median = 0;

	for (size_t i = 0; i < b->row_count; i++) {
		const struct bench_row *row = &b->rows[i];
		struct bench_stat s = bench_row_stat(row, number);

		if (row->layer != BENCH_PEERS || strcmp(row->job, job) != 0 || s.count == 0 ||
		    strcmp(row->target, BENCH_PASSTHROUGH) == 0 ||
		    strcmp(row->target, BENCH_PLAIN_FILE) == 0)
			continue;
		if (!best || is_better(s.median, best_median, number)) {
			best = row;
			best_median = s.median;
		}
	}
	return best;
}

/* Do what half of the values lie in overlap? Then a difference may be noise. */
static bool overlap(const struct bench_stat *a, const struct bench_stat *b)
{
	return a->low <= b->high && b->low <= a->high;
}

/* ", 11 % of sequential read"; nothing where one was not measured. */
static size_t add_job(const struct bench *b, const struct comparison *c,
		      const struct bench_job *job, char *at, size_t room)
{
	const struct bench_row *row = bench_find(b, c->layer, job->name, c->target);
	const struct bench_row *other = c->other
						? bench_find(b, c->other_layer, job->name, c->other)
						: best_peer(b, job->name, c->number);
	struct bench_stat s = bench_row_stat(row, c->number), o = bench_row_stat(other, c->number);
	double ratio = o.median > 0 ? s.median / o.median : 0;
	int n;

	if (s.count == 0 || o.count == 0 || o.median <= 0 || (c->single && job->threads > 1))
		return 0;
	if (c->cost && overlap(&s, &o))
		n = snprintf(at, room, ", nothing beyond the noise (%+.0f %%) of %s",
			     (1 - ratio) * 100, job->text);
	else if (c->cost)
		n = snprintf(at, room, ", %.0f %% of %s", (1 - ratio) * 100, job->text);
	else if (c->other)
		n = snprintf(at, room, ", %.2f x in %s", ratio, job->text);
	else
		n = snprintf(at, room, ", %.2f x in %s (%s)", ratio, job->text, other->target);
	return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* One sentence over all jobs, when there is anything to say. */
static int add_comparison(const struct bench *b, struct kms_json *arr, const char *lead,
			  const struct comparison *c)
{
	char text[SENTENCE_MAX];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s", lead), begin = len;

	for (size_t i = 0; i < bench_job_count; i++)
		len += add_job(b, c, &bench_jobs[i], text + len, sizeof(text) - len - 2);
	if (len == begin)
		return 0;
	text[begin] = ' '; /* for the first comma */
	memmove(text + begin + 1, text + begin + 2, len - begin - 1);
	(void)snprintf(text + len - 1, sizeof(text) - len + 1, "."); /* fits */
	return kms_json_add_str(arr, text);
}

static int add_costs(const struct bench *b, struct kms_json *arr)
{
	int r = 0;

	for (int c = BLOCKCRYPT_AES_256_GCM; c < BLOCKCRYPT_NONE; c++) {
		const char *cipher = blockcrypt_name((enum blockcrypt_cipher)c);
		char name[BENCH_NAME_MAX], lead[128];
		struct comparison in_mount = {.layer = BENCH_MOUNT,
					      .other_layer = BENCH_MOUNT,
					      .target = name,
					      .other = "kmsvol none",
					      .cost = true};
		struct comparison in_store = {.layer = BENCH_STORE,
					      .other_layer = BENCH_STORE,
					      .target = cipher,
					      .other = "none",
					      .cost = true};

		(void)snprintf(name, sizeof(name), "kmsvol %s", cipher); /* these fit */
		(void)snprintf(lead, sizeof(lead), "Encryption (%s) costs a mounted volume",
			       cipher);
		r |= add_comparison(b, arr, lead, &in_mount);
		(void)snprintf(lead, sizeof(lead), "Encryption (%s) costs the store without FUSE",
			       cipher);
		r |= add_comparison(b, arr, lead, &in_store);
	}
	return r;
}

static int add_fuse(const struct bench *b, struct kms_json *arr)
{
	const struct comparison fuse = {.layer = BENCH_MOUNT,
					.other_layer = BENCH_STORE,
					.target = "kmsvol none",
					.other = "none",
					.cost = true};

	return add_comparison(b, arr, "FUSE (and fio) costs, without encryption,", &fuse);
}

static int add_others(const struct bench *b, struct kms_json *arr)
{
	static const struct {
		const char *lead;
		struct comparison c;
	} rows[] = {
		{"Against the unencrypted passthrough, " OURS " is",
		 {BENCH_MOUNT, BENCH_PEERS, OURS, BENCH_PASSTHROUGH, BENCH_RATE, false, false}},
		{"Against the unencrypted passthrough, kmsvol aes-256-xts is",
		 {BENCH_MOUNT, BENCH_PEERS, "kmsvol aes-256-xts", BENCH_PASSTHROUGH, BENCH_RATE,
		  false, false}},
		{"Against the plain file, " OURS " is",
		 {BENCH_MOUNT, BENCH_PEERS, OURS, BENCH_PLAIN_FILE, BENCH_RATE, false, false}},
		{"Against the best peer that encrypts, " OURS " is",
		 {BENCH_MOUNT, BENCH_PEERS, OURS, NULL, BENCH_RATE, false, false}},
		{"CPU time of the daemon for a GiB, against the peer that needs least:",
		 {BENCH_MOUNT, BENCH_PEERS, OURS, NULL, BENCH_CPU, false, false}},
		{"Latency (99th percentile) against the unencrypted passthrough:",
		 {BENCH_MOUNT, BENCH_PEERS, OURS, BENCH_PASSTHROUGH, BENCH_P99, false, true}},
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		r |= add_comparison(b, arr, rows[i].lead, &rows[i].c);
	return r;
}

/* Sentences about single pairs of rows. */
static int add_pair(struct kms_json *arr, const struct bench_row *row,
		    const struct bench_row *other, const char *fmt)
{
	struct bench_stat s = bench_row_stat(row, BENCH_RATE),
			  o = bench_row_stat(other, BENCH_RATE);
	char text[SENTENCE_MAX];

	if (s.count == 0 || o.count == 0 || o.median <= 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%s %.2f x.", fmt, s.median / o.median); /* fits */
	return kms_json_add_str(arr, text);
}

/* A median of one or two says little. */
static int add_warning(const struct bench *b, struct kms_json *arr)
{
	unsigned least = BENCH_ROUNDS_MAX;
	char text[SENTENCE_MAX];

	for (size_t i = 0; i < b->row_count; i++)
		least = b->rows[i].count < least ? b->rows[i].count : least;
	if (least >= ROUNDS_ENOUGH)
		return 0;
	(void)snprintf(
		text, sizeof(text),
		"Some of it was measured in %u rounds only, so what follows may be noise: give "
		"it more --time.",
		least); /* fits */
	return kms_json_add_str(arr, text);
}

struct kms_json *bench_reading(const struct bench *b)
{
	struct kms_json *arr = kms_json_new_array();
	int r;

	if (!arr)
		return NULL;
	r = add_warning(b, arr);
	r |= add_pair(arr, bench_find(b, BENCH_CIPHER, "enc 4k x1", "aes-256-gcm ipsec-mb"),
		      bench_find(b, BENCH_CIPHER, "enc 4k x1", "aes-256-gcm openssl"),
		      "libipsec-mb against OpenSSL, aes-256-gcm on blocks of 4 KiB:");
	r |= add_costs(b, arr) | add_fuse(b, arr) | add_others(b, arr);
	r |= add_pair(arr, bench_find(b, BENCH_MOUNT, "rand-read-4", OURS),
		      bench_find(b, BENCH_MOUNT, "rand-read-1", OURS),
		      "Random read by four jobs against one, " OURS ":");
	if (r == 0)
		return arr;
	kms_json_free(arr);
	return NULL;
}
