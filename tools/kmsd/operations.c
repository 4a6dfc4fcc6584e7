/* The operations of AWS KMS (API Reference, "Actions") as rows. See operations.h, call.h. */
#include "operations.h"

#include <stddef.h>
#include <string.h>

#define REQ  MEMBER_REQUIRED
#define HIDE MEMBER_HIDDEN

#define CRYPTO_MEMBERS                                                                             \
	{"GrantTokens", SHAPE_GRANT_TOKENS, HIDE},                                                 \
	{                                                                                          \
		"DryRun", SHAPE_BOOLEAN, 0                                                         \
	}
#define PAGE_MEMBERS                                                                               \
	{"Limit", SHAPE_LIMIT, 0},                                                                 \
	{                                                                                          \
		"Marker", SHAPE_MARKER, 0                                                          \
	}

static const struct member create_key[] = {
	{"Policy", SHAPE_POLICY, 0},
	{"Description", SHAPE_DESCRIPTION, 0},
	{"KeyUsage", SHAPE_KEY_USAGE, 0},
	{"CustomerMasterKeySpec", SHAPE_KEY_SPEC_OLD, 0},
	{"KeySpec", SHAPE_KEY_SPEC, 0},
	{"Origin", SHAPE_ORIGIN, 0},
	{"CustomKeyStoreId", SHAPE_UNSUPPORTED, 0},
	{"BypassPolicyLockoutSafetyCheck", SHAPE_BOOLEAN, 0},
	{"Tags", SHAPE_TAGS, 0},
	{"MultiRegion", SHAPE_BOOLEAN, 0},
	{"XksKeyId", SHAPE_UNSUPPORTED, 0},
	{0},
};
static const struct member key_id[] = {{"KeyId", SHAPE_KEY_ID, REQ}, {0}};
static const struct member describe_key[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"GrantTokens", SHAPE_GRANT_TOKENS, HIDE}, {0}};
static const struct member list_keys[] = {PAGE_MEMBERS, {0}};
static const struct member schedule_deletion[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"PendingWindowInDays", SHAPE_PENDING_WINDOW, 0}, {0}};
static const struct member alias_target[] = {
	{"AliasName", SHAPE_ALIAS_NAME, REQ}, {"TargetKeyId", SHAPE_KEY_ID, REQ}, {0}};
static const struct member alias_name[] = {{"AliasName", SHAPE_ALIAS_NAME, REQ}, {0}};
static const struct member list_aliases[] = {{"KeyId", SHAPE_KEY_ID, 0},
					     {"Limit", SHAPE_LIMIT_ALIASES, 0},
					     {"Marker", SHAPE_MARKER, 0},
					     {0}};
