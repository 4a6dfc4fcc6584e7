/*
 * FUSE over io_uring: requests come and answers go in one system call, on the processor that asks. Ours
 * and not libfuse's, because a request that waits for the key must not take away the means by which others
 * come (fs/DESIGN.md, section 12.1), and because the buffers that requests lie in must be wiped when the key
 * is lost. Knows neither libfuse nor the volume. Interrupts and notifications stay on /dev/fuse.
 *
 * One thread serves one request at a time; the thread that asks for the answer to be sent may be another.
 */
#ifndef FS_FUSERING_H
#define FS_FUSERING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct err;
struct fusering;
struct fusering_entry; /* a request, and the memory that it and its answer lie in */

#define FUSERING_QUEUES_MAX 128 /* processors; each has threads with a buffer each */

/* Borrowed, and to outlive the fusering. */
struct fusering_setup {
	int fd;			/* /dev/fuse, of a session whose INIT was answered */
	const char *mountpoint; /* of that session */
	size_t payload_bytes;	/* the largest READ or WRITE */
	/* Execute @request, as read(2) on /dev/fuse gives it. @payload, payload_bytes, is for its answer; the
	 * data of a WRITE lies there. fusering_reply() or fusering_park() comes before this returns. */
	void (*process)(void *arg, void *request, size_t len, uint8_t *payload);
	void *arg;
};

struct fusering_counters {
	unsigned threads;
	uint64_t entries;      /* lent to the kernel or with a request */
	uint64_t buffer_bytes; /* their payload; memory only as far as it was used */
};

/* Can this kernel and process do it? Else why not, and what to do: @ret_why, cut at @why_len. */
bool fusering_possible(char *ret_why, size_t why_len);

/*
 * Start the threads, and wait until the kernel has taken an entry of each. On failure the session goes on by
 * /dev/fuse, and the ring is stopped and freed like one that runs: *@ret_ring is set all the same unless
 * NULL.
 */
int fusering_start(const struct fusering_setup *setup, struct fusering **ret_ring, struct err *err);

/* End the threads. Nothing is parked any more. NULL is allowed, here and below. */
void fusering_stop(struct fusering *ring);
void fusering_free(struct fusering *ring); /* after fusering_stop() and the end of the session */

/*
 * The request that this thread is processing is going to wait: *@ret_entry keeps its place; NULL for one that
 * came by /dev/fuse. What it said is wiped: the caller has copied what it needs. -ENOMEM: it cannot wait.
 */
int fusering_park(struct fusering_entry **ret_entry);

/* The next fusering_reply() in this thread is for @entry. NULL: for one that came by /dev/fuse. */
void fusering_resume(struct fusering_entry *entry);

/*
 * Answer: a fuse_out_header and what follows it. The payload is copied unless it lies in the request's own.
 * False: this is no answer to a request of a ring, and goes to /dev/fuse.
 */
bool fusering_reply(const struct iovec *iov, int count);

/* Wipe the payload of all that is lent to the kernel. False: not within @timeout_ms, a thread is busy. */
bool fusering_forget(struct fusering *ring, uint64_t timeout_ms);

void fusering_count(struct fusering *ring, struct fusering_counters *ret_counters);

#endif
