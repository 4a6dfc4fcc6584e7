/* What a grant allows. See policy_grant.h. */
#include "policy_grant.h"

#include <string.h>

#include "policy_decide.h"

/* The order is that of the API's model; a bit is an index here. */
static const char *const operations[POLICY_GRANT_OPERATION_COUNT] = {
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

uint32_t policy_grant_operation(const char *name)
{
	for (unsigned i = 0; i < POLICY_GRANT_OPERATION_COUNT; i++)
		if (strcmp(operations[i], name) == 0)
			return 1u << i;
	return 0;
}

const char *policy_grant_operation_name(unsigned bit)
{
	return operations[bit];
}

/* Names of an encryption context are unique, so equal counts and inclusion make equal sets. */
static bool includes(const struct policy_pair *all, size_t all_count,
		     const struct policy_pair *some, size_t some_count)
{
	for (size_t i = 0; i < some_count; i++) {
		size_t j = 0;

		while (j < all_count && (strcmp(all[j].name, some[i].name) != 0 ||
					 strcmp(all[j].value, some[i].value) != 0))
			j++;
		if (j == all_count)
			return false;
	}
	return true;
}

static bool context_meets(const struct policy_permit *permit, const struct policy_pair *pairs,
			  size_t count)
{
	if (permit->constraint == POLICY_CONSTRAINT_NONE)
		return true;
	if (permit->constraint == POLICY_CONSTRAINT_EQUALS && count != permit->pair_count)
		return false;
	return includes(pairs, count, permit->pairs, permit->pair_count);
}

/* Whether @child permits no more than @parent. A child without constraint has no pairs. */
static bool no_wider(const struct policy_permit *parent, const struct policy_permit *child)
{
	if (child->operations & ~parent->operations)
		return false;
	if (parent->constraint == POLICY_CONSTRAINT_NONE)
		return true;
	if (parent->constraint == POLICY_CONSTRAINT_EQUALS &&
	    child->constraint != POLICY_CONSTRAINT_EQUALS)
		return false;
	return context_meets(parent, child->pairs, child->pair_count);
}

/* What the grant permits, whoever asks. */
static enum policy_grant_miss miss_of(const struct policy_permit *permit,
				      const struct policy_request *request)
{
	const char *name = strncmp(request->action, "kms:", 4) == 0 ? request->action + 4 : "";

	if (!(permit->operations & policy_grant_operation(name)))
		return POLICY_GRANT_OPERATION;
	if (strcmp(name, "CreateGrant") == 0)
		return request->new_grant && no_wider(permit, request->new_grant)
			       ? POLICY_GRANT_REACHES
			       : POLICY_GRANT_WIDER;
	if (strcmp(name, "DescribeKey") == 0 || strcmp(name, "RetireGrant") == 0 ||
	    context_meets(permit, request->pairs, request->pair_count))
		return POLICY_GRANT_REACHES;
	return POLICY_GRANT_CONSTRAINT;
}

enum policy_reach policy_grant_reach(const struct policy_grant *grant,
				     const struct policy_request *request,
				     enum policy_grant_miss *ret_miss)
{
	enum policy_grant_miss miss = miss_of(&grant->permit, request);
	enum policy_reach reach = POLICY_REACH_NONE;

	if (miss == POLICY_GRANT_REACHES) {
		reach = policy_principal_reach(&grant->grantee, request->caller);
		miss = reach == POLICY_REACH_NONE ? POLICY_GRANT_GRANTEE : miss;
	}
	if (ret_miss)
		*ret_miss = miss;
	return reach;
}
