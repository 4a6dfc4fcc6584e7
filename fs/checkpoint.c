/*
 * Checkpoints. The tree has three levels: a root lists the versions of the index pages, an index page
 * those of its leaves, a leaf the seqs of its blocks. A page has two slots and is always written to
 * the one that the last checkpoint does not use; a root likewise. So the last checkpoint is whole
 * until the sync of the new root has returned. A version carries a stamp that is never used twice, also
 * not by a checkpoint that a crash or an error cut off: what such a one left behind is never taken
 * for a page of a later one.
 */
#include "checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "blockmap.h"
#include "checkpoint_internal.h"
#include "disk.h"
#include "err.h"
#include "format.h"
#include "keys.h"

#define ENTRIES FORMAT_PAGE_ENTRIES

static const char *const root_names[CHECKPOINT_ROOTS] = {"root.0", "root.1"};

static uint64_t group_count(const struct store_geometry *geometry)
{
	uint64_t blocks = geometry->size_bytes / geometry->block_size;
	uint64_t leaves = (blocks + ENTRIES - 1) / ENTRIES;

	return (leaves + ENTRIES - 1) / ENTRIES;
}

int checkpoint_new(struct disk *disk, const struct store_geometry *geometry,
		   const struct secret *data_keys, struct checkpoint **ret_checkpoint,
		   struct err *err)
{
	struct checkpoint *c = calloc(1, sizeof(*c));
	uint64_t groups = group_count(geometry);
	int r;

	if (c) {
		c->disk = disk;
		c->root.groups = groups;
		memcpy(c->root.volume_id, geometry->volume_id, FORMAT_VOLUME_ID_LEN);
		c->root.versions = calloc(groups, sizeof(uint64_t));
		c->versions = calloc(groups, sizeof(uint64_t));
		c->root_bytes = malloc(format_root_len(groups));
	}
	if (!c || !c->root.versions || !c->versions || !c->root_bytes) {
		checkpoint_free(c);
		return err_set(err, ENOMEM, "checkpoint: out of memory");
	}
	r = keys_volume_file(data_keys, "map", geometry->volume_id, c->macs, err);
	if (r < 0) {
		checkpoint_free(c);
		return r;
	}
	*ret_checkpoint = c;
	return 0;
}

void checkpoint_free(struct checkpoint *checkpoint)
{
	if (!checkpoint)
		return;
	disk_close(checkpoint->map_file);
	for (size_t i = 0; i < CHECKPOINT_ROOTS; i++)
		disk_close(checkpoint->roots[i]);
	keys_free_macs(checkpoint->macs);
	free(checkpoint->root.versions);
	free(checkpoint->versions);
	free(checkpoint->root_bytes);
	free(checkpoint);
}

int checkpoint_write_root(struct checkpoint *c, const struct format_root *root, struct err *err)
{
	size_t i = root->checkpoint % CHECKPOINT_ROOTS;
	int r = format_root_put(root, c->macs[KEYS_NEWEST], c->root_bytes);

	if (r == 0)
		r = disk_pwrite(c->roots[i], c->root_bytes, format_root_len(root->groups), 0);
	if (r < 0)
		return err_set(err, -r, "%s: write: %s", root_names[i], strerror(-r));
	r = c->disk->ops->sync(c->roots[i]);
	if (r < 0) /* -ENOSPC here would not be one that passes */
		return err_set(err, EIO, "%s: fsync: %s", root_names[i], strerror(-r));
	return 0;
}

int checkpoint_create(struct disk *disk, const struct store_geometry *geometry,
		      const struct secret *data_keys, struct err *err)
{
	struct checkpoint *c;
	int r = checkpoint_new(disk, geometry, data_keys, &c, err);

	if (r < 0)
		return r;
	c->root.next_segment = 1;
	c->root.created = (uint64_t)time(NULL);
	r = disk_open(disk, "map", DISK_CREATE, &c->map_file, err);
	if (r == 0) {
		r = c->disk->ops->sync(c->map_file);
		if (r < 0)
			(void)err_set(err, -r, "map: fsync: %s", strerror(-r));
	}
	for (size_t i = 0; r == 0 && i < CHECKPOINT_ROOTS; i++) {
		r = disk_open(disk, root_names[i], DISK_CREATE, &c->roots[i], err);
		if (r == 0) {
			c->root.checkpoint = CHECKPOINT_ROOTS + i; /* 2 to root.0, 3 to root.1 */
			r = checkpoint_write_root(c, &c->root, err);
		}
	}
	if (r == 0) {
		r = disk->ops->sync_dir(disk, ".");
		if (r < 0)
			(void)err_set(err, -r, "fsync of the directory: %s", strerror(-r));
	}
	checkpoint_free(c);
	return r;
}