static const struct member get_policy[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"PolicyName", SHAPE_POLICY_NAME, 0}, {0}};
static const struct member put_policy[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"PolicyName", SHAPE_POLICY_NAME, 0},
	{"Policy", SHAPE_POLICY, REQ},
	{"BypassPolicyLockoutSafetyCheck", SHAPE_BOOLEAN, 0},
	{0},
};
static const struct member list_policies[] = {{"KeyId", SHAPE_KEY_ID, REQ}, PAGE_MEMBERS, {0}};
static const struct member encrypt[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"Plaintext", SHAPE_PLAINTEXT, REQ | HIDE},
	{"EncryptionContext", SHAPE_CONTEXT, 0},
	{"EncryptionAlgorithm", SHAPE_ALGORITHM, 0},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member decrypt[] = {
	{"CiphertextBlob", SHAPE_CIPHERTEXT, HIDE},
	{"EncryptionContext", SHAPE_CONTEXT, 0},
	{"KeyId", SHAPE_KEY_ID, 0},
	{"EncryptionAlgorithm", SHAPE_ALGORITHM, 0},
	{"Recipient", SHAPE_UNSUPPORTED, HIDE},
	{"DryRunModifiers", SHAPE_DRY_RUN_MODIFIERS, 0},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member re_encrypt[] = {
	{"CiphertextBlob", SHAPE_CIPHERTEXT, HIDE},
	{"SourceEncryptionContext", SHAPE_CONTEXT, 0},
	{"SourceKeyId", SHAPE_KEY_ID, 0},
	{"DestinationKeyId", SHAPE_KEY_ID, REQ},
	{"DestinationEncryptionContext", SHAPE_CONTEXT, 0},
	{"SourceEncryptionAlgorithm", SHAPE_ALGORITHM, 0},
	{"DestinationEncryptionAlgorithm", SHAPE_ALGORITHM, 0},
	{"DryRunModifiers", SHAPE_DRY_RUN_MODIFIERS, 0},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member data_key[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"EncryptionContext", SHAPE_CONTEXT, 0},
	{"NumberOfBytes", SHAPE_NUMBER_OF_BYTES, 0},
	{"KeySpec", SHAPE_DATA_KEY_SPEC, 0},
	{"Recipient", SHAPE_UNSUPPORTED, HIDE},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member generate_random[] = {
	{"NumberOfBytes", SHAPE_NUMBER_OF_BYTES, 0},
	{"CustomKeyStoreId", SHAPE_UNSUPPORTED, 0},
	{"Recipient", SHAPE_UNSUPPORTED, HIDE},
	{0},
};

static const struct member create_grant[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"GranteePrincipal", SHAPE_PRINCIPAL, REQ},
	{"RetiringPrincipal", SHAPE_PRINCIPAL, 0},
	{"Operations", SHAPE_GRANT_OPERATIONS, REQ},
	{"Constraints", SHAPE_GRANT_CONSTRAINTS, 0},
	{"Name", SHAPE_GRANT_NAME, 0},
	{"GranteeServicePrincipal", SHAPE_UNSUPPORTED, 0},
	{"RetiringServicePrincipal", SHAPE_UNSUPPORTED, 0},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member list_grants[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"GrantId", SHAPE_GRANT_ID, 0},
	{"GranteePrincipal", SHAPE_PRINCIPAL, 0},
	{"Limit", SHAPE_LIMIT_ALIASES, 0},
	{"Marker", SHAPE_MARKER, 0},
	{0},
};
static const struct member list_retirable[] = {
	{"RetiringPrincipal", SHAPE_PRINCIPAL, REQ},
	{"Limit", SHAPE_LIMIT_ALIASES, 0},
	{"Marker", SHAPE_MARKER, 0},
	{0},
};
static const struct member revoke_grant[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"GrantId", SHAPE_GRANT_ID, REQ},
	{"DryRun", SHAPE_BOOLEAN, 0},
	{0},
};
static const struct member retire_grant[] = {
	{"GrantToken", SHAPE_GRANT_TOKEN, HIDE},
	{"KeyId", SHAPE_KEY_ID, 0},
	{"GrantId", SHAPE_GRANT_ID, 0},
	{"DryRun", SHAPE_BOOLEAN, 0},
	{0},
};
static const struct member enable_rotation[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"RotationPeriodInDays", SHAPE_ROTATION_PERIOD, 0}, {0}};
static const struct member list_rotations[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"IncludeKeyMaterial", SHAPE_INCLUDE_MATERIAL, 0},
	PAGE_MEMBERS,
	{0},
};
static const struct member tag_resource[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"Tags", SHAPE_TAGS, REQ}, {0}};
static const struct member untag_resource[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"TagKeys", SHAPE_TAG_KEYS, REQ}, {0}};
static const struct member list_tags[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"Limit", SHAPE_LIMIT_TAGS, 0},
	{"Marker", SHAPE_MARKER, 0},
	{0},
};
static const struct member description[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"Description", SHAPE_DESCRIPTION, REQ}, {0}};

/* Operations of keys that this server does not make: their input is checked all the same. */
static const struct member key_agreement[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"KeyAgreementAlgorithm", SHAPE_KEY_AGREEMENT, REQ},
	{"PublicKey", SHAPE_PUBLIC_KEY, REQ | HIDE},
	{"Recipient", SHAPE_UNSUPPORTED, HIDE},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member generate_mac[] = {
	{"Message", SHAPE_PLAINTEXT, REQ | HIDE},
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"MacAlgorithm", SHAPE_MAC_ALGORITHM, REQ},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member verify_mac[] = {
	{"Message", SHAPE_PLAINTEXT, REQ | HIDE},
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"MacAlgorithm", SHAPE_MAC_ALGORITHM, REQ},
	{"Mac", SHAPE_CIPHERTEXT, REQ | HIDE},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member sign[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"Message", SHAPE_PLAINTEXT, REQ | HIDE},
	{"MessageType", SHAPE_MESSAGE_TYPE, 0},
	{"SigningAlgorithm", SHAPE_SIGNING_ALGORITHM, REQ},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member verify[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"Message", SHAPE_PLAINTEXT, REQ | HIDE},
	{"MessageType", SHAPE_MESSAGE_TYPE, 0},
	{"Signature", SHAPE_CIPHERTEXT, REQ | HIDE},
	{"SigningAlgorithm", SHAPE_SIGNING_ALGORITHM, REQ},
	CRYPTO_MEMBERS,
	{0},
};
static const struct member parameters_for_import[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"WrappingAlgorithm", SHAPE_WRAPPING_ALGORITHM, REQ},
	{"WrappingKeySpec", SHAPE_WRAPPING_KEY_SPEC, REQ},
	{0},
};
static const struct member import_material[] = {
	{"KeyId", SHAPE_KEY_ID, REQ},
	{"ImportToken", SHAPE_CIPHERTEXT, REQ | HIDE},
	{"EncryptedKeyMaterial", SHAPE_CIPHERTEXT, REQ | HIDE},
	{0},
};
static const struct member delete_material[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"KeyMaterialId", SHAPE_MATERIAL_ID, 0}, {0}};
static const struct member replicate[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"ReplicaRegion", SHAPE_REGION, REQ}, {0}};
static const struct member primary_region[] = {
	{"KeyId", SHAPE_KEY_ID, REQ}, {"PrimaryRegion", SHAPE_REGION, REQ}, {0}};

