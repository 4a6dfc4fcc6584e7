/*
 * The block map as one sparse mapping.
 *
 * entries is a reserved range of address space, 8 bytes a block, that the kernel fills with zero pages
 * as they are touched: nothing is spent on blocks never written, and an emptied page is given back.
 * A leaf is a page's worth of entries. One with many holes is packed instead, and its page is zero. Changes
 * of a leaf run under one of BLOCKMAP_LOCKS mutexes. A reader who finds an entry in the page needs none, since it
 * is read and written as one word; where there is zero the leaf may be packed, and is asked under the
 * lock.
 *
 *   leaf is    | epoch           | frozen   | meaning
 *   clean      | 0               | NULL     | as the last checkpoint has it
 *   dirty      | the map's       | NULL     | changed since the last freeze
 *   frozen     | the one before  | NULL     | to be taken; still as at the freeze
 *   both       | the map's       | its copy | to be taken from the copy; changed since
 */
#include "blockmap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "blockmap_internal.h"
#include "err.h"
#include "packed.h"
#include "segment.h"

static void *reserve(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	(void)munlock(p,
		      bytes); /* nothing in it is secret, and locked pages cannot be given back */
	(void)madvise(p, bytes, MADV_NOHUGEPAGE); /* a huge page would cost what sparseness saves */
	(void)madvise(p, bytes, MADV_DONTDUMP);	  /* only keeps core files small */
	return p;
}

static uint64_t entries_bytes(const struct blockmap *m)
{
	return m->leaf_count * LEAF_BYTES;
}

static uint64_t leaves_bytes(const struct blockmap *m)
{
	return m->leaf_count * sizeof(struct leaf);
}

int blockmap_new(uint64_t blocks, uint32_t slot_len, struct segment_table *table,
		 struct blockmap **ret_map, struct err *err)
{
	struct blockmap *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(err, ENOMEM, "block map: out of memory");
	m->blocks = blocks;
	m->leaf_count = (blocks + ENTRIES - 1) / ENTRIES;
	m->slot_units = slot_len / FORMAT_UNIT;
	m->table = table;
	atomic_init(&m->epoch, 1);
	for (size_t i = 0; i < BLOCKMAP_LOCKS; i++)
		pthread_mutex_init(&m->locks[i], NULL);
	pthread_mutex_init(&m->dirty_lock, NULL);
	m->entries = reserve(entries_bytes(m));
	m->leaves = reserve(leaves_bytes(m));
	m->has_packed = calloc(m->leaf_count / ENTRIES + 1, sizeof(*m->has_packed));
	if (!m->entries || !m->leaves || !m->has_packed) {
		uint64_t want = entries_bytes(m) + leaves_bytes(m);

		blockmap_free(m);
		return err_set(err, ENOMEM,
			       "block map: cannot reserve %llu bytes of address space; see "
			       "'ulimit -v' and vm.overcommit_memory",
			       (unsigned long long)want);
	}
	*ret_map = m;
	return 0;
}

/* Only where there are some: looking at every leaf would cost memory. */
static void free_packed(struct blockmap *m)
{
	for (uint64_t i = 0; i < m->leaf_count; i++) {
		if (i % ENTRIES == 0 && !atomic_load(&m->has_packed[i / ENTRIES])) {
			i += ENTRIES - 1;
			continue;
		}
		packed_free(m->leaves[i].packed);
	}
}

void blockmap_free(struct blockmap *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->dirty.count && map->leaves; i++)
		packed_free(map->leaves[map->dirty.leaves[i]].frozen);
	free(map->dirty.leaves);
	if (map->leaves && map->has_packed)
		free_packed(map);
	free(map->has_packed);
	if (map->entries)
		(void)munmap(map->entries, entries_bytes(map)); /* our own mapping */
	if (map->leaves)
		(void)munmap(map->leaves, leaves_bytes(map)); /* our own mapping */
	for (size_t i = 0; i < BLOCKMAP_LOCKS; i++)
		pthread_mutex_destroy(&map->locks[i]);
	pthread_mutex_destroy(&map->dirty_lock);
	free(map);
}

static uint32_t mapped_in(const struct blockmap *m, uint64_t index)
{
	return __atomic_load_n(&m->leaves[index].mapped, __ATOMIC_ACQUIRE);
}

