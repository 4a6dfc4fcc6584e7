/* Unmounting. See kmsvol_detach.h. */
#include "kmsvol_detach.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kmsvol_fsctl.h"
#include "kmsvol_loop.h"
#include "mountinfo.h"
#include "secret.h"

#define USERS_SHOWN	 3
#define END_TIMEOUT_MS	 5000	/* from the unlocking to the end of the process */
#define WRITE_TIMEOUT_MS 120000 /* from the unmount to the unlocking */
#define LOOP_TIMEOUT_MS	 10000
#define LOOPS_LOOKED_AT	 256 /* loop devices */
#define BUSY_TRIES	 50  /* of BUSY_PAUSE_MS: what was just closed may be on its way out */
#define BUSY_PAUSE_MS	 20

/* The link /proc/PID/NAME leads to @dir or below. Only names are compared: a stat() could hang. */
static bool leads_below(int proc, const char *name, const char *dir)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(proc, name, target, sizeof(target) - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return mountinfo_is_within(target, dir);
}

static bool uses(const char *pid, const char *dir)
{
	char path[64];
	int proc, fds;
	struct dirent *e;
	bool found;

	(void)snprintf(path, sizeof(path), "/proc/%.20s", pid);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return false;
	found = leads_below(proc, "cwd", dir) || leads_below(proc, "root", dir) ||
		leads_below(proc, "exe", dir);
	fds = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fds >= 0 ? fdopendir(fds) : NULL;
	if (!d && fds >= 0)
		close(fds);
	while (d && !found && (e = readdir(d)))
		found = leads_below(dirfd(d), e->d_name, dir);
	if (d)
		closedir(d);
	close(proc);
	return found;
}

