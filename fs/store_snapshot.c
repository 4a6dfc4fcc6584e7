/*
 * A snapshot of an open store. Its moment is that of a checkpoint whose freeze also seals the log's head:
 * all that the map names then is in sealed segments, which get a second name each. Until they have it
 * no other checkpoint is written, and so no segment goes and no page of the map is overwritten.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "disk.h"
#include "err.h"
#include "flushed.h"
#include "format.h"
#include "log.h"
#include "segment.h"
#include "store.h"
#include "store_internal.h"
#include "voldir.h"

/* A set of segment ids: open addressing, 0 is none. */
struct id_set {
	uint32_t *slots;
	size_t room; /* a power of two */
	size_t count;
	uint32_t last; /* blocks of a leaf mostly come from one segment */
};

static void put(struct id_set *set, uint32_t id)
{
	size_t i = id * 2654435761u & (set->room - 1); /* Knuth, TAOCP 6.4 */

	while (set->slots[i] && set->slots[i] != id)
		i = (i + 1) & (set->room - 1);
	set->count += set->slots[i] == 0;
	set->slots[i] = id;
}

static int grow(struct id_set *set)
{
	struct id_set larger = {.room = set->room ? set->room * 2 : 1024, .last = set->last};

	larger.slots = calloc(larger.room, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < set->room; i++)
		if (set->slots[i])
			put(&larger, set->slots[i]);
	free(set->slots);
	*set = larger;
	return 0;
}

static int add_leaf(void *arg, const uint64_t *entries)
{
	struct id_set *set = arg;

	for (unsigned i = 0; i < FORMAT_PAGE_ENTRIES; i++) {
		uint32_t id = format_seq_segment(entries[i]);

		if (id == 0 || id == set->last)
			continue;
		if (set->count * 2 >= set->room && grow(set) < 0)
			return -ENOMEM;
		put(set, id);
		set->last = id;
	}
	return 0;
}

/* Everything after the checkpoint; the caller holds checkpoint_lock. */
static int copy_locked(struct store *store, struct disk *to, struct store_snapshot *snapshot,
		       struct err *err)
{
	uint64_t seq = checkpoint_log(store->checkpoint)->replay;
	struct id_set set = {0};
	int r;

	snapshot->next_segment = format_seq_segment(seq);
	r = checkpoint_copy(store->checkpoint, to, snapshot->next_segment, add_leaf, &set, err);
	for (size_t i = 0; r == 0 && i < set.room; i++)
		if (set.slots[i])
			r = voldir_link(store->disk, to, set.slots[i], false, NULL,
					&snapshot->bytes, err);
	free(set.slots);
	if (r == 0)
		r = flushed_copy(store->flushed, to, format_seq(snapshot->next_segment, 0), err);
	return r;
}

bool store_is_read_only(const struct store *store)
{
	return store->read_only;
}

int store_snapshot(struct store *store, struct disk *to, void (*taken)(void *arg), void *arg,
		   struct store_snapshot *ret_snapshot, struct err *err)
{
	struct store_snapshot snapshot = {0};
	int r;

	if (store->read_only)
		return err_set(err, EROFS, "the volume is open for reading only");
	r = log_flush(store->log, err); /* so that the flush after the freeze has little to do */
	if (r < 0)
		return r;
	pthread_mutex_lock(&store->checkpoint_lock);
	r = store_checkpoint_locked(store, true, err);
	snapshot.held_ms = store->held_ms;
	if (r == 0 && taken)
		taken(arg);
	if (r == 0) {
		segment_table_pin(store->table);
		r = copy_locked(store, to, &snapshot, err);
		segment_table_unpin(store->table);
	}
	pthread_mutex_unlock(&store->checkpoint_lock);
	if (r == 0)
		*ret_snapshot = snapshot;
	return r;
}
