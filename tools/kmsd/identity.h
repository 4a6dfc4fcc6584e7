/*
 * What a caller's own policies say: those of its user or role, its permissions boundary, its session
 * policies, compiled once for all requests that it signs.
 */
#ifndef KMSD_IDENTITY_H
#define KMSD_IDENTITY_H

#include "policy_decide.h"

struct caller;
struct err;

struct identity {
	struct policy_set policies, boundary, session;
	struct policy_named *named; /* of all three, in that order; owned, policies and all */
	size_t count;
};

/* @caller, with all texts, must outlive the identity. -EUCLEAN: a stored policy makes no sense. */
int identity_new(const struct caller *caller, struct identity **ret_identity, struct err *err);

/* NULL is allowed. */
void identity_free(struct identity *identity);

#endif
