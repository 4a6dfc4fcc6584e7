/*
 * The layers of mounts: our volumes, served by `kmsvol mount` under a key of a kmsd of our own, and the peers, all
 * on the same jobs of fio and in the same rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_bench_child.h"
#include "kmsvol_bench_target.h"
#include "secret.h"
#include "textfile.h"

#define COMMAND_MS 60000
#define READY_MS   20000
#define KMSD_SAYS  16384 /* bytes at most */
#define KEY	   "alias/aws/ebs"

struct mounts {
	pid_t kmsd;
	char kmsvol[PATH_MAX], kmsd_path[PATH_MAX];
	struct target targets[TARGETS_MAX];
	size_t count;
};

/* Ourselves, and the kmsd that lies beside us or in PATH. */
static int find_programs(struct mounts *m, struct err *err)
{
	ssize_t n = readlink("/proc/self/exe", m->kmsvol, sizeof(m->kmsvol) - 1);
	char *slash;

	if (n < 0)
		return err_set(err, errno, "/proc/self/exe: %s", strerror(errno));
	m->kmsvol[n] = '\0';
	slash = strrchr(m->kmsvol, '/');
	(void)snprintf(m->kmsd_path, sizeof(m->kmsd_path), "%.*s/kmsd", (int)(slash - m->kmsvol),
		       m->kmsvol); /* fits nearly always, and is not found else */
	if (access(m->kmsd_path, X_OK) < 0 && !child_find("kmsd", m->kmsd_path))
		return err_set(err, ENOENT, "there is no 'kmsd' here");
	return 0;
}

/* Only our kmsd may be asked, with the credentials that it prints as "export NAME=VALUE" lines. */
static void take_environment(char *text)
{
	static const char *const others[] = {"AWS_PROFILE", "AWS_SESSION_TOKEN",
					     "AWS_ENDPOINT_URL_KMS", "AWS_CA_BUNDLE"};
	char *save = NULL;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		(void)unsetenv(others[i]);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *equals = strchr(line, '=');

		if (strncmp(line, "export AWS_", 11) != 0 || !equals)
			continue;
		*equals = '\0';
		(void)setenv(line + 7, equals + 1, 1); /* out of memory: the create fails */
	}
}

static int start_kmsd(const struct bench *b, struct mounts *m, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 20000000L};
	uint64_t begun = clock_monotonic_ms();
	char data[PATH_MAX], out[PATH_MAX], said[400];
	const char *argv[] = {m->kmsd_path, "--data-dir", data, "--listen", "127.0.0.1:0", NULL};
	int status, r;

	(void)snprintf(data, sizeof(data), "%s/kms", b->work); /* fits */
	(void)snprintf(out, sizeof(out), "%s/kmsd.out", b->work);
	r = child_start(b->work, "kmsd", argv, &m->kmsd, err);
	while (r == 0) {
		AUTO(freep) char *text = NULL;

		if (textfile_read(AT_FDCWD, out, KMSD_SAYS, &text) == 0 &&
		    strstr(text, "kmsd: ready")) {
			take_environment(text);
			return 0;
		}
		if (atomic_load(b->stop))
			return err_set(err, EINTR, "interrupted");
		if (child_ended(m->kmsd, &status) || clock_monotonic_ms() - begun > READY_MS) {
			child_last_line(b->work, "kmsd", said, sizeof(said));
			return err_set(err, EIO, "kmsd is not ready: %s", said);
		}
		(void)nanosleep(&pause, NULL);
	}
	return r;
}

static int set_up_own(const struct bench *b, const struct mounts *m, struct target *t,
		      const char *cipher, struct err *err)
{
	bool none = strcmp(cipher, "none") == 0;
	char volume[PATH_MAX], size[32], name[64];
	const char *create[] = {m->kmsvol, "create",
				volume,	   "--size",
				size,	   "--key-id",
				KEY,	   "--cipher",
				cipher,	   none ? "--insecure-no-encryption" : NULL,
				NULL};
	const char *mount[] = {m->kmsvol,
			       "mount",
			       volume,
			       t->mountpoint,
			       "--foreground",
			       "--crypto-provider",
			       blockcrypt_wants[b->options->provider],
			       NULL};
	int r;

	(void)snprintf(volume, sizeof(volume), "%s/volume", t->dir); /* these fit */
	(void)snprintf(t->mountpoint, sizeof(t->mountpoint), "%s/mnt", t->dir);
	(void)snprintf(t->file, sizeof(t->file), "%s/mnt/disk", t->dir);
	(void)snprintf(size, sizeof(size), "%" PRIu64, b->options->size_bytes);
	(void)snprintf(name, sizeof(name), "mount-%s", cipher);
	if (mkdir(t->mountpoint, 0700) < 0)
		return err_set(err, errno, "'%s': %s", t->mountpoint, strerror(errno));
	r = child_run(b->work, "create", create, COMMAND_MS, b->stop, err);
	if (r == 0)
		r = target_start(b, t, name, mount, err);
	return r == 0 ? target_wait(b, t, name, err) : r;
}

/* The next target, with its directory. */
static int begin_target(const struct bench *b, struct mounts *m, enum bench_layer layer,
			const char *name, struct target **ret, struct err *err)
{
	struct target *t = &m->targets[m->count];

	*t = (struct target){.layer = layer};
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	(void)snprintf(t->dir, sizeof(t->dir), "%s/t%zu", b->work, m->count); /* fits */
	if (mkdir(t->dir, 0700) < 0)
		return err_set(err, errno, "'%s': %s", t->dir, strerror(errno));
	*ret = t;
	return 0;
}

