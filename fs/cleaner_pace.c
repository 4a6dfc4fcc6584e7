/* The cleaner's choices. See cleaner_pace.h. */
#include "cleaner_pace.h"

#include <stdlib.h>
#include <string.h>

#include "format.h"

#define CRUMB_SHARE   16 /* a segment shorter than this part of a full one */
#define CRUMBS_MAX    16 /* so many are left alone */
#define STALE_SHARE   4	 /* live by less than this part, a segment is left to the snapshots */
#define ROLL_MIN      (1u << 20)
#define DELAY_MAX_US  2000u
#define PERCENT(x, p) ((x) / 100 * (p))

/* Per mode: files may have so many per cent of what must be there; a victim is dead by 1/n at least. */
static const struct {
	unsigned percent;
	unsigned dead_share;
} modes[] = {
	[PACE_LOAD] = {135, 8},	 [PACE_IDLE] = {121, 10},   [PACE_LOW] = {108, 16},
	[PACE_HUNGRY] = {0, 32}, [PACE_ALL] = {0, 1 << 30},
};

static bool may_be_cleaned(const struct segment_info *s, const struct pace_log *log)
{
	return s->id < log->head && !s->pinned && !s->damaged && s->live_blocks > 0;
}

static uint64_t live_bytes(const struct segment_info *s, const struct pace_log *log)
{
	uint64_t live = s->live_blocks * log->slot_len;

	return live < s->len ? live : s->len;
}

static bool is_crumb(const struct segment_info *s, const struct pace_log *log)
{
	return s->len < log->segment_size / CRUMB_SHARE;
}

/*
 * Shared with a snapshot and mostly dead. Cleaning it costs what is live in it and gives nothing back
 * today; but where snapshots come and go, some snapshot always has it, and it would stay for its last
 * live block. Not done where space is short.
 */
static bool is_stale(const struct segment_info *s, const struct pace_log *log, enum pace_mode mode)
{
	return (mode == PACE_LOAD || mode == PACE_IDLE) && s->id < log->head && s->pinned &&
	       !s->damaged && s->live_blocks > 0 && live_bytes(s, log) < s->len / STALE_SHARE;
}

void pace_measure(const struct segment_info *info, size_t count, uint64_t kept,
		  const struct pace_log *log, struct pace_space *ret_space)
{
	struct pace_space sp = {.total = kept};

	for (size_t i = 0; i < count; i++) {
		const struct segment_info *s = &info[i];

		sp.total += s->len;
		sp.damaged += s->damaged;
		if (s->id < log->head && s->live_blocks == 0)
			sp.waiting += s->len + 1; /* of an unopened file the length is not known */
		else if (s->pinned || s->damaged)
			sp.pinned += s->len;
		else
			sp.live += live_bytes(s, log);
		if (s->previous) {
			sp.previous_segments++;
			sp.previous += live_bytes(s, log);
			sp.previous_movable += s->damaged ? 0 : live_bytes(s, log);
		}
		sp.crumbs += may_be_cleaned(s, log) && is_crumb(s, log);
	}
	if (sp.total > sp.live + sp.pinned + sp.waiting)
		sp.dead = sp.total - sp.live - sp.pinned - sp.waiting;
	*ret_space = sp;
}

uint64_t pace_limit(const struct pace_space *space, const struct pace_log *log, enum pace_mode mode)
{
	uint64_t must = space->live + space->pinned;
	uint64_t limit = PERCENT(must, modes[mode].percent);

	/* Under load the head's free end, the spare and what is kept for the next ones are no waste. */
	return mode == PACE_LOAD ? limit + 2 * log->segment_size : limit;
}

static uint64_t standing(const struct pace_space *space)
{
	return space->total > space->waiting ? space->total - space->waiting : 0;
}

struct candidate {
	const struct segment_info *info;
	double score;
};

static int by_score(const void *a, const void *b)
{
	double x = ((const struct candidate *)a)->score, y = ((const struct candidate *)b)->score;

	return x < y ? 1 : -(x > y);
}

/* What a segment gives back for what it costs to read it and to write what is live. */
static double score(const struct segment_info *s, const struct pace_log *log, enum pace_mode mode)
{
	double len = (double)s->len, live = (double)live_bytes(s, log);
	double age = (double)(log->head - s->id), benefit = (len - live) / (len + live);

	return mode == PACE_HUNGRY ? benefit
				   : benefit * (age + 16); /* the youngest are all alike */
}

