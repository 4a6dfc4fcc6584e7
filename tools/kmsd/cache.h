/*
 * A bounded cache from names to shared objects, the least recently used leaving first. Objects are
 * immutable and counted, so a reader keeps its object while a writer drops it from the cache.
 *
 * Why a generation: a reader that missed loads from the database while a writer may commit. It asks
 * for the generation before it loads; cache_put() of an older generation than the last drop stores
 * nothing, so what was read before a commit is never found after it.
 */
#ifndef KMSD_CACHE_H
#define KMSD_CACHE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct err;

#define CACHE_NAME_MAX 255

/* The first member of every object that is cached. */
struct cached {
	atomic_uint refs;
	void (*free)(struct cached *obj); /* called by the last cached_put() */
};

/* Count one more, one less holder. NULL is allowed. */
void *cached_get(void *obj);
void cached_put(void *obj);
void cached_putp(void *ptr_to_obj); /* for AUTO() */

/* At most @max objects, at least 1. Any thread may use it. */
int cache_new(size_t max, struct cache **ret_cache, struct err *err);
void cache_free(struct cache *cache);

/* The object of that name, counted for the caller; NULL: not here. */
void *cache_find(struct cache *cache, const char *name);

uint64_t cache_generation(struct cache *cache);

/* Store @obj (which stays the caller's too) unless something was dropped since @generation. */
void cache_put(struct cache *cache, const char *name, void *obj, uint64_t generation);

/* Forget that name; NULL: all. */
void cache_drop(struct cache *cache, const char *name);

#endif
