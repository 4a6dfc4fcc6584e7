/* See kmsvol_freeze.h. */
#include "kmsvol_freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include "err.h"
#include "kmsvol_place.h"

/* A child that waits for our end and thaws. It holds nothing but the pipe and the file system. */
static int start_guard(struct freeze *f, struct err *err)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		char byte;

		(void)setsid();
		(void)close(ends[1]);
		while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
			;
		(void)ioctl(f->fd, FITHAW, 0); /* -EINVAL: it is thawed */
		_exit(0);
	}
	(void)close(ends[0]);
	if (pid < 0) {
		(void)close(ends[1]);
		return err_set(err, errno, "fork: %s", strerror(errno));
	}
	f->guard = ends[1];
	return 0;
}

int freeze_begin(void *p, struct err *err)
{
	struct freeze *f = p;
	struct place place;
	int r = place_find(f->volume_dir, &place, err);

	if (r < 0)
		return r;
	if (!place.mountpoint)
		r = err_set(err, EINVAL, "volume '%s': --freeze: it is not mounted with --fs",
			    f->volume_dir);
	f->fd = r < 0 ? -1 : open(place.mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && f->fd < 0)
		r = err_set(err, errno, "'%s': %s", place.mountpoint, strerror(errno));
	if (r == 0)
		r = start_guard(f, err);
	if (r == 0 && ioctl(f->fd, FIFREEZE, 0) < 0) {
		r = err_set(err, errno, "cannot freeze '%s': %s", place.mountpoint,
			    strerror(errno));
		(void)close(f->guard);
		(void)wait(NULL); /* it thaws what is not frozen, and ends */
	}
	if (r < 0 && f->fd >= 0)
		(void)close(f->fd);
	place_free(&place);
	return r;
}

void freeze_end(void *p)
{
	struct freeze *f = p;

	(void)ioctl(f->fd, FITHAW, 0); /* the guard tries, too */
	(void)close(f->guard);
	(void)wait(NULL);
	(void)close(f->fd);
}
