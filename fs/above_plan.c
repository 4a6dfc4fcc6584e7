/* The table of above_plan.h. */
#include "above_plan.h"

#include <errno.h>
#include <string.h>

static const char *const state_names[ABOVE_STATES] = {
	[ABOVE_SERVED] = "served",
	[ABOVE_READ_ONLY] = "read-only",
	[ABOVE_FROZEN] = "frozen",
	[ABOVE_SHUT] = "shut",
};

static const char *const event_names[ABOVE_EVENTS] = {
	[ABOVE_LOSE_READ_ONLY] = "lose-read-only",
	[ABOVE_LOSE_ERROR] = "lose-error",
	[ABOVE_LOSE_HANG] = "lose-hang",
	[ABOVE_BUSY] = "busy",
	[ABOVE_CLOSED] = "closed",
	[ABOVE_REGAINED] = "regained",
	[ABOVE_RELEASE] = "release",
	[ABOVE_END] = "end",
};

static const char *const step_names[] = {
	[ABOVE_DONE] = "done",
	[ABOVE_WRITE] = "writing down",
	[ABOVE_FENCE] = "holding opens",
	[ABOVE_UNFENCE] = "letting opens go on",
	[ABOVE_DROP] = "dropping cached data",
	[ABOVE_DROP_OPEN] = "dropping cached data of open files",
	[ABOVE_FREEZE] = "freezing",
	[ABOVE_THAW] = "thawing",
	[ABOVE_SHUT_DOWN] = "shutting down",
	[ABOVE_FAIL] = "making it fail",
	[ABOVE_TO_READ_ONLY] = "remounting read-only",
	[ABOVE_TO_READ_WRITE] = "remounting writable",
	[ABOVE_REPLACE] = "mounting anew",
	[ABOVE_UNMOUNT] = "unmounting",
};

#define SAME(state)                                                                                \
	{                                                                                          \
		{ABOVE_DONE}, (state)                                                              \
	}

/*
 * Thaw before shutting down, never the other way round: a directory of an xfs that is shut down cannot be
 * opened, and what cannot be opened cannot be thawed. The gate refuses by then, so what a thawed file system
 * writes does not reach the disk.
 */
static const struct above_plan plans[ABOVE_STATES][ABOVE_EVENTS] = {
	[ABOVE_SERVED] =
		{
			[ABOVE_LOSE_READ_ONLY] = {{ABOVE_WRITE, ABOVE_TO_READ_ONLY},
						  ABOVE_READ_ONLY},
			[ABOVE_LOSE_ERROR] = {{ABOVE_WRITE, ABOVE_FENCE, ABOVE_DROP,
					       ABOVE_SHUT_DOWN},
					      ABOVE_SHUT},
			[ABOVE_LOSE_HANG] = {{ABOVE_WRITE, ABOVE_FREEZE, ABOVE_FENCE, ABOVE_DROP},
					     ABOVE_FROZEN},
			[ABOVE_BUSY] = {{ABOVE_FREEZE}, ABOVE_FROZEN},
			[ABOVE_CLOSED] = SAME(ABOVE_SERVED),
			[ABOVE_REGAINED] = SAME(ABOVE_SERVED),
			[ABOVE_RELEASE] = SAME(ABOVE_SERVED),
			[ABOVE_END] = {{ABOVE_WRITE, ABOVE_UNMOUNT}, ABOVE_SERVED},
		},
	[ABOVE_READ_ONLY] =
		{
			[ABOVE_LOSE_READ_ONLY] = SAME(ABOVE_READ_ONLY),
			[ABOVE_LOSE_ERROR] = {{ABOVE_FENCE, ABOVE_DROP, ABOVE_SHUT_DOWN},
					      ABOVE_SHUT},
			[ABOVE_LOSE_HANG] = {{ABOVE_FENCE, ABOVE_DROP}, ABOVE_READ_ONLY},
			[ABOVE_BUSY] = SAME(ABOVE_READ_ONLY),
			[ABOVE_CLOSED] = SAME(ABOVE_READ_ONLY),
			[ABOVE_REGAINED] = {{ABOVE_TO_READ_WRITE, ABOVE_UNFENCE}, ABOVE_SERVED},
			[ABOVE_RELEASE] = {{ABOVE_UNFENCE}, ABOVE_READ_ONLY},
			[ABOVE_END] = {{ABOVE_UNFENCE, ABOVE_UNMOUNT}, ABOVE_READ_ONLY},
		},
	[ABOVE_FROZEN] =
		{
			[ABOVE_LOSE_READ_ONLY] = SAME(ABOVE_FROZEN),
			[ABOVE_LOSE_ERROR] = {{ABOVE_FENCE, ABOVE_DROP}, ABOVE_FROZEN},
			[ABOVE_LOSE_HANG] = {{ABOVE_FENCE, ABOVE_DROP}, ABOVE_FROZEN},
			[ABOVE_BUSY] = SAME(ABOVE_FROZEN),
			[ABOVE_CLOSED] = {{ABOVE_DROP_OPEN}, ABOVE_FROZEN},
			[ABOVE_REGAINED] = {{ABOVE_THAW, ABOVE_UNFENCE}, ABOVE_SERVED},
			[ABOVE_RELEASE] = {{ABOVE_THAW, ABOVE_SHUT_DOWN, ABOVE_FAIL, ABOVE_UNFENCE},
					   ABOVE_SHUT},
			[ABOVE_END] = {{ABOVE_THAW, ABOVE_SHUT_DOWN, ABOVE_FAIL,
					ABOVE_UNFENCE, ABOVE_UNMOUNT},
				       ABOVE_SHUT},
		},
	[ABOVE_SHUT] =
		{
			[ABOVE_LOSE_READ_ONLY] = SAME(ABOVE_SHUT),
			[ABOVE_LOSE_ERROR] = SAME(ABOVE_SHUT),
			[ABOVE_LOSE_HANG] = SAME(ABOVE_SHUT),
			[ABOVE_BUSY] = SAME(ABOVE_SHUT),
			[ABOVE_CLOSED] = {{ABOVE_DROP_OPEN, ABOVE_FAIL, ABOVE_UNFENCE}, ABOVE_SHUT},
			[ABOVE_REGAINED] = {{ABOVE_REPLACE, ABOVE_UNFENCE}, ABOVE_SERVED},
			[ABOVE_RELEASE] = {{ABOVE_FAIL, ABOVE_UNFENCE}, ABOVE_SHUT},
			[ABOVE_END] = {{ABOVE_FAIL, ABOVE_UNFENCE, ABOVE_UNMOUNT}, ABOVE_SHUT},
		},
};

const struct above_plan *above_plan(enum above_state state, enum above_event event)
{
	return &plans[state][event];
}

static int by_name(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -ENOENT;
}

const char *above_event_name(enum above_event event)
{
	return event_names[event];
}

int above_event_by_name(const char *name, enum above_event *ret_event)
{
	int i = by_name(event_names, ABOVE_EVENTS, name);

	if (i < 0)
		return i;
	*ret_event = (enum above_event)i;
	return 0;
}

const char *above_state_name(enum above_state state)
{
	return state_names[state];
}

int above_state_by_name(const char *name, enum above_state *ret_state)
{
	int i = by_name(state_names, ABOVE_STATES, name);

	if (i < 0)
		return i;
	*ret_state = (enum above_state)i;
	return 0;
}

const char *above_step_name(enum above_step step)
{
	return step_names[step];
}
