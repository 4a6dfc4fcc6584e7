/* Opens that wait. See kmsvol_fence.h. */
#include "kmsvol_fence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "err.h"

#define READ_BYTES 4096

struct fence {
	int fd;
	int *held; /* an open file of each that waits and was looked at; closed with the fence */
	size_t count, room;
};

int fence_new(int dir, struct fence **ret_fence, struct err *err)
{
	struct fence *f = calloc(1, sizeof(*f));
	int num;

	if (!f)
		return err_set(err, ENOMEM, "fanotify: out of memory");
	f->fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE,
			      O_RDONLY | O_CLOEXEC | O_LARGEFILE);
	if (f->fd >= 0 &&
	    fanotify_mark(f->fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
			  FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_ONDIR, dir, NULL) == 0) {
		*ret_fence = f;
		return 0;
	}
	num = errno;
	fence_free(f);
	return err_set(err, num, "cannot hold who opens something (fanotify): %s", strerror(num));
}

int fence_fd(const struct fence *fence)
{
	return fence->fd;
}

static void pass(struct fence *f, int file)
{
	const struct fanotify_response yes = {.fd = file, .response = FAN_ALLOW};

	(void)!write(f->fd, &yes, sizeof(yes)); /* fails when it was killed meanwhile */
	(void)close(file);
}

/* Keep the file until the end: closing it alone would not let the process go on, but lose its event. */
static void hold(struct fence *f, int file)
{
	if (f->count == f->room) {
		size_t room = f->room ? 2 * f->room : 64;
		int *held = reallocarray(f->held, room, sizeof(*held));

		if (!held) {
			(void)close(file); /* it waits for the end of the fence all the same */
			return;
		}
		f->held = held;
		f->room = room;
	}
	f->held[f->count++] = file;
}

void fence_pass(struct fence *fence, pid_t pid)
{
	char bytes[READ_BYTES] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = read(fence->fd, bytes, sizeof(bytes))) > 0) {
		const struct fanotify_event_metadata *e = (const void *)bytes;

		for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
			if (e->fd < 0)
				continue;
			if (e->pid == pid)
				pass(fence, e->fd);
			else
				hold(fence, e->fd);
		}
	}
}

void fence_free(struct fence *fence)
{
	if (!fence)
		return;
	for (size_t i = 0; i < fence->count; i++)
		(void)close(fence->held[i]);
	if (fence->fd >= 0)
		(void)close(fence->fd); /* the kernel answers yes for us */
	free(fence->held);
	free(fence);
}