/* Read one root into @ret_root, whose versions are @versions. */
static int read_root(struct checkpoint *c, size_t i, uint64_t *versions,
		     struct format_root *ret_root, struct err *err)
{
	size_t len = format_root_len(c->root.groups);
	int64_t n;
	int r = disk_open(c->disk, root_names[i], DISK_WRITE, &c->roots[i], err);

	if (r == -EROFS || r == -EACCES)
		r = disk_open(c->disk, root_names[i], DISK_READ, &c->roots[i], err);
	if (r < 0)
		return r;
	n = disk_pread_some(c->roots[i], c->root_bytes, len, 0);
	if (n < 0)
		return err_set(err, (int)-n, "%s: read: %s", root_names[i], strerror((int)-n));
	ret_root->versions = versions;
	r = format_root_get(c->root_bytes, (size_t)n, &c->root, c->macs[KEYS_NEWEST], ret_root,
			    err);
	if (r == -EBADMSG && c->macs[KEYS_PREVIOUS])
		r = format_root_get(c->root_bytes, (size_t)n, &c->root, c->macs[KEYS_PREVIOUS],
				    ret_root, err);
	return r < 0 ? err_prefix(err, "%s", root_names[i]) : 0;
}

/* Choose between the roots: the newest whole one. */
static int choose_root(struct checkpoint *c, struct err *err)
{
	struct format_root roots[CHECKPOINT_ROOTS];
	struct err errs[CHECKPOINT_ROOTS];
	int rs[CHECKPOINT_ROOTS];
	size_t best;

	rs[0] = read_root(c, 0, c->root.versions, &roots[0], &errs[0]);
	rs[1] = read_root(c, 1, c->versions, &roots[1], &errs[1]);
	for (size_t i = 0; i < CHECKPOINT_ROOTS; i++) {
		/* Damage and a torn write look alike and are what the other one is for. */
		if (rs[i] < 0 && (rs[i] != -EBADMSG || rs[1 - i] < 0)) {
			if (err)
				*err = errs[i];
			return rs[i];
		}
	}
	best = rs[0] < 0 || (rs[1] == 0 && roots[1].checkpoint > roots[0].checkpoint);
	if (rs[1 - best] < 0)
		(void)snprintf(c->notice, sizeof(c->notice),
			       "%.120s; going on from checkpoint %" PRIu64 " in %s",
			       errs[1 - best].msg, roots[best].checkpoint,
			       root_names[best]); /* cut on purpose */
	else
		c->previous_replay = roots[1 - best].replay;
	if (best == 1) {
		uint64_t *swap = c->root.versions;

		c->root.versions = c->versions;
		c->versions = swap;
	}
	roots[best].versions = c->root.versions;
	c->root = roots[best];
	return 0;
}

int checkpoint_open(struct disk *disk, const struct store_geometry *geometry,
		    const struct secret *data_keys, struct checkpoint **ret_checkpoint,
		    struct err *err)
{
	struct checkpoint *c;
	uint32_t step;
	int r = checkpoint_new(disk, geometry, data_keys, &c, err);

	if (r < 0)
		return r;
	r = choose_root(c, err);
	if (r == 0) {
		r = disk_open(disk, "map", DISK_WRITE, &c->map_file, err);
		if (r == -EROFS || r == -EACCES)
			r = disk_open(disk, "map", DISK_READ, &c->map_file, err);
	}
	if (r == 0 && RAND_bytes((uint8_t *)&step, sizeof(step)) != 1)
		r = err_set(err, EIO, "checkpoint: no random bytes from libcrypto");
	if (r < 0) {
		checkpoint_free(c);
		return r;
	}
	/* Past any stamp that a cut-off checkpoint may have used, in all likelihood. */
	c->stamp = c->root.stamp + step;
	c->log.replay = c->root.replay;
	c->log.next_segment = c->root.next_segment;
	*ret_checkpoint = c;
	return 0;
}

