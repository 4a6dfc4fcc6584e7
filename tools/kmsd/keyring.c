/* The keyring: caches over the store. See keyring.h. */
#include "keyring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "grants.h"
#include "lag.h"
#include "policy.h"
#include "policy_bound.h"
#include "secret.h"
#include "usage.h"

#define KEYS_MAX      16384
#define MATERIALS_MAX KEYS_MAX
#define DAY_MS	      (24 * 60 * 60 * INT64_C(1000))
#define DELAY_MS      (2 * 60 * INT64_C(1000)) /* of a rotation on demand, as in AWS about */

struct keyring {
	struct store *store;
	struct cache *keys;
	struct cache *materials;
	struct grants *grants;
	struct usage *usage;
	int64_t rotation_delay_ms;	  /* fixed once requests are served */
	struct lag *lag;		  /* the same; NULL: none */
	struct keyring_observer observer; /* the same */
};

int keyring_new(struct store *store, struct keyring **ret_ring, struct err *err)
{
	struct keyring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return err_set(err, ENOMEM, "keyring");
	ring->store = store;
	ring->rotation_delay_ms = DELAY_MS;
	r = cache_new(KEYS_MAX, &ring->keys, err);
	r = r ? r : cache_new(MATERIALS_MAX, &ring->materials, err);
	r = r ? r : grants_new(store, &ring->grants, err);
	r = r ? r : usage_new(store, &ring->usage, err);
	if (r < 0) {
		keyring_free(ring);
		return r;
	}
	*ret_ring = ring;
	return 0;
}

void keyring_free(struct keyring *ring)
{
	if (!ring)
		return;
	cache_free(ring->keys);
	cache_free(ring->materials);
	grants_free(ring->grants);
	usage_free(ring->usage);
	free(ring);
}

static int no_such_key(const struct keyref_place *place, const char *key_id, struct err *err)
{
	char arn[KEYREF_ARN_MAX];

	keyref_key_arn(place, key_id, arn);
	return fault_set(err, FAULT_NOT_FOUND, "Key '%s' does not exist", arn);
}

/* Whom the policy names was checked when it was put; since then they may have gone. */
static int load_policy(struct keyring *ring, struct key *key, struct err *err)
{
	AUTO(freep) char *text = NULL, *ids = NULL;
	int r = store_load_policy(ring->store, key, &text, &ids, err);
	const struct policy_resolver resolver = policy_bound_resolver(ids);

	if (r < 0)
		return r;
	r = policy_parse(POLICY_KEY, text, strlen(text), &resolver, &key->policy, err);
	if (r == -EKEYREJECTED) /* our trouble, not the client's */
		return err_set(err, EUCLEAN, "key '%s': stored policy makes no sense", key->id);
	return r;
}

#define LABELS_MAX 1000 /* more than quotas allow */

static int add_label(struct key *key, const char *name, const char *value)
{
	struct key_label *more =
		reallocarray(key->labels, key->label_count + 1, sizeof(*key->labels));
	struct key_label *label;

	if (!more)
		return -ENOMEM;
	key->labels = more;
	label = &more[key->label_count++];
	*label = (struct key_label){strdup(name), value ? strdup(value) : NULL};
	return label->name && (label->value || !value) ? 0 : -ENOMEM;
}

static int add_tag(const struct store_tag *tag, void *arg)
{
	return add_label(arg, tag->key, tag->value);
}

static int add_alias(const struct store_alias *alias, void *arg)
{
	return add_label(arg, alias->name, NULL);
}

/* Tags and aliases, which conditions can ask for. */
static int load_labels(struct keyring *ring, struct key *key, struct err *err)
{
	const struct keyref_place place = {key->account, key->region};
	const struct store_page all = {.after = "", .limit = LABELS_MAX};
	int r = store_each_tag(ring->store, key, &all, add_tag, key, err);

	if (r >= 0)
		r = store_each_alias(ring->store, &place, key->id, "", LABELS_MAX, add_alias, key,
				     err);
	return r < 0 ? r : 0;
}

static int load(struct keyring *ring, const struct keyref_place *place, const char *key_id,
		struct key **ret_key, struct err *err)
{
	char name[CACHE_NAME_MAX + 1];
	uint64_t generation;
	int r;

