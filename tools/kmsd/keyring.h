/*
 * Keys and material as requests use them: found in memory, loaded from the store when they are not,
 * forgotten when they change. Every change of a key's row goes through here, so that no request that
 * begins after a change was acknowledged sees the key as it was before.
 */
#ifndef KMSD_KEYRING_H
#define KMSD_KEYRING_H

#include <stdint.h>

#include "store.h"

struct grants;
struct keyring;
struct lag;
struct usage;

/* @store is borrowed. */
int keyring_new(struct store *store, struct keyring **ret_ring, struct err *err);
void keyring_free(struct keyring *ring);

/*
 * The key @ref names, with its policy compiled, which the caller puts back. A key whose deletion is
 * due is destroyed here, one whose rotation is due gets its new material. NotFoundException.
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
		       const char *ids, struct err *err);

/* As store_set_rotation() and store_set_description(); the ring then forgets the key. */
int keyring_set_rotation(struct keyring *ring, const struct key *key,
			 const struct key_rotation *wanted, struct err *err);
int keyring_set_description(struct keyring *ring, const struct key *key, const char *description,
			    struct err *err);

/* Told of what the ring does by itself, after it is done; @arg goes along. NULL: nobody is. */
struct keyring_observer {
	void (*rotated)(void *arg, const struct key *before, const struct key *after,
			const char *how, int64_t now_ms);
	void (*deleted)(void *arg, const struct keyref_place *place, const char *key_id,
			int64_t now_ms);
	void *arg;
};

/* From now on; before requests are served. The functions must not come back to the ring. */
void keyring_observe(struct keyring *ring, const struct keyring_observer *observer);

/* Tell @lag (borrowed) of changes of states, policies and grants. Before requests are served. */
void keyring_set_lag(struct keyring *ring, struct lag *lag);

/* How long a rotation on demand takes; 2 minutes when this is not called. Before requests are served. */
void keyring_set_rotation_delay(struct keyring *ring, int64_t delay_ms);

/* Rotate what is due by @now_ms; keyring_find() does it too, for the key it finds. */
int keyring_rotate_due(struct keyring *ring, int64_t now_ms, struct err *err);

/* The keys' grants, and when keys were last used. They live as long as the ring. */
struct grants *keyring_grants(struct keyring *ring);
struct usage *keyring_usage(struct keyring *ring);

/* Destroy what is due by @now_ms. */
int keyring_expire(struct keyring *ring, int64_t now_ms, struct err *err);

/*
 * Tags of @key have changed, or aliases (NULL: of which keys, the caller cannot know): to be called when
 * the change is committed, or may be.
 */
void keyring_relabeled(struct keyring *ring, const struct key *key);

#endif
