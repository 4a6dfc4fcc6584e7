/*
 * The FUSE session: mount, threads, the ways it ends. Not libfuse's own loop, because ours owns its
 * buffers: they are made once, and wiped when the key is lost.
 *
 * SIGUSR1 gets a thread out of read(2) on the device. It may come a moment too early, between the look
 * at the flags and the read; so whoever sends it sends again until the thread has answered.
 */
#include "fusefs.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "fusefs_ops.h"
#include "fuseio.h"
#include "fusemount.h"
#include "say.h"
#include "secret.h"
#include "status.h"
#include "transport.h"

#define THREADS	      10
#define THREADS_FIRST 2 /* enough where requests come by io_uring: for interrupts */
#define BUFFER_ALIGN  4096
#define RECEIVE_BYTES (FUSEIO_MAX + 4096) /* what libfuse allocates for one request */
#define NUDGE_MS      5
#define FORGET_MS     5000 /* then a thread is busy for good, and that is said */
#define INVALIDATE_MS 5000

struct worker {
	struct fusefs *fs;
	pthread_t thread;
	struct fuse_buf received;
	uint8_t *read_buffer; /* FUSEIO_MAX */
	atomic_uint forgot;   /* the last round of forgetting that it has done */
	atomic_bool ended;
};

struct fusefs {
	struct fusefs_setup setup; /* fixed at open */
	struct fuseio io;
	struct fuse_session *session;
	struct transport *transport;
	bool mount_made;
	struct worker workers[THREADS];
	size_t started;	     /* workers */
	atomic_uint running; /* workers that have not ended */
	int ended_fd;
	atomic_bool stop;      /* threads are to end */
	atomic_uint forget;    /* rounds of forgetting asked for */
	dev_t dev;	       /* of the mount; 0: not known yet */
	pthread_t invalidator; /* a thread that was too slow, to be joined at the end */
	bool invalidating;
	pthread_t prober; /* as long as it has not ended */
	bool probing;
	int probed_fd;
	int probe_errno; /* written before probed_fd is signalled */
	struct stat probe_stat;
};

static void on_nudge(int sig)
{
	(void)sig; /* read(2) returns EINTR: that is all */
}

static void wipe_buffers(struct worker *w)
{
	if (w->received.mem)
		OPENSSL_cleanse(w->received.mem, RECEIVE_BYTES);
	OPENSSL_cleanse(w->read_buffer, FUSEIO_MAX);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct fusefs *fs = w->fs;

	fuseio_thread_buffer(w->read_buffer);
	while (!atomic_load(&fs->stop) && !fuse_session_exited(fs->session)) {
		unsigned round = atomic_load(&fs->forget);
		int n;

		if (round != atomic_load(&w->forgot)) {
			wipe_buffers(w);
			secret_wipe_stack();
			atomic_store(&w->forgot, round);
		}
		n = fuse_session_receive_buf(fs->session, &w->received);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		transport_note(fs->transport, w->received.mem);
		fuse_session_process_buf(fs->session, &w->received);
	}
	wipe_buffers(w);
	atomic_store(&w->forgot, UINT32_MAX);
	atomic_store(&w->ended, true);
	if (atomic_fetch_sub(&fs->running, 1) == 1)
		(void)eventfd_write(fs->ended_fd, 1); /* cannot fail below its maximum */
	return NULL;
}

/* "-o..." for the mount; the caller frees. NULL: out of memory. */
static char *mount_options(const struct fusefs_setup *s)
{
	char plain[256];
	char *opts = NULL, *name = NULL;
	int r;

	(void)snprintf(plain, sizeof(plain), "default_permissions,subtype=kmsvol,max_read=%d%s%s",
		       FUSEIO_MAX, s->allow_other ? ",allow_other" : "", s->read_only ? ",ro" : "");
	if (asprintf(&name, "fsname=%s", s->volume_dir) < 0)
		return NULL;
	r = fuse_opt_add_opt(&opts, plain) | fuse_opt_add_opt_escaped(&opts, name);
	free(name);
	if (r < 0) {
		free(opts);
		return NULL;
	}
	return opts;
}

