/* All that one store holds, block by block into a new one under another data key. */
#ifndef FS_REENCRYPT_H
#define FS_REENCRYPT_H

#include <stdatomic.h>
#include <stdint.h>

struct disk;
struct err;
struct secret;
struct store;
struct store_geometry;

/* How far it is, and whether it shall end. All may be 0. */
struct reencrypt_job {
	const atomic_bool *stop;		   /* becomes true: end with -EINTR */
	void (*progress)(void *arg, uint64_t off); /* the image is there up to here */
	void *arg;
};

/*
 * Make a store with @geometry, as large as @from, and @data_key in @to, a directory as voldir_make() leaves
 * it, and write all of @from into it: decrypted, checked, encrypted, by all processors. It is closed
 * cleanly; the names in @to are not durable yet. On failure parts of it may be there. Errors of both stores,
 * -EINTR.
 */
int reencrypt_store(struct store *from, struct disk *to, const struct store_geometry *geometry,
		    const struct secret *data_key, const struct reencrypt_job *job,
		    struct err *err);

#endif
