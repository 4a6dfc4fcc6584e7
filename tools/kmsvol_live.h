/* kmsvol status --watch. */
#ifndef TOOLS_KMSVOL_LIVE_H
#define TOOLS_KMSVOL_LIVE_H

#include <stdbool.h>

struct place;

/*
 * Show how the volume is doing until the user has seen enough: on a terminal a full-screen view, else a
 * line a second, or with @as_json an object a line. Returns the exit code.
 */
int live_run(const struct place *place, bool as_json);

#endif
