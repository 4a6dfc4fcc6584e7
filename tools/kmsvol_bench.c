/* kmsvol bench: what encryption costs on this machine, layer by layer, beside others. */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "daemon.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_bench.h"
#include "kmsvol_cmd.h"
#include "kmsvol_interrupt.h"
#include "secret.h"
#include "store.h"
#include "units.h"

#define SIZE_DEFAULT (512ull << 20)
#define SIZE_MIN     (16ull << 20)
#define TIME_MIN_MS  1000
#define ROUNDS	     5
#define TREE_FDS     16

static const char help[] =
	"Measure, on this machine and in one run: copying in memory; each cipher; the store; a "
	"mounted "
	"volume\n"
	"without and with each cipher, by fio; with --peers, what else there is here to compare "
	"with "
	"(gocryptfs,\n"
	"securefs, LUKS by qemu-storage-daemon and nbdkit, libfuse's passthrough_ll, a plain "
	"file). "
	"Everything\n"
	"is measured in rounds, in changing order, and told as median and spread.\n"
	"After ';' stands the default.";

struct bench_args {
	struct bench_options options;
	struct cmd_list layers, ciphers;
	uint64_t time_ms;
	bool peers, json;
	const char *plot;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	(void)remove(
		path); /* the rest goes all the same; what stays makes the rmdir above it fail */
	return 0;
}

static void remove_tree(const char *dir)
{
	(void)nftw(dir, remove_one, TREE_FDS,
		   FTW_DEPTH | FTW_PHYS | FTW_MOUNT); /* as far as it gets */
}

/* Words of @list in @names turn the flags on; without any word, @count flags from the front. */
static int choose(const struct cmd_list *list, const char *const names[], bool *flags, size_t count,
		  const char *option, struct err *err)
{
	for (size_t i = 0; list->count == 0 && i < count; i++)
		flags[i] = true;
	for (size_t k = 0; k < list->count; k++) {
		size_t i = 0;

		while (names[i] && strcmp(names[i], list->texts[k]) != 0)
			i++;
		if (!names[i])
			return err_set(err, EINVAL, "--%s: '%s' is none of those in --help", option,
				       list->texts[k]);
		flags[i] = true;
	}
	return 0;
}

static int check_args(struct bench_args *a, struct err *err)
{
	const char *const ciphers[] = {"",     "aes-256-gcm", "aes-256-xts", "chacha20-poly1305",
				       "none", NULL}; /* by number; the first is no cipher */
	struct bench_options *o = &a->options;
	int r = choose(&a->layers, bench_layer_names, o->layers, BENCH_PEERS, "layer", err);

	if (r == 0)
		r = choose(&a->ciphers, ciphers, o->ciphers, 5, "cipher", err);
	if (r < 0)
		return r;
	o->layers[BENCH_PEERS] |= a->peers;
	o->ciphers[BLOCKCRYPT_NONE] = true; /* what all costs are costs against */
	if (o->size_bytes < SIZE_MIN || o->size_bytes % STORE_IO_MAX)
		return err_set(err, EINVAL, "--size is not at least 16M in whole MiB");
	if (o->time_ms < TIME_MIN_MS)
		return err_set(err, EINVAL, "--time is less than 1s");
	if (o->rounds > BENCH_ROUNDS_MAX)
		return err_set(err, EINVAL, "--rounds is more than %d", BENCH_ROUNDS_MAX);
	return 0;
}

/* Is there room for all that lies there at once, with what cleaning needs? */
static int check_room(const struct bench_options *o, struct err *err)
{
	unsigned own = 0, all;
	struct statvfs fs;
	uint64_t need;

	for (size_t i = 1; i <= BLOCKCRYPT_NONE; i++)
		own += o->ciphers[i];
	all = (o->layers[BENCH_MOUNT]	? own * 3
	       : o->layers[BENCH_STORE] ? own * 2
					: 0) +
	      (o->layers[BENCH_PEERS] ? 6 : 0);
	need = all * (o->size_bytes + o->size_bytes / 4);
	if (statvfs(o->dir, &fs) < 0)
		return err_set(err, errno, "--dir: '%s': %s", o->dir, strerror(errno));
	if (fs.f_bavail * fs.f_frsize < need)
		return err_set(err, ENOSPC,
			       "--dir: '%s' has %" PRIu64 " MiB free, and %" PRIu64
			       " MiB are needed; a smaller --size, or fewer layers, need less",
			       o->dir, (uint64_t)fs.f_bavail * fs.f_frsize >> 20, need >> 20);
	return 0;
}

