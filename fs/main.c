/*
 * What `kmsvol mount` runs: the parts put together, in the order in which they may fail, and taken
 * apart so that all is durable before the volume's lock is let go.
 */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "above.h"
#include "attachment.h"
#include "bytes.h"
#include "clock.h"
#include "change_job.h"
#include "control.h"
#include "daemon.h"
#include "err.h"
#include "events.h"
#include "faults.h"
#include "fusefs.h"
#include "gate.h"
#include "hook.h"
#include "kms.h"
#include "mount_internal.h"
#include "mountinfo.h"
#include "outage.h"
#include "profile.h"
#include "requests.h"
#include "rotate_job.h"
#include "say.h"
#include "secret.h"
#include "snapshot.h"
#include "snapshot_job.h"
#include "store.h"
#include "volume.h"
#include "watch.h"

#define HOLD_MARGIN_MS                                                                             \
	1000		   /* answer waiting requests this long before the kernel's limit, or ... */
#define HOLD_MARGIN_PART 5 /* ... a fifth of it */

static const char *fuse_sysctl_dir = "/proc/sys/fs/fuse"; /* a variable for the test's sake */

static int fd_close(int fd)
{
	if (fd >= 0)
		(void)close(fd); /* nothing of these is written through */
	return -1;
}

/* A number in a file of /proc; 0 when it is not there. */
static uint64_t sysctl_number(const char *name)
{
	AUTO(freep) char *path = NULL;
	unsigned long long v = 0;
	FILE *f = NULL;

	if (asprintf(&path, "%s/%s", fuse_sysctl_dir, name) >= 0)
		f = fopen(path, "re");
	else
		path = NULL;
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &v) != 1)
		v = 0;
	(void)fclose(f);
	return v;
}

/* How long a request may wait before the kernel aborts the whole mount; 0: as long as it likes. */
static uint64_t hold_limit_ms(void)
{
	uint64_t limit = sysctl_number("default_request_timeout") * 1000;
	uint64_t max = sysctl_number("max_request_timeout") * 1000;

	if (max && (limit == 0 || limit > max))
		limit = max;
	if (limit == 0)
		return 0;
	if (limit / HOLD_MARGIN_PART > HOLD_MARGIN_MS)
		limit -= limit / HOLD_MARGIN_PART;
	else
		limit -= limit / 2 < HOLD_MARGIN_MS ? limit / 2 : HOLD_MARGIN_MS;
	say_warning("fs.fuse.max_request_timeout or default_request_timeout is set: requests that "
		    "wait get EIO after %llu s",
		    (unsigned long long)limit / 1000);
	return limit;
}

/* A snapshot is looked at, never changed. */
static int check_snapshot(struct mounted *m, struct err *err)
{
	m->read_only = true;
	return snapshot_check(m->volume_dir, m->header, NULL, err);
}

static struct faults *new_faults(struct mounted *m)
{
	m->hold_limit_ms = hold_limit_ms();
	return faults_new(&(struct faults_setup){.gate = m->gate,
						 .events = m->events,
						 .key_arn = m->header->key_arn,
						 .time_scale = m->options->watch.time_scale,
						 .hold_limit_ms = m->hold_limit_ms});
}

/* The header, the lock and the client: all that can be had before KMS is asked. */
static int open_volume(struct mounted *m, struct err *err)
{
	int r = volume_header_load(m->volume_dir, &m->header, err);

	if (r < 0)
		return r;
	r = volume_lock(m->volume_dir, &m->lock_fd, err);
	if (r < 0)
		return r;
	volume_header_freep(&m->header); /* who held the lock until now may have changed it */
	r = volume_header_load(m->volume_dir, &m->header, err);
	if (r == 0 && snapshot_is(m->volume_dir))
		r = check_snapshot(m, err);
	if (r < 0)
		return r;
	m->dir_fd = open(m->volume_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->dir_fd < 0)
		return err_set(err, errno, "%s", strerror(errno));
	r = outage_load(m->dir_fd, &m->outage, err);
	if (r == 0 && outage_is_terminal(&m->outage, clock_wall_ms()))
		r = outage_refuse(&m->outage, err);
	if (r < 0)
		return r;
	m->gate = gate_new();
	m->events = events_new(m->dir_fd, m->header->geometry.volume_id);
	if (m->gate && m->events)
		m->faults = new_faults(m);
	if (!m->faults)
		return err_set(err, ENOMEM, "out of memory");
	return kms_open(&m->options->kms, &m->kms, err);
}

/* Signals that end the daemon come through signal_fd from here on, in every thread. */
static int take_signals(struct mounted *m, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* cannot fail */
	(void)signal(SIGPIPE, SIG_IGN);
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	m->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->signal_fd < 0 || m->stop_fd < 0)
		return err_set(err, errno, "signalfd, eventfd: %s", strerror(errno));
	return 0;
}