size_t pace_pick(const struct segment_info *info, size_t count, const struct pace_space *space,
		 const struct pace_log *log, enum pace_mode mode, uint64_t live_max,
		 uint32_t ret_ids[PACE_PICK_MAX])
{
	uint64_t limit = pace_limit(space, log, mode), now = standing(space), live = 0;
	bool crumbs = space->crumbs > CRUMBS_MAX && mode != PACE_LOAD;
	struct candidate *found;
	size_t n = 0, picked = 0;

	if (now <= limit && !crumbs && space->pinned == 0)
		return 0;
	/* Several together, once it is time: the more are sorted at once, the more neighbours meet. */
	if (now <= limit)
		limit = UINT64_MAX; /* not time yet: crumbs and what is stale alone */
	else if (mode == PACE_LOAD)
		limit -= limit / 20 < 2 * log->segment_size ? limit / 20 : 2 * log->segment_size;
	found = malloc((count ? count : 1) * sizeof(*found));
	for (size_t i = 0; found && i < count; i++) {
		const struct segment_info *s = &info[i];
		uint64_t dead = s->len - live_bytes(s, log);

		if (live_bytes(s, log) <= live_max &&
		    (is_stale(s, log, mode) ||
		     (may_be_cleaned(s, log) &&
		      ((now > limit && dead > s->len / modes[mode].dead_share) ||
		       (crumbs && is_crumb(s, log))))))
			found[n++] = (struct candidate){s, score(s, log, mode)};
	}
	if (n)
		qsort(found, n, sizeof(*found), by_score);
	for (size_t i = 0; i < n && picked < PACE_PICK_MAX; i++) {
		uint64_t bytes = live_bytes(found[i].info, log);
		bool stale = found[i].info->pinned;
		bool needed = stale || now > limit || (crumbs && is_crumb(found[i].info, log));

		if (!needed || bytes > live_max - live)
			continue;
		ret_ids[picked++] = found[i].info->id;
		live += bytes;
		if (stale)
			continue;
		now -= now < found[i].info->len - bytes ? now : found[i].info->len - bytes;
		if (mode == PACE_HUNGRY)
			break; /* one at a time: each gives some */
	}
	free(found);
	return picked;
}

size_t pace_pick_previous(const struct segment_info *info, size_t count, const struct pace_log *log,
			  uint64_t live_max, uint32_t ret_ids[PACE_PICK_MAX])
{
	uint64_t live = 0;
	size_t picked = 0;

	for (size_t i = 0; i < count && picked < PACE_PICK_MAX; i++) {
		const struct segment_info *s = &info[i];
		uint64_t bytes = live_bytes(s, log);

		if (!s->previous || s->damaged || s->live_blocks == 0)
			continue;
		if (picked && bytes > live_max - live)
			break;
		ret_ids[picked++] = s->id;
		if (bytes >= live_max)
			break;
		live += bytes;
	}
	return picked;
}

unsigned pace_delay_us(const struct pace_space *space, const struct pace_log *log)
{
	uint64_t must = space->live + space->pinned;
	uint64_t soft = PERCENT(must, 155) + 3 * log->segment_size, now = standing(space);
	uint64_t range = must / 4 + 1;

	if (now <= soft)
		return 0;
	return now - soft >= range ? DELAY_MAX_US : (unsigned)((now - soft) * DELAY_MAX_US / range);
}

bool pace_wants_roll(const struct pace_log *log, uint64_t off, uint64_t live_blocks,
		     enum pace_mode mode)
{
	uint64_t live = live_blocks * log->slot_len, dead = off > live ? off - live : 0;

	if (mode == PACE_ALL)
		return off > FORMAT_SEGMENT_LEN;
	if (mode == PACE_HUNGRY)
		return dead > ROLL_MIN && dead > off / 8;
	return dead > ROLL_MIN && dead > off / 2;
}

bool pace_wants_checkpoint(const struct pace_space *space, const struct pace_log *log,
			   uint64_t dirty_leaves, enum pace_mode mode)
{
	uint64_t cost = 4 * dirty_leaves * FORMAT_PAGE_LEN;

	if (mode != PACE_LOAD)
		return space->waiting > 0;
	return space->waiting >= log->segment_size && space->waiting >= cost;
}
