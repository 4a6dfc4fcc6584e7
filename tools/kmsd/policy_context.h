/*
 * The request context that conditions and policy variables look into: a table of key -> list of
 * values, filled by whoever knows the request. Names and values are borrowed: they must live as long
 * as the table. Key names are compared without regard to case ("IAM User Guide, Condition elements"),
 * which for kms:EncryptionContext:NAME and aws:PrincipalTag/NAME holds for NAME too.
 */
#ifndef KMSD_POLICY_CONTEXT_H
#define KMSD_POLICY_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One value of one key; a key with several values has an entry for each. */
struct policy_context_entry {
	const char *prefix; /* the key is prefix and name, one behind the other */
	const char *name;
	const char *value; /* NULL: the key is there without values */
	uint32_t hash;
};

/* All zero is an empty table. */
struct policy_context {
	struct policy_context_entry *entries; /* owned */
	size_t count, cap;
	char time_text[32];  /* what aws:CurrentTime points to */
	char epoch_text[24]; /* and aws:EpochTime */
};

void policy_context_free(struct policy_context *context);

/* Add a value to a key; -ENOMEM. @value NULL: a multi-valued key that is there, but empty. */
int policy_context_add(struct policy_context *context, const char *key, const char *value);

/* As policy_context_add(), for the key @prefix @name ("kms:EncryptionContext:", "Dept"). */
int policy_context_add_under(struct policy_context *context, const char *prefix, const char *name,
			     const char *value);

/* aws:CurrentTime and aws:EpochTime. The table must not be moved afterwards. -ENOMEM. */
int policy_context_add_time(struct policy_context *context, int64_t now_ms);

/* Hash of a key's name as the table keeps it: equal for names that differ in case only. */
uint32_t policy_context_hash(const char *name, size_t len);

/*
 * The values of a key, one a call: start with *@at 0. False: no more (a key without values has
 * none, as a key that is not there).
 */
bool policy_context_next(const struct policy_context *context, const char *name, size_t len,
			 uint32_t hash, size_t *at, const char **ret_value);

#endif