static int make_session(struct fusefs *fs, struct err *err)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	AUTO(freep) char *opts = mount_options(&fs->setup);
	int r = -1;

	if (opts)
		r = fuse_opt_add_arg(&args, "kmsvol") | fuse_opt_add_arg(&args, "-o") |
		    fuse_opt_add_arg(&args, opts);
	if (r == 0)
		fs->session = fuse_session_new(&args, &fusefs_ops, sizeof(fusefs_ops), &fs->io);
	fuse_opt_free_args(&args);
	if (!fs->session)
		return err_set(err, r < 0 ? ENOMEM : EINVAL, "mount at '%s': cannot make a session",
			       fs->setup.mountpoint);
	if (fuse_session_mount(fs->session, fs->setup.mountpoint) < 0)
		return err_set(
			err, EIO,
			"mount at '%s': refused (see above); is /dev/fuse there, and without "
			"root fusermount3, and is the directory yours?",
			fs->setup.mountpoint);
	fs->mount_made = true;
	return transport_attach(fs->transport, fs->session, err);
}

static void set_attr(struct fusefs *fs)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	now.tv_nsec = 0;
	fs->io.attr = (struct stat){
		.st_ino = FUSEFS_INO_DISK,
		.st_mode = S_IFREG | 0600,
		.st_nlink = 1,
		.st_uid = getuid(),
		.st_gid = getgid(),
		.st_size = (off_t)fs->setup.size_bytes,
		.st_blksize = (blksize_t)fs->setup.block_size,
		.st_atim = now,
		.st_mtim = now,
		.st_ctim = now,
	};
}

int fusefs_mount(const struct fusefs_setup *setup, struct fusefs **ret_fusefs, struct err *err)
{
	struct sigaction nudge = {.sa_handler = on_nudge}; /* no SA_RESTART: that is the point */
	struct fusefs *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return err_set(err, ENOMEM, "mount: out of memory");
	fs->setup = *setup;
	fs->io.gate = setup->gate;
	fs->io.watch = setup->watch;
	fs->io.faults = setup->faults;
	fs->io.read_only = setup->read_only;
	fs->io.status_text = setup->status_text;
	fs->io.status_arg = setup->arg;
	set_attr(fs);
	fuseio_init(&fs->io);
	fs->probed_fd = -1;
	fs->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fs->ended_fd >= 0)
		fs->probed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fs->probed_fd < 0) {
		r = err_set(err, errno, "mount: eventfd: %s", strerror(errno));
		goto fail;
	}
	(void)sigaction(SIGUSR1, &nudge, NULL); /* cannot fail */
	r = transport_new(setup->transport, setup->mountpoint, &fs->transport, err);
	if (r == 0)
		r = make_session(fs, err);
	if (r < 0)
		goto fail;
	*ret_fusefs = fs;
	return 0;
fail:
	fusefs_free(fs);
	return r;
}

static int start_worker(struct fusefs *fs, struct err *err)
{
	struct worker *w = &fs->workers[fs->started];
	int num;

	w->fs = fs;
	w->read_buffer = aligned_alloc(BUFFER_ALIGN, FUSEIO_MAX);
	if (!w->read_buffer)
		return err_set(err, ENOMEM, "mount: out of memory");
	atomic_fetch_add(&fs->running, 1);
	num = pthread_create(&w->thread, NULL, worker_main, w);
	if (num) {
		atomic_fetch_sub(&fs->running, 1);
		return err_set(err, num, "mount: cannot start a thread: %s", strerror(num));
	}
	fs->started++;
	return 0;
}

