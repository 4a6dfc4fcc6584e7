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
 * the lockout safety check too, or LimitExceededException. The caller frees *@ret_ids (policy_bound.h).
 */
int op_policy_check(const struct call *call, const struct key *key, const char *text,
		    char **ret_ids, struct err *err);
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
/* op_grant.c, op_grant_list.c, op_grant_end.c */
int op_create_grant(struct call *call, struct err *err);
int op_list_grants(struct call *call, struct err *err);
int op_list_retirable_grants(struct call *call, struct err *err);
int op_revoke_grant(struct call *call, struct err *err);
int op_retire_grant(struct call *call, struct err *err);
/* op_rotation.c */
int op_enable_key_rotation(struct call *call, struct err *err);
int op_disable_key_rotation(struct call *call, struct err *err);
int op_get_key_rotation_status(struct call *call, struct err *err);
int op_rotate_key_on_demand(struct call *call, struct err *err);
int op_list_key_rotations(struct call *call, struct err *err);
/* op_tag.c */
#define TAGS_MAX     50	  /* of a key */
#define TAG_KEYS_MAX 1000 /* of a request */
int op_tag_resource(struct call *call, struct err *err);
int op_untag_resource(struct call *call, struct err *err);
int op_list_resource_tags(struct call *call, struct err *err);
/* The input's Tags, whose texts stay the input's. TagException. */
int op_take_tags(struct call *call, struct store_tag ret_tags[TAGS_MAX], size_t *ret_count,
		 struct err *err);
/* op_detail.c */
int op_update_key_description(struct call *call, struct err *err);
int op_get_key_last_usage(struct call *call, struct err *err);
/* Sign and the like: InvalidKeyUsageException, since all keys here are for encryption. */
int op_other_usage(struct call *call, struct err *err);
/* UnsupportedOperationException: material is never imported, keys are symmetric and of one region. */
int op_other_origin(struct call *call, struct err *err);
int op_other_spec(struct call *call, struct err *err);
int op_single_region(struct call *call, struct err *err);

#endif
