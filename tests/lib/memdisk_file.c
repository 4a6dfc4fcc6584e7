/*
 * Files of the disk in memory: contents, changes not durable yet, names. Contents are sparse
 * mappings, so that allocating room costs nothing.
 */
#include "memdisk_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define POOL_MAX 64

uint64_t memdisk_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL); /* SplitMix64, Steele et al. 2014 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

void *memdisk_need(void *p)
{
	if (!p || p == MAP_FAILED)
		abort();
	return p;
}

void memdisk_content_set_len(struct content *c, size_t len)
{
	if (len > MEMDISK_FILE_MAX)
		abort();
	if (len < c->top) {
		memset(c->p + len, 0, c->top - len);
		c->top = len;
	}
	c->len = len;
}

void memdisk_content_write(struct content *c, uint64_t off, const uint8_t *bytes, size_t len)
{
	if (off + len > c->len)
		memdisk_content_set_len(c, off + len);
	memcpy(c->p + off, bytes, len);
	if (off + len > c->top)
		c->top = off + len;
}

void memdisk_content_copy(struct content *to, const struct content *from)
{
	memdisk_content_set_len(to, 0);
	memcpy(to->p, from->p, from->top);
	to->top = from->top;
	to->len = from->len;
}

/* Mappings given back, all zero: a page that is cleared costs less than one that is faulted in. */
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *pool[POOL_MAX];
static size_t pool_count;

static uint8_t *map_room(void)
{
	uint8_t *p = NULL;

	pthread_mutex_lock(&pool_lock);
	if (pool_count)
		p = pool[--pool_count];
	pthread_mutex_unlock(&pool_lock);
	if (p)
		return p;
	return memdisk_need(mmap(NULL, MEMDISK_FILE_MAX, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

void memdisk_content_free(struct content *c)
{
	if (!c->p)
		return;
	memdisk_content_set_len(c, 0);
	pthread_mutex_lock(&pool_lock);
	if (pool_count < POOL_MAX) {
		pool[pool_count++] = c->p;
		c->p = NULL;
	}
	pthread_mutex_unlock(&pool_lock);
	if (c->p)
		(void)munmap(c->p, MEMDISK_FILE_MAX); /* our own mapping */
}

struct inode *memdisk_inode_new(struct memdisk *m, bool is_dir)
{
	struct inode *i = memdisk_need(calloc(1, sizeof(*i)));

	i->is_dir = is_dir;
	if (!is_dir) {
		i->now.p = map_room();
		i->durable.p = map_room();
	}
	i->changes_end = &i->changes;
	i->next = m->inodes;
	m->inodes = i;
	return i;
}

void memdisk_changes_free(struct inode *i)
{
	struct change *c;

	while ((c = i->changes)) {
		i->changes = c->next;
		free(c);
	}
	i->changes_end = &i->changes;
}

void memdisk_change_add(struct inode *i, const struct change *what, const void *bytes)
{
	struct change *c = memdisk_need(malloc(sizeof(*c) + (what->is_write ? what->len : 0)));

	*c = *what;
	c->next = NULL;
	if (what->is_write)
		memcpy(c->bytes, bytes, what->len);
	*i->changes_end = c;
	i->changes_end = &c->next;
}

void memdisk_change_apply(const struct change *c, struct content *to)
{
	if (c->is_write)
		memdisk_content_write(to, c->off, c->bytes, c->len);
	else if (!c->grow || c->len > to->len)
		memdisk_content_set_len(to, c->len);
}

struct name *memdisk_entry_locked(struct memdisk *m, const struct inode *dir, const char *text)
{
	for (size_t i = 0; i < m->name_count; i++)
		if (m->names[i].dir == dir && strcmp(m->names[i].text, text) == 0)
			return &m->names[i];
	return NULL;
}

struct name *memdisk_entry_for_locked(struct memdisk *m, struct inode *dir, const char *text)
{
	struct name *n = memdisk_entry_locked(m, dir, text);

	if (n)
		return n;
	if (m->name_count == NAMES_MAX || strlen(text) >= NAME_LEN)
		abort();
	n = &m->names[m->name_count++];
	memset(n, 0, sizeof(*n));
	n->dir = dir;
	(void)snprintf(n->text, sizeof(n->text), "%s", text);
	return n;
}

/* The directory that the last part of @path stands in, and that part; NULL: it is not there. */
static struct inode *walk_locked(struct memdisk *m, struct inode *dir, const char *path,
				 const char **ret_last)
{
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		char part[NAME_LEN];
		struct name *n;

		(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		n = memdisk_entry_locked(m, dir, part);
		if (!n || !n->now || !n->now->is_dir)
			return NULL;
		dir = n->now;
		path = slash + 1;
	}
	*ret_last = path;
	return dir;
}

struct name *memdisk_find_locked(struct memdisk *m, struct inode *dir, const char *path)
{
	const char *last;

	dir = walk_locked(m, dir, path, &last);
	return dir ? memdisk_entry_locked(m, dir, last) : NULL;
}

struct name *memdisk_name_for_locked(struct memdisk *m, struct inode *dir, const char *path)
{
	const char *last;

	dir = walk_locked(m, dir, path, &last);
	return dir ? memdisk_entry_for_locked(m, dir, last) : NULL;
}
