/* The ends of a copy (copy.h): a store, and a file, a block device or a pipe by its descriptor. */
#ifndef FS_COPY_ENDS_H
#define FS_COPY_ENDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "copy.h"

struct store;

struct copy_store {
	struct store *store;
	uint64_t size_bytes; /* of the volume */
};

/* Borrow @end, which stays as it is while they are used. Writing past the volume's end is -ENOSPC. */
struct copy_source copy_from_store(struct copy_store *end);
struct copy_target copy_to_store(struct copy_store *end);

struct copy_fd {
	int fd;
	bool stream;	     /* a pipe, a socket, a terminal: no offsets */
	bool zeros;	     /* as a target: it reads as zeros all over already */
	uint64_t size_bytes; /* as a source that is no stream */
	const atomic_bool
		*stop; /* waiting for a stream ends with -EINTR when it becomes true; NULL */
};

struct copy_source copy_from_fd(struct copy_fd *end);
struct copy_target copy_to_fd(struct copy_fd *end);

#endif