uint64_t blockmap_get(const struct blockmap *map, uint64_t lba)
{
	uint64_t index = lba / ENTRIES;
	uint64_t seq = atomic_load_explicit(&map->entries[lba], memory_order_acquire);
	pthread_mutex_t *lock = (pthread_mutex_t *)&map->locks[index % BLOCKMAP_LOCKS];
	const struct leaf *leaf = &map->leaves[index];

	if (seq || mapped_in(map, index) == 0)
		return seq;
	pthread_mutex_lock(lock);
	seq = leaf->packed ? packed_get(leaf->packed, (unsigned)(lba % ENTRIES))
			   : atomic_load_explicit(&map->entries[lba], memory_order_relaxed);
	pthread_mutex_unlock(lock);
	return seq;
}

/* All entries of a leaf, whose lock the caller holds. */
void blockmap_copy_locked(const struct blockmap *m, uint64_t index, uint64_t ret[ENTRIES])
{
	if (m->leaves[index].packed) {
		packed_expand(m->leaves[index].packed, ret);
		return;
	}
	if (m->leaves[index].mapped == 0) {
		memset(ret, 0, LEAF_BYTES);
		return;
	}
	for (unsigned i = 0; i < ENTRIES; i++)
		ret[i] = atomic_load_explicit(&m->entries[index * ENTRIES + i],
					      memory_order_relaxed);
}

/* Readers must find zeros, also where the page cannot be given back: the memory may be locked. */
static void drop_page(struct blockmap *m, uint64_t index)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		atomic_store_explicit(&m->entries[index * ENTRIES + i], 0, memory_order_release);
	(void)madvise((void *)&m->entries[index * ENTRIES], LEAF_BYTES, MADV_DONTNEED);
}

/* Give a leaf these entries, of which @mapped are no holes. It still says how many it had. */
static void store_locked(struct blockmap *m, uint64_t index, const uint64_t entries[ENTRIES],
			 uint32_t mapped)
{
	struct leaf *leaf = &m->leaves[index];
	bool had_page = !leaf->packed && leaf->mapped;
	struct packed *p = NULL;

	if (mapped && mapped < DENSE_FROM)
		p = packed_make(leaf->packed, entries, mapped);
	if (p || !mapped) { /* all that the page has is zero, then: give it back */
		if (!p)
			packed_free(leaf->packed);
		else
			atomic_store(&m->has_packed[index / ENTRIES], 1);
		leaf->packed = p;
		if (had_page)
			drop_page(m, index);
		return;
	}
	for (unsigned i = 0; i < ENTRIES; i++)
		atomic_store_explicit(&m->entries[index * ENTRIES + i], entries[i],
				      memory_order_release);
	packed_free(leaf->packed);
	leaf->packed = NULL;
}

int blockmap_list_add(struct leaf_list *list, uint64_t leaf)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		uint64_t *p = realloc(list->leaves, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		list->leaves = p;
		list->room = room;
	}
	list->leaves[list->count++] = leaf;
	return 0;
}

/*
 * Before a leaf changes: put it on the dirty list, and keep what a checkpoint under way still has
 * to take. The caller holds the leaf's lock.
 */
void blockmap_touch_locked(struct blockmap *m, uint64_t index)
{
	struct leaf *leaf = &m->leaves[index];
	uint32_t epoch = atomic_load(&m->epoch);

	if (leaf->epoch == epoch)
		return;
	if (leaf->epoch != 0) {
		uint64_t entries[ENTRIES];

		blockmap_copy_locked(m, index, entries);
		leaf->frozen = packed_make(NULL, entries, leaf->mapped);
		if (!leaf->frozen)
			atomic_store(&m->spoiled, true);
	}
	leaf->epoch = epoch;
	pthread_mutex_lock(&m->dirty_lock);
	if (blockmap_list_add(&m->dirty, index) < 0)
		m->overflowed = true;
	pthread_mutex_unlock(&m->dirty_lock);
}

/* Tell the segments of @count old entries from @old on that they have lost those blocks. */
static void release_old(struct blockmap *m, const uint64_t *old, unsigned count)
{
	for (unsigned i = 0, n; i < count; i += n) {
		uint32_t id = format_seq_segment(old[i]);

		for (n = 1; i + n < count && format_seq_segment(old[i + n]) == id;)
			n++;
		if (m->table && id)
			(void)segment_live_add(m->table, id, -(int64_t)n,
					       0); /* it had live blocks, so it is there */
	}
}