	(void)snprintf(name, sizeof(name), "%s/%s/%s", place->account, place->region,
		       key_id); /* fits */
	*ret_key = cache_find(ring->keys, name);
	if (*ret_key)
		return 0;
	generation = cache_generation(ring->keys);
	r = store_load_key(ring->store, place, key_id, ret_key, err);
	if (r == -ENOKEY)
		return no_such_key(place, key_id, err);
	if (r < 0)
		return r;
	r = load_policy(ring, *ret_key, err);
	r = r ? r : load_labels(ring, *ret_key, err);
	if (r < 0)
		cached_put(*ret_key);
	else
		cache_put(ring->keys, name, *ret_key, generation);
	return r;
}

static void forget(struct keyring *ring, const struct key *key)
{
	char name[CACHE_NAME_MAX + 1];

	(void)snprintf(name, sizeof(name), "%s/%s/%s", key->account, key->region,
		       key->id); /* fits */
	cache_drop(ring->keys, name);
}

/*
 * Rotate @key if it is time: 1: it was, and is to be loaded anew; 0: it is not. *@ret_how says how, and
 * stays as it is when another request was faster. A disabled key waits
 * until it is enabled, and is then rotated once, however often it was due. The next rotation is a
 * period after this one.
 */
static int rotate(struct keyring *ring, const struct key *key, int64_t now_ms, const char **ret_how,
		  struct err *err)
{
	struct key_rotation to = key->rotation;
	const char *how;
	int r;

	if (key->state != KEY_STATE_ENABLED)
		return 0;
	if (to.on_demand_ms > 0 && to.on_demand_ms + ring->rotation_delay_ms <= now_ms) {
		to.on_demand_ms = 0;
		how = STORE_ROTATION_ON_DEMAND;
	} else if (to.next_ms > 0 && to.next_ms <= now_ms) {
		to.next_ms = now_ms + to.days * DAY_MS;
		how = STORE_ROTATION_AUTOMATIC;
	} else {
		return 0;
	}
	r = store_rotate(ring->store, key, &to, how, now_ms, err);
	forget(ring, key); /* after a failure too: it may have been written */
	if (r == 0)
		*ret_how = how;
	return r == 0 || r == -EAGAIN ? 1 : r;
}

/* As load(), of a key that has the material it should have by now. */
static int load_current(struct keyring *ring, const struct keyref_place *place, const char *key_id,
			int64_t now_ms, struct key **ret_key, struct err *err)
{
	int r = load(ring, place, key_id, ret_key, err);
	const char *how = NULL;

	while (r == 0 && (r = rotate(ring, *ret_key, now_ms, &how, err)) != 0) {
		AUTO(cached_putp) struct key *before = *ret_key;

		*ret_key = NULL;
		r = r < 0 ? r : load(ring, place, key_id, ret_key, err);
		if (r == 0 && how && ring->observer.rotated)
			ring->observer.rotated(ring->observer.arg, before, *ret_key, how, now_ms);
		how = NULL;
	}
	return r;
}

int keyring_find(struct keyring *ring, const struct keyref_place *place, const struct keyref *ref,
		 int64_t now_ms, struct key **ret_key, struct err *err)
{
	struct keyref_place at = {ref->account, place->region};
	char arn[KEYREF_ARN_MAX], id[IDS_UUID_LEN + 1];
	struct key *key = NULL;
	int r;

	if (ref->alias) {
		r = store_find_alias(ring->store, &at, ref->name, id, err);
		if (r == -ENOKEY) {
			keyref_alias_arn(&at, ref->name, arn);
			return fault_set(err, FAULT_NOT_FOUND, "Alias %s is not found.", arn);
		}
		if (r < 0)
			return r;
	} else {
		(void)snprintf(id, sizeof(id), "%.36s", ref->name); /* a UUID */
	}
	r = load_current(ring, &at, id, now_ms, &key, err);
	if (r < 0)
		return r;
	if (key->deletion_ms > 0 && key->deletion_ms <= now_ms) {
		cached_put(key);
		r = keyring_expire(ring, now_ms, err);
		return r < 0 ? r : no_such_key(&at, id, err);
	}
	*ret_key = key;
	return 0;
}

int keyring_material(struct keyring *ring, const uint8_t id[CIPHERTEXT_MATERIAL_LEN],
		     struct material **ret_material, struct err *err)
{
	char name[2 * CIPHERTEXT_MATERIAL_LEN + 1];
	uint64_t generation;
	int r;

	bytes_to_hex(id, CIPHERTEXT_MATERIAL_LEN, name);
	*ret_material = cache_find(ring->materials, name);
	if (*ret_material)
		return 0;
	generation = cache_generation(ring->materials);
	r = store_load_material(ring->store, id, ret_material, err);
	if (r == 0)
		cache_put(ring->materials, name, *ret_material, generation);
	return r;
}

