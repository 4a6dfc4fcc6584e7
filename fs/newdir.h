/*
 * The directory of a volume or snapshot that a command makes: it is begun as NAME.partial beside its place, is
 * ours as long as we live, and gets its name last. What a command that was cut off has left there goes first.
 */
#ifndef FS_NEWDIR_H
#define FS_NEWDIR_H

struct disk;
struct err;
struct newdir;

/*
 * @dir will be made; it must not exist or be empty, and not be inside @source_dir, which is absolute. Nothing
 * is made yet. -EEXIST; -EINVAL: no place for one.
 */
int newdir_new(const char *dir, const char *source_dir, struct newdir **ret_newdir,
	       struct err *err);

/* Take away what is unfinished, and free it. NULL is allowed. */
void newdir_free(struct newdir *newdir);

/* Begin it, with segments/ in it. *@ret_disk is borrowed until newdir_undo(). -EBUSY, -EEXIST. */
int newdir_begin(struct newdir *newdir, struct disk **ret_disk, struct err *err);

/* Take away what was begun; it may be begun again. */
void newdir_undo(struct newdir *newdir);

/* All is in it: make that durable and give it its name. On failure it is still to be undone. */
int newdir_finish(struct newdir *newdir, struct err *err);

#endif
