/*
 * The map of a volume that is checked. Of two roots the newest whole one counts; pages that are damaged
 * leave their leaves unknown, to be found in the segments.
 */
#include "check_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blockmap.h"
#include "disk.h"
#include "err.h"

#define ENTRIES	 FORMAT_PAGE_ENTRIES
#define ROOTS	 2
#define WHAT_MAX 256

struct map_reader {
	struct check *check;
	struct disk_file *file; /* NULL: missing */
	uint64_t leaf_count, group_count;
};

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

static void lose_leaves(struct map_reader *m, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count && i < m->leaf_count; i++)
		m->check->unknown_leaves[i / 8] |= (uint8_t)(1u << i % 8);
	m->check->unknown = true;
}

static void say_page(struct map_reader *m, uint64_t off, enum format_level level, uint64_t index)
{
	char what[WHAT_MAX];

	(void)snprintf(what, sizeof(what),
		       "a page of the map is damaged (%s %" PRIu64
		       "): where its blocks are is looked for in the segments",
		       level == FORMAT_LEAF ? "leaf" : "index", index);
	check_say(m->check, &(struct check_finding){.weight = CHECK_DAMAGE,
						    .file = "map",
						    .off = off,
						    .len = FORMAT_PAGE_LEN,
						    .what = what});
}

/* False: damaged, and said. */
static bool read_page(struct map_reader *m, const struct format_page *want, uint64_t *ret_entries)
{
	unsigned slot = format_version_slot(want->version);
	uint64_t off = want->level == FORMAT_LEAF ? format_leaf_off(want->index, slot)
						  : format_index_off(want->index, slot);
	struct mac *const *macs = m->check->map_macs;
	uint8_t bytes[FORMAT_PAGE_LEN];

	if (m->file && disk_pread(m->file, bytes, sizeof(bytes), off) == 0 &&
	    (format_page_get(bytes, want, macs[KEYS_NEWEST], ret_entries) == 0 ||
	     (macs[KEYS_PREVIOUS] &&
	      format_page_get(bytes, want, macs[KEYS_PREVIOUS], ret_entries) == 0)))
		return true;
	if (m->file) /* else it has been said */
		say_page(m, off, want->level, want->index);
	return false;
}

/* May there be a slot at @seq? */
static bool is_place(uint64_t seq)
{
	uint64_t off = format_seq_off(seq);

	return off >= FORMAT_SEGMENT_LEN + FORMAT_RECORD_LEN && off < FORMAT_SEGMENT_MAX &&
	       format_seq_segment(seq) != 0;
}

static void load_leaf(struct map_reader *m, const struct format_page *leaf)
{
	uint64_t entries[ENTRIES], blocks = check_blocks(m->check);

	if (!read_page(m, leaf, entries)) {
		lose_leaves(m, leaf->index, 1);
		return;
	}
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t lba = leaf->index * ENTRIES + i;

		if (!entries[i])
			continue;
		if (lba >= blocks || !is_place(entries[i])) {
			say_page(m,
				 format_leaf_off(leaf->index, format_version_slot(leaf->version)),
				 FORMAT_LEAF, leaf->index);
			lose_leaves(m, leaf->index, 1);
			return;
		}
	}
	for (unsigned i = 0; i < ENTRIES; i++)
		if (entries[i])
			blockmap_set(m->check->map, leaf->index * ENTRIES + i, 1, entries[i]);
}

static void load_group(struct map_reader *m, uint64_t group, uint64_t version)
{
	struct format_page index = {FORMAT_INDEX, group, version};
	uint64_t versions[ENTRIES];

	if (!read_page(m, &index, versions)) {
		lose_leaves(m, group * ENTRIES, ENTRIES);
		return;
	}
	for (unsigned i = 0; i < ENTRIES; i++) {
		struct format_page leaf = {FORMAT_LEAF, group * ENTRIES + i, versions[i]};

		if (versions[i] && leaf.index < m->leaf_count)
			load_leaf(m, &leaf);
	}
}