static int open_store(struct mounted *m, struct err *err)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct store *store = NULL;
	struct watch_setup setup = {
		.dir = m->volume_dir,
		.dir_fd = m->dir_fd,
		.header = m->header,
		.kms = m->kms,
		.gate = m->gate,
		.events = m->events,
		.config = m->options->watch,
		.read_only = m->read_only,
		.hold_limit_ms = m->hold_limit_ms,
		.write_down_ms = m->options->write_down_ms,
	};
	const struct hook_setup hook = {.command = m->options->hook,
					.timeout_ms = m->options->hook_timeout_ms,
					.volume_id = m->header->geometry.volume_id,
					.volume_dir = m->volume_dir,
					.events = m->events};
	int r = attachment_begin(m->header, m->dir_fd, m->kms, &m->attachment, &key, err);

	r = attachment_explain(m->header, m->kms, r, err);
	if (r == 0) /* until here a signal just ends the process */
		r = take_signals(m, err);
	if (r == 0 && hook.command)
		r = hook_new(&hook, &m->hook, err);
	if (r == 0 && m->options->keeper) {
		m->above = above_new(
			&(struct above_setup){.argv = m->options->keeper, .events = m->events});
		if (!m->above)
			r = err_set(err, ENOMEM, "out of memory");
	}
	setup.hook = m->hook;
	setup.above = m->above;
	if (r == 0)
		r = store_open(m->volume_dir, &m->header->geometry, key, m->read_only, &store, err);
	if (r == 0)
		r = watch_new(&setup, store, &m->watch, err);
	if (r < 0 && store)
		(void)store_close(store, NULL); /* the first error is the one to tell */
	return r;
}

/*
 * The key is lost, and nothing is inside the gate. A file system that was shut down above may never write
 * again, when another one is mounted in its place.
 */
static void forget(void *mounted)
{
	struct mounted *m = mounted;

	fusefs_forget(m->fusefs);
	if (above_state(m->above) == ABOVE_SHUT)
		fusefs_fence(m->fusefs);
}

static int mount_it(struct mounted *m, struct err *err)
{
	const struct fusefs_setup setup = {
		.volume_dir = m->volume_dir,
		.mountpoint = m->mountpoint,
		.size_bytes = m->header->geometry.size_bytes,
		.block_size = m->header->geometry.block_size,
		.read_only = m->read_only,
		.allow_other = m->options->allow_other,
		.transport = m->options->transport,
		.gate = m->gate,
		.watch = m->watch,
		.faults = m->faults,
		.status_text = requests_status_text,
		.arg = m,
	};
	int r = fusefs_mount(&setup, &m->fusefs, err);

	if (r == 0)
		r = fusefs_start(m->fusefs, err);
	if (r == 0)
		r = watch_start(m->watch, forget, m, err);
	if (r == 0) {
		const struct change_setup change = {.volume_dir = m->volume_dir,
						    .header = m->header,
						    .kms = m->kms,
						    .kms_config = &m->options->kms,
						    .watch = m->watch,
						    .fusefs = m->fusefs,
						    .read_only = m->read_only};

		m->snapshots = snapshot_job_new(m->volume_dir, m->watch);
		m->changes = change_job_new(&change);
		m->rotation = rotate_job_new(&change, m->events);
		if (!m->snapshots || !m->changes || !m->rotation)
			r = err_set(err, ENOMEM, "out of memory");
		else if (!m->read_only && m->header->geometry.previous_key)
			r = rotate_job_start(m->rotation, err);
	}
	if (r == 0)
		r = control_start(m->dir_fd, requests_handle, m, &m->control, err);
	return r;
}

/* Until a signal, a request, or an unmount from outside. */
static void wait_for_end(struct mounted *m)
{
	struct pollfd fds[3] = {{.fd = m->signal_fd, .events = POLLIN},
				{.fd = m->stop_fd, .events = POLLIN},
				{.fd = fusefs_ended_fd(m->fusefs), .events = POLLIN}};

	while (poll(fds, 3, -1) < 0)
		; /* EINTR, or out of memory for a moment */
	if (fds[0].revents)
		say_info("unmounting after a signal");
}

/*
 * Take all apart. The lock goes last: who waits for it finds everything durable. The threads that use
 * the gate beside FUSE's end first, so that nothing changes it any more and no waiter is being answered;
 * then what waits there gets EIO.
 */
