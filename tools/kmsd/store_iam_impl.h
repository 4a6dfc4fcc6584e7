/* What the files of the IAM store share. Not for others. */
#ifndef KMSD_STORE_IAM_IMPL_H
#define KMSD_STORE_IAM_IMPL_H

#include <stdatomic.h>

#include "sql.h"
#include "store_iam.h"
#include "store_impl.h"

#define IAM_PRINCIPALS_MAX 1024 /* in memory */

enum iam_statement {
	IAM_PRINCIPAL_INSERT,
	IAM_PRINCIPAL_LOAD,
	IAM_PRINCIPAL_FIND,
	IAM_PRINCIPAL_DELETE,
	IAM_PRINCIPAL_LIST,
	IAM_PRINCIPAL_SET_TRUST,
	IAM_PRINCIPAL_SET_BOUNDARY,
	IAM_INLINE_PUT,
	IAM_INLINE_DELETE,
	IAM_POLICIES_OF,
	IAM_USES_OF,
	IAM_ATTACH,
	IAM_DETACH,
	IAM_POLICY_INSERT,
	IAM_POLICY_LOAD,
	IAM_POLICY_DELETE,
	IAM_POLICY_LIST,
	IAM_POLICY_SET_LAST,
	IAM_POLICY_SET_DEFAULT,
	IAM_VERSION_INSERT,
	IAM_VERSION_LIST,
	IAM_VERSION_DELETE,
	IAM_VERSION_DELETE_ALL,
	IAM_TAG_PUT,
	IAM_TAG_DELETE,
	IAM_TAG_DELETE_ALL,
	IAM_TAGS_OF,
	IAM_KEY_INSERT,
	IAM_KEY_LOAD,
	IAM_KEYS_OF,
	IAM_KEY_SET_STATUS,
	IAM_KEY_DELETE,
	IAM_STATEMENT_COUNT
};

/* A connection of its own: what IAM asks and changes is rare, and read from the cache. */
struct store_iam {
	struct sql *sql;
	struct cache *principals;     /* by unique id */
	atomic_uint_fast64_t changes; /* see store_iam_generation() */
};

/* The tables of IAM as they first were; what was released is never changed (store.c, migrations). */
extern const char store_iam_schema[];

/* Open on the database @path of @store, whose root key is loaded. */
int store_iam_open(struct store *store, const char *path, struct err *err);
void store_iam_close(struct store_iam *iam);

/*
 * The end of a change begun with sql_lock() and "BEGIN IMMEDIATE": commit when @r is not negative,
 * else roll back; forget what was cached; unlock. Returns @r.
 */
int store_iam_begin(struct store *store, struct err *err);
int store_iam_end(struct store *store, int r, struct err *err);

/* -ENOENT. Inside a change. */
int store_iam_load_policy_locked(struct sql *sql, const char *arn, struct iam_policy **ret_policy,
				 struct err *err);

/* One statement as a change of its own. Returns the number of rows. */
#define store_iam_change(store, id, err, ...)                                                      \
	({                                                                                         \
		int r_ = store_iam_begin((store), (err));                                          \
		r_ < 0 ? r_                                                                        \
		       : store_iam_end((store),                                                    \
				       sql_run((store)->iam->sql, (id), (err), __VA_ARGS__),       \
				       (err));                                                     \
	})

#endif