/* What carries requests to our mounts, as the status of one says. */
static void take_transport(struct bench *b, const struct mounts *m, const struct target *t)
{
	AUTO(kms_json_freep) struct kms_json *status = NULL;
	AUTO(freep) char *text = NULL;
	char volume[PATH_MAX], out[PATH_MAX];
	const char *argv[] = {m->kmsvol, "status", volume, "--json", NULL}, *transport;

	(void)snprintf(volume, sizeof(volume), "%s/volume", t->dir); /* these fit */
	(void)snprintf(out, sizeof(out), "%s/status.out", b->work);
	if (child_run(b->work, "status", argv, COMMAND_MS, b->stop, NULL) == 0 &&
	    textfile_read(AT_FDCWD, out, KMSD_SAYS, &text) == 0 &&
	    kms_json_parse(text, strlen(text), &status, NULL) == 0 &&
	    kms_json_str(status, "transport", &transport, NULL) == 0)
		(void)snprintf(b->transport, sizeof(b->transport), "%s", transport);
}

static int add_own(struct bench *b, struct mounts *m, struct err *err)
{
	int r = find_programs(m, err);

	if (r == 0)
		r = start_kmsd(b, m, err);
	for (int c = BLOCKCRYPT_NONE; r == 0 && c >= BLOCKCRYPT_AES_256_GCM; c--) {
		const char *cipher = blockcrypt_name((enum blockcrypt_cipher)c);
		char name[BENCH_NAME_MAX];
		struct target *t;

		if (!b->options->ciphers[c])
			continue;
		(void)snprintf(name, sizeof(name), "kmsvol %s", cipher); /* fits */
		bench_show("mount: making and filling %s", name);
		r = begin_target(b, m, BENCH_MOUNT, name, &t, err);
		if (r == 0) {
			m->count++; /* whatever was started is ended with the others */
			r = set_up_own(b, m, t, cipher, err);
		}
		if (r == 0)
			take_transport(b, m, t);
		if (r == 0)
			r = fio_fill(b, t, err);
		if (r < 0)
			r = err_prefix(err, "%s", name);
	}
	return r;
}

/* The first program that @kind needs and that is not here; NULL: all are. */
static const char *missing(const struct bench *b, const struct target_kind *kind)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < 3 && kind->programs[i]; i++) {
		bool passthrough = strcmp(kind->programs[i], "passthrough_ll") == 0;
		const char *name = passthrough && b->options->passthrough ? b->options->passthrough
									  : kind->programs[i];

		if (!child_find(name, path))
			return name;
	}
	return NULL;
}

/* A peer that fails is left out: it is not ours to mend. */
static int add_peers(struct bench *b, struct mounts *m, struct err *err)
{
	for (size_t i = 0; i < target_peer_count; i++) {
		const struct target_kind *kind = &target_peers[i];
		const char *not_here = missing(b, kind);
		struct target *t;
		int r;

		if (not_here) {
			bench_leave_out(b, "%s: there is no '%s' here", kind->name, not_here);
			continue;
		}
		bench_show("peers: making and filling %s", kind->name);
		r = begin_target(b, m, BENCH_PEERS, kind->name, &t, err);
		if (r < 0)
			return r;
		r = kind->set_up(b, t, err);
		if (r == 0)
			r = fio_fill(b, t, err);
		if (atomic_load(b->stop) || r == 0)
			m->count++;
		if (atomic_load(b->stop))
			return err_set(err, EINTR, "interrupted");
		if (r < 0) {
			bench_leave_out(b, "%s: %s", kind->name, err->msg);
			target_end(t);
		}
	}
	return 0;
}

static int measure(struct bench *b, struct mounts *m, uint64_t budget_ms, struct err *err)
{
	/* fio needs some 300 ms to start and to end. */
	const struct bench_pace pace = {
		.budget_ms = budget_ms, .min_ms = 200, .max_ms = 3000, .overhead_ms = 350};
	struct bench_task tasks[TARGETS_MAX * 16];
	size_t count = 0;

	for (unsigned j = 0; j < bench_job_count; j++)
		for (size_t i = 0; i < m->count; i++)
			tasks[count++] = (struct bench_task){.layer = m->targets[i].layer,
							     .job = bench_jobs[j].name,
							     .target = m->targets[i].name,
							     .unit = bench_jobs[j].unit,
							     .threads = bench_jobs[j].threads,
							     .run = fio_run,
							     .arg = &m->targets[i],
							     .number = j};
	return count ? bench_run(b, tasks, count, &pace, err) : 0;
}

int bench_mounts(struct bench *b, uint64_t budget_ms, struct err *err)
{
	struct mounts *m = calloc(1, sizeof(*m));
	uint64_t begun = clock_monotonic_ms(), used;
	char path[PATH_MAX];
	int r = 0;

	if (!m)
		return err_set(err, ENOMEM, "out of memory");
	if (!child_find("fio", path) || access("/dev/fuse", R_OK | W_OK) < 0) {
		bench_leave_out(b, "mounts: there is no 'fio' or no /dev/fuse here");
		free(m);
		return 0;
	}
	if (b->options->layers[BENCH_MOUNT])
		r = add_own(b, m, err);
	if (r == 0 && b->options->layers[BENCH_PEERS])
		r = add_peers(b, m, err);
	used = clock_monotonic_ms() - begun;
	if (r == 0)
		r = measure(b, m, used < budget_ms ? budget_ms - used : 1, err);
	bench_show("ending the mounts");
	for (size_t i = 0; i < m->count; i++)
		target_end(&m->targets[i]);
	child_end(m->kmsd);
	free(m);
	return r;
}
