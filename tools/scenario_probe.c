/* The sampler. See scenario_probe.h. What parent and children share is one anonymous mapping of atomics. */
#include "scenario_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_place.h"
#include "kmsvol_status.h"
#include "secret.h"

#define SAMPLE_MS	100
#define PAUSE_MS	20  /* between two operations of reader or writer */
#define CLIENT_PAUSE_MS 100 /* between two runs of the client command */
#define STATUS_PAUSE_MS 80
#define WAIT_MS		1000 /* an operation older than this waits */
#define REAP_TRIES	50
#define REAP_PAUSE_MS	10
#define STATE_MAX	64
#define LINE_MAX_BYTES	1024

enum worker { READER, WRITER, CLIENT, STATUS, WORKERS };

/* What one worker does. Written by it, and read by the sampler, which takes worst_us away. */
struct slot {
	_Atomic uint64_t begun_ms; /* of the operation under way, monotonic; 0: none is */
	_Atomic uint64_t served, failed;
	_Atomic uint64_t worst_us; /* the longest of those that ended */
	_Atomic int error;	   /* errno of the last that failed */
};

struct shared {
	struct slot slots[WORKERS];
	_Atomic uint64_t acked
		[SCENARIO_PROBE_BLOCKS]; /* stamp that was durable when the writer was told so */
	_Atomic uint64_t stale;
	_Atomic uint64_t reads, writes, waiting, kms_calls; /* of the status */
	_Atomic unsigned state_version;			    /* odd while state is being written */
	char state[STATE_MAX];
};

struct sampler {
	const struct scenario_probe *probe;
	struct shared *shared;
	pid_t pids[WORKERS];
	int fd;						  /* the samples */
	uint64_t served[WORKERS], failed[WORKERS], stale; /* at the last sample */
	uint64_t reads, writes;
};

static uint64_t monotonic_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void pause_ms(long ms)
{
	const struct timespec t = {.tv_nsec = ms * 1000000L};

	(void)nanosleep(&t, NULL); /* a signal ends us anyway */
}

/* One operation has ended: with @num, an errno, or well. */
static void note_end(struct slot *slot, uint64_t begun_us, int num)
{
	uint64_t us = monotonic_us() - begun_us;

	if (us > atomic_load(&slot->worst_us))
		atomic_store(&slot->worst_us, us);
	if (num) {
		atomic_store(&slot->error, num);
		atomic_fetch_add(&slot->failed, 1);
	} else {
		atomic_fetch_add(&slot->served, 1);
	}
	atomic_store(&slot->begun_ms, 0);
}

/* 0 or an errno. */
static int read_block(const struct sampler *s, uint8_t *block, unsigned i)
{
	uint64_t acked = atomic_load(&s->shared->acked[i]);
	off_t off = (off_t)(s->probe->offset + (uint64_t)i * SCENARIO_PROBE_BLOCK);
	int fd = open(s->probe->target, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ssize_t n;
	int num;

	if (fd < 0)
		return errno;
	n = pread(fd, block, SCENARIO_PROBE_BLOCK, off);
	num = n < 0 ? errno : n < SCENARIO_PROBE_BLOCK ? EIO : 0;
	(void)close(fd); /* nothing was written */
	if (num == 0 && get_be64(block) < acked)
		atomic_fetch_add(&s->shared->stale, 1);
	return num;
}

static int write_block(const struct sampler *s, uint8_t *block, unsigned i)
{
	off_t off = (off_t)(s->probe->offset + (uint64_t)i * SCENARIO_PROBE_BLOCK);
	uint64_t stamp = clock_wall_ms(); /* rises, from one sampler to the next too */
	int fd = open(s->probe->target, O_WRONLY | O_DIRECT | O_CLOEXEC);
	ssize_t n;
	int num;

	if (fd < 0)
		return errno;
	put_be64(block, stamp);
	n = pwrite(fd, block, SCENARIO_PROBE_BLOCK, off);
	num = n < 0 ? errno : n < SCENARIO_PROBE_BLOCK ? EIO : fdatasync(fd) < 0 ? errno : 0;
	if (close(fd) < 0 && num == 0)
		num = errno;
	if (num == 0)
		atomic_store(&s->shared->acked[i], stamp);
	return num;
}

/* Reader and writer, until they are killed. */
static void io_worker(const struct sampler *s, enum worker which)
{
	struct slot *slot = &s->shared->slots[which];
	int lock_fd = open(s->probe->samples, O_RDONLY | O_CLOEXEC);
	void *block;

	if (lock_fd < 0 || posix_memalign(&block, SCENARIO_PROBE_BLOCK, SCENARIO_PROBE_BLOCK) != 0)
		_exit(1);
	memset(block, 0, SCENARIO_PROBE_BLOCK);
	for (unsigned i = 0;; i = (i + 1) % SCENARIO_PROBE_BLOCKS) {
		uint64_t begun;

		if (flock(lock_fd, LOCK_SH) < 0)
			_exit(1);
		begun = monotonic_us();
		atomic_store(&slot->begun_ms, begun / 1000 + 1);
		note_end(slot, begun,
			 which == READER ? read_block(s, block, i) : write_block(s, block, i));
		if (flock(lock_fd, LOCK_UN) < 0)
			_exit(1);
		pause_ms(PAUSE_MS);
	}
}

/* How the command ended, as an errno. */
static int run_client(const char *command)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail so */
		if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ECHILD;
}

