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
static void pick_names(const struct memdisk *m, struct inode **ret_is, uint64_t *rng)
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

/* The directory @from, as @picked has its names, into @to, with all that is in it. */
static void crash_dir(const struct memdisk *m, const struct inode *from,
		      struct inode *const *picked, struct memdisk *to, struct inode *to_dir,
		      uint64_t *rng)
{
	for (size_t i = 0; i < m->name_count; i++) {
		struct inode *is = picked[i];
		bool seen = is && is->copy;

		if (m->names[i].dir != from || !is || (is->is_dir && seen))
			continue;
		if (!seen)
			is->copy = memdisk_inode_new(to, is->is_dir);
		memdisk_entry_for_locked(to, to_dir, m->names[i].text)->now = is->copy;
		if (is->is_dir)
			crash_dir(m, is, picked, to, is->copy, rng);
		else if (!seen)
			crash_inode(is, is->copy, rng);
	}
}

static void forget_copies(struct memdisk *m)
{
	for (struct inode *i = m->inodes; i; i = i->next)
		i->copy = NULL;
}

struct memdisk *memdisk_crash(struct memdisk *disk, uint64_t seed)
{
	struct memdisk *to = memdisk_new();
	struct inode *picked[NAMES_MAX];
	uint64_t rng = seed;

	pthread_mutex_lock(&disk->lock);
	forget_copies(disk);
	pick_names(disk, picked, &rng);
	crash_dir(disk, disk->root.dir, picked, to, to->root.dir, &rng);
	pthread_mutex_unlock(&disk->lock);
	return to;
}

/* The copy of an inode, made when first asked for. NULL has none. */
static struct inode *killed(const struct memdisk *m, struct inode *is, struct memdisk *to)
{
	if (!is || is == m->root.dir)
		return is ? to->root.dir : NULL;
	if (!is->copy) {
		is->copy = memdisk_inode_new(to, is->is_dir);
		if (!is->is_dir)
			kill_inode(is, is->copy);
	}
	return is->copy;
}

struct memdisk *memdisk_kill(struct memdisk *disk)
{
	struct memdisk *to = memdisk_new();

	pthread_mutex_lock(&disk->lock);
	forget_copies(disk);
	for (size_t i = 0; i < disk->name_count; i++) { /* in the same places as here */
		const struct name *n = &disk->names[i];
		struct name *copy = &to->names[to->name_count++];

		*copy = *n;
		copy->dir = killed(disk, n->dir, to);
		copy->now = killed(disk, n->now, to);
		for (unsigned k = 0; k < n->past_count; k++)
			copy->pasts[k] = killed(disk, n->pasts[k], to);
	}
	for (size_t i = 0; i < disk->rename_count; i++) {
		const struct renamed *r = &disk->renames[i];

		to->renames[to->rename_count++] = (struct renamed){
			&to->names[r->from - disk->names], &to->names[r->to - disk->names],
			killed(disk, r->inode, to)};
	}
	pthread_mutex_unlock(&disk->lock);
	return to;
}

/* Behind the store's back; but for memdisk_bytes() the test is alone then. */

uint8_t *memdisk_bytes(struct memdisk *disk, const char *name, size_t *ret_len)
{
	uint8_t *bytes = NULL;
	struct name *n;

	pthread_mutex_lock(&disk->lock);
	n = memdisk_find_locked(disk, disk->root.dir, name);
	if (n && n->now) {
		if (ret_len)
			*ret_len = n->now->now.len;
		n->now->now.top = n->now->now.len; /* anything may be put there */
		bytes = n->now->now.p;
	}
	pthread_mutex_unlock(&disk->lock);
	return bytes;
}

void memdisk_cut(struct memdisk *disk, const char *name, size_t len)
{
	memdisk_content_set_len(&memdisk_find_locked(disk, disk->root.dir, name)->now->now, len);
}

void memdisk_put(struct memdisk *disk, const char *name, const void *bytes, size_t len)
{
	struct name *n = memdisk_name_for_locked(disk, disk->root.dir, name);

	if (!n->now)
		n->now = memdisk_inode_new(disk, false);
	memdisk_content_set_len(&n->now->now, 0);
	memdisk_content_write(&n->now->now, 0, bytes, len);
}

void memdisk_remove(struct memdisk *disk, const char *name)
{
	memdisk_find_locked(disk, disk->root.dir, name)->now = NULL;
}

void memdisk_swap(struct memdisk *disk, const char *a, const char *b)
{
	struct name *x = memdisk_find_locked(disk, disk->root.dir, a),
		    *y = memdisk_find_locked(disk, disk->root.dir, b);
	struct inode *i = x->now;

	x->now = y->now;
	y->now = i;
}

/* Append the path of @n to @path, by the names that its directories have now. */
static void put_path(const struct memdisk *m, const struct name *n, char path[PATH_LEN])
{
	for (size_t i = 0; n->dir != m->root.dir && i < m->name_count; i++) {
		if (m->names[i].now != n->dir)
			continue;
		put_path(m, &m->names[i], path);
		(void)strncat(path, "/", PATH_LEN - strlen(path) - 1);
		break;
	}
	(void)strncat(path, n->text, PATH_LEN - strlen(path) - 1);
}

const char *memdisk_name(struct memdisk *disk, size_t i)
{
	for (size_t k = 0; k < disk->name_count; k++) {
		struct name *n = &disk->names[k];

		if (!n->now || n->now->is_dir || i-- != 0)
			continue;
		n->path[0] = '\0';
		put_path(disk, n, n->path);
		return n->path;
	}
	return NULL;
}
