/*
 * The key watch as a pure function. One function a state; what they share stands above them.
 * See keywatch.h, and DESIGN.md for the table.
 */
#include "keywatch.h"

#include <errno.h>
#include <string.h>

static const char *const state_names[KEYWATCH_STATES] = {
	[KEYWATCH_AVAILABLE] = "available",
	[KEYWATCH_WARNED] = "warned",
	[KEYWATCH_READ_ONLY] = "read-only",
	[KEYWATCH_INACCESSIBLE_RECOVERABLE] = "inaccessible-encryption-credentials-recoverable",
	[KEYWATCH_STARTING] = "starting",
	[KEYWATCH_INACCESSIBLE] = "inaccessible-encryption-credentials",
};

static const char *const reaction_names[] = {
	[KEYWATCH_NONE] = "none",
	[KEYWATCH_READ_ONLY_IO] = "read-only",
	[KEYWATCH_ERROR] = "error",
	[KEYWATCH_HANG] = "hang",
};

const char *keywatch_state_name(enum keywatch_state state)
{
	return state_names[state];
}

const char *keywatch_reaction_name(enum keywatch_reaction reaction)
{
	return reaction_names[reaction];
}

int keywatch_reaction_by_name(const char *name, enum keywatch_reaction *ret_reaction)
{
	for (size_t i = 0; i < sizeof(reaction_names) / sizeof(reaction_names[0]); i++)
		if (strcmp(name, reaction_names[i]) == 0) {
			*ret_reaction = (enum keywatch_reaction)i;
			return 0;
		}
	return -ENOENT;
}

