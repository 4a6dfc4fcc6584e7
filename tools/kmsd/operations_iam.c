/* The operations of IAM, STS and CloudTrail as rows. See operations.h, op_iam.h. */
#include <stddef.h>
#include <string.h>

#include "op_iam.h"
#include "operations.h"

#define REQ MEMBER_REQUIRED

#define USER                                                                                       \
	{                                                                                          \
		"UserName", SHAPE_IAM_ENTITY_NAME, REQ                                             \
	}
#define ROLE                                                                                       \
	{                                                                                          \
		"RoleName", SHAPE_IAM_NAME, REQ                                                    \
	}
#define SELF                                                                                       \
	{                                                                                          \
		"UserName", SHAPE_IAM_ENTITY_NAME, 0                                               \
	}
#define POLICY_NAME                                                                                \
	{                                                                                          \
		"PolicyName", SHAPE_IAM_ENTITY_NAME, REQ                                           \
	}
#define POLICY_ARN                                                                                 \
	{                                                                                          \
		"PolicyArn", SHAPE_IAM_ARN, REQ                                                    \
	}
#define DOCUMENT                                                                                   \
	{                                                                                          \
		"PolicyDocument", SHAPE_IAM_DOCUMENT, REQ                                          \
	}
#define BOUNDARY(req)                                                                              \
	{                                                                                          \
		"PermissionsBoundary", SHAPE_IAM_ARN, (req)                                        \
	}
#define PATH                                                                                       \
	{                                                                                          \
		"Path", SHAPE_IAM_PATH, 0                                                          \
	}
#define PREFIX                                                                                     \
	{                                                                                          \
		"PathPrefix", SHAPE_IAM_PATH_PREFIX, 0                                             \
	}
#define MARKER                                                                                     \
	{                                                                                          \
		"Marker", SHAPE_IAM_MARKER, 0                                                      \
	}
#define MAX_ITEMS                                                                                  \
	{                                                                                          \
		"MaxItems", SHAPE_IAM_MAX_ITEMS, 0                                                 \
	}
#define TAGS(req)                                                                                  \
	{                                                                                          \
		"Tags", SHAPE_IAM_TAGS, (req)                                                      \
	}
#define KEY_ID                                                                                     \
	{                                                                                          \
		"AccessKeyId", SHAPE_IAM_ACCESS_KEY_ID, REQ                                        \
	}

#define MEMBERS(name, ...) static const struct member name[] = {__VA_ARGS__, {0}}

MEMBERS(create_user, PATH, {"UserName", SHAPE_IAM_NAME, REQ}, BOUNDARY(0), TAGS(0));
MEMBERS(user, USER);
MEMBERS(self, SELF);
MEMBERS(role, ROLE);
MEMBERS(list_entities, PREFIX, MARKER, MAX_ITEMS);
MEMBERS(key_of_self, SELF, KEY_ID);
MEMBERS(update_key, SELF, KEY_ID, {"Status", SHAPE_IAM_KEY_STATUS, REQ});
MEMBERS(list_keys, SELF, MARKER, MAX_ITEMS);
MEMBERS(user_policy, USER, POLICY_NAME);
MEMBERS(role_policy, ROLE, POLICY_NAME);
MEMBERS(put_user_policy, USER, POLICY_NAME, DOCUMENT);
MEMBERS(put_role_policy, ROLE, POLICY_NAME, DOCUMENT);
MEMBERS(list_of_user, USER, PREFIX, MARKER, MAX_ITEMS);
MEMBERS(list_of_role, ROLE, PREFIX, MARKER, MAX_ITEMS);
MEMBERS(create_role, PATH, ROLE, {"AssumeRolePolicyDocument", SHAPE_IAM_DOCUMENT, REQ},
	{"Description", SHAPE_IAM_DESCRIPTION, 0}, {"MaxSessionDuration", SHAPE_IAM_MAX_SESSION, 0},
	BOUNDARY(0), TAGS(0));
MEMBERS(update_trust, ROLE, DOCUMENT);
MEMBERS(create_policy, POLICY_NAME, PATH, DOCUMENT, {"Description", SHAPE_IAM_DESCRIPTION, 0},
	{"Tags", SHAPE_UNSUPPORTED, 0});
