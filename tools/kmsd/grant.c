/* What a grant allows. See grant.h. */
#include "grant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"

uint32_t grant_operations_symmetric(void)
{
	static const char *const others[] = {"Sign",	    "Verify",	 "GetPublicKey",
					     "GenerateMac", "VerifyMac", "DeriveSharedSecret"};
	uint32_t mask = (UINT32_C(1) << POLICY_GRANT_OPERATION_COUNT) - 1;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		mask &= ~policy_grant_operation(others[i]);
	return mask;
}

void grant_operations_text(uint32_t operations, char ret[512])
{
	size_t n = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < POLICY_GRANT_OPERATION_COUNT; i++)
		if (operations >> i & 1) /* all names together fit */
			n += (size_t)snprintf(ret + n, 512 - n, "%s%s", n ? ", " : "",
					      policy_grant_operation_name(i));
}

/* --- memory --- */

static void grant_free(struct cached *obj)
{
	free(obj); /* the texts are behind it, in the same memory */
}

static const char *put_text(char **at, const char *text)
{
	size_t n = strlen(text ? text : "") + 1;
	char *start = *at;

	memcpy(start, text ? text : "", n);
	*at += n;
	return start;
}

static size_t room(const char *text)
{
	return strlen(text ? text : "") + 1;
}

struct grant *grant_new(const struct grant *from)
{
	const struct policy_permit *p = &from->permit;
	size_t n = sizeof(*from) + p->pair_count * sizeof(struct policy_pair) + room(from->name) +
		   room(from->grantee) + room(from->retiring) + room(from->grantee_id) +
		   room(from->retiring_id);
	struct policy_pair *pairs;
	struct grant *g;
	char *at;

	for (size_t i = 0; i < p->pair_count; i++)
		n += room(p->pairs[i].name) + room(p->pairs[i].value);
	g = malloc(n);
	if (!g)
		return NULL;
	*g = *from;
	g->cached.free = grant_free;
	atomic_init(&g->cached.refs, 1);
	pairs = (struct policy_pair *)(g + 1);
	at = (char *)(pairs + p->pair_count);
	for (size_t i = 0; i < p->pair_count; i++) {
		pairs[i].name = put_text(&at, p->pairs[i].name);
		pairs[i].value = put_text(&at, p->pairs[i].value);
	}
	g->permit.pairs = pairs;
	g->name = put_text(&at, from->name);
	g->grantee = put_text(&at, from->grantee);
	g->retiring = put_text(&at, from->retiring);
	g->grantee_id = put_text(&at, from->grantee_id);
	g->retiring_id = put_text(&at, from->retiring_id);
	return g;
}

/* --- pairs --- */

static int compare_pairs(const void *a, const void *b)
{
	const struct policy_pair *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int take_pair(const char *name, struct kms_json *value, void *arg)
{
	struct policy_pair **at = arg;

	**at = (struct policy_pair){name, kms_json_string_value(value)};
	(*at)++;
	return 0;
}

int grant_pairs(const struct kms_json *object, struct policy_pair **ret_pairs, size_t *ret_count,
		struct err *err)
{
	size_t count = object ? kms_json_count(object) : 0;
	struct policy_pair *pairs = calloc(count ? count : 1, sizeof(*pairs)), *at = pairs;

	if (!pairs)
		return err_set(err, ENOMEM, "encryption context");
	if (count > 0)
		(void)kms_json_each(object, take_pair, &at); /* take_pair() always goes on */
	qsort(pairs, count, sizeof(*pairs), compare_pairs);
	*ret_pairs = pairs;
	*ret_count = count;
	return 0;
}

/* Both sorted, each name once. */
static bool same_pairs(const struct policy_permit *a, const struct policy_permit *b)
{
	for (size_t i = 0; i < a->pair_count && a->pair_count == b->pair_count; i++)
		if (strcmp(a->pairs[i].name, b->pairs[i].name) != 0 ||
		    strcmp(a->pairs[i].value, b->pairs[i].value) != 0)
			return false;
	return a->pair_count == b->pair_count;
}

/* FNV-1a, 64 bits, each text with its NUL. Who collides is looked at in vain, no more. */
static uint64_t hash_text(uint64_t h, const char *text)
{
	do
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	while (*text++);
	return h;
}

int64_t grant_slot_of_pair(const struct policy_pair *pair)
{
	uint64_t h = hash_text(UINT64_C(14695981039346656037), pair->name);

	return (int64_t)(hash_text(h, pair->value) >> 1) | 1; /* odd: no other slot */
}

int64_t grant_slot(const struct policy_permit *permit)
{
	return permit->constraint == POLICY_CONSTRAINT_NONE || permit->pair_count == 0
		       ? GRANT_SLOT_FREE
		       : grant_slot_of_pair(&permit->pairs[0]);
}

/* --- decisions --- */

bool grant_may_retire(const struct grant *grant, const struct grant_caller *caller)
{
	if (grant->retiring[0] && grant_means(grant->retiring, grant->retiring_id, caller))
		return true;
	if ((grant->permit.operations & policy_grant_operation("RetireGrant")) &&
	    grant_means(grant->grantee, grant->grantee_id, caller))
		return true;
	return caller->is_root && strcmp(caller->account, grant->issuer) == 0;
}

bool grant_same(const struct grant *a, const struct grant *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->grantee, b->grantee) == 0 &&
	       strcmp(a->grantee_id, b->grantee_id) == 0 && strcmp(a->retiring, b->retiring) == 0 &&
	       strcmp(a->retiring_id, b->retiring_id) == 0 && strcmp(a->issuer, b->issuer) == 0 &&
	       a->permit.operations == b->permit.operations &&
	       a->permit.constraint == b->permit.constraint && same_pairs(&a->permit, &b->permit);
}
