/* The cache: a hash table with chains and one list in order of use. See cache.h. */
#include "cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

struct entry {
	struct entry *chain;	     /* of one hash slot */
	struct entry *older, *newer; /* in order of use */
	uint32_t hash;
	struct cached *obj;
	char name[];
};

struct cache {
	pthread_mutex_t lock;
	size_t max, slots; /* fixed */
	/* guarded by lock */
	size_t count;
	uint64_t generation;
	struct entry **slot;
	struct entry *oldest, *newest;
};

void *cached_get(void *obj)
{
	struct cached *c = obj;

	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return obj;
}

void cached_put(void *obj)
{
	struct cached *c = obj;

	if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		c->free(c);
}

void cached_putp(void *ptr_to_obj)
{
	void **p = ptr_to_obj;

	cached_put(*p);
	*p = NULL;
}

int cache_new(size_t max, struct cache **ret_cache, struct err *err)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return err_set(err, ENOMEM, "cache");
	cache->max = max;
	cache->slots = 16;
	while (cache->slots < max)
		cache->slots *= 2;
	cache->slot = calloc(cache->slots, sizeof(struct entry *));
	if (!cache->slot || pthread_mutex_init(&cache->lock, NULL) != 0) {
		free(cache->slot);
		free(cache);
		return err_set(err, ENOMEM, "cache");
	}
	*ret_cache = cache;
	return 0;
}

/* FNV-1a: names are ids that nobody chooses to collide with. */
static uint32_t hash_name(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

static struct entry **find_locked(struct cache *cache, const char *name, uint32_t hash)
{
	struct entry **p = &cache->slot[hash & (cache->slots - 1)];

	while (*p && ((*p)->hash != hash || strcmp((*p)->name, name) != 0))
		p = &(*p)->chain;
	return p;
}

static void unlink_locked(struct cache *cache, struct entry *e)
{
	*(e->older ? &e->older->newer : &cache->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &cache->newest) = e->older;
}

static void link_newest_locked(struct cache *cache, struct entry *e)
{
	e->newer = NULL;
	e->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = e;
	cache->newest = e;
}

static void remove_locked(struct cache *cache, struct entry *e)
{
	*find_locked(cache, e->name, e->hash) = e->chain;
	unlink_locked(cache, e);
	cache->count--;
	cached_put(e->obj);
	free(e);
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	cache_drop(cache, NULL);
	(void)pthread_mutex_destroy(&cache->lock); /* nobody holds it */
	free(cache->slot);
	free(cache);
}

void *cache_find(struct cache *cache, const char *name)
{
	uint32_t hash = hash_name(name);
	void *obj = NULL;
	struct entry *e;

	pthread_mutex_lock(&cache->lock);
	e = *find_locked(cache, name, hash);
	if (e) {
		obj = cached_get(e->obj);
		if (e != cache->newest) {
			unlink_locked(cache, e);
			link_newest_locked(cache, e);
		}
	}
	pthread_mutex_unlock(&cache->lock);
	return obj;
}

uint64_t cache_generation(struct cache *cache)
{
	uint64_t generation;

	pthread_mutex_lock(&cache->lock);
	generation = cache->generation;
	pthread_mutex_unlock(&cache->lock);
	return generation;
}

void cache_put(struct cache *cache, const char *name, void *obj, uint64_t generation)
{
	size_t n = strlen(name) + 1;
	struct entry *e = calloc(1, sizeof(*e) + n), **p;

	if (!e)
		return; /* a cache may forget */
	memcpy(e->name, name, n);
	e->hash = hash_name(name);
	pthread_mutex_lock(&cache->lock);
	p = find_locked(cache, name, e->hash);
	if (*p || generation != cache->generation) {
		pthread_mutex_unlock(&cache->lock);
		free(e);
		return;
	}
	if (cache->count == cache->max)
		remove_locked(cache, cache->oldest);
	p = find_locked(cache, name, e->hash); /* what was removed may have been its neighbour */
	e->obj = cached_get(obj);
	*p = e;
	link_newest_locked(cache, e);
	cache->count++;
	pthread_mutex_unlock(&cache->lock);
}

void cache_drop(struct cache *cache, const char *name)
{
	pthread_mutex_lock(&cache->lock);
	cache->generation++;
	if (name) {
		struct entry *e = *find_locked(cache, name, hash_name(name));

		if (e)
			remove_locked(cache, e);
	}
	while (!name && cache->oldest)
		remove_locked(cache, cache->oldest);
	pthread_mutex_unlock(&cache->lock);
}
