/*
 * The user's command that is run at each change of state (--on-state-change): one at a time, in the order
 * of the changes, beside everything else, so that it may take its time and stop or start what uses the
 * volume.
 */
#ifndef FS_HOOK_H
#define FS_HOOK_H

#include <stdint.h>

struct err;
struct events;
struct hook;

#define HOOK_WAITING_MAX 64 /* changes that wait for the command; the oldest is dropped then */

/* All borrowed and to outlive the hook. */
struct hook_setup {
	const char *command; /* for /bin/sh -c */
	uint64_t timeout_ms; /* then it is killed, with all that it has started in its group */
	const char *volume_id, *volume_dir;
	struct events *events; /* get a line for each run; NULL: nobody does */
};

/*
 * Starts a thread. The command gets our environment and KMSVOL_STATE, KMSVOL_STATE_FROM, KMSVOL_REASON,
 * KMSVOL_STATE_NEXT ("" but before access ends), KMSVOL_TIME (ISO 8601), KMSVOL_VOLUME_ID, KMSVOL_VOLUME_DIR; no file of ours but the standard ones.
 */
int hook_new(const struct hook_setup *setup, struct hook **ret_hook, struct err *err);

/*
 * As hook_add(), for the time before access ends: wait until the command has ended, or the time-out is over.
 * @next is what @to leads to, the command's KMSVOL_STATE_NEXT. From one thread at a time.
 */
void hook_add_and_wait(struct hook *hook, const char *from, const char *to, const char *next,
		       uint64_t wall_ms);

/* Nobody waits any more in hook_add_and_wait(). NULL is allowed. */
void hook_hurry(struct hook *hook);

/* A change of state; @reason may be NULL. Never waits. @hook NULL: there is no command. */
void hook_add(struct hook *hook, const char *from, const char *to, const char *reason,
	      uint64_t wall_ms);

/* Drop what waits, end the command that runs (TERM, a second later KILL), free. NULL is allowed. */
void hook_free(struct hook *hook);

#endif
