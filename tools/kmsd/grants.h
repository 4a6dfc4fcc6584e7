/*
 * Grants as requests use them: made, found, ended, and the few that may allow a request found in
 * memory, however many its key has. Every change of a grant's row goes through here, so that no
 * request that begins after a change was acknowledged decides by what was before.
 */
#ifndef KMSD_GRANTS_H
#define KMSD_GRANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

struct err;
struct grants;
struct lag;

#define GRANTS_PER_KEY 50000

/* @store is borrowed. */
int grants_new(struct store *store, struct grants **ret_grants, struct err *err);
void grants_free(struct grants *grants);

/*
 * Make a grant of what is in @wanted (its id is made up here). With a name, and a grant of that name
 * and the same contents there, that one. The caller puts *@ret_grant back. LimitExceededException.
 */
int grants_create(struct grants *grants, const struct key *key, const struct grant *wanted,
		  struct grant **ret_grant, struct err *err);

/* -ENOENT: it is not there any more. */
int grants_delete(struct grants *grants, const struct grant *grant, struct err *err);

/* Tell @lag (borrowed) what is made and ended, and ask it what counts. Before requests are served. */
void grants_set_lag(struct grants *grants, struct lag *lag);

/* Forget what is in memory: keys were destroyed. */
void grants_forget(struct grants *grants);

/*
 * Call @fn with the grants of @key to @grantee that count and may allow @request, until it returns nonzero,
 * which is then returned; else 0. None that would reach the caller (policy_grant_reach()) is left out; it
 * is still to be asked. @fn may count and keep a grant; it must not come back here or to the store.
 *
 * What this costs does not grow with the grants of the key: the first 64 of a grantee lie in memory
 * as one object; has it more, those that could meet the request's encryption context do.
 */
int grants_each(struct grants *grants, const struct key *key, const char *grantee,
		const struct grant_request *request, int (*fn)(struct grant *grant, void *arg),
		void *arg, struct err *err);

#endif
