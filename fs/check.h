/*
 * Checking a volume or snapshot that is not open: every file of it, as far as it can be told with the
 * data key, or without it. Goes on where a store refuses: what is damaged is reported with its place
 * in the file and in the volume, what is intact can be read. Nothing is changed.
 */
#ifndef FS_CHECK_H
#define FS_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "copy.h"
#include "store.h"

struct check;
struct disk;
struct err;
struct secret;

enum check_weight {
	CHECK_NOTE,   /* odd, but nothing is lost by it */
	CHECK_DAMAGE, /* not as it was written */
};

struct check_finding {
	enum check_weight weight;
	const char *file;  /* "segments/0000002a", "map", ... */
	uint64_t off, len; /* in the file; len 0: the file as a whole */
	uint64_t lba,
		count; /* blocks that cannot be read for it; count 0: none, or not known which */
	const char *what;
};

struct check_options {
	bool dead;		 /* also verify blocks that the volume does not need any more */
	const atomic_bool *stop; /* becomes true: end with -EINTR; NULL: never */
	/* One call at a time, from any thread. */
	void (*report)(void *arg, const struct check_finding *finding);
	void (*progress)(void *arg, uint64_t bytes, uint64_t of_bytes); /* NULL: nobody asks */
	void *arg;
};

struct check_result {
	uint64_t segments, records;
	uint64_t blocks;	 /* that the volume has */
	uint64_t damaged_blocks; /* of them, not to be read */
	uint64_t dead_blocks;	 /* verified besides, all right */
	uint64_t findings;	 /* of weight CHECK_DAMAGE */
	bool rebuilt;		 /* the map, or a part of it, comes from the segments */
};

/*
 * Look at roots, map, log and segments, and report. @data_key NULL: only what can be told without
 * it, shapes and CRCs. All is borrowed. -EINTR, -ENOMEM, -EIO (the disk); damage is no error.
 */
int check_run(struct disk *disk, const struct store_geometry *geometry,
	      const struct secret *data_key, const struct check_options *options,
	      struct check **ret_check, struct check_result *ret_result, struct err *err);

/* What can be read, as an image: damaged blocks read as zeros. Needs the data key. Until check_free(). */
struct copy_source check_source(struct check *check);

void check_free(struct check *check); /* NULL is allowed */

#endif
