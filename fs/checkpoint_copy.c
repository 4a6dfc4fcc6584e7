/* Checkpoints of directories that begin as a copy: snapshots, and volumes restored from one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blockmap.h"
#include "checkpoint_internal.h"
#include "disk.h"
#include "err.h"

#define ENTRIES FORMAT_PAGE_ENTRIES

static int copy_group(struct checkpoint *from, struct checkpoint *to, uint64_t group,
		      int (*leaf)(void *arg, const uint64_t *entries), void *arg, struct err *err)
{
	struct format_page index = {FORMAT_INDEX, group, from->root.versions[group]};
	uint64_t versions[ENTRIES], entries[ENTRIES];
	int r = checkpoint_read_page(from, &index, versions, err);

	if (r == 0)
		r = checkpoint_write_page(to, &index, versions, err);
	for (unsigned i = 0; r == 0 && i < ENTRIES; i++) {
		struct format_page page = {FORMAT_LEAF, group * ENTRIES + i, versions[i]};

		if (!versions[i])
			continue;
		r = checkpoint_read_page(from, &page, entries, err);
		if (r == 0)
			r = checkpoint_write_page(to, &page, entries, err);
		if (r == 0 && (r = leaf(arg, entries)) < 0)
			(void)err_set(err, -r, "map: %s", strerror(-r));
	}
	return r;
}

/* Both roots, with the same pages and numbers that follow each other. */
static int write_roots(struct checkpoint *to, const struct format_root *like, struct err *err)
{
	static const char *const names[CHECKPOINT_ROOTS] = {"root.0", "root.1"};
	struct format_root root = *like;
	int r = 0;

	for (size_t i = 0; r == 0 && i < CHECKPOINT_ROOTS; i++)
		r = disk_open(to->disk, names[i], DISK_CREATE, &to->roots[i], err);
	for (size_t i = 0; r == 0 && i < CHECKPOINT_ROOTS; i++, root.checkpoint++)
		r = checkpoint_write_root(to, &root, err);
	for (size_t i = 0; i < CHECKPOINT_ROOTS; i++)
		disk_close(to->roots[i]);
	return r;
}

int checkpoint_copy(struct checkpoint *checkpoint, struct disk *to, uint32_t next_segment,
		    int (*leaf)(void *arg, const uint64_t *entries), void *arg, struct err *err)
{
	struct checkpoint copy = {.disk = to, .root_bytes = checkpoint->root_bytes};
	struct format_root root = checkpoint->root;
	int r = disk_open(to, "map", DISK_CREATE, &copy.map_file, err);

	copy.macs[KEYS_NEWEST] = checkpoint->macs[KEYS_NEWEST]; /* borrowed */
	for (uint64_t group = 0; r == 0 && group < root.groups; group++)
		if (root.versions[group])
			r = copy_group(checkpoint, &copy, group, leaf, arg, err);
	if (r == 0 && (r = to->ops->sync(copy.map_file)) < 0)
		(void)err_set(err, -r, "map: fsync: %s", strerror(-r));
	disk_close(copy.map_file);
	root.replay = 0;
	root.next_segment = next_segment;
	return r < 0 ? r : write_roots(&copy, &root, err);
}

int checkpoint_write_new(struct disk *disk, const struct store_geometry *geometry,
			 const struct secret *data_keys, struct blockmap *map,
			 uint32_t next_segment, struct err *err)
{
	struct checkpoint_log log = {.next_segment = next_segment};
	struct checkpoint *c = NULL;
	uint64_t *leaves = NULL;
	size_t count = 0;
	int r = blockmap_used(map, &leaves, &count);

	if (r < 0)
		return err_set(err, -r, "map: out of memory");
	r = checkpoint_create(disk, geometry, data_keys, err);
	if (r == 0)
		r = checkpoint_open(disk, geometry, data_keys, &c, err);
	if (r == 0)
		r = checkpoint_write(c, map, leaves, count, &log, err);
	if (r == 0) /* the other root */
		r = checkpoint_write(c, map, leaves, 0, &log, err);
	checkpoint_free(c);
	free(leaves);
	return r;
}
