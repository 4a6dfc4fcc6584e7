/* mount --fs. See kmsvol_mountfs.h for the steps. */
#include "kmsvol_mountfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_detach.h"
#include "kmsvol_fs.h"
#include "kmsvol_loop.h"
#include "kmsvol_place.h"
#include "mount.h"
#include "secret.h"
#include "snapshot.h"
#include "volume.h"

#define AWAIT_MS    20 /* between two looks for the mount */
#define MKDIR_TRIES 10
#define HASH_BYTES  8 /* of the SHA-256 of the volume's path */

struct job {
	const struct mount_options *options;
	const char *type;
	struct place place;
	pid_t child;	  /* in the foreground: the daemon; 0: reaped */
	int child_status; /* of waitpid(), once reaped */
	int signals;	  /* signalfd */
	bool interrupted;
};

static void end_signals(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGINT);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGHUP);
}

/* A copy of a volume's directory has the same id: only with the path is the name one volume's alone. */
static int hash_of_path(const char *path, char ret_hex[2 * HASH_BYTES + 1], struct err *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(path, strlen(path), digest, NULL, EVP_sha256(), NULL) != 1)
		return err_set(err, EIO, "libcrypto has no SHA-256");
	for (size_t i = 0; i < HASH_BYTES; i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

static int set_place(struct job *job, struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *header = NULL;
	struct place *p = &job->place;
	char hash[2 * HASH_BYTES + 1];
	const char *id;
	int r = volume_header_load(job->options->volume_dir, &header, err);

	if (r < 0)
		return err_prefix(err, "volume '%s'", job->options->volume_dir);
	id = header->geometry.volume_id;
	r = hash_of_path(job->options->volume_dir, hash, err);
	if (r < 0)
		return err_prefix(err, "volume '%s'", job->options->volume_dir);
	p->volume_dir = strdup(job->options->volume_dir);
	p->mountpoint = strdup(job->options->mountpoint);
	if (asprintf(&p->fuse_dir, "%s/%s-%s", PLACE_RUN_DIR, id, hash) < 0)
		p->fuse_dir = NULL;
	if (asprintf(&p->record, "%s/%s-%s.json", PLACE_RUN_DIR, id, hash) < 0)
		p->record = NULL;
	if (!p->volume_dir || !p->mountpoint || !p->fuse_dir || !p->record)
		return err_set(err, ENOMEM, "volume '%s': out of memory", job->options->volume_dir);
	return 0;
}

static int make_private_dir(struct job *job, struct err *err)
{
	const char *dir = job->place.fuse_dir;

	for (int i = 0; i < MKDIR_TRIES; i++) {
		if (mkdir(PLACE_RUN_DIR, 0755) < 0 && errno != EEXIST)
			return err_set(err, errno, "'%s': %s", PLACE_RUN_DIR, strerror(errno));
		if (mkdir(dir, 0700) == 0 || errno == EEXIST)
			return 0;
		if (errno != ENOENT) /* another has just taken the empty PLACE_RUN_DIR away */
			break;
	}
	return err_set(err, errno, "'%s': %s", dir, strerror(errno));
}

/* Has a signal come that asks to end? Collects the end of the child on the way. */
static bool asked_to_end(struct job *job)
{
	struct signalfd_siginfo info;

	while (read(job->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			job->interrupted = true;
	if (job->child > 0 && waitpid(job->child, &job->child_status, WNOHANG) == job->child)
		job->child = 0;
	return job->interrupted;
}

static int watch_signals(struct job *job, struct err *err)
{
	sigset_t set;

	end_signals(&set);
	sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL); /* cannot fail with these arguments */
	job->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (job->signals < 0)
		return err_set(err, errno, "signalfd: %s", strerror(errno));
	return 0;
}

/* The daemon in the foreground: a child, out of reach of the terminal's signals, which are ours. */
static int child_main(const struct job *job, const struct mount_options *options)
{
	struct err err;
	sigset_t none;

	(void)close(job->signals);
	(void)setpgid(0, 0); /* fails only for a session leader, which a new child is not */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (mount_run(options, &err) < 0)
		return cmd_fail(&err);
	return CMD_DONE;
}

/*
 * Is the child's mount there? Asked of the daemon itself, because the mount could be that of
 * another daemon, whose volume we would then mount a second time.
 */
static bool child_serves(const struct job *job)
{
	AUTO(kms_json_freep) struct kms_json *status = NULL;
	int64_t pid = 0;

	return place_mounted(job->place.fuse_dir, NULL, NULL) &&
	       cmd_ask(job->place.volume_dir, "status", &status, NULL) == 0 &&
	       kms_json_i64(status, "pid", &pid, NULL) == 0 && pid == job->child;
}

/* Wait for the child's mount: 0 it is there, else the child has ended or we shall. */
static int await_mount(struct job *job)
{
	struct pollfd fd = {.fd = job->signals, .events = POLLIN};

	while (!asked_to_end(job) && job->child > 0) {
		if (child_serves(job))
			return 0;
		(void)poll(&fd, 1, AWAIT_MS); /* the end of the child comes as a signal */
	}
	return -ECHILD;
}

/* Steps 3 to 6. What was made stays when one fails. */
static int build(struct job *job, struct err *err)
{
	const struct mount_options *o = job->options;
	struct place *p = &job->place;
	AUTO(freep) char *disk = NULL;
	int fd = -1, r;

	if (asprintf(&disk, "%s/disk", p->fuse_dir) < 0) {
		disk = NULL;
		return err_set(err, ENOMEM, "volume '%s': out of memory", p->volume_dir);
	}
	if ((r = place_record_save(p, err)) < 0 ||
	    (r = loop_attach(disk, o->read_only, &fd, &p->loop, err)) < 0)
		return r;
	r = place_record_save(p, err);
	if (r == 0)
		r = fs_prepare(p->loop, disk, job->type, o->read_only, err);
	if (r == 0 && asked_to_end(job))
		r = err_set(err, EINTR, "interrupted");
	if (r == 0)
		r = fs_mount(p->loop, p->mountpoint, job->type, o->read_only,
			     snapshot_is(p->volume_dir), err);
	p->fs_was_mounted = r == 0;
	if (r == 0)
		r = place_record_save(p, err);
	if (r == 0 && asked_to_end(job))
		r = err_set(err, EINTR, "interrupted");
	close(fd);
	return r < 0 ? err_prefix(err, "volume '%s'", p->volume_dir) : 0;
}

/* Foreground: until the daemon has ended, by an unmount from elsewhere or on a signal. */
static int serve(struct job *job)
{
	struct pollfd fd = {.fd = job->signals, .events = POLLIN};
	struct err err;

	while (job->child > 0) {
		if (job->interrupted) {
			job->interrupted = false;
			if (detach_all(&job->place, false, &err) < 0)
				(void)cmd_fail(&err); /* told; it stays mounted */
		}
		(void)poll(&fd, 1, -1);
		(void)asked_to_end(job);
	}
	/* When the daemon died, this takes away what is left of it. */
	if (detach_all(&job->place, true, &err) < 0)
		return cmd_fail(&err);
	return WIFEXITED(job->child_status) ? WEXITSTATUS(job->child_status) : CMD_FAILED;
}

static int start_daemon(struct job *job, struct mount_options *inner)
{
	struct err err;

	if (!inner->foreground)
		return mount_run(inner, &err) < 0 ? cmd_fail(&err) : CMD_GO;
	job->child = fork();
	if (job->child == 0)
		_exit(child_main(job, inner));
	if (job->child < 0) {
		job->child = 0;
		(void)err_set(&err, errno, "cannot start the daemon: %s", strerror(errno));
		return cmd_fail(&err);
	}
	if (await_mount(job) == 0)
		return CMD_GO;
	if (job->child > 0) { /* we were asked to end before it was there */
		(void)kill(job->child, SIGTERM);
		while (waitpid(job->child, &job->child_status, 0) < 0 && errno == EINTR)
			;
		job->child = 0;
	}
	if (WIFEXITED(job->child_status) && WEXITSTATUS(job->child_status) != 0)
		return WEXITSTATUS(job->child_status); /* it has told why */
	return CMD_FAILED;
}

static int steps(struct job *job)
{
	struct mount_options inner = *job->options;
	const char *const keeper[] = {CMD_PROGRAM, "keeper", inner.volume_dir, NULL};
	struct err err, second;
	int code;

	/* Signals before there is anything: from here on one undoes everything. */
	if (set_place(job, &err) < 0 || watch_signals(job, &err) < 0 ||
	    make_private_dir(job, &err) < 0)
		return cmd_fail(&err);
	inner.mountpoint = job->place.fuse_dir;
	inner.allow_other = false;
	inner.keeper = keeper;
	code = start_daemon(job, &inner);
	if (code != CMD_GO) {
		place_private_remove(&job->place); /* not when it is in use by another mount */
		return code;
	}
	if (build(job, &err) < 0) {
		code = cmd_fail(&err);
		if (detach_all(&job->place, false, &second) < 0)
			(void)cmd_fail(&second);
		return code;
	}
	return inner.foreground ? serve(job) : CMD_DONE;
}

int mountfs_run(const struct mount_options *options, const char *type)
{
	struct job job = {.options = options, .type = type, .signals = -1};
	struct err err;
	int code;

	if (geteuid() != 0) {
		(void)err_set(&err, EPERM,
			      "volume '%s': --fs needs root, for the loop device and the mount; "
			      "without root, mount without --fs and use DIR/disk",
			      options->volume_dir);
		return cmd_fail(&err);
	}
	code = steps(&job);
	if (job.child > 0) /* it ended with its mount */
		while (waitpid(job.child, NULL, 0) < 0 && errno == EINTR)
			;
	if (job.signals >= 0)
		close(job.signals);
	place_free(&job.place);
	return code;
}