MEMBERS(policy, POLICY_ARN);
MEMBERS(policy_version, POLICY_ARN, {"VersionId", SHAPE_IAM_VERSION_ID, REQ});
MEMBERS(create_version, POLICY_ARN, DOCUMENT, {"SetAsDefault", SHAPE_BOOLEAN, 0});
MEMBERS(list_versions, POLICY_ARN, MARKER, MAX_ITEMS);
MEMBERS(list_policies, {"Scope", SHAPE_IAM_POLICY_SCOPE, 0}, {"OnlyAttached", SHAPE_BOOLEAN, 0},
	PREFIX, {"PolicyUsageFilter", SHAPE_IAM_POLICY_USAGE, 0}, MARKER, MAX_ITEMS);
MEMBERS(user_and_arn, USER, POLICY_ARN);
MEMBERS(role_and_arn, ROLE, POLICY_ARN);
MEMBERS(user_boundary, USER, BOUNDARY(REQ));
MEMBERS(role_boundary, ROLE, BOUNDARY(REQ));
MEMBERS(tag_user, USER, TAGS(REQ));
MEMBERS(tag_role, ROLE, TAGS(REQ));
MEMBERS(untag_user, USER, {"TagKeys", SHAPE_IAM_TAG_KEYS, REQ});
MEMBERS(untag_role, ROLE, {"TagKeys", SHAPE_IAM_TAG_KEYS, REQ});
MEMBERS(assume_role, {"RoleArn", SHAPE_IAM_ARN, REQ},
	{"RoleSessionName", SHAPE_STS_SESSION_NAME, REQ}, {"PolicyArns", SHAPE_STS_POLICY_ARNS, 0},
	{"Policy", SHAPE_STS_POLICY, 0}, {"DurationSeconds", SHAPE_STS_DURATION, 0}, TAGS(0),
	{"TransitiveTagKeys", SHAPE_UNSUPPORTED, 0}, {"ExternalId", SHAPE_STS_EXTERNAL_ID, 0},
	{"SerialNumber", SHAPE_UNSUPPORTED, 0}, {"TokenCode", SHAPE_UNSUPPORTED, MEMBER_HIDDEN},
	{"SourceIdentity", SHAPE_UNSUPPORTED, 0});
MEMBERS(session_token, {"DurationSeconds", SHAPE_STS_TOKEN_DURATION, 0},
	{"SerialNumber", SHAPE_UNSUPPORTED, 0}, {"TokenCode", SHAPE_UNSUPPORTED, MEMBER_HIDDEN});
MEMBERS(lookup_events, {"LookupAttributes", SHAPE_TRAIL_ANY, 0}, {"StartTime", SHAPE_TRAIL_ANY, 0},
	{"EndTime", SHAPE_TRAIL_ANY, 0}, {"EventCategory", SHAPE_TRAIL_ANY, 0},
	{"MaxResults", SHAPE_TRAIL_ANY, 0}, {"NextToken", SHAPE_TRAIL_ANY, 0});
static const struct member nothing[] = {{0}};

#define ROW(n, r, m, t) .name = (n), .run = (r), .members = (m), .target = (t)
#define READ		.read_only = true
#define OWN		.own_check = true