const struct checkpoint_log *checkpoint_log(const struct checkpoint *checkpoint)
{
	return &checkpoint->log;
}

uint64_t checkpoint_number(const struct checkpoint *checkpoint)
{
	return checkpoint->root.checkpoint;
}

uint64_t checkpoint_previous_replay(const struct checkpoint *checkpoint)
{
	return checkpoint->previous_replay;
}

const char *checkpoint_notice(const struct checkpoint *checkpoint)
{
	return checkpoint->notice;
}

/* Loading. */

int checkpoint_read_page(struct checkpoint *c, const struct format_page *want,
			 uint64_t ret_entries[ENTRIES], struct err *err)
{
	unsigned slot = format_version_slot(want->version);
	uint64_t off = want->level == FORMAT_LEAF ? format_leaf_off(want->index, slot)
						  : format_index_off(want->index, slot);
	uint8_t bytes[FORMAT_PAGE_LEN];
	int r = disk_pread(c->map_file, bytes, sizeof(bytes), off);

	if (r == -ENODATA)
		r = -EBADMSG;
	if (r == 0)
		r = format_page_get(bytes, want, c->macs[KEYS_NEWEST], ret_entries);
	if (r == -EBADMSG && c->macs[KEYS_PREVIOUS])
		r = format_page_get(bytes, want, c->macs[KEYS_PREVIOUS], ret_entries);
	if (r < 0)
		return err_set(err, -r, "map: page at %" PRIu64 " (%s %" PRIu64 "): %s", off,
			       want->level == FORMAT_LEAF ? "leaf" : "index", want->index,
			       r == -EBADMSG ? "is damaged or not of this checkpoint"
					     : strerror(-r));
	return 0;
}

static int load_group(struct checkpoint *c, struct blockmap *map, uint64_t group, struct err *err)
{
	struct format_page index = {FORMAT_INDEX, group, c->root.versions[group]};
	uint64_t versions[ENTRIES], entries[ENTRIES];
	uint32_t missing = 0;
	int r = checkpoint_read_page(c, &index, versions, err);

	for (unsigned i = 0; r == 0 && i < ENTRIES; i++) {
		struct format_page leaf = {FORMAT_LEAF, group * ENTRIES + i, versions[i]};

		if (!versions[i])
			continue;
		if (leaf.index >= blockmap_leaves(map))
			return err_set(err, EUCLEAN,
				       "map: index %" PRIu64 " has a leaf behind the "
				       "volume's end",
				       group);
		r = checkpoint_read_page(c, &leaf, entries, err);
		if (r < 0)
			return r;
		r = blockmap_load_leaf(map, leaf.index, leaf.version, entries, &missing);
		if (r == -ENOENT)
			return err_set(err, EBADMSG,
				       "segments/%08" PRIx32
				       ": the file is missing, and map leaf %" PRIu64
				       " has a block in it",
				       missing, leaf.index);
		if (r < 0)
			return err_set(err, -r,
				       "map: leaf %" PRIu64 " has a block behind the volume's end",
				       leaf.index);
	}
	return r;
}

