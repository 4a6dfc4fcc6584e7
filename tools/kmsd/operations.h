/* The table of operations. A new one is a row here and a function in an op_*.c. */
#ifndef KMSD_OPERATIONS_H
#define KMSD_OPERATIONS_H

#include "call.h"

/* By name, as behind "TrentService."; NULL: KMS has no such operation. */
const struct operation *operations_find(const char *name);
const struct operation *operations_find_iam(const char *name);
const struct operation *operations_find_sts(const char *name);
const struct operation *operations_find_cloudtrail(const char *name);

/* op_key.c */
int op_create_key(struct call *call, struct err *err);
int op_describe_key(struct call *call, struct err *err);
int op_list_keys(struct call *call, struct err *err);
/* op_lifecycle.c */
int op_enable_key(struct call *call, struct err *err);
int op_disable_key(struct call *call, struct err *err);
int op_schedule_key_deletion(struct call *call, struct err *err);
int op_cancel_key_deletion(struct call *call, struct err *err);
/* op_alias.c */
int op_create_alias(struct call *call, struct err *err);
int op_update_alias(struct call *call, struct err *err);
int op_delete_alias(struct call *call, struct err *err);
int op_list_aliases(struct call *call, struct err *err);
/* op_policy.c */
int op_get_key_policy(struct call *call, struct err *err);
int op_put_key_policy(struct call *call, struct err *err);
int op_list_key_policies(struct call *call, struct err *err);
/*
 * Whether the call may give @key (NULL: a key to be made) this policy: MalformedPolicyDocument, for
 * the lockout safety check too, or LimitExceededException.
 */
int op_policy_check(const struct call *call, const struct key *key, const char *text,
		    struct err *err);
/* op_crypto.c */
int op_encrypt(struct call *call, struct err *err);
int op_decrypt(struct call *call, struct err *err);
int op_re_encrypt(struct call *call, struct err *err);
/* Encrypt under @key into the output's CiphertextBlob. */
int op_crypto_seal(struct call *call, const struct key *key, enum ciphertext_kind kind,
		   const char *context_member, const struct buf *plain, struct err *err);
/* op_datakey.c */
int op_generate_data_key(struct call *call, struct err *err);
int op_generate_data_key_without_plaintext(struct call *call, struct err *err);
int op_generate_random(struct call *call, struct err *err);

#endif