/* In order of name: find() halves them. */
static const struct operation iam[] = {
	{ROW("AttachRolePolicy", op_iam_attach, role_and_arn, "role")},
	{ROW("AttachUserPolicy", op_iam_attach, user_and_arn, "user")},
	{ROW("CreateAccessKey", op_iam_create_key, self, "user")},
	{ROW("CreatePolicy", op_iam_create_policy, create_policy, "policy")},
	{ROW("CreatePolicyVersion", op_iam_create_version, create_version, "policy")},
	{ROW("CreateRole", op_iam_create, create_role, "role")},
	{ROW("CreateUser", op_iam_create, create_user, "user")},
	{ROW("DeleteAccessKey", op_iam_delete_key, key_of_self, "user")},
	{ROW("DeletePolicy", op_iam_delete_policy, policy, "policy")},
	{ROW("DeletePolicyVersion", op_iam_delete_version, policy_version, "policy")},
	{ROW("DeleteRole", op_iam_delete, role, "role")},
	{ROW("DeleteRolePermissionsBoundary", op_iam_delete_boundary, role, "role")},
	{ROW("DeleteRolePolicy", op_iam_delete_inline, role_policy, "role")},
	{ROW("DeleteUser", op_iam_delete, user, "user")},
	{ROW("DeleteUserPermissionsBoundary", op_iam_delete_boundary, user, "user")},
	{ROW("DeleteUserPolicy", op_iam_delete_inline, user_policy, "user")},
	{ROW("DetachRolePolicy", op_iam_detach, role_and_arn, "role")},
	{ROW("DetachUserPolicy", op_iam_detach, user_and_arn, "user")},
	{ROW("GetPolicy", op_iam_get_policy, policy, "policy"), READ},
	{ROW("GetPolicyVersion", op_iam_get_policy_version, policy_version, "policy"), READ},
	{ROW("GetRole", op_iam_get, role, "role"), READ},
	{ROW("GetRolePolicy", op_iam_get_inline, role_policy, "role"), READ},
	{ROW("GetUser", op_iam_get, self, "user"), READ},
	{ROW("GetUserPolicy", op_iam_get_inline, user_policy, "user"), READ},
	{ROW("ListAccessKeys", op_iam_list_keys, list_keys, "user"), READ},
	{ROW("ListAttachedRolePolicies", op_iam_list_attached, list_of_role, "role"), READ},
	{ROW("ListAttachedUserPolicies", op_iam_list_attached, list_of_user, "user"), READ},
	{ROW("ListPolicies", op_iam_list_policies, list_policies, NULL), READ},
	{ROW("ListPolicyVersions", op_iam_list_versions, list_versions, "policy"), READ},
	{ROW("ListRolePolicies", op_iam_list_inline, list_of_role, "role"), READ},
	{ROW("ListRoleTags", op_iam_list_tags, list_of_role, "role"), READ},
	{ROW("ListRoles", op_iam_list, list_entities, "role"), READ},
	{ROW("ListUserPolicies", op_iam_list_inline, list_of_user, "user"), READ},
	{ROW("ListUserTags", op_iam_list_tags, list_of_user, "user"), READ},
	{ROW("ListUsers", op_iam_list, list_entities, "user"), READ},
	{ROW("PutRolePermissionsBoundary", op_iam_put_boundary, role_boundary, "role")},
	{ROW("PutRolePolicy", op_iam_put_inline, put_role_policy, "role")},
	{ROW("PutUserPermissionsBoundary", op_iam_put_boundary, user_boundary, "user")},
	{ROW("PutUserPolicy", op_iam_put_inline, put_user_policy, "user")},
	{ROW("SetDefaultPolicyVersion", op_iam_set_default_version, policy_version, "policy")},
	{ROW("TagRole", op_iam_tag, tag_role, "role")},
	{ROW("TagUser", op_iam_tag, tag_user, "user")},
	{ROW("UntagRole", op_iam_untag, untag_role, "role")},
	{ROW("UntagUser", op_iam_untag, untag_user, "user")},
	{ROW("UpdateAccessKey", op_iam_update_key, update_key, "user")},
	{ROW("UpdateAssumeRolePolicy", op_iam_update_trust, update_trust, "role")},
};

static const struct operation sts[] = {
	{ROW("AssumeRole", op_sts_assume_role, assume_role, NULL), READ, OWN, .log_output = true},
	{ROW("GetCallerIdentity", op_sts_get_caller_identity, nothing, NULL), READ, OWN},
	{ROW("GetSessionToken", op_sts_get_session_token, session_token, NULL), READ, OWN,
	 .log_output = true},
};

static const struct operation cloudtrail[] = {
	{ROW("LookupEvents", op_lookup_events, lookup_events, NULL), READ},
};

static const struct operation *find(const struct operation *table, size_t count, const char *name)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(name, table[mid].name);

		if (c == 0)
			return &table[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

const struct operation *operations_find_iam(const char *name)
{
	return find(iam, sizeof(iam) / sizeof(iam[0]), name);
}

const struct operation *operations_find_sts(const char *name)
{
	return find(sts, sizeof(sts) / sizeof(sts[0]), name);
}

const struct operation *operations_find_cloudtrail(const char *name)
{
	return find(cloudtrail, sizeof(cloudtrail) / sizeof(cloudtrail[0]), name);
}
