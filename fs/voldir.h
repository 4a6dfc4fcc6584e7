/*
 * The directory of a volume or a snapshot as files, without any key: made of another's by hard links or
 * copies, made durable, removed. Whoever makes one makes it under a name that ends in VOLDIR_PARTIAL, and
 * moves it to its own name last: a crash leaves nothing that counts, and what it leaves is known by that
 * name and a mark in it.
 */
#ifndef FS_VOLDIR_H
#define FS_VOLDIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;
struct err;

#define VOLDIR_PARTIAL ".partial"
#define VOLDIR_MARK    "partial" /* the mark: an empty file */

/* How far a long copy is, and whether it shall end. All may be 0. */
struct voldir_job {
	const atomic_bool *stop;		     /* becomes true: end with -EINTR */
	void (*progress)(void *arg, uint64_t bytes); /* so many more are there */
	void *arg;
};

/* Is it the name, or the path, of an unfinished one? */
bool voldir_is_partial(const char *name);

/* Make directory @name in @parent, marked, with segments/ in it. *@ret_disk is the caller's. */
int voldir_make(struct disk *parent, const char *name, struct disk **ret_disk, struct err *err);

/*
 * Make all names in @disk durable, move it (it is @name in @from) to @new_name in @to, make that durable
 * and take the mark away. -EEXIST, -ENOTEMPTY: something is there. -EXDEV: not on one filesystem.
 */
int voldir_finish(struct disk *disk, struct disk *from, const char *name, struct disk *to,
		  const char *new_name, struct err *err);

/* The other way round: mark directory @name of @parent and rename it to @partial, durably. It is gone then. */
int voldir_doom(struct disk *parent, const char *name, const char *partial, struct err *err);

/*
 * Remove directory @name of @parent with all files that volumes and snapshots have. What else is in it
 * stays, and is -ENOTEMPTY. No directory of that name is no error.
 */
int voldir_remove(struct disk *parent, const char *name, struct err *err);

/*
 * As voldir_remove(), but only what a command that was cut off has left: marked, or empty. -EEXIST: it is
 * something else.
 */
int voldir_clear(struct disk *parent, const char *name, struct err *err);

/* Make the file @name with this text, durably but for its name. */
int voldir_put(struct disk *disk, const char *name, const char *text, struct err *err);

/* Make a file durable but for its name. */
int voldir_sync(struct disk *disk, const char *name, struct err *err);

/* Copy a file, durably but for its name; runs of zeros become holes. -ENOENT: there is none. */
int voldir_copy(struct disk *from, struct disk *to, const char *name, const struct voldir_job *job,
		struct err *err);

/*
 * Give segment @id of @from a name in @to: a hard link where the filesystem can, else, @may_copy, a copy.
 * *@ret_bytes, if not NULL, grows by its length.
 */
int voldir_link(struct disk *from, struct disk *to, uint32_t id, bool may_copy,
		const struct voldir_job *job, uint64_t *ret_bytes, struct err *err);

/* The ids of all segments there, sorted; the caller frees. */
int voldir_segments(struct disk *disk, uint32_t **ret_ids, size_t *ret_count, struct err *err);

/* The length of all segments there. */
int voldir_bytes(struct disk *disk, uint64_t *ret_bytes, struct err *err);

#endif