static void name_of(const char *pid, char *ret_name, size_t room)
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(ret_name, (int)room, f))
		(void)snprintf(ret_name, room, "?");
	ret_name[strcspn(ret_name, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* "in use by process 12 (bash), 13 (psql)", as far as we may see. */
static int in_use(const char *dir, struct err *err)
{
	char users[256] = "", name[32];
	DIR *d = opendir("/proc");
	struct dirent *e;
	int n = 0;

	while (d && n < USERS_SHOWN && (e = readdir(d))) {
		if (!isdigit((unsigned char)*e->d_name) || !uses(e->d_name, dir))
			continue;
		name_of(e->d_name, name, sizeof(name));
		size_t len = strlen(users);
		(void)snprintf(users + len, sizeof(users) - len, "%s%.20s (%s)", n++ ? ", " : "",
			       e->d_name, name);
	}
	if (d)
		closedir(d);
	return err_set(err, EBUSY, "'%s': cannot unmount: in use%s%s", dir,
		       n ? " by process "
			 : " (by a mount below it, or a process that is not seen here)",
		       users);
}

/* fusermount3, whose words are taken for the sentence. */
static int run_fusermount(const char *dir, bool lazy, struct err *err)
{
	char *const argv[] = {(char[]){"fusermount3"}, lazy ? (char[]){"-uz"} : (char[]){"-u"},
			      (char[]){"--"}, (char *)(uintptr_t)dir, NULL};
	char text[512];
	int pipefd[2], status = 0;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_set(err, errno, "'%s': %s", dir, strerror(errno));
	pid = fork();
	if (pid == 0) {
		(void)dup2(pipefd[1], 2);
		(void)setenv("LC_ALL", "C", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(pipefd[1]);
	while (pid > 0 && len < sizeof(text) - 1 &&
	       (n = read(pipefd[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(pipefd[0]);
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return err_set(err, errno, "'%s': fusermount3: %s", dir, strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ENOENT, "'%s': cannot unmount: no fusermount3 here", dir);
	if (status == 0)
		return 0;
	if (strstr(text, "busy"))
		return -EBUSY;
	return err_set(err, EPERM, "'%s': cannot unmount: %s", dir, text);
}

/* How @source (what is mounted) is in the mount table at @dir. */
struct presence {
	const char *dir, *source;
	bool there, on_top;
	char cover[256]; /* the type and source of what lies over it */
};

static int note_presence(const struct mountinfo_entry *e, void *arg)
{
	struct presence *p = arg;

	if (strcmp(e->mountpoint, p->dir) != 0)
		return 0;
	p->on_top = strcmp(e->source, p->source) == 0;
	p->there |= p->on_top;
	(void)snprintf(p->cover, sizeof(p->cover), "%s '%s'", e->fstype, e->source);
	return 0; /* a later one lies on top of this */
}

static int find_presence(const char *dir, const char *source, struct presence *ret, struct err *err)
{
	*ret = (struct presence){.dir = dir, .source = source};
	return mountinfo_each(note_presence, ret, err);
}

static int unmount_once(const char *dir, bool lazy, struct err *err)
{
	if (geteuid() != 0)
		return run_fusermount(dir, lazy, err);
	if (umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) < 0)
		return err_set(err, errno, "'%s': cannot unmount: %s", dir, strerror(errno));
	return 0;
}

int detach_mount(const char *dir, const char *source, bool lazy, struct err *err)
{
	const struct timespec pause = {.tv_nsec = BUSY_PAUSE_MS * 1000000L};
	struct presence p;
	int r;

	for (int i = 0;; i++) {
		r = find_presence(dir, source, &p, err);
		if (r < 0 || !p.there)
			return r; /* not there: done, by us or by another who was quicker */
		if (!p.on_top)	  /* umount goes by the path, and would take the wrong one */
			return err_set(err, EBUSY,
				       "'%s': cannot unmount: something is mounted over it: %s; "
				       "unmount that first",
				       dir, p.cover);
		r = unmount_once(dir, lazy, err);
		if (r == -EINVAL && find_presence(dir, source, &p, err) == 0 && !p.there)
			return 0;
		if (r != -EBUSY)
			return r;
		if (i == BUSY_TRIES)
			return in_use(dir, err);
		(void)nanosleep(&pause, NULL); /* the kernel tells no event */
	}
}

/* The process whose id stands in the lock file @fd, as a pidfd; -1: nobody's, or not to be had. */
static int holder(int fd)
{
	char text[32] = "";

	if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
		(void)flock(fd, LOCK_UN); /* free: then the id is an old one */
		return -1;
	}
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0 || atoi(text) <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, atoi(text), 0);
}

/* The daemon of a volume, to be looked up before its mount goes and waited for after. */
struct ending {
	int lock;    /* the lock file; -1: there is none, as no daemon ever ran */
	int process; /* pidfd; -1: none runs, or it is not to be had */
};

static int ending_begin(const char *volume_dir, struct ending *ret_ending, struct err *err)
{
	AUTO(freep) char *path = NULL;

	if (asprintf(&path, "%s/lock", volume_dir) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "volume '%s': out of memory", volume_dir);
	}
	/* The directory may be another user's, who may have put anything there. */
	ret_ending->lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (ret_ending->lock < 0 && errno != ENOENT && errno != ENOTDIR && errno != EIO &&
	    errno != ESTALE) /* these: it is out of reach, there is nothing to wait for */
		return err_set(err, errno, "volume '%s': lock: %s", volume_dir, strerror(errno));
	if (ret_ending->lock >= 0)
		ret_ending->process = holder(ret_ending->lock);
	return 0;
}

static void ending_free(struct ending *ending)
{
	if (ending->lock >= 0)
		close(ending->lock);
	if (ending->process >= 0)
		close(ending->process);
}

static int note_elsewhere(const struct mountinfo_entry *e, void *arg)
{
	struct presence *p = arg;

	if (strcmp(e->fstype, MOUNTINFO_FSTYPE) != 0 || strcmp(e->source, p->source) != 0)
		return 0;
	(void)snprintf(p->cover, sizeof(p->cover), "%s", e->mountpoint);
	p->there = true;
	return 1;
}

/* Its mount has gone, but is there a copy of it (a bind mount)? Then its daemon serves that. */
static int check_elsewhere(const char *volume_dir, struct err *err)
{
	struct presence p = {.source = volume_dir};
	int r = mountinfo_each(note_elsewhere, &p, err);

	if (r < 0)
		return r;
	if (p.there)
		return err_set(err, EBUSY,
			       "volume '%s': it is also mounted at '%s', and its daemon serves "
			       "that; unmount that too",
			       volume_dir, p.cover);
	return 0;
}

/*
 * Wait until the daemon has ended. It holds the volume's lock until everything is written, which may
 * take long on a slow disk; but a mount that lives on where it is not seen (another name space) must not
 * keep us for ever.
 */
static int ending_wait(const struct ending *ending, const char *volume_dir, struct err *err)
{
	const struct timespec pause = {.tv_nsec = BUSY_PAUSE_MS * 1000000L};
	struct pollfd process = {.fd = ending->process, .events = POLLIN};
	unsigned waited = 0;

	while (ending->lock >= 0 && flock(ending->lock, LOCK_SH | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set(err, errno, "volume '%s': lock: %s", volume_dir,
				       strerror(errno));
		if (waited >= WRITE_TIMEOUT_MS)
			return err_set(err, ETIMEDOUT,
				       "volume '%s': unmounted, but its daemon has not ended in "
				       "%d s: it still writes, or another mount name space has "
				       "a copy of the mount",
				       volume_dir, WRITE_TIMEOUT_MS / 1000);
		(void)nanosleep(&pause, NULL); /* a lock tells no event together with a limit */
		waited += BUSY_PAUSE_MS;
	}
	if (ending->lock >= 0)
		(void)flock(ending->lock, LOCK_UN);
	if (process.fd >= 0) /* all is written; this is for who looks at processes */
		(void)poll(&process, 1, END_TIMEOUT_MS);
	return 0;
}

/* Its daemon was killed, and perhaps who would have thawed it, too: frozen, it would never go. */
static int thaw(const struct place *place, struct err *err)
{
	struct err ignored;
	int dir, r;

	if (!place_has(place->mountpoint, place->loop) ||
	    fsctl_open(place->mountpoint, &dir, &ignored) < 0)
		return 0; /* what cannot be opened is no more in use, or shut down */
	r = fsctl_thaw(dir, err);
	(void)close(dir); /* only read */
	return r < 0 ? err_prefix(err, "'%s'", place->mountpoint) : 0;
}

/* The file system goes, but only if it is the one on this record's loop device; then that. */
static int detach_fs(const struct place *place, bool dead, struct err *err)
{
	AUTO(freep) char *disk = NULL;
	int r;

	if (!place->loop || !*place->loop)
		return 0;
	if (dead && (r = thaw(place, err)) < 0)
		return r;
	r = detach_mount(place->mountpoint, place->loop, false, err);
	if (r < 0)
		return r;
	if (asprintf(&disk, "%s/disk", place->fuse_dir) < 0) {
		disk = NULL;
		return err_set(err, ENOMEM, "'%s': out of memory", place->fuse_dir);
	}
	r = loop_wait_gone(place->loop, disk, LOOP_TIMEOUT_MS, err);
	/* After an outage an earlier one may still go, of the file system that was shut down. */
	for (int i = 0; r == 0 && i < LOOPS_LOOKED_AT; i++) {
		char device[32];

		(void)snprintf(device, sizeof(device), "/dev/loop%d", i);
		r = loop_wait_gone(device, disk, LOOP_TIMEOUT_MS, err);
	}
	return r;
}

int detach_all(const struct place *place, bool lazy, struct err *err)
{
	struct ending ending = {.lock = -1, .process = -1};
	int r = ending_begin(place->volume_dir, &ending, err);

	if (r < 0)
		return r;
	if (place->mountpoint)
		r = detach_fs(place, lazy, err);
	if (r == 0 && place->fuse_dir)
		r = detach_mount(place->fuse_dir, place->volume_dir, lazy, err);
	if (r == 0)
		r = check_elsewhere(place->volume_dir, err);
	if (r == 0)
		r = ending_wait(&ending, place->volume_dir, err);
	ending_free(&ending);
	if (r == 0 && place->record) {
		place_record_remove(place);
		place_private_remove(place);
	}
	return r;
}
