/*
 * Where a volume is mounted. A word of the user (a volume's directory, or a directory something of
 * it is mounted at) becomes all that is known: from the mount table, and from the records that
 * `mount --fs` leaves in PLACE_RUN_DIR.
 */
#ifndef TOOLS_KMSVOL_PLACE_H
#define TOOLS_KMSVOL_PLACE_H

#include <stdbool.h>

struct err;

#define PLACE_RUN_DIR "/run/kmsvol"

/* All owned; NULL where there is none. Paths are absolute. */
struct place {
	char *volume_dir;
	char *fuse_dir;	   /* where `disk` is shown; NULL: not mounted */
	char *mountpoint;  /* with --fs: where the file system is */
	char *loop;	   /* with --fs: "/dev/loop0" */
	char *record;	   /* with --fs: the path of the record */
	bool fuse_mounted; /* fuse_dir is in the mount table */
	bool fs_was_mounted; /* with --fs: the last step was done; the file system may have gone since */
};

/*
 * Find out about @path. One that is mounted nowhere is taken for the directory of a volume that is
 * not mounted. *@ret_place is to be given to place_free().
 */
int place_find(const char *path, struct place *ret_place, struct err *err);
void place_free(struct place *place);

/* Is it a volume, or at least mounted? -ENOENT with a sentence that names it. */
int place_check_volume(const struct place *place, struct err *err);

/*
 * The path without links and dots; a last part that cannot be looked at (a dead mount) stays as it
 * is. The caller frees. NULL: it does not exist, or no memory; see errno.
 */
char *place_absolute(const char *path);

/*
 * The type and source of what is mounted on top at exactly @dir, as "ext4" and "/dev/loop0"
 * (either may be NULL); false: nothing is.
 */
bool place_mounted(const char *dir, char **ret_type, char **ret_source);

/* Is @source (a device, a volume's directory) mounted at exactly @dir, on top or covered? */
bool place_has(const char *dir, const char *source);

/* Write or remove the record of a --fs mount. place->record names it. */
int place_record_save(const struct place *place, struct err *err);
void place_record_remove(const struct place *place);

/* Remove the private directory, and PLACE_RUN_DIR with the last; not what is in use. */
void place_private_remove(const struct place *place);

#endif