/* Change entries within one leaf, whose lock the caller holds. */
static void set_in_leaf_locked(struct blockmap *m, uint64_t lba, unsigned count, uint64_t seq)
{
	uint64_t index = lba / ENTRIES, entries[ENTRIES];
	unsigned at = (unsigned)(lba % ENTRIES);
	struct leaf *leaf = &m->leaves[index];
	uint32_t had = 0, mapped;

	blockmap_touch_locked(m, index);
	blockmap_copy_locked(m, index, entries);
	for (unsigned i = at; i < at + count; i++)
		had += entries[i] != 0;
	mapped = leaf->mapped + (seq ? count : 0) - had;
	release_old(m, entries + at, count);
	for (unsigned i = at; i < at + count; i++)
		entries[i] = seq ? seq + (uint64_t)(i - at) * m->slot_units : 0;
	if (leaf->packed && seq && had == count)
		for (unsigned i = at; i < at + count; i++)
			packed_replace(leaf->packed, i, entries[i]);
	else if (!leaf->packed && leaf->mapped && mapped >= DENSE_MIN)
		for (unsigned i = at; i < at + count; i++)
			atomic_store_explicit(&m->entries[index * ENTRIES + i], entries[i],
					      memory_order_release);
	else
		store_locked(m, index, entries, mapped);
	/* By one word, since readers look without the lock. */
	__atomic_store_n(&leaf->mapped, mapped, __ATOMIC_RELEASE);
	atomic_fetch_add(&m->mapped, (seq ? count : 0) - (uint64_t)had);
}

void blockmap_set(struct blockmap *map, uint64_t lba, uint64_t count, uint64_t seq)
{
	if (map->table &&
	    seq) /* before the map shows them, so that their segment is never thought dead */
		(void)segment_live_add(map->table, format_seq_segment(seq), (int64_t)count,
				       0); /* who calls this has just written or read them */
	while (count) {
		uint64_t index = lba / ENTRIES;
		uint64_t n = ENTRIES - lba % ENTRIES;
		pthread_mutex_t *lock = &map->locks[index % BLOCKMAP_LOCKS];

		if (n > count)
			n = count;
		pthread_mutex_lock(lock);
		if (seq || map->leaves[index].mapped) /* a hole stays one at no cost */
			set_in_leaf_locked(map, lba, (unsigned)n, seq);
		pthread_mutex_unlock(lock);
		lba += n;
		count -= n;
		if (seq)
			seq += n * map->slot_units;
	}
}

uint64_t blockmap_seek(const struct blockmap *map, uint64_t lba, int hole)
{
	while (lba < map->blocks) {
		if (lba % ENTRIES == 0 && mapped_in(map, lba / ENTRIES) == 0) {
			if (hole)
				return lba;
			lba += ENTRIES;
			continue;
		}
		if ((blockmap_get(map, lba) == 0) == (hole != 0))
			return lba;
		lba++;
	}
	return map->blocks;
}

uint64_t blockmap_mapped(const struct blockmap *map)
{
	return atomic_load(&map->mapped);
}

uint64_t blockmap_leaves(const struct blockmap *map)
{
	return map->leaf_count;
}

uint64_t blockmap_dirty(struct blockmap *map)
{
	uint64_t n;

	pthread_mutex_lock(&map->dirty_lock);
	n = map->dirty.count;
	pthread_mutex_unlock(&map->dirty_lock);
	return n;
}

int blockmap_load_leaf(struct blockmap *map, uint64_t leaf, uint64_t version,
		       const uint64_t entries[FORMAT_PAGE_ENTRIES], uint32_t *ret_missing)
{
	uint64_t slot_bytes = map->slot_units * FORMAT_UNIT;
	struct leaf *l = &map->leaves[leaf];
	uint32_t mapped = 0;

	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t seq = entries[i];

		if (!seq)
			continue;
		if (leaf * ENTRIES + i >= map->blocks)
			return -EUCLEAN;
		if (map->table && segment_live_add(map->table, format_seq_segment(seq), 1,
						   format_seq_off(seq) + slot_bytes) < 0) {
			*ret_missing = format_seq_segment(seq);
			return -ENOENT;
		}
		mapped++;
	}
	store_locked(map, leaf, entries, mapped);
	l->mapped = mapped;
	l->version = version;
	atomic_fetch_add(&map->mapped, mapped);
	return 0;
}

int blockmap_used(struct blockmap *map, uint64_t **ret_leaves, size_t *ret_count)
{
	struct leaf_list list = {0};

	for (uint64_t i = 0; i < map->leaf_count; i++) {
		if (map->leaves[i].mapped == 0)
			continue;
		if (blockmap_list_add(&list, i) < 0) {
			free(list.leaves);
			return -ENOMEM;
		}
	}
	*ret_leaves = list.leaves;
	*ret_count = list.count;
	return 0;
}

uint64_t blockmap_leaf_version(const struct blockmap *map, uint64_t leaf)
{
	return map->leaves[leaf].version;
}
