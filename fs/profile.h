/*
 * Profiles: how the storage of an AWS service behaves when its KMS key is gone, as settings of the key
 * watch. Pure. Where the times come from is told in docs/profile-NAME.md.
 */
#ifndef FS_PROFILE_H
#define FS_PROFILE_H

#include <stdint.h>

#include "keywatch.h"

/* The index of the profile without a service to resemble: what a mount does when nothing is asked for. */
#define PROFILE_DEFAULT 0

#define PROFILE_TIME_SCALE_MAX 1000000

/* A check is a KMS call: no scale makes them more frequent than this. */
#define PROFILE_CHECK_INTERVAL_MIN_MS 100

/* Names of all profiles, in the order of their indexes, NULL at the end. */
extern const char *const profile_names[];

/*
 * The settings of profile @index, with each of its times divided by @time_scale (1 to
 * PROFILE_TIME_SCALE_MAX), in milliseconds, but none made 0 and no check interval below
 * PROFILE_CHECK_INTERVAL_MIN_MS.
 */
struct keywatch_config profile_config(int index, uint32_t time_scale);

#endif