/* Look at the mount through the kernel: only an answer shows that INIT went well. */
static void *probe_main(void *arg)
{
	struct fusefs *fs = arg;
	AUTO(freep) char *path = NULL;

	if (asprintf(&path, "%s/disk", fs->setup.mountpoint) < 0) {
		path = NULL;
		fs->probe_errno = ENOMEM;
	} else if (stat(path, &fs->probe_stat) < 0) {
		fs->probe_errno = errno;
	} else if ((uint64_t)fs->probe_stat.st_size != fs->setup.size_bytes) {
		fs->probe_errno = ENODEV; /* something else is mounted there */
	}
	(void)eventfd_write(fs->probed_fd, 1); /* cannot fail below its maximum */
	return NULL;
}

static int probe(struct fusefs *fs, struct err *err)
{
	struct pollfd fds[2] = {{.fd = fs->probed_fd, .events = POLLIN},
				{.fd = fs->ended_fd, .events = POLLIN}};
	int num = pthread_create(&fs->prober, NULL, probe_main, fs);

	if (num)
		return err_set(err, num, "mount: cannot start a thread: %s", strerror(num));
	fs->probing = true;
	while (poll(fds, 2, -1) < 0)
		; /* EINTR */
	if (!fds[0].revents)
		return err_set(err, EIO, "mount at '%s': the kernel ended the session at its start",
			       fs->setup.mountpoint);
	pthread_join(fs->prober, NULL);
	fs->probing = false;
	if (fs->probe_errno)
		return err_set(err, fs->probe_errno, "mount at '%s': it does not answer: %s",
			       fs->setup.mountpoint, strerror(fs->probe_errno));
	fs->dev = fs->probe_stat.st_dev;
	return 0;
}

int fusefs_start(struct fusefs *fusefs, struct err *err)
{
	struct transport_status how;
	int r = 0;

	while (r == 0 && fusefs->started < THREADS_FIRST)
		r = start_worker(fusefs, err);
	if (r == 0)
		r = transport_start(fusefs->transport, fusefs->ended_fd, err);
	transport_status(fusefs->transport, &how);
	while (r == 0 && !how.io_uring && fusefs->started < THREADS)
		r = start_worker(fusefs, err);
	if (r == 0)
		r = probe(fusefs, err);
	if (r < 0)
		fusefs_stop(fusefs);
	return r;
}

int fusefs_ended_fd(const struct fusefs *fusefs)
{
	return fusefs->ended_fd;
}

int fusefs_unmount(struct fusefs *fusefs, bool force, struct err *err)
{
	const struct fusemount mount = {.mountpoint = fusefs->setup.mountpoint,
					.dev = fusefs->dev,
					.made = fusefs->mount_made};

	return fusemount_end(&mount, force, err);
}

/* Has the kernel let go of the session (POLLERR)? Then libfuse may clean up by itself. */
static bool connection_ended(const struct fusefs *fs)
{
	struct pollfd fd = {.fd = fuse_session_fd(fs->session)};

	return poll(&fd, 1, 0) == 1 && (fd.revents & (POLLERR | POLLNVAL));
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = clock_timespec(ms);

	(void)nanosleep(&ts, NULL); /* shorter is fine: we look again */
}

static void join_workers(struct fusefs *fs)
{
	atomic_store(&fs->stop, true);
	for (size_t i = 0; i < fs->started; i++) {
		struct worker *w = &fs->workers[i];

		while (!atomic_load(&w->ended)) {
			(void)pthread_kill(w->thread, SIGUSR1); /* not joined: it exists */
			sleep_ms(NUDGE_MS);
		}
		pthread_join(w->thread, NULL);
	}
	fs->started = 0;
}