static void client_worker(const struct sampler *s)
{
	struct slot *slot = &s->shared->slots[CLIENT];

	(void)setpgid(0, 0); /* so that it is ended with all that the command has started */
	for (;;) {
		uint64_t begun = monotonic_us();

		atomic_store(&slot->begun_ms, begun / 1000 + 1);
		note_end(slot, begun, run_client(s->probe->client));
		pause_ms(CLIENT_PAUSE_MS);
	}
}

static uint64_t number(const struct kms_json *obj, const char *name)
{
	uint64_t v = 0;
	struct err ignored;

	if (kms_json_has(obj, name))
		(void)kms_json_u64(obj, name, &v, &ignored); /* then it stays 0 */
	return v;
}

static void note_status(struct shared *shared, const struct kms_json *obj)
{
	const char *state = "";
	struct err ignored;

	if (obj)
		(void)kms_json_str(obj, "state", &state, &ignored); /* then it stays "" */
	atomic_store(&shared->reads, number(obj, "reads"));
	atomic_store(&shared->writes, number(obj, "writes"));
	atomic_store(&shared->waiting, number(obj, "waiting_requests"));
	atomic_store(&shared->kms_calls, number(obj, "kms_calls"));
	atomic_fetch_add(&shared->state_version, 1);
	(void)snprintf(shared->state, sizeof(shared->state), "%s", state);
	atomic_fetch_add(&shared->state_version, 1);
}

static void status_worker(const struct sampler *s)
{
	for (;;) {
		AUTO(kms_json_freep) struct kms_json *obj = NULL;
		struct place place = {0};
		struct err err;

		if (place_find(s->probe->volume, &place, &err) == 0 &&
		    status_get(&place, &obj, &err) == 0)
			note_status(s->shared, obj);
		else
			note_status(s->shared, NULL);
		place_free(&place);
		pause_ms(STATUS_PAUSE_MS);
	}
}

static int start_worker(struct sampler *s, enum worker which, struct err *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return err_set(err, errno, "fork: %s", strerror(errno));
	if (pid > 0) {
		s->pids[which] = pid;
		return 0;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail so */
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGHUP, SIG_DFL);
	if (which == STATUS)
		status_worker(s);
	else if (which == CLIENT)
		client_worker(s);
	else
		io_worker(s, which);
	_exit(1);
}

/* "name":{...} of a worker: what it did since the last sample, and whether it waits. */
static int put_worker(struct sampler *s, enum worker which, const char *name, struct buf *out)
{
	struct slot *slot = &s->shared->slots[which];
	uint64_t served = atomic_load(&slot->served), failed = atomic_load(&slot->failed);
	uint64_t begun = atomic_load(&slot->begun_ms), now = monotonic_us() / 1000;
	uint64_t us = atomic_exchange(&slot->worst_us, 0);
	uint64_t age = begun && now > begun ? now - begun : 0;
	const char *error = "";
	int r;

	if (failed > s->failed[which])
		error = strerrorname_np(atomic_load(&slot->error));
	r = buf_printf(out,
		       ",\"%s\":{\"ok\":%" PRIu64 ",\"failed\":%" PRIu64
		       ",\"error\":\"%s\",\"ms\":%.3f,\"waits\":%s}",
		       name, served - s->served[which], failed - s->failed[which],
		       error ? error : "", age * 1000 > us ? (double)age : (double)us / 1000,
		       age > WAIT_MS ? "true" : "false");
	s->served[which] = served;
	s->failed[which] = failed;
	return r;
}

