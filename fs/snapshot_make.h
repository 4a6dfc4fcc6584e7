/*
 * Making a snapshot: a directory is begun inside the volume's (so on its filesystem), filled by who has
 * the volume (its daemon, or a command that holds its lock), and moved to where it is wanted, or copied
 * when that is another filesystem.
 */
#ifndef FS_SNAPSHOT_MAKE_H
#define FS_SNAPSHOT_MAKE_H

#include <stdint.h>

#include "snapshot.h"

struct disk;
struct err;
struct store;
struct voldir_job;

#define SNAPSHOT_STAGE_LEN (ID_LEN + 8) /* "snap-0123456789abcdef0.partial" and its NUL */

/* The name of the directory in the volume's while it is made. */
void snapshot_stage_name(const char *snapshot_id, char ret_name[SNAPSHOT_STAGE_LEN]);
bool snapshot_is_stage_name(const char *name);

/* Begin: the directory in @volume, with snapshot.json. *@ret_stage is the caller's. */
int snapshot_begin(struct disk *volume, const struct snapshot_info *info, struct disk **ret_stage,
		   struct err *err);

/* Put snapshot.json, as @info says, into a directory that has none yet. */
int snapshot_put(struct disk *stage, const struct snapshot_info *info, struct err *err);

/* All else is in @stage: complete *@info and the snapshot.json there. */
int snapshot_complete(struct disk *stage, struct snapshot_info *info, struct err *err);

/*
 * Fill it with all that the volume holds, and complete *@info. @store: the volume's, open; NULL, or
 * open for reading only: nobody changes it, and this needs no key. @taken (NULL: nobody) is called when the moment has passed;
 * *@ret_held_ms: how long writes were held.
 */
int snapshot_fill(struct disk *volume, struct disk *stage, struct store *store,
		  struct snapshot_info *info, void (*taken)(void *arg), void *arg,
		  uint64_t *ret_held_ms, struct err *err);

/*
 * Give the filled directory its place, @name in @to, and nothing else its name: -EEXIST, -ENOTEMPTY. It is
 * copied under NAME.partial first when it cannot be moved there, with @job for that.
 */
int snapshot_publish(struct disk *volume, struct disk *stage, const struct snapshot_info *info,
		     struct disk *to, const char *name, const struct voldir_job *job,
		     struct err *err);

#endif
