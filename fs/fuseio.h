/*
 * Requests on `disk`: passed through the gate to the store, or kept waiting there, and answered. With
 * fusefs, fuseloop and transport one of the four files that know libfuse.
 */
#ifndef FS_FUSEIO_H
#define FS_FUSEIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

#include <fuse_lowlevel.h>

struct faults;
struct gate;
struct io_counters;
struct watch;

#define FUSEIO_MAX (1024 * 1024) /* bytes of one READ or WRITE */

enum fuseio_op {
	FUSEIO_READ,
	FUSEIO_WRITE,
	FUSEIO_FLUSH,
	FUSEIO_DISCARD,
	FUSEIO_TRUNCATE, /* a discard that is answered with the attributes */
	FUSEIO_SEEK_DATA,
	FUSEIO_SEEK_HOLE,
};
#define FUSEIO_OPS 7

/* Within the volume: the caller has clamped it. */
struct fuseio_call {
	enum fuseio_op op;
	uint64_t off;
	uint64_t len;
	const uint8_t *data; /* of a write; copied when it has to wait */
	bool never_wait;     /* answer -EIO rather than wait */
	uint64_t fence;	     /* of the open file, see fuseio_fence(); 0: it is never fenced off */
};

/* All that requests share. Set the first seven members, zero the rest, then fuseio_init(). */
struct fuseio {
	struct gate *gate;
	struct watch *watch;
	struct faults *faults;
	struct stat attr; /* of `disk` at first; size, times and blocks are kept below */
	bool read_only;
	char *(*status_text)(void *arg); /* what `status` shows */
	void *status_arg;
	atomic_ullong counts[FUSEIO_OPS]; /* answered well */
	atomic_ullong read_bytes, written_bytes, errors;
	atomic_ullong size_bytes;
	atomic_llong changed_s; /* time of the last change */
	atomic_ullong fence;	/* what files of devices are opened with now */
	pthread_mutex_t said_lock;
	int said_num; /* guarded by said_lock: the failure that was logged last, ... */
	enum fuseio_op said_op;
	uint64_t said_ms; /* ... and when */
};

void fuseio_init(struct fuseio *io);
void fuseio_destroy(struct fuseio *io);

/* The buffer that reads in this thread use, FUSEIO_MAX bytes, the caller's. */
void fuseio_thread_buffer(uint8_t *buffer);

/* That buffer; NULL in other threads. */
uint8_t *fuseio_buffer(void);

/* Execute @call and answer @req, or let it wait. Does not block but for the store. */
void fuseio_submit(struct fuseio *io, fuse_req_t req, const struct fuseio_call *call);

/*
 * From now on EIO for all calls with a fence, of files that were opened until now. For the file system above that
 * was shut down: it may not write into the one that was mounted anew after it.
 */
void fuseio_fence(struct fuseio *io);

/* The size of `disk` as of now; it may grow at any time. */
uint64_t fuseio_size(const struct fuseio *io);

/* Attributes of `disk` as of now. */
void fuseio_stat(struct fuseio *io, struct stat *ret_stat);

void fuseio_count(struct fuseio *io, struct io_counters *ret_counters);

#endif
