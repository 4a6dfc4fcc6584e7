/* Grants in memory over those in the store. See grants.h. */
#include "grants.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "lag.h"
#include "secret.h"

#define LISTS_MAX 65536 /* in memory */
#define LIST_MAX  64	/* grants of a grantee that are kept as one list */

struct grants {
	struct store *store;
	struct cache *lists;
	struct lag *lag;	/* fixed once requests are served; NULL: none */
	pthread_mutex_t making; /* held over "is there one of that name" and the insertion */
};

/*
 * Grants of one key to one grantee: all of them, or, when they are too many (@more), none; and then
 * those of one slot (grant_slot()). Never changed, shared by counting.
 */
struct list {
	struct cached cached;
	bool more;
	size_t count, room;
	struct grant **grants; /* counted */
};

static void list_free(struct cached *obj)
{
	struct list *list = (struct list *)obj;

	for (size_t i = 0; i < list->count; i++)
		cached_put(list->grants[i]);
	free(list->grants);
	free(list);
}

int grants_new(struct store *store, struct grants **ret_grants, struct err *err)
{
	struct grants *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return err_set(err, ENOMEM, "grants");
	g->store = store;
	r = cache_new(LISTS_MAX, &g->lists, err);
	if (r < 0) {
		free(g);
		return r;
	}
	(void)pthread_mutex_init(&g->making, NULL); /* cannot fail with these attributes */
	*ret_grants = g;
	return 0;
}

void grants_free(struct grants *grants)
{
	if (!grants)
		return;
	cache_free(grants->lists);
	(void)pthread_mutex_destroy(&grants->making); /* nobody holds it */
	free(grants);
}

/* --- lists --- */

/* What a list is called in the cache; a name of a grantee may be longer than the cache's names. */
struct list_name {
	char text[CACHE_NAME_MAX + 1];
};

static uint64_t hash_grantee(const char *grantee)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *grantee; grantee++)
		h = (h ^ (unsigned char)*grantee) * UINT64_C(1099511628211);
	return h;
}

/*
 * A key's id is a UUID, so it names the key alone. Two grantees whose names collide would see each
 * other's list; the end of the ARN makes that as good as impossible, and whoever visits asks for the grantee anyway.
 */
static struct list_name name_list(const char *key_id, const char *grantee, int64_t slot)
{
	size_t n = strlen(grantee);
	struct list_name name;

	(void)snprintf(name.text, sizeof(name.text), "%s %016llx %016llx %s", key_id,
		       (unsigned long long)slot, (unsigned long long)hash_grantee(grantee),
		       grantee + (n > 160 ? n - 160 : 0)); /* fits */
	return name;
}

static int keep(struct grant *grant, void *arg)
{
	struct list *list = arg;

	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 4;
		struct grant **grown = reallocarray(list->grants, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->grants = grown;
		list->room = room;
	}
	list->grants[list->count++] = cached_get(grant);
	return 0;
}

static int load_list(struct grants *grants, const struct store_grant_query *query,
		     struct list **ret_list, struct err *err)
{
	struct list *list = calloc(1, sizeof(*list));
	int r;

	if (!list)
		return err_set(err, ENOMEM, "grants");
	list->cached.free = list_free;
	atomic_init(&list->cached.refs, 1);
	r = store_each_grant(grants->store, query, keep, list, err);
	if (r < 0) {
		cached_put(list);
		return r;
	}
	*ret_list = list;
	return 0;
}

/* The caller puts *@ret_list back. */
static int find_list(struct grants *grants, const struct store_grant_query *query,
		     struct list **ret_list, struct err *err)
{
	struct list_name name = name_list(query->key_id, query->grantee, query->slot);
	uint64_t generation;
	int r;

	*ret_list = cache_find(grants->lists, name.text);
	if (*ret_list)
		return 0;
	generation = cache_generation(grants->lists);
	r = load_list(grants, query, ret_list, err);
	if (r < 0)
		return r;
	if (query->filter == STORE_GRANTS_OF_GRANTEE && (*ret_list)->count > LIST_MAX) {
		struct list *list = *ret_list; /* nobody else has it yet */

		list->more = true;
		while (list->count > 0)
			cached_put(list->grants[--list->count]);
	}
	cache_put(grants->lists, name.text, *ret_list, generation);
	return 0;
}

/* Whom each grant is for, and what makes it count. */
struct visitor {
	struct lag *lag;
	const struct grant_tokens *tokens;
	int (*fn)(struct grant *grant, void *arg);
	void *arg;
};

/* A grant that has not spread yet counts for who brings its token. */
static int visit_counting(struct grant *grant, void *arg)
{
	const struct visitor *v = arg;
	bool counts = lag_grant_counts(v->lag, grant->id);

	for (size_t i = 0; !counts && v->tokens && i < v->tokens->count; i++)
		counts = strcmp(v->tokens->ids[i], grant->id) == 0;
	return counts ? v->fn(grant, v->arg) : 0;
}

static int visit(struct grants *grants, const struct store_grant_query *query, struct visitor *v,
		 struct err *err)
{
	AUTO(cached_putp) struct list *list = NULL;
	int r = find_list(grants, query, &list, err);

	for (size_t i = 0; r == 0 && i < list->count; i++)
		r = visit_counting(list->grants[i], v);
	return r;
}

/* A grantee with many grants: those without a constraint, and those filed under each pair. */
static int visit_slots(struct grants *grants, struct store_grant_query *query,
		       const struct policy_pair *pairs, size_t pair_count, struct visitor *v,
		       struct err *err)
{
	int r;

