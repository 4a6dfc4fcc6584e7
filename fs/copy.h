/*
 * Copying an image from anything that can be read to anything that can be written (a store, a file, a
 * pipe): holes stay holes, all processors work, and one end may be a stream. Knows neither end; those
 * there are stand in copy_ends.h.
 */
#ifndef FS_COPY_H
#define FS_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define COPY_PIECE                                                                                 \
	(1024u *                                                                                   \
	 1024) /* bytes read and written at a time with a stream at one end; its last: less */
#define COPY_CHUNK                                                                                 \
	(128u * 1024) /* otherwise: all that is done to it happens in one processor's cache */
#define COPY_GRAIN (64u * 1024) /* bytes; a run of so many zeros, aligned to it, becomes a hole */

/* Where the image comes from. */
struct copy_source {
	void *arg;
	bool in_order; /* a stream: read() comes for one piece after the other, from one thread */
	/* @len bytes at @off; how many there were, fewer only at the image's end. Any thread. */
	int64_t (*read)(void *arg, uint64_t off, size_t len, uint8_t *buf, struct err *err);
	/*
	 * The next range with data at or behind @off; both at the image's end when there is none.
	 * NULL: all of it is data, and it ends where read() says so.
	 */
	int (*find)(void *arg, uint64_t off, uint64_t *ret_from, uint64_t *ret_to, struct err *err);
};

/* Where it goes. */
struct copy_target {
	void *arg;
	bool in_order; /* a stream: write() and zero() come in order, from one thread */
	int (*write)(void *arg, uint64_t off, size_t len, const uint8_t *buf, struct err *err);
	int (*zero)(void *arg, uint64_t off, uint64_t len, struct err *err); /* NULL: it is zeros */
};

struct copy_options {
	const atomic_bool *stop; /* becomes true: end with -EINTR; NULL: never */
	/* The image is copied up to here; NULL. Any thread, one at a time. */
	void (*progress)(void *arg, uint64_t off);
	void *arg;
};

struct copy_result {
	uint64_t size_bytes; /* of the image */
	uint64_t data_bytes; /* of it that were written, not left as holes */
};

/*
 * Copy all of it. At most one end is a stream. @options may be NULL. On failure parts of the image may
 * be at the target already: the first error of either end, or -EINTR, -ENOMEM.
 */
int copy_run(const struct copy_source *source, const struct copy_target *target,
	     const struct copy_options *options, struct copy_result *ret_result, struct err *err);

#endif
