/*
 * The file `flushed`: up to where in the log a flush has returned. Written after each flush and never
 * synced itself, so it costs a flush nothing; what it says is always true, but may be of an earlier
 * flush after a power cut. With it a log that lost flushed records is told from one that ends there.
 */
#ifndef FS_FLUSHED_H
#define FS_FLUSHED_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

struct disk;
struct err;
struct flushed;
struct secret;

/*
 * Open the file, or make it when it is missing and not @read_only. @disk must outlive it; the caller
 * owns *@ret_flushed. A file that is missing or damaged is no error: flushed_known() is then false.
 */
int flushed_open(struct disk *disk, const struct store_geometry *geometry,
		 const struct secret *data_keys, bool read_only, struct flushed **ret_flushed,
		 struct err *err);
void flushed_free(struct flushed *flushed); /* NULL is allowed */

/* Could the file be read? And the seq that it had when opened: all before it was flushed; or 0. */
bool flushed_known(const struct flushed *flushed);
uint64_t flushed_seq(const struct flushed *flushed);

/*
 * All before @seq is flushed. One caller at a time. A negative errno when it cannot be written; the file
 * then says what it said, which is still true.
 */
int flushed_put(struct flushed *flushed, uint64_t seq);

/* Make the file in the directory of another store, with @seq in it. It is synced, its name is not. */
int flushed_copy(const struct flushed *flushed, struct disk *to, uint64_t seq, struct err *err);

#endif
