/* Snapshots in a directory: what there is, what each alone holds; and taking one away. No key is needed. */
#ifndef FS_SNAPSHOT_LIST_H
#define FS_SNAPSHOT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snapshot.h"

struct err;

enum snapshot_state {
	SNAPSHOT_STATE_COMPLETED,
	SNAPSHOT_STATE_PENDING, /* somebody makes it */
	SNAPSHOT_STATE_ERROR,	/* nobody does any more, or its snapshot.json makes no sense */
};

struct snapshot_entry {
	char *dir; /* as DIR/NAME; owned */
	enum snapshot_state state;
	struct snapshot_info info; /* all zero in an error that has none */
	uint64_t own_bytes;	   /* what deleting it would give back */
	unsigned progress;	   /* percent */
	char why[256];		   /* of an error */
};

/* All in @dir, by the time they were begun. Free with snapshot_list_free(). */
int snapshot_list(const char *dir, struct snapshot_entry **ret_entries, size_t *ret_count,
		  struct err *err);
void snapshot_list_free(struct snapshot_entry *entries, size_t count);

/*
 * Delete the snapshot in @dir, or what one that was cut off has left there. -EBUSY: it is mounted or in use;
 * -ENOENT: no snapshot. A crash leaves it whole, or gone but for its space, which the next deletion of that
 * name, or of what `snapshot list` shows, gives back.
 */
int snapshot_delete(const char *dir, struct err *err);

#endif
