/* Changes under way, in the order of their times. See lag.h. */
#include "lag.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "err.h"
#include "grant.h"
#include "store.h"

enum change { KEY_CHANGED, GRANT_MADE, GRANT_ENDED };

struct entry {
	enum change change;
	int64_t until_ms;	   /* when it counts everywhere */
	char id[GRANT_ID_LEN + 1]; /* of the key; of a grant made, the grant's */
	void *before;		   /* struct key, struct grant; counted */
};

struct lag {
	int64_t (*now_ms)(void);
	atomic_bool on; /* there are entries, or a delay; false: nobody need take the lock */
	pthread_mutex_t lock;
	int64_t delay_ms;      /* guarded by lock, as what follows */
	struct entry *entries; /* owned; a ring of room */
	size_t room, first, count;
};

int lag_new(int64_t (*now_ms)(void), struct lag **ret_lag, struct err *err)
{
	struct lag *lag = calloc(1, sizeof(*lag));

	if (!lag)
		return err_set(err, ENOMEM, "propagation");
	lag->now_ms = now_ms;
	(void)pthread_mutex_init(&lag->lock, NULL); /* cannot fail with these attributes */
	*ret_lag = lag;
	return 0;
}

static struct entry *at_locked(const struct lag *lag, size_t i)
{
	return &lag->entries[(lag->first + i) % lag->room];
}

static void forget_first_locked(struct lag *lag)
{
	cached_put(at_locked(lag, 0)->before);
	lag->first = (lag->first + 1) % lag->room;
	lag->count--;
}

void lag_free(struct lag *lag)
{
	if (!lag)
		return;
	while (lag->count > 0)
		forget_first_locked(lag);
	(void)pthread_mutex_destroy(&lag->lock); /* nobody holds it */
	free(lag->entries);
	free(lag);
}

/* What counts everywhere by now. After a shorter delay was set, some of it lies behind what does not. */
static void settle_locked(struct lag *lag, int64_t now_ms)
{
	while (lag->count > 0 && at_locked(lag, 0)->until_ms <= now_ms)
		forget_first_locked(lag);
	atomic_store(&lag->on, lag->delay_ms > 0 || lag->count > 0);
}

void lag_set_delay(struct lag *lag, int64_t delay_ms)
{
	pthread_mutex_lock(&lag->lock);
	lag->delay_ms = delay_ms;
	while (delay_ms == 0 && lag->count > 0)
		forget_first_locked(lag);
	settle_locked(lag, lag->now_ms());
	pthread_mutex_unlock(&lag->lock);
}

int64_t lag_delay(struct lag *lag)
{
	int64_t delay_ms;

	pthread_mutex_lock(&lag->lock);
	delay_ms = lag->delay_ms;
	pthread_mutex_unlock(&lag->lock);
	return delay_ms;
}

size_t lag_under_way(struct lag *lag)
{
	size_t count;

	pthread_mutex_lock(&lag->lock);
	settle_locked(lag, lag->now_ms());
	count = lag->count;
	pthread_mutex_unlock(&lag->lock);
	return count;
}

static bool quiet(const struct lag *lag)
{
	return !lag || !atomic_load_explicit(&lag->on, memory_order_acquire);
}

static bool make_room_locked(struct lag *lag)
{
	size_t room = lag->room ? 2 * lag->room : 64;
	struct entry *grown;

	if (lag->count < lag->room)
		return true;
	if (lag->count == LAG_MAX) {
		forget_first_locked(lag);
		return true;
	}
	grown = calloc(room, sizeof(*grown));
	if (!grown)
		return false;
	for (size_t i = 0; i < lag->count; i++)
		grown[i] = *at_locked(lag, i);
	free(lag->entries);
	lag->entries = grown;
	lag->room = room;
	lag->first = 0;
	return true;
}

/* Out of memory, a change counts at once: it is what a server without this does. */
static void note(struct lag *lag, enum change change, const char *id, void *before)
{
	int64_t now_ms;

	if (quiet(lag))
		return;
	now_ms = lag->now_ms();
	pthread_mutex_lock(&lag->lock);
	settle_locked(lag, now_ms);
	if (lag->delay_ms > 0 && make_room_locked(lag)) {
		struct entry *e = at_locked(lag, lag->count++);

		*e = (struct entry){.change = change,
				    .until_ms = now_ms + lag->delay_ms,
				    .before = cached_get(before)};
		(void)snprintf(e->id, sizeof(e->id), "%s", id); /* fits */
	}
	pthread_mutex_unlock(&lag->lock);
}

void lag_key_changes(struct lag *lag, struct key *before)
{
	note(lag, KEY_CHANGED, before->id, before);
}

void lag_grant_made(struct lag *lag, const char *grant_id)
{
	note(lag, GRANT_MADE, grant_id, NULL);
}

void lag_grant_ends(struct lag *lag, const struct grant *grant)
{
	note(lag, GRANT_ENDED, grant->key_id, (void *)grant);
}

/* The oldest that is under way; NULL: there is none. */
static struct entry *find_locked(struct lag *lag, enum change change, const char *id,
				 int64_t now_ms)
{
	for (size_t i = 0; i < lag->count; i++) {
		struct entry *e = at_locked(lag, i);

		if (e->change == change && e->until_ms > now_ms && strcmp(e->id, id) == 0)
			return e;
	}
	return NULL;
}

struct key *lag_key(struct lag *lag, const struct key *present)
{
	struct key *key = (struct key *)present; /* counted, never changed */
	struct entry *e;

	if (quiet(lag))
		return cached_get(key);
	pthread_mutex_lock(&lag->lock);
	e = find_locked(lag, KEY_CHANGED, present->id, lag->now_ms());
	key = cached_get(e ? e->before : key);
	pthread_mutex_unlock(&lag->lock);
	return key;
}

bool lag_grant_counts(struct lag *lag, const char *grant_id)
{
	bool counts;

	if (quiet(lag))
		return true;
	pthread_mutex_lock(&lag->lock);
	counts = !find_locked(lag, GRANT_MADE, grant_id, lag->now_ms());
	pthread_mutex_unlock(&lag->lock);
	return counts;
}

int lag_each_ended(struct lag *lag, const char *key_id, const char *grantee,
		   int (*fn)(struct grant *grant, void *arg), void *arg)
{
	struct grant **found = NULL;
	size_t count = 0;
	int64_t now_ms;
	int r = 0;

	if (quiet(lag))
		return 0;
	now_ms = lag->now_ms();
	pthread_mutex_lock(&lag->lock);
	for (size_t i = 0; i < lag->count && r == 0; i++) {
		const struct entry *e = at_locked(lag, i);
		struct grant *grant = e->change == GRANT_ENDED ? e->before : NULL;
		struct grant **grown;

		if (!grant || e->until_ms <= now_ms || strcmp(e->id, key_id) != 0 ||
		    strcmp(grant->grantee, grantee) != 0)
			continue;
		grown = reallocarray(found, count + 1, sizeof(struct grant *));
		r = grown ? 0 : -ENOMEM;
		found = grown ? grown : found;
		if (grown)
			found[count++] = cached_get(grant);
	}
	pthread_mutex_unlock(&lag->lock);
	for (size_t i = 0; i < count; i++) {
		r = r ? r : fn(found[i], arg);
		cached_put(found[i]);
	}
	free(found);
	return r;
}
