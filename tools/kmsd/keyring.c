/* The keyring: two caches over the store. See keyring.h. */
#include "keyring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "policy.h"
#include "secret.h"

#define KEYS_MAX      16384
#define MATERIALS_MAX 512 /* a locked page each */

struct keyring {
	struct store *store;
	struct cache *keys;
	struct cache *materials;
};

int keyring_new(struct store *store, struct keyring **ret_ring, struct err *err)
{
	struct keyring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return err_set(err, ENOMEM, "keyring");
	ring->store = store;
	r = cache_new(KEYS_MAX, &ring->keys, err);
	r = r ? r : cache_new(MATERIALS_MAX, &ring->materials, err);
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
	AUTO(freep) char *text = NULL;
	int r = store_load_policy(ring->store, key, &text, err);

	if (r < 0)
		return r;
	r = policy_parse(POLICY_KEY, text, strlen(text), NULL, &key->policy, err);
	if (r == -EKEYREJECTED) /* our trouble, not the client's */
		return err_set(err, EUCLEAN, "key '%s': stored policy makes no sense", key->id);
	return r;
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
	if (r < 0)
		cached_put(*ret_key);
	else
		cache_put(ring->keys, name, *ret_key, generation);
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
	r = load(ring, &at, id, &key, err);
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

static void forget(struct keyring *ring, const struct key *key)
{
	char name[CACHE_NAME_MAX + 1];

	(void)snprintf(name, sizeof(name), "%s/%s/%s", key->account, key->region,
		       key->id); /* fits */
	cache_drop(ring->keys, name);
}

int keyring_set_state(struct keyring *ring, const struct key *key, enum key_state to,
		      int64_t deletion_ms, struct err *err)
{
	int r = store_set_state(ring->store, key, to, deletion_ms, err);

	forget(ring, key); /* after a failure too: it may have been written */
	return r;
}

int keyring_set_policy(struct keyring *ring, const struct key *key, const char *policy,
		       struct err *err)
{
	int r = store_set_policy(ring->store, key, policy, err);

	forget(ring, key); /* after a failure too, as above */
	return r;
}

int keyring_expire(struct keyring *ring, int64_t now_ms, struct err *err)
{
	int r = store_delete_expired(ring->store, now_ms, err);

	if (r != 0) {
		cache_drop(ring->keys, NULL);
		cache_drop(ring->materials, NULL);
	}
	return r < 0 ? r : 0;
}
