/*
 * When keys were last used, for GetKeyLastUsage. A use is noted in memory, so that a Decrypt waits for
 * no disk; usage_save() writes what was noted since the last time.
 */
#ifndef KMSD_USAGE_H
#define KMSD_USAGE_H

#include "store.h"

struct err;
struct usage;

/* @store is borrowed. */
int usage_new(struct store *store, struct usage **ret_usage, struct err *err);

/* What was not saved is lost. NULL is allowed. */
void usage_free(struct usage *usage);

/* Any thread. A use that finds no memory is not noted. */
void usage_note(struct usage *usage, const struct store_use *use);

int usage_save(struct usage *usage, struct err *err);

/* -ENOENT: never used. */
int usage_find(struct usage *usage, const struct key *key, struct store_use *ret, struct err *err);

#endif
