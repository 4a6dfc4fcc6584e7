/*
 * Propagation: for a while after a change the state before it goes on to count, as AWS KMS is
 * eventually consistent ("AWS KMS Developer Guide, Grants in AWS KMS: Eventual consistency"). A change
 * of a key's state or policy leaves the version before it here, a grant that was made its id, one that
 * ended itself. Who decides on a request asks here what counts; everything else sees the present.
 *
 * A change is noted before it is committed, so that no request finds the present in between. Is it then
 * not committed, what is noted is what is so anyway.
 */
#ifndef KMSD_LAG_H
#define KMSD_LAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct grant;
struct key;
struct lag;

#define LAG_DELAY_MAX_MS (60 * 60 * INT64_C(1000))
#define LAG_MAX		 65536 /* changes under way; of more, the oldest count at once */

/* @now_ms is a clock that never goes back. The delay is 0: every change counts at once. */
int lag_new(int64_t (*now_ms)(void), struct lag **ret_lag, struct err *err);
void lag_free(struct lag *lag);

/* For changes from now on; 0: for those under way as well. */
void lag_set_delay(struct lag *lag, int64_t delay_ms);
int64_t lag_delay(struct lag *lag);
size_t lag_under_way(struct lag *lag);

/* All of what follows: a NULL @lag has no delay. Any thread. */

/* @before is about to be changed. It is counted. */
void lag_key_changes(struct lag *lag, struct key *before);

/* The version of @present that counts; counted for the caller. */
struct key *lag_key(struct lag *lag, const struct key *present);

void lag_grant_made(struct lag *lag, const char *grant_id);
void lag_grant_ends(struct lag *lag, const struct grant *grant);

/* False: it was made too lately. */
bool lag_grant_counts(struct lag *lag, const char *grant_id);

/*
 * Call @fn with the ended grants of that key to @grantee that still count, until it returns nonzero,
 * which is then returned; else 0. @fn may count and keep a grant.
 */
int lag_each_ended(struct lag *lag, const char *key_id, const char *grantee,
		   int (*fn)(struct grant *grant, void *arg), void *arg);

#endif
