/* Blocks under the previous data key, written anew under the newest. See cleaner_internal.h. */
#include "cleaner_internal.h"

#include "clock.h"
#include "log.h"
#include "store_internal.h"

#define BREATH                                                                                     \
	2 /* under load so many times as long as a move for the new key took are for all else */

/* Has nobody changed anything for a while? */
static bool users_rest(struct cleaner *c, uint64_t now_ms)
{
	uint64_t appended = atomic_load(&c->appended);

	if (appended != c->seen_appended) {
		c->seen_appended = appended;
		c->seen_ms = now_ms;
	}
	return now_ms - c->seen_ms >= CLEANER_IDLE_MS;
}

int cleaner_renew(struct cleaner *c, const struct cleaner_view *v, struct err *err)
{
	uint64_t keep = 2 * log_reserve_bytes(c->store->log, v->all_bytes) + v->log.segment_size;
	uint64_t began = clock_monotonic_ms(), ended;
	bool load = v->mode == PACE_LOAD && !users_rest(c, began);
	uint32_t ids[PACE_PICK_MAX];
	size_t n;
	int r;

	if (!v->space.previous_segments)
		return 0;
	c->pinned = true; /* look again: room may come, and what holds the files may go */
	if (!v->space.previous_movable)
		return v->space.previous == 0 && cleaner_retire(c);
	if (v->mode == PACE_HUNGRY)
		return 0;
	atomic_store(&c->no_room, v->free_bytes < keep);
	if (atomic_load(&c->no_room))
		return 0;
	if (load && began < c->renew_from_ms) {
		c->again_ms = c->renew_from_ms - began;
		return 0;
	}
	n = pace_pick_previous(v->info, v->count, &v->log, load ? 1 : CLEANER_LIVE_MAX, ids);
	r = n ? cleaner_move_all(c, ids, n, err) : 0;
	ended = clock_monotonic_ms();
	c->renew_from_ms = ended + BREATH * (ended - began);
	return r;
}