int checkpoint_load(struct checkpoint *checkpoint, struct blockmap *map, struct err *err)
{
	for (uint64_t group = 0; group < checkpoint->root.groups; group++) {
		int r = checkpoint->root.versions[group] ? load_group(checkpoint, map, group, err)
							 : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* Writing. */

int checkpoint_write_page(struct checkpoint *c, const struct format_page *page,
			  const uint64_t entries[ENTRIES], struct err *err)
{
	unsigned slot = format_version_slot(page->version);
	uint64_t off = page->level == FORMAT_LEAF ? format_leaf_off(page->index, slot)
						  : format_index_off(page->index, slot);
	uint8_t bytes[FORMAT_PAGE_LEN];
	int r = format_page_put(page, entries, c->macs[KEYS_NEWEST], bytes);

	if (r == 0)
		r = disk_pwrite(c->map_file, bytes, sizeof(bytes), off);
	if (r < 0)
		return err_set(err, -r, "map: write at %" PRIu64 ": %s", off, strerror(-r));
	return 0;
}

/* The version for the slot that @old does not use. */
static uint64_t next_version(const struct checkpoint *c, uint64_t old)
{
	return format_version(c->stamp, old ? !format_version_slot(old) : 0);
}

/*
 * Write the changed leaves of one group, then its index page. @new_versions gets those of the leaves,
 * to be committed once the root is durable.
 */
static int write_group(struct checkpoint *c, struct blockmap *map, const uint64_t *leaves,
		       size_t count, uint64_t *new_versions, struct err *err)
{
	uint64_t group = leaves[0] / ENTRIES, entries[ENTRIES], versions[ENTRIES] = {0};
	struct format_page index = {FORMAT_INDEX, group, 0};
	bool any = false;
	int r = 0;

	for (unsigned i = 0; i < ENTRIES && group * ENTRIES + i < blockmap_leaves(map); i++)
		versions[i] = blockmap_leaf_version(map, group * ENTRIES + i);
	for (size_t i = 0; i < count; i++) {
		struct format_page leaf = {FORMAT_LEAF, leaves[i], 0};

		if (blockmap_take(map, leaf.index, entries) > 0) {
			leaf.version = next_version(c, versions[leaf.index % ENTRIES]);
			r = checkpoint_write_page(c, &leaf, entries, err);
			if (r < 0)
				return r;
		}
		versions[leaf.index % ENTRIES] = new_versions[i] = leaf.version;
	}
	for (unsigned i = 0; i < ENTRIES; i++)
		any |= versions[i] != 0;
	if (any) {
		index.version = next_version(c, c->root.versions[group]);
		r = checkpoint_write_page(c, &index, versions, err);
	}
	c->versions[group] = index.version;
	return r;
}

static int write_all(struct checkpoint *c, struct blockmap *map, const uint64_t *leaves,
		     size_t count, uint64_t *new_versions, struct err *err)
{
	int r;

	for (size_t i = 0, n; i < count; i += n) {
		for (n = 1; i + n < count && leaves[i + n] / ENTRIES == leaves[i] / ENTRIES;)
			n++;
		r = write_group(c, map, leaves + i, n, new_versions + i, err);
		if (r < 0)
			return r;
	}
	if (blockmap_spoiled(map))
		return err_set(err, ENOSPC, "map: no memory to keep what was frozen");
	if (count == 0)
		return 0;
	r = c->disk->ops->sync(c->map_file);
	if (r < 0)
		return err_set(err, EIO, "map: fsync: %s", strerror(-r));
	return 0;
}

int checkpoint_write(struct checkpoint *checkpoint, struct blockmap *map, const uint64_t *leaves,
		     size_t count, const struct checkpoint_log *log, struct err *err)
{
	struct checkpoint *c = checkpoint;
	uint64_t *new_versions = calloc(count ? count : 1, sizeof(*new_versions));
	struct format_root root = c->root;
	int r;

	if (!new_versions) {
		for (size_t i = 0; i < count; i++)
			blockmap_thaw(map, leaves[i]);
		return err_set(err, ENOSPC, "checkpoint: out of memory");
	}
	memcpy(c->versions, c->root.versions, c->root.groups * sizeof(uint64_t));
	c->stamp++;
	r = write_all(c, map, leaves, count, new_versions, err);
	if (r == 0) {
		root.checkpoint++;
		root.stamp = c->stamp;
		root.replay = log->replay;
		root.next_segment = log->next_segment;
		root.mapped = blockmap_mapped(map);
		root.created = (uint64_t)time(NULL);
		root.versions = c->versions;
		r = checkpoint_write_root(c, &root, err);
	}
	for (size_t i = 0; i < count; i++) {
		if (r == 0)
			blockmap_commit(map, leaves[i], new_versions[i]);
		else
			blockmap_thaw(map, leaves[i]);
	}
	free(new_versions);
	if (r < 0)
		return err_prefix(err, "checkpoint %" PRIu64, root.checkpoint);
	c->versions = c->root.versions;
	c->root = root;
	c->previous_replay = c->log.replay;
	c->log = *log;
	return 0;
}
