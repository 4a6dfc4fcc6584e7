/* A volume at work without a mount. See volume_open.h. */
#include "volume_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attachment.h"
#include "daemon.h"
#include "err.h"
#include "kms.h"
#include "secret.h"
#include "snapshot.h"
#include "store.h"
#include "volume.h"

static int open_all(struct volume *v, struct kms *kms, bool read_only, struct err *err)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct attachment *attachment = NULL;
	int r = volume_header_load(v->dir, &v->header, err);

	if (r == 0)
		r = volume_lock(v->dir, &v->lock_fd, err);
	if (r < 0)
		return r;
	v->dir_fd = open(v->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->dir_fd < 0)
		return err_set(err, errno, "%s", strerror(errno));
	volume_header_freep(&v->header); /* who held the lock until now may have changed it */
	r = volume_header_load(v->dir, &v->header, err);
	if (r == 0 && snapshot_is(v->dir))
		r = read_only ? snapshot_check(v->dir, v->header, NULL, err)
			      : err_set(err, EROFS, "this is a snapshot, and never changed");
	if (r == 0)
		r = attachment_begin(v->header, v->dir_fd, kms, &attachment, &key, err);
	attachment_end(
		attachment); /* for a moment: nobody asks for the key again, and we may be killed */
	if (r == 0)
		r = store_open(v->dir, &v->header->geometry, key, read_only, &v->store, err);
	return r;
}

int volume_open(const char *dir, struct kms *kms, bool read_only, struct volume **ret_volume,
		struct err *err)
{
	struct volume *v = calloc(1, sizeof(*v));
	int r;

	if (!v || !(v->dir = strdup(dir))) {
		free(v);
		return err_set(err, ENOMEM, "volume '%s': out of memory", dir);
	}
	v->lock_fd = v->dir_fd = -1;
	daemon_harden();
	daemon_raise_limits();
	r = open_all(v, kms, read_only, err);
	if (r < 0) {
		(void)volume_close(v, NULL); /* the first error is the one to tell */
		return err_prefix(err, "volume '%s'", dir);
	}
	*ret_volume = v;
	return 0;
}

int volume_close(struct volume *volume, struct err *err)
{
	int r;

	if (!volume)
		return 0;
	r = store_close(volume->store, err);
	if (r < 0)
		(void)err_prefix(err, "volume '%s'", volume->dir);
	volume_header_free(volume->header);
	if (volume->dir_fd >= 0)
		(void)close(volume->dir_fd); /* only a directory */
	if (volume->lock_fd >= 0)
		(void)close(volume->lock_fd); /* nothing of it matters any more */
	free(volume->dir);
	free(volume);
	return r;
}
