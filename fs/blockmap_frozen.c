/* What a checkpoint gets of the block map: the leaves that changed, as they were at the freeze. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blockmap.h"
#include "blockmap_internal.h"
#include "packed.h"

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The dirty list by looking at every leaf, when it could not be kept. */
static int rebuild_dirty_locked(struct blockmap *m)
{
	uint32_t epoch = atomic_load(&m->epoch);

	m->dirty.count = 0;
	for (uint64_t i = 0; i < m->leaf_count; i++)
		if (m->leaves[i].epoch == epoch && blockmap_list_add(&m->dirty, i) < 0)
			return -ENOMEM;
	m->overflowed = false;
	return 0;
}

int blockmap_freeze(struct blockmap *map, uint64_t **ret_leaves, size_t *ret_count)
{
	struct leaf_list list;

	pthread_mutex_lock(&map->dirty_lock);
	if (map->overflowed && rebuild_dirty_locked(map) < 0) {
		pthread_mutex_unlock(&map->dirty_lock);
		return -ENOMEM;
	}
	list = map->dirty;
	memset(&map->dirty, 0, sizeof(map->dirty));
	pthread_mutex_unlock(&map->dirty_lock);
	atomic_fetch_add(&map->epoch, 1);
	atomic_store(&map->spoiled, false);
	if (list.count)
		qsort(list.leaves, list.count, sizeof(*list.leaves), by_value);
	*ret_leaves = list.leaves;
	*ret_count = list.count;
	return 0;
}

unsigned blockmap_take(struct blockmap *map, uint64_t leaf,
		       uint64_t ret_entries[FORMAT_PAGE_ENTRIES])
{
	pthread_mutex_t *lock = &map->locks[leaf % BLOCKMAP_LOCKS];
	struct leaf *l = &map->leaves[leaf];
	unsigned mapped = 0;

	pthread_mutex_lock(lock);
	if (l->frozen) {
		packed_expand(l->frozen, ret_entries);
		packed_free(l->frozen);
		l->frozen = NULL;
	} else {
		blockmap_copy_locked(map, leaf, ret_entries);
		l->epoch = 0;
	}
	pthread_mutex_unlock(lock);
	for (unsigned i = 0; i < ENTRIES; i++)
		mapped += ret_entries[i] != 0;
	return mapped;
}

void blockmap_commit(struct blockmap *map, uint64_t leaf, uint64_t version)
{
	map->leaves[leaf].version = version;
}

bool blockmap_spoiled(const struct blockmap *map)
{
	return atomic_load(&map->spoiled);
}

void blockmap_thaw(struct blockmap *map, uint64_t leaf)
{
	pthread_mutex_t *lock = &map->locks[leaf % BLOCKMAP_LOCKS];
	struct leaf *l = &map->leaves[leaf];

	pthread_mutex_lock(lock);
	packed_free(l->frozen); /* what is newer goes into the next checkpoint */
	l->frozen = NULL;
	if (l->epoch != atomic_load(&map->epoch)) {
		l->epoch = 0; /* not to be kept for the checkpoint that failed */
		blockmap_touch_locked(map, leaf);
	}
	pthread_mutex_unlock(lock);
}