	query->filter = STORE_GRANTS_OF_SLOT;
	query->slot = GRANT_SLOT_FREE;
	r = visit(grants, query, v, err);
	for (size_t i = 0; i < pair_count && r == 0; i++) {
		query->slot = grant_slot_of_pair(&pairs[i]);
		r = visit(grants, query, v, err);
	}
	return r;
}

/* Under which slot the list of those with an operation lies: even, as no slot of a pair is. */
static int64_t slot_of_operation(uint32_t operation)
{
	return 2 * GRANT_SLOT_FREE + 2 * (int64_t)operation;
}

/* Operations whose constraint is not asked: any grant that has the bit will do. */
static int visit_operation(struct grants *grants, struct store_grant_query *query,
			   struct visitor *v, struct err *err)
{
	query->filter = STORE_GRANTS_OF_OPERATION;
	query->slot = slot_of_operation(query->operations);
	query->page.limit = LIST_MAX;
	return visit(grants, query, v, err);
}

static bool without_constraint(uint32_t operation)
{
	return operation == policy_grant_operation("DescribeKey") ||
	       operation == policy_grant_operation("RetireGrant");
}

static int each_there(struct grants *grants, const struct key *key, const char *grantee,
		      const struct grant_request *request, struct visitor *v, struct err *err)
{
	struct store_grant_query query = {
		.filter = STORE_GRANTS_OF_GRANTEE,
		.place = {key->account, key->region},
		.key_id = key->id,
		.grantee = grantee,
		.operations = request->operation,
		.page.limit = LIST_MAX + 1,
	};
	const struct policy_permit *child = request->new_grant;
	AUTO(cached_putp) struct list *list = NULL;
	int r = find_list(grants, &query, &list, err);

	for (size_t i = 0; r == 0 && i < list->count; i++)
		r = visit_counting(list->grants[i], v);
	if (r != 0 || !list->more)
		return r;
	if (child)
		return visit_slots(grants, &query, child->pairs, child->pair_count, v, err);
	if (without_constraint(request->operation))
		return visit_operation(grants, &query, v, err);
	return visit_slots(grants, &query, request->pairs, request->pair_count, v, err);
}

int grants_each(struct grants *grants, const struct key *key, const char *grantee,
		const struct grant_request *request, int (*fn)(struct grant *grant, void *arg),
		void *arg, struct err *err)
{
	struct visitor v = {grants->lag, request->tokens, fn, arg};
	int r = each_there(grants, key, grantee, request, &v, err);

	if (r == 0)
		r = lag_each_ended(grants->lag, key->id, grantee, visit_counting, &v);
	return r;
}

/* --- changes --- */

static void forget_list(struct grants *grants, const struct grant *g, int64_t slot)
{
	struct list_name name = name_list(g->key_id, g->grantee, slot);

	cache_drop(grants->lists, name.text);
}

/* Every list that the grant is or should be in. */
static void forget_lists_of(struct grants *grants, const struct grant *g)
{
	forget_list(grants, g, 0); /* that of all */
	forget_list(grants, g, grant_slot(&g->permit));
	for (uint32_t bit = 1; bit <= g->permit.operations; bit <<= 1)
		if ((g->permit.operations & bit) && without_constraint(bit))
			forget_list(grants, g, slot_of_operation(bit));
}

void grants_set_lag(struct grants *grants, struct lag *lag)
{
	grants->lag = lag;
}

void grants_forget(struct grants *grants)
{
	cache_drop(grants->lists, NULL);
}

struct twin {
	const struct grant *wanted;
	struct grant *found;
};

static int is_twin(struct grant *grant, void *arg)
{
	struct twin *twin = arg;

	if (!grant_same(grant, twin->wanted))
		return 0;
	twin->found = cached_get(grant);
	return 1;
}

static int create_locked(struct grants *grants, const struct key *key, const struct grant *wanted,
			 struct grant **ret_grant, struct err *err)
{
	struct store_grant_query query = {.filter = STORE_GRANTS_OF_NAME,
					  .place = {key->account, key->region},
					  .key_id = key->id,
					  .name = wanted->name};
	struct twin twin = {wanted, NULL};
	struct grant *g;
	uint8_t id[GRANT_ID_LEN / 2];
	int r = 0;

	if (wanted->name[0])
		r = store_each_grant(grants->store, &query, is_twin, &twin, err);
	if (r < 0 || twin.found) {
		*ret_grant = r < 0 ? *ret_grant : twin.found;
		return r < 0 ? r : 0;
	}
	r = ids_random(id, sizeof(id), false, err);
	if (r < 0)
		return r;
	g = grant_new(wanted);
	if (!g)
		return err_set(err, ENOMEM, "grant");
	bytes_to_hex(id, sizeof(id), g->id);
	lag_grant_made(grants->lag, g->id);
	r = store_create_grant(grants->store, g, GRANTS_PER_KEY, err);
	forget_lists_of(grants, g); /* after a failure too: it may have been written */
	if (r < 0) {
		cached_put(g);
		return r;
	}
	*ret_grant = g;
	return 0;
}

int grants_create(struct grants *grants, const struct key *key, const struct grant *wanted,
		  struct grant **ret_grant, struct err *err)
{
	int r;

	pthread_mutex_lock(&grants->making);
	r = create_locked(grants, key, wanted, ret_grant, err);
	pthread_mutex_unlock(&grants->making);
	if (r == -E2BIG)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "%s has %d grants, the most it may have", key->arn,
				 GRANTS_PER_KEY);
	return r;
}

int grants_delete(struct grants *grants, const struct grant *grant, struct err *err)
{
	int r;

	lag_grant_ends(grants->lag, grant);
	r = store_delete_grant(grants->store, grant, err);

	forget_lists_of(grants, grant); /* after a failure too: it may have been written */
	return r;
}
