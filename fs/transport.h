/* How requests come from the kernel: by read(2) on /dev/fuse, or by io_uring where kernel and mount allow. */
#ifndef FS_TRANSPORT_H
#define FS_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct fuse_session;
struct transport;

enum transport_wish {
	TRANSPORT_AUTO, /* io_uring if possible */
	TRANSPORT_DEV_FUSE,
	TRANSPORT_IO_URING, /* or no mount */
};

#define TRANSPORT_WHY_MAX 160

struct transport_status {
	bool io_uring;
	char why_not[TRANSPORT_WHY_MAX]; /* io_uring is not used, and what to do; "" when it is */
	uint64_t threads;		 /* that serve requests */
	uint64_t buffer_bytes;		 /* at most, for requests under way and those that wait */
};

extern const char *const transport_names[]; /* by enum transport_wish, then NULL */

/*
 * -EOPNOTSUPP: @wish cannot be had, with the reason. The mount is at @mountpoint, borrowed. The requests of
 * io_uring are processed in @session, with fuseio_thread_buffer() set to their own memory.
 */
int transport_new(enum transport_wish wish, const char *mountpoint,
		  struct transport **ret_transport, struct err *err);
void transport_free(
	struct transport *transport); /* after the end of the session; NULL is allowed */

/* Between the session's mount and its first request: from here on its answers go through here. */
int transport_attach(struct transport *transport, struct fuse_session *session, struct err *err);

/* A thread has read @request from /dev/fuse and is going to process it. */
void transport_note(struct transport *transport, const void *request);

/* Wait for the first request to be answered, then have io_uring begin. -ECANCELED: @ended_fd came first. */
int transport_start(struct transport *transport, int ended_fd, struct err *err);

/* End what serves io_uring. NULL is allowed. */
void transport_stop(struct transport *transport);

/* As fusering_forget(). */
bool transport_forget(struct transport *transport, uint64_t timeout_ms);

/* After transport_start(). The caller adds the threads and buffers of /dev/fuse. */
void transport_status(struct transport *transport, struct transport_status *ret_status);

#endif
