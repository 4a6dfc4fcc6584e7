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
	STMT_KEY_EXPIRED,
	STMT_KEY_DELETE,
	STMT_KEY_LIST,
	STMT_POLICY_LOAD,
	STMT_POLICY_SET,
	STMT_TAG_INSERT,
	STMT_TAG_DELETE_ALL,
	STMT_MATERIAL_INSERT,
	STMT_MATERIAL_LOAD,
	STMT_MATERIAL_DESTROY,
	STMT_ALIAS_INSERT,
	STMT_ALIAS_UPDATE,
	STMT_ALIAS_DELETE,
	STMT_ALIAS_DELETE_ALL,
	STMT_ALIAS_FIND,
	STMT_ALIAS_COUNT,
	STMT_ALIAS_LIST,
	STMT_ALIAS_LIST_OF_KEY,
	STMT_ACCESS_INSERT,
	STMT_ACCESS_LOAD,
	STMT_ACCESS_OF_PRINCIPAL,
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

#endif
