/* The cache: bounded, in order of use, and never holding what a drop has overtaken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache.h"
#include "err.h"

struct thing {
	struct cached cached;
	int number;
};

static int alive;

static void thing_free(struct cached *obj)
{
	alive--;
	free(obj);
}

static struct thing *thing_new(int number)
{
	struct thing *t = calloc(1, sizeof(*t));

	t->cached.free = thing_free;
	atomic_init(&t->cached.refs, 1);
	t->number = number;
	alive++;
	return t;
}

static void put_new(struct cache *cache, const char *name, int number)
{
	struct thing *t = thing_new(number);

	cache_put(cache, name, t, cache_generation(cache));
	cached_put(t);
}

static int find(struct cache *cache, const char *name)
{
	struct thing *t = cache_find(cache, name);
	int number = t ? t->number : -1;

	cached_put(t);
	return number;
}

static struct cache *cache_of(size_t max)
{
	struct cache *cache = NULL;
	struct err err = {0};

	assert_int_equal(cache_new(max, &cache, &err), 0);
	return cache;
}

static void least_recently_used_leaves_first(void **state)
{
	struct cache *cache = cache_of(3);

	(void)state;
	put_new(cache, "a", 1);
	put_new(cache, "b", 2);
	put_new(cache, "c", 3);
	assert_int_equal(find(cache, "a"), 1);
	put_new(cache, "d", 4);
	assert_int_equal(find(cache, "b"), -1);
	assert_int_equal(find(cache, "a"), 1);
	assert_int_equal(find(cache, "c"), 3);
	assert_int_equal(find(cache, "d"), 4);
	cache_free(cache);
	assert_int_equal(alive, 0);
}

static void what_was_loaded_before_a_drop_is_not_stored(void **state)
{
	struct cache *cache = cache_of(8);
	uint64_t generation = cache_generation(cache);
	struct thing *old = thing_new(1);

	(void)state;
	cache_drop(cache, "a");
	cache_put(cache, "a", old, generation);
	assert_int_equal(find(cache, "a"), -1);
	cache_put(cache, "a", old, cache_generation(cache));
	assert_int_equal(find(cache, "a"), 1);
	cached_put(old);
	cache_free(cache);
	assert_int_equal(alive, 0);
}

static void holder_keeps_what_is_dropped(void **state)
{
	struct cache *cache = cache_of(8);
	struct thing *held;

	(void)state;
	put_new(cache, "a", 7);
	held = cache_find(cache, "a");
	cache_drop(cache, NULL);
	assert_int_equal(find(cache, "a"), -1);
	assert_int_equal(held->number, 7);
	assert_int_equal(alive, 1);
	cached_put(held);
	assert_int_equal(alive, 0);
	cache_free(cache);
}

static void thousands_of_names_are_found_again(void **state)
{
	struct cache *cache = cache_of(1000);
	char name[16];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "name-%d", i);
		put_new(cache, name, i);
		assert_int_equal(alive, i < 1000 ? i + 1 : 1000);
	}
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "name-%d", i);
		assert_int_equal(find(cache, name), i < 4000 ? -1 : i);
	}
	cache_free(cache);
	assert_int_equal(alive, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(least_recently_used_leaves_first),
		cmocka_unit_test(what_was_loaded_before_a_drop_is_not_stored),
		cmocka_unit_test(holder_keeps_what_is_dropped),
		cmocka_unit_test(thousands_of_names_are_found_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