static int mounted_end(struct mounted *m, struct err *err)
{
	int r = 0;

	control_stop(m->control); /* it too may be answering what waits */
	faults_end(m->faults);	  /* what they hold comes to the gate */
	snapshot_job_free(m->snapshots);
	hook_hurry(m->hook);
	above_cancel(m->above);
	if (m->watch)
		watch_end(m->watch);
	hook_free(m->hook);	     /* nothing tells it any more */
	change_job_free(m->changes); /* the watch does not do it any more */
	rotate_job_free(m->rotation);
	if (m->gate)
		gate_end_hold(m->gate);
	if (m->fusefs) /* what was not lost goes on being served until the file system has gone */
		(void)above_tell(m->above, ABOVE_END, ABOVE_END_MS); /* said there */
	if (m->watch)
		store_end_waiting(watch_store(m->watch)); /* nobody changes it any more */
	if (m->fusefs)
		fusefs_stop(m->fusefs);
	if (m->watch)
		r = watch_close(m->watch, err);
	fusefs_free(m->fusefs);
	watch_free(m->watch);
	faults_free(m->faults);
	gate_free(m->gate);
	attachment_end(m->attachment);
	kms_close(m->kms);
	above_free(m->above);
	events_free(m->events);
	volume_header_free(m->header);
	m->signal_fd = fd_close(m->signal_fd);
	m->stop_fd = fd_close(m->stop_fd);
	m->dir_fd = fd_close(m->dir_fd);
	m->lock_fd = fd_close(m->lock_fd);
	return r;
}

/* An outage that an earlier daemon has seen is over: this one was given the key. */
static void end_outage(struct mounted *m)
{
	int r;

	if (!m->outage.since_wall_ms)
		return;
	events_add(m->events,
		   &(struct event){.name = "state-changed",
				   .from = keywatch_state_name(KEYWATCH_INACCESSIBLE_RECOVERABLE),
				   .to = keywatch_state_name(KEYWATCH_AVAILABLE),
				   .rds_event = "RDS-EVENT-0420"});
	r = outage_clear(m->dir_fd);
	if (r < 0)
		say_warning("outage.json: cannot be removed: %s", strerror(-r));
}

/* A refusal of KMS is told as AWS tells it; a database's volume has its own events. */
static void tell_failed_attach(struct mounted *m, const struct err *err)
{
	bool ebs = !attachment_is_rds(m->header);

	if (err->num == EKEYREJECTED || err->num == ENOKEY)
		events_add(m->events,
			   &(struct event){.name = "attach-failed",
					   .reason = err->msg,
					   .err = err,
					   .failed_key = ebs ? m->header->key_arn : NULL});
}

/* Mount, tell @ready, serve until the end. */
static int serve(struct mounted *m, void (*ready)(void *arg), void *arg, struct err *err)
{
	struct err end_err = {0};
	int r, end;

	daemon_harden();
	daemon_raise_limits();
	r = open_volume(m, err);
	if (r == 0 && (r = open_store(m, err)) < 0)
		tell_failed_attach(m, err);
	if (r == 0)
		r = mount_it(m, err);
	if (r == 0) {
		events_add(m->events, &(struct event){.name = "mounted"});
		end_outage(m);
		ready(arg);
		wait_for_end(m);
		events_add(m->events, &(struct event){.name = "unmounting"});
	}
	end = mounted_end(m, &end_err);
	if (r == 0 && end < 0) {
		*err = end_err;
		r = end;
	}
	return r < 0 ? err_prefix(err, "volume '%s'", m->volume_dir) : 0;
}

static int resolve(struct mounted *m, struct err *err)
{
	const struct mount_options *o = m->options;
	struct stat st;

	m->volume_dir = realpath(o->volume_dir, NULL);
	if (!m->volume_dir)
		return err_set(err, errno, "volume '%s': %s", o->volume_dir, strerror(errno));
	m->mountpoint = realpath(o->mountpoint, NULL);
	if (!m->mountpoint || stat(m->mountpoint, &st) < 0)
		return err_set(err, errno, "mount at '%s': %s", o->mountpoint, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "mount at '%s': not a directory", o->mountpoint);
	if (mountinfo_is_within(m->mountpoint, m->volume_dir) ||
	    mountinfo_is_within(m->volume_dir, m->mountpoint))
		return err_set(err, EINVAL, "mount at '%s': it would hide the volume '%s'",
			       o->mountpoint, o->volume_dir);
	return 0;
}

static int run(void *arg, void (*ready)(void *arg), void *ready_arg, struct err *err)
{
	return serve(arg, ready, ready_arg, err);
}

int mount_run(const struct mount_options *options, struct err *err)
{
	struct mounted m = {.options = options,
			    .read_only = options->read_only,
			    .dir_fd = -1,
			    .lock_fd = -1,
			    .signal_fd = -1,
			    .stop_fd = -1};
	int r = resolve(&m, err);

	if (r == 0) {
		say_open(m.volume_dir, !options->foreground);
		r = options->foreground ? daemon_foreground(run, &m, err)
					: daemon_background(run, &m, err);
	}
	free(m.volume_dir);
	free(m.mountpoint);
	return r;
}
