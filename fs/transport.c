/*
 * Which way requests come. The kernel says in INIT whether it offers io_uring, and the answer takes it; libfuse
 * writes that answer, before 3.18 without the word, so it is put in on its way out. Answers to requests of
 * the ring go back there, all else to /dev/fuse.
 */
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "err.h"
#include "fuseio.h"
#include "fusering.h"
#include "fusering_abi.h"
#include "say.h"

struct transport {
	enum transport_wish wish;
	const char *mountpoint;
	struct fuse_session *session;
	bool wanted;			 /* io_uring is possible and not forbidden */
	bool io_uring;			 /* fixed at start */
	char why_not[TRANSPORT_WHY_MAX]; /* fixed at start */
	atomic_bool offered;		 /* by the kernel, in INIT */
	int answered_fd;		 /* INIT is */
	struct fusering *ring;
};

/* Whose INIT this thread processes, and the request. */
static _Thread_local struct {
	struct transport *transport;
	struct fuse_init_in in;
	uint64_t unique;
} init;

const char *const transport_names[] = {"auto", "dev-fuse", "io-uring", NULL};

int transport_new(enum transport_wish wish, const char *mountpoint,
		  struct transport **ret_transport, struct err *err)
{
	struct transport *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, ENOMEM, "mount: out of memory");
	t->wish = wish;
	t->mountpoint = mountpoint;
	if (wish == TRANSPORT_DEV_FUSE)
		(void)snprintf(t->why_not, sizeof(t->why_not), "/dev/fuse was asked for");
	else
		t->wanted = fusering_possible(t->why_not, sizeof(t->why_not));
	t->answered_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->answered_fd < 0) {
		int r = err_set(err, errno, "mount: eventfd: %s", strerror(errno));

		transport_free(t);
		return r;
	}
	if (wish == TRANSPORT_IO_URING && !t->wanted) {
		(void)err_set(err, EOPNOTSUPP, "mount: no io_uring: %s", t->why_not);
		transport_free(t);
		return -EOPNOTSUPP;
	}
	*ret_transport = t;
	return 0;
}

void transport_free(struct transport *transport)
{
	if (!transport)
		return;
	fusering_free(transport->ring);
	if (transport->answered_fd >= 0)
		(void)close(transport->answered_fd);
	free(transport);
}

void transport_note(struct transport *transport, const void *request)
{
	struct fuse_in_header in;

	memcpy(&in, request, sizeof(in));
	if (in.opcode != FUSE_INIT)
		return;
	memset(&init, 0, sizeof(init));
	if (in.len >= sizeof(in) + sizeof(init.in))
		memcpy(&init.in, (const uint8_t *)request + sizeof(in), sizeof(init.in));
	init.transport = transport;
	init.unique = in.unique;
}

/* The answer to INIT, with the word for io_uring if that was offered and is wanted. */
static ssize_t answer_init(int fd, struct iovec *iov, int count)
{
	struct transport *t = init.transport;
	struct fuse_init_out out;
	bool offered =
		(init.in.flags & FUSERING_INIT_EXT) && (init.in.flags2 & FUSERING_INIT_FLAGS2);
	ssize_t n;

	init.transport = NULL;
	if (offered && t->wanted && count == 2 && iov[1].iov_len == sizeof(out)) {
		struct iovec with[2] = {iov[0], {&out, sizeof(out)}};

		memcpy(&out, iov[1].iov_base, sizeof(out));
		out.flags |= FUSERING_INIT_EXT;
		out.flags2 |= FUSERING_INIT_FLAGS2;
		n = writev(fd, with, 2);
		if (n > 0)
			atomic_store(&t->offered, true);
	} else {
		n = writev(fd, iov, count);
	}
	(void)eventfd_write(t->answered_fd, 1); /* cannot fail below its maximum */
	return n;
}

static ssize_t answer(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_out_header out;

	(void)userdata;
	if (fusering_reply(iov, count)) {
		memcpy(&out, iov[0].iov_base, sizeof(out));
		return (ssize_t)out.len;
	}
	if (init.transport) {
		memcpy(&out, iov[0].iov_base, sizeof(out));
		if (out.unique == init.unique)
			return answer_init(fd, iov, count);
	}
	return writev(fd, iov, count);
}

static ssize_t receive(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, len);
}

int transport_attach(struct transport *transport, struct fuse_session *session, struct err *err)
{
	static const struct fuse_custom_io io = {.writev = answer, .read = receive};
	int r = fuse_session_custom_io(session, &io, fuse_session_fd(session));

	if (r)
		return err_set(err, EIO, "mount: libfuse takes no transport of ours (%d)", r);
	transport->session = session;
	return 0;
}

/* A request of the ring; its answer may be made in place. */
static void process(void *arg, void *request, size_t len, uint8_t *payload)
{
	struct transport *t = arg;
	struct fuse_buf buf = {.mem = request, .size = len};

	fuseio_thread_buffer(payload);
	fuse_session_process_buf(t->session, &buf);
}

int transport_start(struct transport *transport, int ended_fd, struct err *err)
{
	struct pollfd fds[2] = {{.fd = transport->answered_fd, .events = POLLIN},
				{.fd = ended_fd, .events = POLLIN}};
	const struct fusering_setup setup = {.fd = fuse_session_fd(transport->session),
					     .mountpoint = transport->mountpoint,
					     .payload_bytes = FUSEIO_MAX,
					     .process = process,
					     .arg = transport};
	struct err why = {0};
	int r;

	while (poll(fds, 2, -1) < 0)
		; /* EINTR */
	if (!fds[0].revents)
		return err_set(err, ECANCELED, "mount: the kernel ended the session at its start");
	if (!transport->wanted)
		return 0;
	r = atomic_load(&transport->offered)
		    ? fusering_start(&setup, &transport->ring, &why)
		    : err_set(&why, EOPNOTSUPP, "the kernel did not offer it for this mount");
	transport->io_uring = r == 0;
	if (r < 0)
		(void)snprintf(transport->why_not, TRANSPORT_WHY_MAX, "%.*s", TRANSPORT_WHY_MAX - 1,
			       why.msg);
	if (r < 0 && transport->wish == TRANSPORT_IO_URING)
		return err_set(err, EOPNOTSUPP, "mount: no io_uring: %s", transport->why_not);
	return 0;
}

void transport_stop(struct transport *transport)
{
	if (transport)
		fusering_stop(transport->ring);
}

bool transport_forget(struct transport *transport, uint64_t timeout_ms)
{
	return fusering_forget(transport->ring, timeout_ms);
}

void transport_status(struct transport *transport, struct transport_status *ret_status)
{
	struct fusering_counters counters;

	fusering_count(transport->ring, &counters);
	*ret_status = (struct transport_status){.io_uring = transport->io_uring,
						.threads = counters.threads,
						.buffer_bytes = counters.buffer_bytes};
	memcpy(ret_status->why_not, transport->why_not, sizeof(ret_status->why_not));
}