void fusefs_stop(struct fusefs *fusefs)
{
	struct err err = {0};

	if (!fusefs->session)
		return;
	if (fusefs_unmount(fusefs, true, &err) < 0)
		say_warning("%s", err.msg);
	transport_stop(fusefs->transport);
	join_workers(fusefs);
	/* libfuse would unmount whatever is at that place now, so it may only close the device. */
	if (connection_ended(fusefs))
		fuse_session_unmount(fusefs->session);
	fuse_session_destroy(fusefs->session); /* what is left of the connection is aborted */
	fusefs->session = NULL;
	if (fusefs->probing)
		pthread_join(fusefs->prober, NULL);
	if (fusefs->invalidating)
		pthread_join(fusefs->invalidator, NULL);
	fusefs->probing = fusefs->invalidating = false;
}

void fusefs_free(struct fusefs *fusefs)
{
	if (!fusefs)
		return;
	fusefs_stop(fusefs);
	for (size_t i = 0; i < THREADS; i++) {
		free(fusefs->workers[i].received.mem);
		free(fusefs->workers[i].read_buffer);
	}
	transport_free(fusefs->transport);
	fuseio_destroy(&fusefs->io);
	if (fusefs->ended_fd >= 0)
		(void)close(fusefs->ended_fd);
	if (fusefs->probed_fd >= 0)
		(void)close(fusefs->probed_fd);
	free(fusefs);
}

static void *invalidate_main(void *arg)
{
	struct fusefs *fs = arg;

	/* Fails when the kernel holds nothing of it, which is the usual case. */
	(void)fuse_lowlevel_notify_inval_inode(fs->session, FUSEFS_INO_DISK, 0, 0);
	return NULL;
}

/* In a thread of its own: it waits for a reader that the kernel holds, and nobody must wait for that. */
static void drop_pages(struct fusefs *fs)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until); /* what pthread_timedjoin_np() counts in */
	until.tv_sec += INVALIDATE_MS / 1000;
	if (fs->invalidating || pthread_create(&fs->invalidator, NULL, invalidate_main, fs) != 0) {
		say_warning("key lost: cannot drop what private mappings of disk have cached");
		return;
	}
	fs->invalidating = pthread_timedjoin_np(fs->invalidator, NULL, &until) != 0;
	if (fs->invalidating)
		say_warning("key lost: dropping cached pages of disk takes longer");
}

void fusefs_forget(void *fusefs)
{
	struct fusefs *fs = fusefs;
	unsigned round = atomic_fetch_add(&fs->forget, 1) + 1;
	uint64_t until = clock_monotonic_ms() + FORGET_MS;

	for (size_t i = 0; i < fs->started; i++) {
		struct worker *w = &fs->workers[i];

		while (atomic_load(&w->forgot) < round && clock_monotonic_ms() < until) {
			(void)pthread_kill(w->thread, SIGUSR1); /* not joined: it exists */
			sleep_ms(1);
		}
		if (atomic_load(&w->forgot) < round)
			say_warning("key lost: a thread is busy, its buffer is wiped later");
	}
	if (!transport_forget(fs->transport, FORGET_MS))
		say_warning("key lost: a thread is busy, its buffer is wiped later");
	drop_pages(fs);
}

void fusefs_fence(struct fusefs *fusefs)
{
	fuseio_fence(&fusefs->io);
}

void fusefs_resize(struct fusefs *fusefs, uint64_t size_bytes)
{
	atomic_store(&fusefs->io.size_bytes, size_bytes);
	/* Attributes only; a kernel that has none of them is not wrong about them. */
	(void)fuse_lowlevel_notify_inval_inode(fusefs->session, FUSEFS_INO_DISK, -1, 0);
}

void fusefs_count(struct fusefs *fusefs, struct io_counters *ret_counters)
{
	fuseio_count(&fusefs->io, ret_counters);
}

void fusefs_transport(struct fusefs *fusefs, struct transport_status *ret_status)
{
	transport_status(fusefs->transport, ret_status);
	ret_status->threads += fusefs->started;
	ret_status->buffer_bytes += fusefs->started * (uint64_t)(RECEIVE_BYTES + FUSEIO_MAX);
}
