/* A whole kmsd below a fuzz target, made once; its directory is removed at the end. */
#ifndef TESTS_FUZZ_RIG_H
#define TESTS_FUZZ_RIG_H

#include "kmsd_rig.h"

static struct rig *fuzz_rig;

static void fuzz_rig_end(void)
{
	void *state = fuzz_rig;

	(void)rig_tear_down(&state);
}

/* The rig; the first call makes it. */
static struct rig *fuzz_rig_get(void)
{
	void *state = NULL;

	if (!fuzz_rig) {
		(void)rig_set_up(&state);
		fuzz_rig = state;
		(void)atexit(fuzz_rig_end); /* else a directory stays in /tmp */
	}
	return fuzz_rig;
}

#endif
