/* A change of the header, mounted or not. See kmsvol_change.h. */
#include "kmsvol_change.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attachment.h"
#include "daemon.h"
#include "err.h"
#include "kms.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_interrupt.h"
#include "mount.h"
#include "secret.h"
#include "snapshot.h"
#include "volume.h"

#define POLL_MS 20

/* Until the daemon is done. It is not undone when we are interrupted. */
static int wait_for_daemon(const char *dir, struct err *err)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

	for (;;) {
		AUTO(kms_json_freep) struct kms_json *reply = NULL;
		const char *state = "";
		int r = cmd_ask(dir, "change-status", &reply, err);

		if (r < 0)
			return r;
		r = kms_json_str(reply, "state", &state, err);
		if (r < 0 || strcmp(state, "done") == 0)
			return r;
		(void)nanosleep(&pause, NULL);
	}
}

/* @v has no header and no keys yet. */
static int change_opened(struct change_volume *v, int dir_fd, change_fn *fn, void *arg,
			 struct err *err)
{
	AUTO(volume_header_freep) struct volume_header *header = NULL;
	AUTO(secret_freep) struct secret *keys = NULL;
	struct attachment *attachment = NULL;
	int r = volume_header_load(v->dir, &header, err);

	if (r == 0 && snapshot_is(v->dir))
		r = err_set(err, EROFS, "this is a snapshot, and never changed");
	if (r == 0)
		r = attachment_begin(header, dir_fd, v->kms, &attachment, &keys, err);
	v->header = header;
	v->data_keys = keys;
	if (r == 0)
		r = fn(v, arg, err);
	attachment_end(attachment);
	return r;
}

/* Hold its lock and do it. */
static int change_locked(const char *dir, const struct kms_config *config, change_fn *fn, void *arg,
			 struct err *err)
{
	AUTO(kms_closep) struct kms *kms = NULL;
	struct change_volume v = {.dir = dir};
	struct interrupt in;
	int lock_fd = -1, dir_fd, sig, r = volume_lock(dir, &lock_fd, err);

	if (r < 0)
		return r;
	daemon_harden();
	r = kms_open(config, &kms, err);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && dir_fd < 0)
		r = err_set(err, errno, "%s", strerror(errno));
	if (r == 0) {
		interrupt_begin(&in, kms);
		v.kms = kms;
		v.stop = &in.stop;
		r = change_opened(&v, dir_fd, fn, arg, err);
		sig = interrupt_end(&in);
		kms_closep(&kms); /* wipes what it holds: we may not come back */
		if (r < 0)
			interrupt_die(sig);
	}
	if (dir_fd >= 0)
		(void)close(dir_fd); /* only a directory */
	(void)close(lock_fd);	     /* nothing of it matters any more */
	return r;
}

int change_here(const char *dir, const struct kms_config *config, change_fn *fn, void *arg,
		struct err *err)
{
	int r = change_locked(dir, config, fn, arg, err);

	return r < 0 ? err_prefix(err, "volume '%s'", dir) : 0;
}

int change_run(const char *dir, const struct kms_config *config, const struct kms_json *request,
	       change_fn *fn, void *arg, bool *ret_mounted, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *reply = NULL;
	int r = mount_control(dir, request, &reply, err);

	*ret_mounted = r != -ENOTCONN;
	if (*ret_mounted)
		return r < 0 ? r : wait_for_daemon(dir, err);
	return change_here(dir, config, fn, arg, err);
}