int keyring_set_state(struct keyring *ring, const struct key *key, enum key_state to,
		      int64_t deletion_ms, struct err *err)
{
	int r;

	lag_key_changes(ring->lag, (struct key *)key); /* it is counted, and not changed */
	r = store_set_state(ring->store, key, to, deletion_ms, err);

	forget(ring, key); /* after a failure too: it may have been written */
	return r;
}

int keyring_set_policy(struct keyring *ring, const struct key *key, const char *policy,
		       const char *ids, struct err *err)
{
	int r;

	lag_key_changes(ring->lag, (struct key *)key); /* as above */
	r = store_set_policy(ring->store, key, policy, ids, err);

	forget(ring, key); /* after a failure too, as above */
	return r;
}

int keyring_set_rotation(struct keyring *ring, const struct key *key,
			 const struct key_rotation *wanted, struct err *err)
{
	int r = store_set_rotation(ring->store, key, wanted, err);

	forget(ring, key); /* as above */
	return r;
}

int keyring_set_description(struct keyring *ring, const struct key *key, const char *description,
			    struct err *err)
{
	int r = store_set_description(ring->store, key, description, err);

	forget(ring, key); /* as above */
	return r;
}

void keyring_set_lag(struct keyring *ring, struct lag *lag)
{
	ring->lag = lag;
	grants_set_lag(ring->grants, lag);
}

void keyring_set_rotation_delay(struct keyring *ring, int64_t delay_ms)
{
	ring->rotation_delay_ms = delay_ms;
}

#define DUE_MAX 64 /* keys at a time */

struct due {
	size_t count;
	struct {
		char account[IDS_ACCOUNT_LEN + 1];
		char region[KEYREF_REGION_MAX + 1];
		char id[IDS_UUID_LEN + 1];
	} keys[DUE_MAX];
};

static int note_due(const struct keyref_place *place, const char *key_id, void *arg)
{
	struct due *due = arg;

	if (due->count == DUE_MAX)
		return 0;
	(void)snprintf(due->keys[due->count].account, IDS_ACCOUNT_LEN + 1, "%s",
		       place->account); /* as inserted */
	(void)snprintf(due->keys[due->count].region, KEYREF_REGION_MAX + 1, "%s",
		       place->region); /* as inserted */
	(void)snprintf(due->keys[due->count++].id, IDS_UUID_LEN + 1, "%s",
		       key_id); /* as inserted */
	return 0;
}

int keyring_rotate_due(struct keyring *ring, int64_t now_ms, struct err *err)
{
	int64_t begun_ms = now_ms - ring->rotation_delay_ms;
	struct due due;
	int r;

	do {
		due.count = 0;
		r = store_each_rotation_due(ring->store, now_ms, begun_ms, note_due, &due, err);
		for (size_t i = 0; i < due.count && r >= 0; i++) {
			const struct keyref_place place = {due.keys[i].account, due.keys[i].region};
			struct key *key = NULL;

			r = load_current(ring, &place, due.keys[i].id, now_ms, &key, err);
			cached_put(key);
		}
	} while (r >= 0 && due.count == DUE_MAX);
	return r < 0 ? r : 0;
}

struct grants *keyring_grants(struct keyring *ring)
{
	return ring->grants;
}

struct usage *keyring_usage(struct keyring *ring)
{
	return ring->usage;
}

void keyring_observe(struct keyring *ring, const struct keyring_observer *observer)
{
	ring->observer = *observer;
}

struct expiry {
	const struct keyring *ring;
	int64_t now_ms;
};

static void expired(const struct keyref_place *place, const char *key_id, void *arg)
{
	const struct expiry *e = arg;
	const struct keyring_observer *o = &e->ring->observer;

	if (o->deleted)
		o->deleted(o->arg, place, key_id, e->now_ms);
}

int keyring_expire(struct keyring *ring, int64_t now_ms, struct err *err)
{
	struct expiry e = {ring, now_ms};
	int r = store_delete_expired(ring->store, now_ms, expired, &e, err);

	if (r != 0) {
		cache_drop(ring->keys, NULL);
		cache_drop(ring->materials, NULL);
		grants_forget(ring->grants);
	}
	return r < 0 ? r : 0;
}

void keyring_relabeled(struct keyring *ring, const struct key *key)
{
	if (key)
		forget(ring, key);
	else
		cache_drop(ring->keys, NULL);
}