/* The layers, each with its part of the time. */
static int measure(struct bench *b, struct err *err)
{
	const struct bench_options *o = b->options;
	bool mounts = o->layers[BENCH_MOUNT] || o->layers[BENCH_PEERS];
	bool memory = o->layers[BENCH_MEMORY] || o->layers[BENCH_CIPHER];
	uint64_t parts =
		(memory ? 10u : 0) + (o->layers[BENCH_STORE] ? 20u : 0) + (mounts ? 70u : 0);
	uint64_t part_ms = o->time_ms * 9 / 10 / parts, used; /* a tenth is for beginning and end */
	int r = 0;

	if (memory)
		r = bench_memory(b, 10 * part_ms, err);
	if (r == 0 && o->layers[BENCH_STORE])
		r = bench_store(b, 20 * part_ms, err);
	used = clock_monotonic_ms() - b->begun_ms;
	if (r == 0 && mounts) /* what is left */
		r = bench_mounts(b, o->time_ms * 19 / 20 > used ? o->time_ms * 19 / 20 - used : 1,
				 err);
	if (r == 0 && atomic_load(b->stop))
		r = err_set(err, EINTR, "interrupted");
	return r;
}

static int report(struct bench *b, const struct bench_args *a, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *machine = bench_machine(b);
	int r = 0;

	bench_show(NULL);
	if (!machine)
		return err_set(err, ENOMEM, "out of memory");
	if (a->json) {
		struct kms_json *obj = bench_json(b, machine);

		if (!obj || cmd_print(obj, true) != CMD_DONE)
			r = err_set(err, ENOMEM, "out of memory");
	} else {
		bench_print(b, machine);
	}
	if (r == 0 && a->plot)
		r = bench_plot(b, machine, a->plot, err);
	return r;
}

static int run_in(struct bench *b, const struct bench_args *a, struct err *err)
{
	struct interrupt in;
	int sig, r;

	b->left_out = kms_json_new_array();
	b->rows = calloc(BENCH_ROWS_MAX, sizeof(*b->rows));
	interrupt_begin(&in, NULL);
	b->stop = &in.stop;
	r = b->left_out && b->rows ? 0 : err_set(err, ENOMEM, "out of memory");
	if (r == 0)
		r = measure(b, err);
	if (r == 0)
		r = report(b, a, err);
	bench_show(NULL);
	remove_tree(b->work);
	sig = interrupt_end(&in);
	kms_json_free(b->left_out);
	free(b->rows);
	interrupt_die(sig);
	return r;
}

static int run(const struct bench_args *a)
{
	struct bench b = {.options = &a->options, .begun_ms = clock_monotonic_ms()};
	AUTO(freep) char *dir = realpath(a->options.dir, NULL); /* as mountinfo has it */
	struct err err;
	int r = dir ? check_room(&a->options, &err)
		    : err_set(&err, errno, "--dir: '%s': %s", a->options.dir, strerror(errno));

	if (r == 0 &&
	    snprintf(b.work, sizeof(b.work), "%s/kmsvol-bench.XXXXXX", dir) >= (int)sizeof(b.work))
		r = err_set(&err, ENAMETOOLONG, "--dir: '%s': %s", a->options.dir,
			    strerror(ENAMETOOLONG));
	if (r == 0 && !mkdtemp(b.work))
		r = err_set(&err, errno, "--dir: '%s': %s", a->options.dir, strerror(errno));
	if (r == 0)
		r = run_in(&b, a, &err);
	if (r == 0)
		return CMD_DONE;
	(void)err_prefix(&err, "bench");
	return cmd_fail(&err);
}

int cmd_bench(int argc, char **argv)
{
	struct bench_args a = {
		.options = {.time_ms = 120000,
			    .rounds = ROUNDS,
			    .size_bytes = SIZE_DEFAULT,
			    .dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"}};
	const struct cmd_option options[] = {
		{"time", "TIME", CMD_DURATION, &a.options.time_ms, "how long it may take; 2m",
		 NULL},
		{"rounds", "N", CMD_COUNT, &a.options.rounds,
		 "how often each thing is measured; fewer when the time is short; 5", NULL},
		{"layer", "NAME", CMD_LIST, &a.layers,
		 "only this: memory, ciphers, store, mount, peers; may be given often", NULL},
		{"peers", NULL, CMD_FLAG, &a.peers, "others that are installed, too", NULL},
		{"cipher", "NAME", CMD_LIST, &a.ciphers,
		 "only this cipher, beside none; may be given often", NULL},
		{"size", "SIZE", CMD_SIZE, &a.options.size_bytes, "of each volume; 512M", NULL},
		{"dir", "DIR", CMD_TEXT, &a.options.dir,
		 "where the volumes lie for the time; /dev/shm", NULL},
		{"passthrough", "FILE", CMD_TEXT, &a.options.passthrough,
		 "libfuse's passthrough_ll, where it is not in PATH", NULL},
		CMD_PROVIDER_OPTION(a.options.provider),
		{"json", NULL, CMD_FLAG, &a.json, "print JSON", NULL},
		{"plot", "FILE", CMD_TEXT, &a.plot, "draw it into FILE.svg or FILE.png", NULL},
	};
	const struct cmd cmd = {"bench", "", 0, help, options, sizeof(options) / sizeof(*options)};
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (check_args(&a, &err) < 0) {
		(void)err_prefix(&err, "bench");
		return cmd_wrong(&err);
	}
	if (cmd_choose_provider(a.options.provider, &err) < 0)
		return cmd_fail(&err);
	return run(&a);
}
