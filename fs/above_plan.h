/*
 * What is done to the file system that lies on a volume (mount --fs) when the volume's key comes and goes,
 * as a table: a pure function of where the file system is and what happens. The steps are taken by the
 * keeper (tools/kmsvol_keeper.c); DESIGN.md, section 11.1, has the argument for their order.
 *
 * state     | meaning
 * served    | as mounted
 * read-only | remounted read-only
 * frozen    | FIFREEZE: what changes something waits; clean on the disk
 * shut      | fails with EIO for good; only a new mount brings it back
 */
#ifndef FS_ABOVE_PLAN_H
#define FS_ABOVE_PLAN_H

enum above_state { ABOVE_SERVED, ABOVE_READ_ONLY, ABOVE_FROZEN, ABOVE_SHUT };
#define ABOVE_STATES 4

enum above_event {
	ABOVE_LOSE_READ_ONLY, /* access will end: the gate is open still; by reaction */
	ABOVE_LOSE_ERROR,
	ABOVE_LOSE_HANG,
	ABOVE_BUSY, /* the keeper's own: files are open for writing, it cannot be remounted read-only */
	ABOVE_CLOSED,	/* the gate is closed and nothing is inside */
	ABOVE_REGAINED, /* the gate is open again */
	ABOVE_RELEASE,	/* nobody may wait any longer: the gate refuses, or the daemon has died */
	ABOVE_END,	/* the volume is being unmounted: release, and unmount it, too */
};
#define ABOVE_EVENTS 8

enum above_step {
	ABOVE_DONE,	 /* no step: the end of a plan */
	ABOVE_WRITE,	 /* write down what is dirty (syncfs) */
	ABOVE_FENCE,	 /* who opens something on it waits */
	ABOVE_UNFENCE,	 /* ... and goes on */
	ABOVE_DROP,	 /* drop cached data of all files, and of the device */
	ABOVE_DROP_OPEN, /* ... of files that processes have open; reads nothing from the disk */
	ABOVE_FREEZE,
	ABOVE_THAW,
	ABOVE_SHUT_DOWN, /* make it fail for good, where it can be told to */
	ABOVE_FAIL,	 /* where it cannot: have it find out that its disk refuses */
	ABOVE_TO_READ_ONLY,
	ABOVE_TO_READ_WRITE,
	ABOVE_REPLACE, /* unmount it lazily, and mount it anew on a new loop device */
	ABOVE_UNMOUNT, /* lazily when it stays in use */
};

#define ABOVE_STEPS_MAX 5

struct above_plan {
	enum above_step steps[ABOVE_STEPS_MAX + 1]; /* in this order; ABOVE_DONE ends them */
	enum above_state next;
};

/* What to do about @event in @state. An event that means nothing in a state has no steps. */
const struct above_plan *above_plan(enum above_state state, enum above_event event);

/* Words of the keeper's protocol: "lose-hang", "frozen". The reverse returns -ENOENT for none of them. */
const char *above_event_name(enum above_event event);
int above_event_by_name(const char *name, enum above_event *ret_event);
const char *above_state_name(enum above_state state);
int above_state_by_name(const char *name, enum above_state *ret_state);
const char *above_step_name(enum above_step step);

#endif
