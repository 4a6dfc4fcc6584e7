/* What the operations on grants share; the operations themselves are in operations.h. */
#ifndef KMSD_OP_GRANT_H
#define KMSD_OP_GRANT_H

#include <stdbool.h>

struct err;
struct grant;
struct kms_json;
struct kmsd;

/* 64 hex digits. */
bool op_grant_is_id(const char *text);

/* InvalidGrantIdException unless it is one; NULL is content. */
int op_grant_check_id(const char *text, struct err *err);

/* A grant as the lists show it; NULL: out of memory. */
struct kms_json *op_grant_entry(const struct kmsd *kmsd, const struct grant *grant);

#endif