static void copy_state(struct shared *shared, char state[STATE_MAX])
{
	for (int tries = 0; tries < 100; tries++) {
		unsigned before = atomic_load(&shared->state_version);

		memcpy(state, shared->state, STATE_MAX);
		state[STATE_MAX - 1] = '\0';
		if (before % 2 == 0 && before == atomic_load(&shared->state_version))
			return;
	}
	*state = '\0'; /* its worker was killed in the middle */
}

/* The volume's own counters begin anew with each mount. */
static uint64_t delta(uint64_t now, uint64_t *before)
{
	uint64_t d = now >= *before ? now - *before : now;

	*before = now;
	return d;
}

static int sample(struct sampler *s, struct err *err)
{
	struct shared *shared = s->shared;
	struct buf line = {.max = LINE_MAX_BYTES};
	uint64_t stale = atomic_load(&shared->stale);
	char state[STATE_MAX];
	ssize_t n;
	int r;

	copy_state(shared, state);
	r = buf_printf(
		    &line,
		    "{\"t\":%" PRIu64 ",\"state\":\"%s\",\"reads\":%" PRIu64 ",\"writes\":%" PRIu64
		    ",\"waiting\":%" PRIu64 ",\"kms_calls\":%" PRIu64 ",\"stale\":%" PRIu64,
		    clock_wall_ms(), state, delta(atomic_load(&shared->reads), &s->reads),
		    delta(atomic_load(&shared->writes), &s->writes), atomic_load(&shared->waiting),
		    atomic_load(&shared->kms_calls), stale - s->stale) |
	    put_worker(s, READER, "reader", &line) | put_worker(s, WRITER, "writer", &line);
	if (s->probe->client)
		r |= put_worker(s, CLIENT, "client", &line);
	r |= buf_append(&line, "}\n", 2);
	s->stale = stale;
	n = r < 0 ? -1 : write(s->fd, line.bytes, line.len);
	if (n < 0 || (size_t)n < line.len)
		r = err_set(err,
			    r < 0   ? ENOMEM
			    : n < 0 ? errno
				    : ENOSPC,
			    "'%s': %s", s->probe->samples,
			    strerror(r < 0   ? ENOMEM
				     : n < 0 ? errno
					     : ENOSPC));
	buf_free(&line);
	return r < 0 ? r : 0;
}

static volatile sig_atomic_t ended;

static void end(int sig)
{
	(void)sig;
	ended = 1;
}

/* Kill them; who is stuck in the kernel is not waited for. */
static void end_workers(struct sampler *s)
{
	int left = 0;

	if (s->pids[CLIENT] > 0)
		(void)kill(-s->pids[CLIENT], SIGKILL); /* may have ended */
	for (int i = 0; i < WORKERS; i++)
		if (s->pids[i] > 0)
			(void)kill(s->pids[i], SIGKILL);
	for (int tries = 0; tries < REAP_TRIES; tries++) {
		left = 0;
		for (int i = 0; i < WORKERS; i++) {
			if (s->pids[i] > 0 && waitpid(s->pids[i], NULL, WNOHANG) != 0)
				s->pids[i] = 0;
			left += s->pids[i] > 0;
		}
		if (!left)
			return;
		pause_ms(REAP_PAUSE_MS);
	}
}

static int work(struct sampler *s, struct err *err)
{
	uint64_t next = clock_monotonic_ms();
	int r = 0;

	for (enum worker w = READER; w < WORKERS && r == 0; w++)
		if (w != CLIENT || s->probe->client)
			r = start_worker(s, w, err);
	while (r == 0 && !ended) {
		uint64_t now = clock_monotonic_ms();

		next = next + SAMPLE_MS > now ? next + SAMPLE_MS
					      : now; /* what was missed is not made up for */
		pause_ms((long)(next - now));
		if (!ended)
			r = sample(s, err);
	}
	end_workers(s);
	return r;
}

int scenario_probe_run(const struct scenario_probe *probe, struct err *err)
{
	const struct sigaction act = {.sa_handler = end};
	struct sampler s = {.probe = probe};
	int r;

	s.shared = mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (s.shared == MAP_FAILED)
		return err_set(err, errno, "memory: %s", strerror(errno));
	s.fd = open(probe->samples, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (s.fd < 0)
		return err_set(err, errno, "'%s': %s", probe->samples, strerror(errno));
	(void)sigaction(SIGTERM, &act, NULL); /* cannot fail so */
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGHUP, &act, NULL);
	r = work(&s, err);
	(void)close(
		s.fd); /* every write was checked; a report that a power cut eats is made anew */
	(void)munmap(s.shared, sizeof(*s.shared));
	return r;
}
