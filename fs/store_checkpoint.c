/*
 * Checkpoints of a store while it is open: when they are due, and what follows one: segments that neither
 * root needs go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blockmap.h"
#include "checkpoint.h"
#include "clock.h"
#include "err.h"
#include "format.h"
#include "log.h"
#include "secret.h"
#include "segment.h"
#include "store.h"
#include "store_internal.h"

#define CHECKPOINT_BYTES (256ULL << 20) /* of log between checkpoints: bounds the replay */

/* Freeze log and map for a checkpoint, and let go again: all that a writer waits for. */
static int freeze_locked(struct store *store, bool sealed, struct checkpoint_log *at,
			 uint64_t **ret_leaves, size_t *ret_count, struct err *err)
{
	uint64_t began;
	int r = sealed ? log_freeze_sealed(store->log, &at->replay, &began, err) : 0;

	if (r < 0)
		return r;
	if (!sealed)
		log_freeze(store->log, &at->replay);
	r = blockmap_freeze(store->map, ret_leaves, ret_count);
	if (r == 0)
		segment_mark_dead(store->table, checkpoint_number(store->checkpoint) + 1);
	log_thaw(store->log);
	if (sealed)
		store->held_ms = clock_monotonic_ms() - began;
	return r < 0 ? err_set(err, ENOSPC, "checkpoint: out of memory") : 0;
}

int store_checkpoint_locked(struct store *store, bool sealed, struct err *err)
{
	struct checkpoint_log at;
	uint64_t *leaves = NULL, below;
	size_t count = 0;
	int r;

	atomic_store(&store->since_checkpoint, 0);
	r = freeze_locked(store, sealed, &at, &leaves, &count, err);
	if (r < 0)
		return r;
	at.next_segment = log_next_segment(store->log);
	r = log_flush(store->log, err);
	if (r == 0) {
		r = checkpoint_write(store->checkpoint, store->map, leaves, count, &at, err);
		if (r < 0 && r != -ENOSPC)
			log_stop(store->log, -r, err ? err->msg : "a checkpoint failed");
	} else {
		for (size_t i = 0; i < count; i++)
			blockmap_thaw(store->map, leaves[i]);
	}
	free(leaves);
	if (r == 0) {
		struct err ignored; /* what could not be unlinked is tried again at the next open */

		atomic_store(&store->checkpoint_number, checkpoint_number(store->checkpoint));
		below = checkpoint_previous_replay(store->checkpoint);
		(void)segment_retire_dead(store->table, checkpoint_number(store->checkpoint) - 1,
					  format_seq_segment(below), &ignored);
	}
	return r;
}

int store_checkpoint(struct store *store, struct err *err)
{
	int r;

	if (store->read_only)
		return err_set(err, EROFS, "the volume is open for reading only");
	pthread_mutex_lock(&store->checkpoint_lock);
	r = store_checkpoint_locked(store, false, err);
	pthread_mutex_unlock(&store->checkpoint_lock);
	return r;
}

void store_appended(struct store *store, uint64_t bytes)
{
	uint64_t before = atomic_fetch_add(&store->since_checkpoint, bytes);

	if (before / CHECKPOINT_BYTES == (before + bytes) / CHECKPOINT_BYTES)
		return;
	pthread_mutex_lock(&store->thread_lock);
	store->due = true;
	pthread_cond_signal(&store->thread_work);
	pthread_mutex_unlock(&store->thread_lock);
}

static void *write_checkpoints(void *arg)
{
	struct store *store = arg;
	struct err err; /* a full disk passes; all else has stopped writing, which everyone sees */

	pthread_mutex_lock(&store->thread_lock);
	while (!store->ending) {
		if (!store->due) {
			pthread_cond_wait(&store->thread_work, &store->thread_lock);
			continue;
		}
		store->due = false;
		pthread_mutex_unlock(&store->thread_lock);
		(void)store_checkpoint(store, &err);
		pthread_mutex_lock(&store->thread_lock);
	}
	pthread_mutex_unlock(&store->thread_lock);
	secret_wipe_stack(); /* the C library keeps the stacks of ended threads */
	return NULL;
}

int store_checkpoints_begin(struct store *store, struct err *err)
{
	int num = pthread_create(&store->thread, NULL, write_checkpoints, store);

	if (num)
		return err_set(err, num, "store: cannot start its thread: %s", strerror(num));
	store->thread_runs = true;
	return 0;
}

void store_checkpoints_end(struct store *store)
{
	if (!store->thread_runs)
		return;
	pthread_mutex_lock(&store->thread_lock);
	store->ending = true;
	pthread_cond_signal(&store->thread_work);
	pthread_mutex_unlock(&store->thread_lock);
	pthread_join(store->thread, NULL);
	store->thread_runs = false;
}