/* Read root @i; its versions are the caller's to free. -ENOMEM. *@ret_whole: it counts. */
static int read_root(struct map_reader *m, unsigned i, struct format_root *ret_root,
		     bool *ret_whole, struct err *said)
{
	struct check *c = m->check;
	struct format_root want = {.groups = m->group_count};
	size_t len = format_root_len(want.groups);
	struct disk_file *file = NULL;
	uint8_t *bytes = calloc(1, len);
	char name[] = "root.0";
	int64_t n = 0;
	int r;

	ret_root->versions = calloc(want.groups, sizeof(uint64_t));
	if (!bytes || !ret_root->versions) {
		free(bytes);
		return -ENOMEM;
	}
	name[5] = (char)('0' + i);
	memcpy(want.volume_id, c->geometry->volume_id, FORMAT_VOLUME_ID_LEN);
	r = disk_open(c->disk, name, DISK_READ, &file, said);
	if (r == 0)
		n = disk_pread_some(file, bytes, len, 0);
	disk_close(file);
	if (r == 0 && n < 0)
		r = err_set(said, (int)-n, "read: %s", strerror((int)-n));
	if (r == 0)
		r = format_root_get(bytes, (size_t)n, &want, c->map_macs[KEYS_NEWEST], ret_root,
				    said);
	if (r == -EBADMSG && c->map_macs[KEYS_PREVIOUS])
		r = format_root_get(bytes, (size_t)n, &want, c->map_macs[KEYS_PREVIOUS], ret_root,
				    said);
	*ret_whole = r == 0;
	free(bytes);
	return 0;
}

static void say_root(struct check *c, unsigned i, bool other, const struct err *why)
{
	char what[WHAT_MAX], name[] = "root.0";

	name[5] = (char)('0' + i);
	(void)snprintf(what, sizeof(what), "%.120s; %s", why->msg,
		       other ? "the other root stands in"
			     : "where all blocks are is looked for in the segments"); /* cut */
	check_say(c, &(struct check_finding){.weight = CHECK_DAMAGE, .file = name, .what = what});
}

static int open_map(struct map_reader *m)
{
	struct err why;
	int r = disk_open(m->check->disk, "map", DISK_READ, &m->file, &why);

	if (r == 0)
		return 0;
	check_say(m->check,
		  &(struct check_finding){.weight = CHECK_DAMAGE,
					  .file = "map",
					  .what = "the file cannot be opened: where all blocks are "
						  "is looked for in the segments"});
	return r == -ENOMEM ? r : 0;
}

static int load(struct map_reader *m, struct format_root *roots)
{
	struct check *c = m->check;
	struct err whys[ROOTS] = {{0}};
	bool whole[ROOTS] = {false};
	unsigned best;
	int r = open_map(m);

	for (unsigned i = 0; r == 0 && i < ROOTS; i++)
		r = read_root(m, i, &roots[i], &whole[i], &whys[i]);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < ROOTS; i++)
		if (!whole[i])
			say_root(c, i, whole[1 - i], &whys[i]);
	if (!whole[0] && !whole[1]) {
		lose_leaves(m, 0, m->leaf_count);
		return 0;
	}
	best = !whole[0] || (whole[1] && roots[1].checkpoint > roots[0].checkpoint);
	c->has_root = true;
	c->replay = roots[best].replay;
	c->next_segment = roots[best].next_segment;
	for (uint64_t g = 0; g < m->group_count && !check_stopped(c); g++)
		if (roots[best].versions[g])
			load_group(m, g, roots[best].versions[g]);
	return 0;
}

int check_load_map(struct check *c, struct err *err)
{
	struct map_reader m = {.check = c, .leaf_count = divide_up(check_blocks(c), ENTRIES)};
	struct format_root roots[ROOTS] = {{.versions = NULL}};
	int r;

	m.group_count = divide_up(m.leaf_count, ENTRIES);
	c->unknown_leaves = calloc(1, (m.leaf_count + 7) / 8);
	r = c->unknown_leaves ? load(&m, roots) : -ENOMEM;
	for (unsigned i = 0; i < ROOTS; i++)
		free(roots[i].versions);
	disk_close(m.file);
	return r < 0 ? err_set(err, -r, "map: %s", strerror(-r)) : 0;
}
