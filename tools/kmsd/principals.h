/* Whom policies and grants may name: the accounts, users, roles and sessions that this server knows. */
#ifndef KMSD_PRINCIPALS_H
#define KMSD_PRINCIPALS_H

#include "policy_principal.h"

struct kmsd;

/* For key policies and grants: users and roles must exist here. @kmsd must outlive it. */
struct policy_resolver principals_of(const struct kmsd *kmsd);

/* For trust policies: users and roles of accounts that are not here are believed. */
struct policy_resolver principals_or_foreign(const struct kmsd *kmsd);

#endif
