/*
 * The forms in which a request names a key: id, key ARN, alias name, alias ARN (AWS KMS API
 * Reference, "KeyId"). Pure: says what is named, not whether it exists.
 */
#ifndef KMSD_KEYREF_H
#define KMSD_KEYREF_H

#include <stdbool.h>

#include "ids.h"

struct err;

#define KEYREF_REGION_MAX 31
#define KEYREF_ALIAS_MAX  256
#define KEYREF_ARN_MAX	  400 /* characters; the longest is an alias's */

/* Where the server stands; the ARNs of what it serves begin with it. */
struct keyref_place {
	const char *account;
	const char *region;
};

struct keyref {
	bool alias;
	char account[IDS_ACCOUNT_LEN + 1];
	char name[KEYREF_ALIAS_MAX + 1]; /* the key's UUID in lower case, or "alias/..." */
};

/*
 * Take @text apart. @alias_ok: whether the operation accepts aliases; @arn_fault: whether a
 * malformed ARN is InvalidArnException with it (else NotFoundException).
 */
int keyref_parse(const char *text, const struct keyref_place *place, bool alias_ok, bool arn_fault,
		 struct keyref *ret, struct err *err);

/* "arn:aws:kms:REGION:ACCOUNT:key/ID", and for "alias/NAME" the alias's. */
void keyref_key_arn(const struct keyref_place *place, const char *key_id,
		    char ret_arn[KEYREF_ARN_MAX]);
void keyref_alias_arn(const struct keyref_place *place, const char *alias,
		      char ret_arn[KEYREF_ARN_MAX]);

#endif