/* A sum of times that stops at "never". */
static uint64_t after(uint64_t ms, uint64_t delay_ms)
{
	uint64_t sum;

	return __builtin_add_overflow(ms, delay_ms, &sum) ? KEYWATCH_NEVER : sum;
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

static uint64_t outage_end(const struct keywatch_config *c, const struct keywatch *w)
{
	return after(w->unknown_ms, c->kms_outage_grace_ms);
}

static uint64_t terminal_at(const struct keywatch_config *c, const struct keywatch *w)
{
	return c->terminal_after_ms ? after(w->lost_ms, c->terminal_after_ms) : KEYWATCH_NEVER;
}

struct keywatch keywatch_begin(const struct keywatch_config *config, uint64_t now_ms,
			       uint32_t random)
{
	uint64_t half_ms = config->check_interval_ms / 2;

	return (struct keywatch){
		.state = KEYWATCH_AVAILABLE,
		.since_ms = now_ms,
		.next_check_ms = config->reaction == KEYWATCH_NONE
					 ? KEYWATCH_NEVER
					 : after(now_ms, config->check_interval_ms - half_ms +
								 random % (half_ms + 1)),
	};
}

uint64_t keywatch_terminal(const struct keywatch_config *config, const struct keywatch *watch)
{
	return watch->state == KEYWATCH_INACCESSIBLE_RECOVERABLE ? terminal_at(config, watch)
								 : KEYWATCH_NEVER;
}

bool keywatch_can_start(const struct keywatch *watch)
{
	return watch->state == KEYWATCH_INACCESSIBLE_RECOVERABLE ||
	       watch->state == KEYWATCH_READ_ONLY || watch->state == KEYWATCH_WARNED;
}

uint64_t keywatch_deadline(const struct keywatch_config *config, const struct keywatch *watch)
{
	switch (watch->state) {
	case KEYWATCH_WARNED:
		return earlier(watch->next_check_ms, after(watch->since_ms, config->grace_ms));
	case KEYWATCH_INACCESSIBLE_RECOVERABLE:
		return earlier(watch->next_check_ms, terminal_at(config, watch));
	case KEYWATCH_STARTING:
	case KEYWATCH_INACCESSIBLE:
		return KEYWATCH_NEVER;
	case KEYWATCH_AVAILABLE:
	case KEYWATCH_READ_ONLY:
		break;
	}
	return watch->next_check_ms;
}

static void enter(struct keywatch *w, enum keywatch_state state, uint64_t now)
{
	w->state = state;
	w->since_ms = now;
	w->good = false;
	w->start_wanted = false;
}

/* The wait after the nth check in a row without an answer: doubling, and never below the interval. */
static uint64_t retry_delay(const struct keywatch_config *c, uint32_t nth, uint32_t random)
{
	uint32_t scale = c->time_scale ? c->time_scale : 1;
	uint64_t max = KEYWATCH_RETRY_MAX_MS / scale, delay = KEYWATCH_RETRY_MIN_MS / scale;

	if (delay < KEYWATCH_RETRY_FLOOR_MS)
		delay = KEYWATCH_RETRY_FLOOR_MS;
	while (--nth > 0 && delay < max)
		delay *= 2;
	if (delay > max)
		delay = max;
	if (delay < c->check_interval_ms)
		delay = c->check_interval_ms;
	return delay + random % (delay / 4 + 1);
}

/* Note what a check said, and when the next one is due. */
static void note_check(const struct keywatch_config *c, struct keywatch *w,
		       enum keywatch_event event, uint64_t now, uint32_t random)
{
	if (event != KEYWATCH_CHECK_TRANSIENT) {
		w->unknown_checks = 0;
		w->next_check_ms = after(now, c->check_interval_ms);
		return;
	}
	if (w->unknown_checks == 0)
		w->unknown_ms = now;
	if (w->unknown_checks < UINT32_MAX)
		w->unknown_checks++;
	w->next_check_ms = after(now, retry_delay(c, w->unknown_checks, random));
	if (outage_end(c, w) > now) /* the check that decides comes when the grace time is over */
		w->next_check_ms = earlier(w->next_check_ms, outage_end(c, w));
}

static bool is_check(enum keywatch_event event)
{
	return event == KEYWATCH_CHECK_OK || event == KEYWATCH_CHECK_REFUSED ||
	       event == KEYWATCH_CHECK_TRANSIENT;
}

static unsigned check_when_due(const struct keywatch_config *c, struct keywatch *w, uint64_t now)
{
	if (now < w->next_check_ms)
		return 0;
	w->next_check_ms = after(now, c->check_interval_ms); /* its answer sets this anew */
	return KEYWATCH_DO_CHECK;
}

/* The key is lost and the grace time is over. */
static unsigned react(const struct keywatch_config *c, struct keywatch *w, uint64_t now)
{
	if (c->reaction == KEYWATCH_READ_ONLY_IO) {
		enter(w, KEYWATCH_READ_ONLY, now);
		return KEYWATCH_DO_READ_ONLY;
	}
	enter(w, KEYWATCH_INACCESSIBLE_RECOVERABLE, now);
	w->lost_ms = now;
	return KEYWATCH_DO_LOSE | KEYWATCH_EMIT_LOST;
}

/* It was closed for a change and cannot be opened: as without the key, it is tried again by and by. */
static unsigned store_gone(const struct keywatch_config *c, struct keywatch *w, uint64_t now)
{
	enter(w, KEYWATCH_INACCESSIBLE_RECOVERABLE, now);
	w->lost_ms = now;
	w->next_check_ms = after(now, c->check_interval_ms);
	return KEYWATCH_DO_LOSE;
}

static unsigned start(struct keywatch *w, uint64_t now)
{
	enter(w, KEYWATCH_STARTING, now);
	w->next_check_ms = KEYWATCH_NEVER;
	return KEYWATCH_DO_OPEN;
}

static unsigned in_available(const struct keywatch_config *c, struct keywatch *w,
			     enum keywatch_event event, uint64_t now)
{
	bool lost = event == KEYWATCH_CHECK_REFUSED ||
		    (event == KEYWATCH_CHECK_TRANSIENT && now >= outage_end(c, w));

	if (!lost)
		return 0;
	if (c->grace_ms == 0)
		return react(c, w, now);
	enter(w, KEYWATCH_WARNED, now);
	return KEYWATCH_EMIT_WARNED;
}

static unsigned in_warned(const struct keywatch_config *c, struct keywatch *w,
			  enum keywatch_event event, uint64_t now)
{
	if (event == KEYWATCH_CHECK_OK) {
		enter(w, KEYWATCH_AVAILABLE, now);
		return KEYWATCH_EMIT_REGAINED;
	}
	if (now >= after(w->since_ms, c->grace_ms))
		return react(c, w, now);
	return 0;
}

static unsigned in_read_only(const struct keywatch_config *c, struct keywatch *w,
			     enum keywatch_event event, uint64_t now)
{
	if (event == KEYWATCH_CHECK_REFUSED || event == KEYWATCH_CHECK_TRANSIENT)
		w->start_wanted = false;
	if (event != KEYWATCH_CHECK_OK || (c->recover_manually && !w->start_wanted))
		return 0;
	enter(w, KEYWATCH_AVAILABLE, now);
	return KEYWATCH_DO_RESUME | KEYWATCH_EMIT_REGAINED;
}

static unsigned in_recoverable(const struct keywatch_config *c, struct keywatch *w,
			       enum keywatch_event event, uint64_t now)
{
	uint64_t start_at;

	if (now >= terminal_at(c, w)) {
		enter(w, KEYWATCH_INACCESSIBLE, now);
		w->next_check_ms = KEYWATCH_NEVER;
		return KEYWATCH_DO_END;
	}
	if (event == KEYWATCH_CHECK_REFUSED || event == KEYWATCH_CHECK_TRANSIENT) {
		w->good = false;
		w->start_wanted = false;
	}
	if (event != KEYWATCH_CHECK_OK)
		return 0;
	if (!w->good) {
		w->good = true;
		w->good_ms = now;
	}
	if (w->start_wanted)
		return start(w, now);
	if (c->recover_manually)
		return 0;
	start_at = after(w->good_ms, c->recover_delay_ms);
	if (now >= start_at)
		return start(w, now);
	w->next_check_ms = earlier(w->next_check_ms, start_at);
	return 0;
}

static unsigned in_starting(const struct keywatch_config *c, struct keywatch *w,
			    enum keywatch_event event, uint64_t now)
{
	if (event == KEYWATCH_STORE_OPENED) {
		enter(w, KEYWATCH_AVAILABLE, now);
		w->next_check_ms = after(now, c->check_interval_ms);
		return KEYWATCH_DO_RESUME | KEYWATCH_EMIT_REGAINED;
	}
	if (event == KEYWATCH_STORE_FAILED) { /* lost_ms stays: it never was reachable between */
		enter(w, KEYWATCH_INACCESSIBLE_RECOVERABLE, now);
		w->next_check_ms = after(now, c->check_interval_ms);
	}
	return 0;
}

unsigned keywatch_step(const struct keywatch_config *config, struct keywatch *watch,
		       enum keywatch_event event, uint64_t now_ms, uint32_t random)
{
	unsigned actions = 0;

	if (config->reaction == KEYWATCH_NONE || watch->state == KEYWATCH_INACCESSIBLE)
		return 0;
	if (is_check(event) && watch->state != KEYWATCH_STARTING)
		note_check(config, watch, event, now_ms, random);
	if (event == KEYWATCH_MANUAL_START && keywatch_can_start(watch)) {
		watch->start_wanted = true;
		watch->next_check_ms = now_ms;
	}
	if (event == KEYWATCH_STORE_FAILED &&
	    (watch->state == KEYWATCH_AVAILABLE || watch->state == KEYWATCH_WARNED ||
	     watch->state == KEYWATCH_READ_ONLY))
		return store_gone(config, watch, now_ms);
	switch (watch->state) {
	case KEYWATCH_AVAILABLE:
		actions = in_available(config, watch, event, now_ms);
		break;
	case KEYWATCH_WARNED:
		actions = in_warned(config, watch, event, now_ms);
		break;
	case KEYWATCH_READ_ONLY:
		actions = in_read_only(config, watch, event, now_ms);
		break;
	case KEYWATCH_INACCESSIBLE_RECOVERABLE:
		actions = in_recoverable(config, watch, event, now_ms);
		break;
	case KEYWATCH_STARTING:
		return in_starting(config, watch, event, now_ms);
	case KEYWATCH_INACCESSIBLE:
		return 0;
	}
	if ((event == KEYWATCH_TIMER || event == KEYWATCH_MANUAL_START) &&
	    watch->state != KEYWATCH_INACCESSIBLE)
		actions |= check_when_due(config, watch, now_ms);
	return actions;
}