#define ROW(n, r, m) .name = (n), .run = (r), .members = (m)
#define LATER(n)                                                                                   \
	{                                                                                          \
		.name = (n)                                                                        \
	}
#define USE(u)	    .use = (u)
#define KEY(member) .key_member = (member)
#define ALIAS	    .alias_ok = true
#define ARN	    .arn_fault = true
#define CROSS	    .cross_account = true
#define READ	    .read_only = true

/* In order of name: operations_find() halves it. */
static const struct operation table[] = {
	{ROW("CancelKeyDeletion", op_cancel_key_deletion, key_id), KEY("KeyId"),
	 USE(KEY_USE_CANCEL_DELETION), ARN},
	LATER("ConnectCustomKeyStore"),
	{ROW("CreateAlias", op_create_alias, alias_target), KEY("TargetKeyId"),
	 USE(KEY_USE_CREATE_ALIAS)},
	LATER("CreateCustomKeyStore"),
	{ROW("CreateGrant", op_create_grant, create_grant), KEY("KeyId"), USE(KEY_USE_CREATE_GRANT),
	 ARN, CROSS},
	{ROW("CreateKey", op_create_key, create_key)},
	{ROW("Decrypt", op_decrypt, decrypt), USE(KEY_USE_CRYPTO), ALIAS, READ, CROSS},
	{ROW("DeleteAlias", op_delete_alias, alias_name)},
	LATER("DeleteCustomKeyStore"),
	{ROW("DeleteImportedKeyMaterial", op_other_origin, delete_material), KEY("KeyId"),
	 USE(KEY_USE_ANY), ARN},
	{ROW("DeriveSharedSecret", op_other_usage, key_agreement), KEY("KeyId"),
	 USE(KEY_USE_CRYPTO), ALIAS, READ, CROSS},
	LATER("DescribeCustomKeyStores"),
	{ROW("DescribeKey", op_describe_key, describe_key), KEY("KeyId"), USE(KEY_USE_ANY), ALIAS,
	 ARN, READ, CROSS},
	{ROW("DisableKey", op_disable_key, key_id), KEY("KeyId"), USE(KEY_USE_ENABLE), ARN},
	{ROW("DisableKeyRotation", op_disable_key_rotation, key_id), KEY("KeyId"),
	 USE(KEY_USE_ROTATION), ARN},
	LATER("DisconnectCustomKeyStore"),
	{ROW("EnableKey", op_enable_key, key_id), KEY("KeyId"), USE(KEY_USE_ENABLE), ARN},
	{ROW("EnableKeyRotation", op_enable_key_rotation, enable_rotation), KEY("KeyId"),
	 USE(KEY_USE_ROTATION), ARN},
	{ROW("Encrypt", op_encrypt, encrypt), KEY("KeyId"), USE(KEY_USE_CRYPTO), ALIAS, READ,
	 CROSS},
	{ROW("GenerateDataKey", op_generate_data_key, data_key), KEY("KeyId"), USE(KEY_USE_CRYPTO),
	 ALIAS, READ, CROSS},
	LATER("GenerateDataKeyPair"),
	LATER("GenerateDataKeyPairWithoutPlaintext"),
	{ROW("GenerateDataKeyWithoutPlaintext", op_generate_data_key_without_plaintext, data_key),
	 KEY("KeyId"), USE(KEY_USE_CRYPTO), ALIAS, READ, CROSS},
	{ROW("GenerateMac", op_other_usage, generate_mac), KEY("KeyId"), USE(KEY_USE_CRYPTO), ALIAS,
	 READ, CROSS},
	{ROW("GenerateRandom", op_generate_random, generate_random), READ},
	{ROW("GetKeyLastUsage", op_get_key_last_usage, key_id), KEY("KeyId"), USE(KEY_USE_ANY), ARN,
	 READ},
	{ROW("GetKeyPolicy", op_get_key_policy, get_policy), KEY("KeyId"), USE(KEY_USE_ANY), ARN,
	 READ},
	{ROW("GetKeyRotationStatus", op_get_key_rotation_status, key_id), KEY("KeyId"),
	 USE(KEY_USE_ROTATION_STATUS), ARN, READ, CROSS},
	{ROW("GetParametersForImport", op_other_origin, parameters_for_import), KEY("KeyId"),
	 USE(KEY_USE_ANY), ARN, READ},
	{ROW("GetPublicKey", op_other_spec, describe_key), KEY("KeyId"), USE(KEY_USE_ANY), ALIAS,
	 ARN, READ, CROSS},
	{ROW("ImportKeyMaterial", op_other_origin, import_material), KEY("KeyId"), USE(KEY_USE_ANY),
	 ARN},
	{ROW("ListAliases", op_list_aliases, list_aliases), ARN, READ},
	{ROW("ListGrants", op_list_grants, list_grants), KEY("KeyId"), USE(KEY_USE_ANY), ARN, READ,
	 CROSS},
	{ROW("ListKeyPolicies", op_list_key_policies, list_policies), KEY("KeyId"),
	 USE(KEY_USE_ANY), ARN, READ},
	{ROW("ListKeyRotations", op_list_key_rotations, list_rotations), KEY("KeyId"),
	 USE(KEY_USE_ROTATION_STATUS), ARN, READ},
	{ROW("ListKeys", op_list_keys, list_keys), READ},
	{ROW("ListResourceTags", op_list_resource_tags, list_tags), KEY("KeyId"), USE(KEY_USE_ANY),
	 ARN, READ},
	{ROW("ListRetirableGrants", op_list_retirable_grants, list_retirable), ARN, READ},
	{ROW("PutKeyPolicy", op_put_key_policy, put_policy), KEY("KeyId"), USE(KEY_USE_ANY), ARN},
	{ROW("ReEncrypt", op_re_encrypt, re_encrypt), USE(KEY_USE_CRYPTO), ALIAS, READ, CROSS},
	{ROW("ReplicateKey", op_single_region, replicate), KEY("KeyId"), USE(KEY_USE_ANY), ARN},
	{ROW("RetireGrant", op_retire_grant, retire_grant), ARN, CROSS},
	{ROW("RevokeGrant", op_revoke_grant, revoke_grant), KEY("KeyId"), USE(KEY_USE_ANY), ARN,
	 CROSS},
	{ROW("RotateKeyOnDemand", op_rotate_key_on_demand, key_id), KEY("KeyId"),
	 USE(KEY_USE_ROTATION), ARN},
	{ROW("ScheduleKeyDeletion", op_schedule_key_deletion, schedule_deletion), KEY("KeyId"),
	 USE(KEY_USE_SCHEDULE_DELETION), ARN},
	{ROW("Sign", op_other_usage, sign), KEY("KeyId"), USE(KEY_USE_CRYPTO), ALIAS, READ, CROSS},
	{ROW("TagResource", op_tag_resource, tag_resource), KEY("KeyId"),
	 USE(KEY_USE_DESCRIBE_WRITE), ARN},
	{ROW("UntagResource", op_untag_resource, untag_resource), KEY("KeyId"),
	 USE(KEY_USE_DESCRIBE_WRITE), ARN},
	{ROW("UpdateAlias", op_update_alias, alias_target), KEY("TargetKeyId"),
	 USE(KEY_USE_UPDATE_ALIAS)},
	LATER("UpdateCustomKeyStore"),
	{ROW("UpdateKeyDescription", op_update_key_description, description), KEY("KeyId"),
	 USE(KEY_USE_DESCRIBE_WRITE), ARN},
	{ROW("UpdatePrimaryRegion", op_single_region, primary_region), KEY("KeyId"),
	 USE(KEY_USE_ANY), ARN},
	{ROW("Verify", op_other_usage, verify), KEY("KeyId"), USE(KEY_USE_CRYPTO), ALIAS, READ,
	 CROSS},
	{ROW("VerifyMac", op_other_usage, verify_mac), KEY("KeyId"), USE(KEY_USE_CRYPTO), ALIAS,
	 READ, CROSS},
};

const struct operation *operations_find(const char *name)
{
	size_t low = 0, high = sizeof(table) / sizeof(table[0]);

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
