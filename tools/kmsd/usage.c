/* Last uses: a hash table of what is not yet saved. See usage.h. */
#include "usage.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#define SLOTS_MIN 256

struct table {
	size_t count, slots;	/* slots: a power of two, more than count */
	struct store_use *uses; /* an empty slot has key_id "" */
};

struct usage {
	struct store *store;
	pthread_mutex_t saving; /* held by who saves; taken before lock */
	pthread_mutex_t lock;
	struct table table; /* guarded by lock */
};

int usage_new(struct store *store, struct usage **ret_usage, struct err *err)
{
	struct usage *u = calloc(1, sizeof(*u));

	if (!u)
		return err_set(err, ENOMEM, "last uses");
	u->store = store;
	(void)pthread_mutex_init(&u->saving, NULL); /* cannot fail with these attributes */
	(void)pthread_mutex_init(&u->lock, NULL);   /* as above */
	*ret_usage = u;
	return 0;
}

void usage_free(struct usage *usage)
{
	if (!usage)
		return;
	(void)pthread_mutex_destroy(&usage->lock);   /* nobody holds it */
	(void)pthread_mutex_destroy(&usage->saving); /* as above */
	free(usage->table.uses);
	free(usage);
}

static struct store_use *find_slot(struct table *t, const char *key_id)
{
	uint64_t h = UINT64_C(14695981039346656037);
	size_t i;

	for (const char *p = key_id; *p; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
	i = (size_t)h & (t->slots - 1);
	while (t->uses[i].key_id[0] && strcmp(t->uses[i].key_id, key_id) != 0)
		i = (i + 1) & (t->slots - 1);
	return &t->uses[i];
}

static int grow(struct table *t)
{
	struct table bigger = {t->count, t->slots ? 2 * t->slots : SLOTS_MIN, NULL};

	bigger.uses = calloc(bigger.slots, sizeof(*bigger.uses));
	if (!bigger.uses)
		return -ENOMEM;
	for (size_t i = 0; i < t->slots; i++)
		if (t->uses[i].key_id[0])
			*find_slot(&bigger, t->uses[i].key_id) = t->uses[i];
	free(t->uses);
	*t = bigger;
	return 0;
}

void usage_note(struct usage *usage, const struct store_use *use)
{
	struct table *t = &usage->table;
	struct store_use *slot;

	pthread_mutex_lock(&usage->lock);
	if (2 * t->count < t->slots || grow(t) == 0) {
		slot = find_slot(t, use->key_id);
		t->count += !slot->key_id[0];
		if (slot->used_ms <= use->used_ms)
			*slot = *use;
	}
	pthread_mutex_unlock(&usage->lock);
}

static int save_locked(struct usage *usage, struct err *err)
{
	struct table t;
	size_t n = 0;
	int r = 0;

	pthread_mutex_lock(&usage->lock);
	t = usage->table;
	usage->table = (struct table){0};
	pthread_mutex_unlock(&usage->lock);
	for (size_t i = 0; i < t.slots; i++) /* close the ranks */
		if (t.uses[i].key_id[0])
			t.uses[n++] = t.uses[i];
	if (n > 0)
		r = store_set_uses(usage->store, t.uses, n, err);
	for (size_t i = 0; r < 0 && i < n; i++)
		usage_note(usage, &t.uses[i]); /* for the next time */
	free(t.uses);
	return r;
}

int usage_save(struct usage *usage, struct err *err)
{
	int r;

	pthread_mutex_lock(&usage->saving);
	r = save_locked(usage, err);
	pthread_mutex_unlock(&usage->saving);
	return r;
}

int usage_find(struct usage *usage, const struct key *key, struct store_use *ret, struct err *err)
{
	int r = usage_save(usage, err); /* so that there is one place to look */

	return r ? r : store_load_use(usage->store, key, ret, err);
}
