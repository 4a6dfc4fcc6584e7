/* Rows of grants, and grant tokens. See store.h. */
#include "store_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"

/* The constraint's pairs as the database keeps them: a JSON object. The caller frees. NULL: no memory. */
static char *pairs_text(const struct policy_permit *permit)
{
	struct kms_json *v = kms_json_new_object();
	char *text = NULL;
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; i < permit->pair_count && r == 0; i++)
		r = kms_json_set_str(v, permit->pairs[i].name, permit->pairs[i].value);
	if (r == 0)
		text = kms_json_text(v);
	kms_json_free(v);
	return text;
}

static int insert_locked(struct store *store, const struct grant *g, const char *pairs, int64_t max,
			 struct err *err)
{
	int r = sql_run(store->writer, STMT_KEY_ADD_GRANT, err, "ttti", g->account, g->region,
			g->key_id, max);

	if (r == 0)
		return err_set(err, E2BIG, "key '%s' has %lld grants", g->key_id, (long long)max);
	if (r < 0)
		return r;
	r = sql_run(store->writer, STMT_GRANT_INSERT, err, "ttttttttttiitii", g->account, g->region,
		    g->key_id, g->id, g->name, g->grantee, g->grantee_id, g->retiring,
		    g->retiring_id, g->issuer, (int64_t)g->permit.operations,
		    (int64_t)g->permit.constraint, pairs, grant_slot(&g->permit), g->created_ms);
	return r < 0 ? r : 0;
}

int store_create_grant(struct store *store, const struct grant *grant, int64_t max, struct err *err)
{
	AUTO(freep) char *pairs = pairs_text(&grant->permit);
	int r;

	if (!pairs)
		return err_set(err, ENOMEM, "grant");
	sql_lock(store->writer);
	r = store_begin(store, err);
	if (r == 0)
		r = store_end(store, insert_locked(store, grant, pairs, max, err), err);
	sql_unlock(store->writer);
	return r;
}

static int take_grant(struct sqlite3_stmt *stmt, struct grant **ret_grant, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *object = NULL;
	AUTO(freep) struct policy_pair *pairs = NULL;
	const char *text = sql_text(stmt, 12);
	struct grant g = {
		.name = sql_text(stmt, 4),
		.grantee = sql_text(stmt, 5),
		.grantee_id = sql_text(stmt, 6),
		.retiring = sql_text(stmt, 7),
		.retiring_id = sql_text(stmt, 8),
		.permit = {(uint32_t)sql_int(stmt, 10), (enum policy_constraint)sql_int(stmt, 11),
			   NULL, 0},
		.created_ms = sql_int(stmt, 13),
	};
	int r = kms_json_parse(text, strlen(text), &object, err);

	r = r ? r : grant_pairs(object, &pairs, &g.permit.pair_count, err);
	if (r < 0)
		return r;
	g.permit.pairs = pairs;
	(void)snprintf(g.account, sizeof(g.account), "%s", sql_text(stmt, 0)); /* as inserted */
	(void)snprintf(g.region, sizeof(g.region), "%s", sql_text(stmt, 1));   /* as inserted */
	(void)snprintf(g.key_id, sizeof(g.key_id), "%s", sql_text(stmt, 2));   /* as inserted */
	(void)snprintf(g.id, sizeof(g.id), "%s", sql_text(stmt, 3));	       /* as inserted */
	(void)snprintf(g.issuer, sizeof(g.issuer), "%s", sql_text(stmt, 9));   /* as inserted */
	*ret_grant = grant_new(&g);
	return *ret_grant ? 0 : err_set(err, ENOMEM, "grant");
}

static int start_query(struct store *store, const struct store_grant_query *q,
		       struct sqlite3_stmt **ret_stmt, struct err *err)
{
	struct sql *db = store->reader;
	const char *a = q->place.account, *r = q->place.region;
	int64_t limit = (int64_t)q->page.limit;
	char key_id[IDS_UUID_LEN + 1];

	switch (q->filter) {
	case STORE_GRANTS_OF_NAME:
		return sql_start(db, STMT_GRANT_OF_NAME, ret_stmt, err, "tttt", a, r, q->key_id,
				 q->name);
	case STORE_GRANTS_OF_GRANTEE:
		return sql_start(db, STMT_GRANT_OF_GRANTEE, ret_stmt, err, "tttti", a, r, q->key_id,
				 q->grantee, limit);
	case STORE_GRANTS_OF_SLOT:
		return sql_start(db, STMT_GRANT_OF_SLOT, ret_stmt, err, "tttti", a, r, q->key_id,
				 q->grantee, q->slot);
	case STORE_GRANTS_OF_OPERATION:
		return sql_start(db, STMT_GRANT_OF_OPERATION, ret_stmt, err, "ttttii", a, r,
				 q->key_id, q->grantee, (int64_t)q->operations, limit);
	case STORE_GRANTS_RETIRABLE:
		(void)snprintf(key_id, sizeof(key_id), "%s", q->page.after); /* cut: "KEY/GRANT" */
		return sql_start(db, STMT_GRANT_RETIRABLE, ret_stmt, err, "tttti", r, q->retiring,
				 key_id, q->page.after[0] ? q->page.after + IDS_UUID_LEN + 1 : "",
				 limit);
	case STORE_GRANTS_ALL:
		break;
	}
	return sql_start(db, STMT_GRANT_LIST, ret_stmt, err, "tttttti", a, r, q->key_id,
			 q->page.after, q->grantee, q->grant_id, limit);
}

