/* What a crash leaves of the disk in memory, and what tests do to it behind its user's back. */
#include "memdisk_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512

/* A write of which some sectors are there, some not, and one may be garbage. */
static void tear(const struct change *c, struct content *to, uint64_t *rng)
{
	uint64_t first = c->off / SECTOR, last = (c->off + c->len - 1) / SECTOR;
	uint64_t garbled = first + memdisk_random(rng) % (last - first + 1);
	bool garble = memdisk_random(rng) % 4 == 0;

	for (uint64_t s = first; s <= last; s++) {
		uint64_t from = s * SECTOR > c->off ? s * SECTOR : c->off;
		uint64_t end =
			(s + 1) * SECTOR < c->off + c->len ? (s + 1) * SECTOR : c->off + c->len;

		if (garble && s == garbled) {
			uint8_t bytes[SECTOR];

			for (size_t i = 0; i < sizeof(bytes); i++)
				bytes[i] = (uint8_t)memdisk_random(rng);
			memdisk_content_write(to, from, bytes, end - from);
		} else if (memdisk_random(rng) % 2) {
			memdisk_content_write(to, from, c->bytes + (from - c->off), end - from);
		}
	}
}

static void crash_inode(const struct inode *from, struct inode *to, uint64_t *rng)
{
	static const unsigned keeps[] = {0, 30, 50, 80, 95, 100};
	unsigned keep = keeps[memdisk_random(rng) % 6]; /* percent */

	memdisk_content_copy(&to->now, &from->durable);
	for (const struct change *c = from->changes; c; c = c->next) {
		if (memdisk_random(rng) % 100 < keep)
			memdisk_change_apply(c, &to->now);
		else if (c->is_write && memdisk_random(rng) % 2)
			tear(c, &to->now, rng);
	}
	memdisk_content_copy(&to->durable, &to->now);
}

static void kill_inode(const struct inode *from, struct inode *to)
{
	memdisk_content_copy(&to->now, &from->now);
	memdisk_content_copy(&to->durable, &from->durable);
	for (const struct change *c = from->changes; c; c = c->next)
		memdisk_change_add(to, c, c->bytes);
}

/* Which file, if any, each name is after a crash. */
static void pick_names(const struct memdisk *m, const struct inode **ret_is, uint64_t *rng)
{
	for (size_t i = 0; i < m->name_count; i++) {
		const struct name *n = &m->names[i];
		unsigned pick = (unsigned)(memdisk_random(rng) % (n->past_count + 1));

		ret_is[i] = pick == n->past_count ? n->now : n->pasts[pick];
	}
	for (size_t i = 0; i < m->rename_count; i++) { /* never both names, never neither */
		const struct renamed *r = &m->renames[i];
		size_t from = (size_t)(r->from - m->names), to = (size_t)(r->to - m->names);

		if (memdisk_random(rng) % 2) {
			ret_is[from] = r->inode;
			ret_is[to] = ret_is[to] == r->inode ? NULL : ret_is[to];
		} else {
			ret_is[from] = ret_is[from] == r->inode ? NULL : ret_is[from];
			ret_is[to] = ret_is[to] ? ret_is[to] : r->inode;
		}
	}
}

struct memdisk *memdisk_crash(struct memdisk *disk, uint64_t seed)
{
	struct memdisk *to = memdisk_new();
	const struct inode *picked[NAMES_MAX];
	uint64_t rng = seed;

	pthread_mutex_lock(&disk->lock);
	to->has_segments = disk->has_segments;
	pick_names(disk, picked, &rng);
	for (size_t i = 0; i < disk->name_count; i++) {
		const struct name *n = &disk->names[i];
		const struct inode *is = picked[i];

		if (!is)
			continue;
		memdisk_name_for_locked(to, n->text)->now = memdisk_inode_new(to);
		crash_inode(is, memdisk_find_locked(to, n->text)->now, &rng);
	}
	pthread_mutex_unlock(&disk->lock);
	return to;
}

/* The renames that are not durable: the copy of the file stands under both names' pasts. */
static void kill_renames(const struct memdisk *m, struct memdisk *to)
{
	for (size_t i = 0; i < m->rename_count; i++) {
		const struct renamed *r = &m->renames[i];
		struct name *from = memdisk_find_locked(to, r->from->text);
		struct name *at = memdisk_find_locked(to, r->to->text);

		if (r->to->now == r->inode)
			to->renames[to->rename_count++] = (struct renamed){from, at, at->now};
		from->past_count = 0; /* the pair says it all */
		at->past_count = 0;
	}
}

struct memdisk *memdisk_kill(struct memdisk *disk)
{
	struct memdisk *to = memdisk_new();

	pthread_mutex_lock(&disk->lock);
	to->has_segments = disk->has_segments;
	for (size_t i = 0; i < disk->name_count; i++) {
		const struct name *n = &disk->names[i];
		struct name *copy = memdisk_name_for_locked(to, n->text);

		if (n->now) {
			copy->now = memdisk_inode_new(to);
			kill_inode(n->now, copy->now);
		}
		for (unsigned k = 0; k < n->past_count; k++) {
			copy->pasts[k] = n->pasts[k] ? memdisk_inode_new(to) : NULL;
			if (n->pasts[k])
				kill_inode(n->pasts[k], copy->pasts[k]);
		}
		copy->past_count = n->past_count;
	}
	kill_renames(disk, to);
	pthread_mutex_unlock(&disk->lock);
	return to;
}

/* Behind the store's back; the test is alone then. */

uint8_t *memdisk_bytes(struct memdisk *disk, const char *name, size_t *ret_len)
{
	struct name *n = memdisk_find_locked(disk, name);

	if (!n || !n->now)
		return NULL;
	if (ret_len)
		*ret_len = n->now->now.len;
	n->now->now.top = n->now->now.len; /* anything may be put there */
	return n->now->now.p;
}

void memdisk_cut(struct memdisk *disk, const char *name, size_t len)
{
	memdisk_content_set_len(&memdisk_find_locked(disk, name)->now->now, len);
}

void memdisk_put(struct memdisk *disk, const char *name, const void *bytes, size_t len)
{
	struct name *n = memdisk_name_for_locked(disk, name);

	if (!n->now)
		n->now = memdisk_inode_new(disk);
	memdisk_content_set_len(&n->now->now, 0);
	memdisk_content_write(&n->now->now, 0, bytes, len);
}

void memdisk_remove(struct memdisk *disk, const char *name)
{
	memdisk_find_locked(disk, name)->now = NULL;
}

void memdisk_swap(struct memdisk *disk, const char *a, const char *b)
{
	struct name *x = memdisk_find_locked(disk, a), *y = memdisk_find_locked(disk, b);
	struct inode *i = x->now;

	x->now = y->now;
	y->now = i;
}

const char *memdisk_name(struct memdisk *disk, size_t i)
{
	for (size_t k = 0; k < disk->name_count; k++)
		if (disk->names[k].now && i-- == 0)
			return disk->names[k].text;
	return NULL;
}
