/* What a grant allows. See grant.h. */
#include "grant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"

/* The order is that of the API's model; a bit is an index here. */
static const char *const names[GRANT_OPERATION_COUNT] = {
	"Decrypt",
	"Encrypt",
	"GenerateDataKey",
	"GenerateDataKeyWithoutPlaintext",
	"ReEncryptFrom",
	"ReEncryptTo",
	"Sign",
	"Verify",
	"GetPublicKey",
	"CreateGrant",
	"RetireGrant",
	"DescribeKey",
	"GenerateDataKeyPair",
	"GenerateDataKeyPairWithoutPlaintext",
	"GenerateMac",
	"VerifyMac",
	"DeriveSharedSecret",
};

uint32_t grant_operation(const char *name)
{
	for (unsigned i = 0; i < GRANT_OPERATION_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return UINT32_C(1) << i;
	return 0;
}

const char *grant_operation_name(unsigned bit)
{
	return names[bit];
}

uint32_t grant_operations_symmetric(void)
{
	static const char *const others[] = {"Sign",	    "Verify",	 "GetPublicKey",
					     "GenerateMac", "VerifyMac", "DeriveSharedSecret"};
	uint32_t mask = (UINT32_C(1) << GRANT_OPERATION_COUNT) - 1;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		mask &= ~grant_operation(others[i]);
	return mask;
}

void grant_operations_text(uint32_t operations, char ret[512])
{
	size_t n = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < GRANT_OPERATION_COUNT; i++)
		if (operations >> i & 1) /* all names together fit */
			n += (size_t)snprintf(ret + n, 512 - n, "%s%s", n ? ", " : "", names[i]);
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

/* Both sorted: one walk through @all. Names are unique, so equal counts make equal sets. */
static bool includes(const struct policy_pair *all, size_t all_count,
		     const struct policy_pair *some, size_t some_count)
{
	size_t j = 0;

	for (size_t i = 0; i < some_count; i++, j++) {
		while (j < all_count && strcmp(all[j].name, some[i].name) < 0)
			j++;
		if (j == all_count || strcmp(all[j].name, some[i].name) != 0 ||
		    strcmp(all[j].value, some[i].value) != 0)
			return false;
	}
	return true;
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

static bool context_meets(const struct policy_permit *permit, const struct policy_pair *pairs,
			  size_t count)
{
	if (permit->constraint == POLICY_CONSTRAINT_NONE)
		return true;
	if (permit->constraint == POLICY_CONSTRAINT_EQUALS && count != permit->pair_count)
		return false;
	return includes(pairs, count, permit->pairs, permit->pair_count);
}

bool grant_no_wider(const struct policy_permit *parent, const struct policy_permit *child)
{
	if (child->operations & ~parent->operations)
		return false;
	if (parent->constraint == POLICY_CONSTRAINT_NONE)
		return true;
	if (child->constraint == POLICY_CONSTRAINT_NONE ||
	    (parent->constraint == POLICY_CONSTRAINT_EQUALS &&
	     child->constraint != POLICY_CONSTRAINT_EQUALS))
		return false;
	return context_meets(parent, child->pairs, child->pair_count);
}

bool grant_allows(const struct grant *grant, const struct grant_caller *caller,
		  const struct grant_request *request)
{
	uint32_t op = request->operation;

	if (!(grant->permit.operations & op) ||
	    !grant_means(grant->grantee, grant->grantee_id, caller))
		return false;
	if (op == grant_operation("CreateGrant"))
		return request->new_grant && grant_no_wider(&grant->permit, request->new_grant);
	if (op == grant_operation("DescribeKey") || op == grant_operation("RetireGrant"))
		return true;
	return context_meets(&grant->permit, request->pairs, request->pair_count);
}

bool grant_may_retire(const struct grant *grant, const struct grant_caller *caller)
{
	if (grant->retiring[0] && grant_means(grant->retiring, grant->retiring_id, caller))
		return true;
	if ((grant->permit.operations & grant_operation("RetireGrant")) &&
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
	       a->permit.constraint == b->permit.constraint &&
	       a->permit.pair_count == b->permit.pair_count &&
	       includes(a->permit.pairs, a->permit.pair_count, b->permit.pairs,
			b->permit.pair_count);
}