int store_each_grant(struct store *store, const struct store_grant_query *query,
		     int (*fn)(struct grant *grant, void *arg), void *arg, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r, count = 0;

	sql_lock(store->reader);
	r = start_query(store, query, &stmt, err);
	while (r >= 0 && (r = sql_row(store->reader, stmt, err)) > 0) {
		struct grant *grant;

		r = take_grant(stmt, &grant, err);
		if (r < 0) {
			sql_end(stmt);
			break;
		}
		count++;
		r = fn(grant, arg);
		cached_put(grant);
		if (r != 0) {
			sql_end(stmt);
			r = r < 0 ? err_set(err, -r, "grants") : 0;
			break;
		}
	}
	sql_unlock(store->reader);
	return r < 0 ? r : count;
}

int store_load_grant(struct store *store, const struct keyref_place *place, const char *key_id,
		     const char *grant_id, struct grant **ret_grant, struct err *err)
{
	struct sqlite3_stmt *stmt;
	int r;

	sql_lock(store->reader);
	r = sql_start(store->reader, STMT_GRANT_LOAD, &stmt, err, "tttt", place->account,
		      place->region, key_id, grant_id);
	r = r ? r : sql_row(store->reader, stmt, err);
	if (r > 0) {
		r = take_grant(stmt, ret_grant, err);
		sql_end(stmt);
	} else if (r == 0) {
		r = err_set(err, ENOENT, "grant '%s' does not exist", grant_id);
	}
	sql_unlock(store->reader);
	return r;
}

static int delete_locked(struct store *store, const struct grant *g, struct err *err)
{
	int r = sql_run(store->writer, STMT_GRANT_DELETE, err, "tttt", g->account, g->region,
			g->key_id, g->id);

	if (r == 0)
		return err_set(err, ENOENT, "grant '%s' does not exist", g->id);
	if (r > 0)
		r = sql_run(store->writer, STMT_KEY_DROP_GRANT, err, "ttt", g->account, g->region,
			    g->key_id);
	return r < 0 ? r : 0;
}

int store_delete_grant(struct store *store, const struct grant *grant, struct err *err)
{
	int r;

	sql_lock(store->writer);
	r = store_begin(store, err);
	if (r == 0)
		r = store_end(store, delete_locked(store, grant, err), err);
	sql_unlock(store->writer);
	return r;
}

/* --- tokens --- */

#define TOKEN_NAME "grant-token"

int store_seal_token(struct store *store, const struct grant *grant, char **ret_token,
		     struct err *err)
{
	AUTO(secret_freep) struct secret *plain = NULL;
	uint8_t sealed[ROOTKEY_WRAPPED_MAX];
	char text[ROOTKEY_PLAIN_MAX];
	size_t n = 0;
	int r;

	(void)snprintf(text, sizeof(text), "%s/%s/%s/%s", grant->account, grant->region,
		       grant->key_id, grant->id); /* fits: all parts are bounded */
	r = secret_from(text, strlen(text), &plain, err);
	r = r ? r : rootkey_wrap(store->rootkey, TOKEN_NAME, plain, sealed, &n, err);
	if (r < 0)
		return r;
	*ret_token = bytes_to_base64(sealed, n);
	return *ret_token ? 0 : err_set(err, ENOMEM, "grant token");
}

int store_open_token(struct store *store, const char *token, struct store_token *ret,
		     struct err *err)
{
	AUTO(secret_freep) struct secret *plain = NULL;
	AUTO(freep) uint8_t *sealed = NULL;
	char text[ROOTKEY_PLAIN_MAX + 1];
	size_t len;
	int r = bytes_from_base64(token, strlen(token), &sealed, &len);

	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "grant token");
	if (r < 0 || len <= ROOTKEY_OVERHEAD || len > ROOTKEY_WRAPPED_MAX)
		return err_set(err, EBADMSG, "not a grant token");
	r = rootkey_unwrap(store->rootkey, TOKEN_NAME, sealed, len, &plain, err);
	if (r < 0)
		return r;
	memcpy(text, secret_cbytes(plain), secret_len(plain));
	text[secret_len(plain)] = '\0';
	if (sscanf(text, "%12[0-9]/%31[^/]/%36[^/]/%64s", ret->account, ret->region, ret->key_id,
		   ret->grant_id) != 4)
		return err_set(err, EBADMSG, "not a grant token");
	return 0;
}
