/* See snapshot_open.h. */
#include "snapshot_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "attachment.h"
#include "err.h"
#include "secret.h"
#include "store.h"
#include "volume_header.h"

static int hold(const char *dir, struct snapshot *s, struct err *err)
{
	int r;

	s->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return err_set(err, errno, "%s", strerror(errno));
	if (flock(s->fd, LOCK_SH | LOCK_NB) < 0)
		return err_set(err, EBUSY, "in use: it is being made or deleted");
	if (!snapshot_is(dir))
		return err_set(err, ENOENT, "this is no snapshot: %s is missing", SNAPSHOT_NAME);
	r = volume_header_load(dir, &s->header, err);
	return r < 0 ? r : snapshot_check(dir, s->header, &s->info, err);
}

int snapshot_hold(const char *dir, struct snapshot **ret_snapshot, struct err *err)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "snapshot '%s': out of memory", dir);
	s->fd = -1;
	r = hold(dir, s, err);
	if (r < 0) {
		snapshot_close(s);
		return err_prefix(err, "snapshot '%s'", dir);
	}
	*ret_snapshot = s;
	return 0;
}

int snapshot_open(const char *dir, struct kms *kms, struct snapshot **ret_snapshot, struct err *err)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct attachment *attachment = NULL;
	struct snapshot *s;
	int r = snapshot_hold(dir, &s, err);

	if (r < 0)
		return r;
	r = attachment_begin(s->header, -1, kms, &attachment, &key, err);
	attachment_end(attachment); /* for a moment: nobody asks for the key again */
	if (r == 0)
		r = store_open(dir, &s->header->geometry, key, true, &s->store, err);
	if (r < 0) {
		snapshot_close(s);
		return err_prefix(err, "snapshot '%s'", dir);
	}
	*ret_snapshot = s;
	return 0;
}

void snapshot_close(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	(void)store_close(snapshot->store, NULL); /* open for reading only: nothing can fail */
	volume_header_free(snapshot->header);
	if (snapshot->fd >= 0)
		(void)close(snapshot->fd); /* a lock */
	free(snapshot);
}
