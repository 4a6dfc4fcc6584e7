/*
 * Keys and material as requests use them: found in memory, loaded from the store when they are not,
 * forgotten when they change. Every change of a key's row goes through here, so that no request that
 * begins after a change was acknowledged sees the key as it was before.
 */
#ifndef KMSD_KEYRING_H
#define KMSD_KEYRING_H

#include <stdint.h>

#include "store.h"

struct keyring;

/* @store is borrowed. */
int keyring_new(struct store *store, struct keyring **ret_ring, struct err *err);
void keyring_free(struct keyring *ring);

/*
 * The key @ref names, with its policy compiled, which the caller puts back. A key whose deletion is due is destroyed here.
 * NotFoundException.
 */
int keyring_find(struct keyring *ring, const struct keyref_place *place, const struct keyref *ref,
		 int64_t now_ms, struct key **ret_key, struct err *err);

/* By material, as a blob names it. -ENOKEY. The caller puts it back. */
int keyring_material(struct keyring *ring, const uint8_t id[CIPHERTEXT_MATERIAL_LEN],
		     struct material **ret_material, struct err *err);

/* As store_set_state(); the ring then forgets the key. */
int keyring_set_state(struct keyring *ring, const struct key *key, enum key_state to,
		      int64_t deletion_ms, struct err *err);

/* As store_set_policy(); the ring then forgets the key. */
int keyring_set_policy(struct keyring *ring, const struct key *key, const char *policy,
		       struct err *err);

/* Destroy what is due by @now_ms. */
int keyring_expire(struct keyring *ring, int64_t now_ms, struct err *err);

#endif
