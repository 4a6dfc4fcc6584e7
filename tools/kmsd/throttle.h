/*
 * AWS's request quotas ("AWS KMS Developer Guide, Request quotas"): how many requests an account may
 * send to a region in a second, each operation by itself, the cryptographic ones together. A bucket of
 * tokens each, that holds what one second brings.
 */
#ifndef KMSD_THROTTLE_H
#define KMSD_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct throttle;

#define THROTTLE_FACTOR_MIN 0.000001
#define THROTTLE_FACTOR_MAX 1000000.0

int throttle_new(struct throttle **ret_throttle, struct err *err);
void throttle_free(struct throttle *throttle);

/* A @factor of 0: off, as it begins; 1: AWS's quotas; 0.01: a hundredth of them. Buckets are full then. */
void throttle_set(struct throttle *throttle, double factor);
double throttle_factor(const struct throttle *throttle);

/*
 * Whether @account may do @operation ("Decrypt") of KMS in @region at @now_ms, a time that never goes
 * back; one that may is counted. NULL or off, and operations without quota: always. Any thread.
 */
bool throttle_take(struct throttle *throttle, const char *account, const char *region,
		   const char *operation, int64_t now_ms);

/* How many were refused since throttle_set(). */
uint64_t throttle_refused(const struct throttle *throttle);

/* The quota of @operation in @region, a second; 0: it has none. */
double throttle_quota(const char *operation, const char *region);

#endif
