/*
 * A snapshot as a command makes it: the directory for it begun and locked, filled by the volume's daemon
 * if it has one, else here, and published. See snapshot_create.h.
 */
#include "snapshot_create.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "disk.h"
#include "err.h"
#include "kms_json.h"
#include "mount.h"
#include "mountinfo.h"
#include "secret.h"
#include "snapshot_make.h"
#include "snapshot_tell.h"
#include "voldir.h"
#include "volume.h"

#define POLL_MS 10 /* between two questions to the daemon */
#define TURN_MS 50 /* between two tries to be next */

struct making {
	const struct snapshot_create_options *options;
	struct snapshot_created *created;
	char *volume_dir;	 /* absolute; owned, as are the next ones */
	char *parent_dir, *name; /* where it goes */
	struct disk *volume, *stage, *parent;
	char stage_name[SNAPSHOT_STAGE_LEN];
	int stage_fd; /* locked while we live; -1 */
	bool begun, frozen;
};

/* Directory and name of where it shall be. */
static int set_place(struct making *m, const char *snapshot_id, struct err *err)
{
	const char *wanted = m->options->snapshot_dir;
	AUTO(freep) char *path = strdup(wanted ? wanted : m->volume_dir);
	AUTO(freep) char *above = strdup(wanted ? wanted : m->volume_dir);
	struct stat st;

	if (!path || !above)
		return err_set(err, ENOMEM, "out of memory");
	m->name = strdup(wanted ? basename(path) : snapshot_id);
	m->parent_dir = realpath(dirname(above), NULL);
	if (!m->parent_dir)
		return err_set(err, errno, "snapshot '%s': '%s': %s", wanted, above,
			       strerror(errno));
	if (!m->name || asprintf(&m->created->dir, "%s/%s",
				 strcmp(m->parent_dir, "/") ? m->parent_dir : "", m->name) < 0) {
		m->created->dir = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (voldir_is_partial(m->name))
		return err_set(err, EINVAL,
			       "snapshot '%s': names in '" VOLDIR_PARTIAL
			       "' are those of unfinished ones",
			       m->created->dir);
	if (lstat(m->created->dir, &st) == 0)
		return err_set(err, EEXIST, "snapshot '%s': exists already", m->created->dir);
	if (mountinfo_is_within(m->parent_dir, m->volume_dir))
		return err_set(err, EINVAL, "snapshot '%s': it may not be inside the volume '%s'",
			       m->created->dir, m->volume_dir);
	return 0;
}

/* Take away what snapshots that were cut off have left in the volume's directory. */
static void clear_leftovers(struct making *m)
{
	DIR *d = opendir(m->volume_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		int fd;
		struct err ignored; /* it is tried again next time */

		if (!snapshot_is_stage_name(e->d_name))
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			(void)voldir_clear(m->volume, e->d_name, &ignored);
		if (fd >= 0)
			(void)close(fd); /* only read */
	}
	if (d)
		(void)closedir(d);
}

/* The stage is ours as long as we live; and the daemon's to write into, if it is not root's as we are. */
static int lock_stage(struct making *m, int dir, struct err *err)
{
	static const char *const inside[] = {".", "segments", SNAPSHOT_NAME, VOLDIR_MARK};
	struct stat st;
	int r = 0;

	m->stage_fd = openat(dir, m->stage_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->stage_fd < 0 || flock(m->stage_fd, LOCK_EX | LOCK_NB) < 0 || fstat(dir, &st) < 0)
		r = err_set(err, errno, "'%s': %s", m->stage_name, strerror(errno));
	for (size_t i = 0; r == 0 && geteuid() == 0 && st.st_uid != 0 && i < 4; i++)
		if (fchownat(m->stage_fd, inside[i], st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
			r = err_set(err, errno, "'%s': chown: %s", m->stage_name, strerror(errno));
	return r;
}

/* The volume's directory, locked: who begins a snapshot clears away what is not locked yet. */
static int lock_volume_dir(struct making *m, int *ret_dir, struct err *err)
{
	int dir = open(m->volume_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -1 : 0;

	while (dir >= 0 && (r = flock(dir, LOCK_EX)) < 0 && errno == EINTR)
		; /* each has it for a moment */
	if (r < 0) {
		(void)err_set(err, errno, "volume '%s': %s", m->volume_dir, strerror(errno));
		if (dir >= 0)
			(void)close(dir);
		return -err->num;
	}
	*ret_dir = dir;
	return 0;
}

static int begin(struct making *m, const struct snapshot_info *info, struct err *err)
{
	int dir = -1, r = disk_open_dir(m->volume_dir, &m->volume, err);

	if (r == 0)
		r = disk_open_dir(m->parent_dir, &m->parent, err);
	if (r == 0)
		r = lock_volume_dir(m, &dir, err);
	if (r < 0)
		return r;
	clear_leftovers(m);
	snapshot_stage_name(info->id, m->stage_name);
	m->begun = true; /* in part, perhaps */
	r = snapshot_begin(m->volume, info, &m->stage, err);
	if (r == 0)
		r = lock_stage(m, dir, err);
	(void)close(dir); /* only a lock */
	return r;
}

static void let_go(void *arg)
{
	struct making *m = arg;

	if (m->frozen && m->options->taken)
		m->options->taken(m->options->arg);
	m->frozen = false;
}

static int hold(struct making *m, struct err *err)
{
	int r = m->options->before ? m->options->before(m->options->arg, err) : 0;

	m->frozen = r == 0;
	return r;
}

/* One question to the daemon, and its answer. */
static int ask(struct making *m, const char *op, struct kms_json **ret_reply, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *request = kms_json_new_object();

	if (!request || (kms_json_set_str(request, "op", op) |
			 kms_json_set_str(request, "stage", m->stage_name)) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return mount_control(m->volume_dir, request, ret_reply, err);
}

/* Until the daemon has filled the stage. */
static int await(struct making *m, struct err *err)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	const struct voldir_job *job = m->options->job;

	for (;;) {
		AUTO(kms_json_freep) struct kms_json *reply = NULL;
		const char *state;
		int r = ask(m, "snapshot-status", &reply, err);

		if (r == 0)
			r = kms_json_str(reply, "state", &state, err);
		if (r < 0)
			return r;
		if (strcmp(state, "running") != 0)
			let_go(m);
		if (strcmp(state, "done") == 0) {
			r = kms_json_bool(reply, "key_lost", &m->created->key_lost, err);
			return r < 0 ? r
				     : kms_json_u64(reply, "held_ms", &m->created->held_ms, err);
		}
		if (job && job->stop &&
		    atomic_load(job->stop)) /* what the daemon still makes goes */
			return err_set(err, EINTR, "interrupted"); /* with the next snapshot */
		(void)nanosleep(&pause, NULL);
	}
}

/* Have the daemon begin; as long as it makes another one, that goes first. */
static int begin_in_daemon(struct making *m, struct err *err)
{
	const struct timespec pause = {.tv_nsec = TURN_MS * 1000000L};
	const struct voldir_job *job = m->options->job;

	for (;;) {
		AUTO(kms_json_freep) struct kms_json *reply = NULL;
		int r = hold(m, err);

		if (r == 0)
			r = ask(m, "snapshot", &reply, err);
		if (r != -EBUSY)
			return r;
		let_go(m);
		if (job && job->stop && atomic_load(job->stop))
			return err_set(err, EINTR, "interrupted");
		(void)nanosleep(&pause, NULL);
	}
}

static int fill_by_daemon(struct making *m, struct err *err)
{
	AUTO(freep) char *path = NULL;
	int r = begin_in_daemon(m, err);

	if (r == 0)
		r = await(m, err);
	let_go(m);
	if (r < 0)
		return r;
	if (asprintf(&path, "%s/%s", m->volume_dir, m->stage_name) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	return snapshot_load(path, &m->created->info, err);
}

static int fill(struct making *m, struct err *err)
{
	struct err busy;
	uint64_t held_ms;
	int fd, r = volume_lock(m->volume_dir, &fd, &busy);

	if (r == -EBUSY) {
		r = fill_by_daemon(m, err);
		return r == -ENOTCONN
			       ? err_set(err, EBUSY, "volume '%s': %s", m->volume_dir, busy.msg)
			       : r;
	}
	if (r < 0)
		return err_set(err, -r, "volume '%s': %s", m->volume_dir, busy.msg);
	if (m->options->before) { /* says that nothing is mounted */
		r = hold(m, err);
		let_go(m);
	}
	if (r == 0)
		r = snapshot_fill(m->volume, m->stage, NULL, &m->created->info, NULL, NULL,
				  &held_ms, err);
	(void)close(fd); /* the lock's: nothing was written */
	if (r < 0 && m->options->before)
		return r;
	return r < 0 ? err_prefix(err, "volume '%s'", m->volume_dir) : 0;
}

static int check_volume(struct making *m, struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *header = NULL;
	int r;

	if (snapshot_is(m->volume_dir))
		return err_set(err, EINVAL, "volume '%s': this is a snapshot already",
			       m->volume_dir);
	r = volume_header_load(m->volume_dir, &header, err);
	if (r == 0)
		r = snapshot_info_new(header,
				      m->options->description ? m->options->description : "",
				      &m->created->info, err);
	return r < 0 ? err_prefix(err, "volume '%s'", m->volume_dir) : 0;
}

static int make(struct making *m, struct err *err)
{
	struct snapshot_created *c = m->created;
	struct err second;
	int r = check_volume(m, err);

	if (r == 0)
		r = set_place(m, c->info.id, err);
	if (r == 0)
		r = begin(m, &c->info, err);
	if (r == 0)
		r = fill(m, err);
	if (r == 0) {
		r = snapshot_publish(m->volume, m->stage, &c->info, m->parent, m->name,
				     m->options->job, err);
		if (r < 0)
			(void)err_prefix(err, "snapshot '%s'", c->dir);
	}
	if (m->begun)
		snapshot_tell(m->volume_dir, &c->info, r < 0 ? err->msg : NULL);
	if (r < 0 && m->begun) /* the first error is the one to tell */
		(void)voldir_remove(m->volume, m->stage_name, &second);
	return r;
}

int snapshot_create(const struct snapshot_create_options *options,
		    struct snapshot_created *ret_created, struct err *err)
{
	struct snapshot_created created = {0};
	struct making m = {.options = options, .created = &created, .stage_fd = -1};
	int r;

	m.volume_dir = realpath(options->volume_dir, NULL);
	if (m.volume_dir)
		r = make(&m, err);
	else
		r = err_set(err, errno, "volume '%s': %s", options->volume_dir, strerror(errno));
	disk_free(m.stage);
	disk_free(m.volume);
	disk_free(m.parent);
	if (m.stage_fd >= 0)
		(void)close(m.stage_fd); /* a lock */
	free(m.volume_dir);
	free(m.parent_dir);
	free(m.name);
	if (r < 0)
		free(created.dir);
	else
		*ret_created = created;
	return r;
}
