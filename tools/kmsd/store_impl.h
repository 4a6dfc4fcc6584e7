/* What the store's files share: the struct and the numbers of its statements. Not for others. */
#ifndef KMSD_STORE_IMPL_H
#define KMSD_STORE_IMPL_H

#include "rootkey.h"
#include "sql.h"
#include "store.h"

enum store_statement {
	STMT_KEY_INSERT,
	STMT_KEY_LOAD,
	STMT_KEY_SET_STATE,
	STMT_KEY_SET_DESCRIPTION,
	STMT_KEY_SET_ROTATION,
	STMT_KEY_ROTATE,
	STMT_KEY_ROTATION_DUE,
	STMT_KEY_ADD_GRANT,
	STMT_KEY_DROP_GRANT,
	STMT_KEY_EXPIRED,
	STMT_KEY_DELETE,
	STMT_KEY_LIST,
	STMT_POLICY_LOAD,
	STMT_POLICY_SET,
	STMT_TAG_INSERT,
	STMT_TAG_SET,
	STMT_TAG_DELETE,
	STMT_TAG_COUNT,
	STMT_TAG_LIST,
	STMT_TAG_DELETE_ALL,
	STMT_MATERIAL_INSERT,
	STMT_MATERIAL_LOAD,
	STMT_MATERIAL_LIST,
	STMT_MATERIAL_COUNT,
	STMT_MATERIAL_DESTROY,
	STMT_ALIAS_INSERT,
	STMT_ALIAS_UPDATE,
	STMT_ALIAS_DELETE,
	STMT_ALIAS_DELETE_ALL,
	STMT_ALIAS_FIND,
	STMT_ALIAS_COUNT,
	STMT_ALIAS_LIST,
	STMT_ALIAS_LIST_OF_KEY,
	STMT_GRANT_INSERT,
	STMT_GRANT_LOAD,
	STMT_GRANT_OF_NAME,
	STMT_GRANT_LIST,
	STMT_GRANT_RETIRABLE,
	STMT_GRANT_OF_GRANTEE,
	STMT_GRANT_OF_SLOT,
	STMT_GRANT_OF_OPERATION,
	STMT_GRANT_DELETE,
	STMT_GRANT_DELETE_ALL,
	STMT_USE_SET,
	STMT_USE_LOAD,
	STMT_USE_DELETE,
	STMT_ACCESS_INSERT,
	STMT_ACCESS_LOAD,
	STMT_ACCESS_OF_PRINCIPAL,
	STMT_ACCOUNT_LIST,
	STMT_COUNT
};

struct store {
	struct rootkey *rootkey; /* fixed at open */
	struct sql *writer;	 /* the only one that changes anything */
	struct sql *reader;	 /* sees what was committed; in WAL mode it does not wait */
	struct store_iam *iam;	 /* store_iam.c */
};

/* Begin a transaction; end it: commit when @r is not negative, else roll back and return @r. */
int store_begin(struct store *store, struct err *err);
int store_end(struct store *store, int r, struct err *err);

/* New random material for @key, inside a transaction. @how: as in struct store_material. */
int store_insert_material(struct store *store, const struct key *key,
			  const uint8_t material_id[CIPHERTEXT_MATERIAL_LEN], const char *how,
			  int64_t now_ms, struct err *err);

#endif
