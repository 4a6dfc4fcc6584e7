/*
 * AWS managed keys: one a service, named alias/aws/..., made when it is first needed, with a policy
 * that lets the account use it through the service only and lets nobody change it ("AWS KMS Developer
 * Guide, AWS managed keys"). Nothing else makes a key a managed one: no caller can give a key such
 * an alias, nor take one away.
 */
#ifndef KMSD_MANAGED_H
#define KMSD_MANAGED_H

#include <stdbool.h>
#include <stddef.h>

struct call;
struct err;
struct key;

#define MANAGED_PREFIX "alias/aws/"

/* The aliases that every account has, in order of name; NULL behind the last. */
const char *managed_alias(size_t i);

/* Whether the account of @key has it as one of its managed keys: 1, 0 or an errno. */
int managed_is(const struct call *call, const struct key *key, struct err *err);

/*
 * Make the key of @alias, if it is a managed one's and the call is one at which AWS makes it: its service
 * calls, or DescribeKey names it. 1: it is there now; 0: it is not.
 */
int managed_make(const struct call *call, const char *alias, struct err *err);

#endif
