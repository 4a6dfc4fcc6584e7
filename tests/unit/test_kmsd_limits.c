/* Every limit of the API's model, at it and beyond it, and AWS's sentence for each: one table. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "operations.h"
#include "validate.h"

#define V1(value, member, constraint)                                                              \
	"1 validation error detected: " FAILED(value, member, constraint)
#define FAILED(value, member, constraint)                                                          \
	"Value" value " at '" member "' failed to satisfy constraint: " constraint
#define V2(first, second) "2 validation errors detected: " first "; " second
#define NOT_NULL	  "Member must not be null"
#define LONGEST(n)	  "Member must have length less than or equal to " #n
#define SHORTEST(n)	  "Member must have length greater than or equal to " #n
#define MOST(n)		  "Member must have value less than or equal to " #n
#define LEAST(n)	  "Member must have value greater than or equal to " #n
#define PATTERN(p)	  "Member must satisfy regular expression pattern: " p
#define ONE_OF(list)	  "Member must satisfy enum value set: [" list "]"
#define EACH(constraints) "Member must satisfy constraint: [" constraints "]"
#define MISSING(member)	  V1(" null", member, NOT_NULL)

/*
 * In a row's input ' stands for ", {a*N} for N letters a, {z*N} for the base64 of N zero bytes, {N*TEXT} for
 * N times TEXT with commas between. @want "" is content; a word is an exception's name alone.
 */
struct row {
	const char *operation, *input, *want;
};

static void append(struct buf *out, const char *text, size_t len)
{
	assert_int_equal(buf_append(out, text, len), 0);
}

/* @text with ' as @quote. */
static void append_quoted(struct buf *out, const char *text, size_t len, char quote)
{
	for (size_t i = 0; i < len; i++)
		append(out, text[i] == '\'' ? &quote : text + i, 1);
}

/* What one {...} stands for: N of what is on its right, or of the letter on its left. */
static void expand_one(struct buf *out, const char *left, const char *star, char quote)
{
	const char *right = star + 1, *end = strchr(star, '}');
	size_t many = strtoul(isdigit((unsigned char)*left) ? left : right, NULL, 10);
	uint8_t *zeros = calloc(1, many + 1);
	char *base64 = bytes_to_base64(zeros, many);

	if (*left == 'z')
		append(out, base64, strlen(base64));
	for (size_t i = 0; i < many && *left != 'z'; i++) {
		if (isdigit((unsigned char)*left)) {
			append(out, ",", i > 0);
			append_quoted(out, right, (size_t)(end - right), quote);
		} else {
			append(out, left, (size_t)(star - left));
		}
	}
	free(base64);
	free(zeros);
}

/* The * of {N*TEXT} or {a*N}; NULL: it is neither. */
static const char *star_of(const char *at)
{
	size_t digits = *at == '{' ? strspn(at + 1, "0123456789") : 0;

	if (*at != '{')
		return NULL;
	if (digits && at[1 + digits] == '*')
		return at + 1 + digits;
	return at[1] && at[2] == '*' ? at + 2 : at[1] && at[2] && at[3] == '*' ? at + 3 : NULL;
}

static char *expand(const char *text, char quote)
{
	struct buf out = {.max = 1 << 20};

	while (*text) {
		const char *star = star_of(text);

		if (star) {
			expand_one(&out, text + 1, star, quote);
			text = strchr(star, '}') + 1;
		} else {
			append_quoted(&out, text++, 1, quote);
		}
	}
	append(&out, "", 1);
	return (char *)out.bytes;
}

static void check(const struct row *row)
{
	char *input = expand(row->input, '"'), *want = expand(row->want, '\'');
	struct kms_json *v = NULL;
	struct err err = {0};
	const char *got;

	if (kms_json_parse(input, strlen(input), &v, &err) < 0)
		fail_msg("%s: %s", row->input, err.msg);
	if (validate_input(v, operations_find(row->operation)->members, &err) == 0)
		err_clear(&err);
	kms_json_free(v);
	got = strcmp(err.code, "ValidationException") == 0 ? err.aws_message : err.code;
	if (strcmp(got, want) != 0)
		fail_msg("%s %s: '%s' instead of '%s'", row->operation, row->input, got, want);
	free(input);
	free(want);
}

static void check_all(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(&rows[i]);
}

#define CHECK(rows) check_all((rows), sizeof(rows) / sizeof((rows)[0]))

static void numbers_have_their_bounds(void **state)
{
	static const struct row rows[] = {
		{"GenerateRandom", "{'NumberOfBytes':1}", ""},
		{"GenerateRandom", "{'NumberOfBytes':1024}", ""},
		{"GenerateRandom", "{'NumberOfBytes':1025}",
		 V1(" '1025'", "numberOfBytes", MOST(1024))},
		{"GenerateRandom", "{'NumberOfBytes':0}", V1(" '0'", "numberOfBytes", LEAST(1))},
		{"GenerateDataKey", "{'KeyId':'a','NumberOfBytes':1025}",
		 V1(" '1025'", "numberOfBytes", MOST(1024))},
		{"GenerateDataKeyWithoutPlaintext", "{'KeyId':'a','NumberOfBytes':-1}",
		 V1(" '-1'", "numberOfBytes", LEAST(1))},
		{"ScheduleKeyDeletion", "{'KeyId':'a','PendingWindowInDays':0}",
		 V1(" '0'", "pendingWindowInDays", LEAST(1))},
		{"ScheduleKeyDeletion", "{'KeyId':'a','PendingWindowInDays':366}",
		 V1(" '366'", "pendingWindowInDays", MOST(365))},
		{"EnableKeyRotation", "{'KeyId':'a','RotationPeriodInDays':90}", ""},
		{"EnableKeyRotation", "{'KeyId':'a','RotationPeriodInDays':2560}", ""},
		{"EnableKeyRotation", "{'KeyId':'a','RotationPeriodInDays':89}",
		 V1(" '89'", "rotationPeriodInDays", LEAST(90))},
		{"EnableKeyRotation", "{'KeyId':'a','RotationPeriodInDays':2561}",
		 V1(" '2561'", "rotationPeriodInDays", MOST(2560))},
		{"ListKeys", "{'Limit':1000}", ""},
		{"ListKeys", "{'Limit':0}", V1(" '0'", "limit", LEAST(1))},
		{"ListKeys", "{'Limit':1001}", V1(" '1001'", "limit", MOST(1000))},
		{"ListKeyPolicies", "{'KeyId':'a','Limit':1001}",
		 V1(" '1001'", "limit", MOST(1000))},
		{"ListKeyRotations", "{'KeyId':'a','Limit':1001}",
		 V1(" '1001'", "limit", MOST(1000))},
		{"ListAliases", "{'Limit':100}", ""},
		{"ListAliases", "{'Limit':101}", V1(" '101'", "limit", MOST(100))},
		{"ListGrants", "{'KeyId':'a','Limit':101}", V1(" '101'", "limit", MOST(100))},
		{"ListRetirableGrants", "{'RetiringPrincipal':'a','Limit':101}",
		 V1(" '101'", "limit", MOST(100))},
		{"ListResourceTags", "{'KeyId':'a','Limit':50}", ""},
		{"ListResourceTags", "{'KeyId':'a','Limit':51}", V1(" '51'", "limit", MOST(50))},
		{"ListKeys", "{'Limit':1.5}", "SerializationException"},
		{"ListKeys", "{'Limit':'1'}", "SerializationException"},
	};

	(void)state;
	CHECK(rows);
}

static void texts_have_their_lengths(void **state)
{
	static const struct row rows[] = {
		{"DescribeKey", "{'KeyId':'{a*2048}'}", ""},
		{"DescribeKey", "{'KeyId':'{é*2048}'}", ""}, /* characters, not bytes */
		{"DescribeKey", "{'KeyId':'{a*2049}'}", V1("", "keyId", LONGEST(2048))},
		{"DescribeKey", "{'KeyId':''}", V1(" ''", "keyId", SHORTEST(1))},
		{"UpdateKeyDescription", "{'KeyId':'a','Description':''}", ""},
		{"UpdateKeyDescription", "{'KeyId':'a','Description':'{a*8192}'}", ""},
		{"UpdateKeyDescription", "{'KeyId':'a','Description':'{a*8193}'}",
		 V1("", "description", LONGEST(8192))},
		{"CreateKey", "{'Description':'{a*8193}'}", V1("", "description", LONGEST(8192))},
		{"CreateAlias", "{'AliasName':'alias/{a*250}','TargetKeyId':'a'}", ""},
		{"DeleteAlias", "{'AliasName':''}", V1(" ''", "aliasName", SHORTEST(1))},
		{"RevokeGrant", "{'KeyId':'a','GrantId':'{a*128}'}", ""},
		{"RevokeGrant", "{'KeyId':'a','GrantId':''}", V1(" ''", "grantId", SHORTEST(1))},
		{"RetireGrant", "{'GrantToken':'{a*8192}'}", ""},
		{"RetireGrant", "{'GrantToken':'{a*8193}'}", V1("", "grantToken", LONGEST(8192))},
		{"RetireGrant", "{'GrantToken':''}", V1("", "grantToken", SHORTEST(1))},
		{"PutKeyPolicy", "{'KeyId':'a','Policy':'{a*131072}'}", ""},
		{"PutKeyPolicy", "{'KeyId':'a','Policy':'{a*131073}'}",
		 V1("", "policy", LONGEST(131072))},
		{"PutKeyPolicy", "{'KeyId':'a','Policy':''}", V1(" ''", "policy", SHORTEST(1))},
		{"ListKeys", "{'Marker':''}", V1(" ''", "marker", SHORTEST(1))},
		{"ListKeys", "{'Marker':'{a*1024}'}", ""},
		{"ListKeys", "{'Marker':'{a*1025}'}", V1("", "marker", LONGEST(1024))},
		{"DescribeKey", "{'KeyId':5}", "SerializationException"},
		{"DescribeKey", "{'KeyId':'a\\u0000b'}", "SerializationException"},
	};

	(void)state;
	CHECK(rows);
}

static void blobs_have_their_sizes_and_are_not_repeated(void **state)
{
	static const struct row rows[] = {
		{"Encrypt", "{'KeyId':'a','Plaintext':'{z*1}'}", ""},
		{"Encrypt", "{'KeyId':'a','Plaintext':'{z*4096}'}", ""},
		{"Encrypt", "{'KeyId':'a','Plaintext':'{z*4097}'}",
		 V1("", "plaintext", LONGEST(4096))},
		{"Encrypt", "{'KeyId':'a','Plaintext':''}", V1("", "plaintext", SHORTEST(1))},
		{"Decrypt", "{'CiphertextBlob':'{z*6144}'}", ""},
		{"Decrypt", "{'CiphertextBlob':'{z*6145}'}",
		 V1("", "ciphertextBlob", LONGEST(6144))},
		{"Decrypt", "{'CiphertextBlob':''}", V1("", "ciphertextBlob", SHORTEST(1))},
		{"ReEncrypt", "{'CiphertextBlob':'','DestinationKeyId':'a'}",
		 V1("", "ciphertextBlob", SHORTEST(1))},
		{"Sign", "{'KeyId':'a','Message':'{z*4097}','SigningAlgorithm':'ECDSA_SHA_256'}",
		 V1("", "message", LONGEST(4096))},
		{"Encrypt", "{'KeyId':'a','Plaintext':'===='}", "SerializationException"},
		{"Encrypt", "{'KeyId':'a','Plaintext':'YQ'}", "SerializationException"},
		{"Encrypt", "{'KeyId':'a','Plaintext':['YQ==']}", "SerializationException"},
	};

	(void)state;
	CHECK(rows);
}

static void patterns_are_told(void **state)
{
	static const struct row rows[] = {
		{"GetKeyPolicy", "{'KeyId':'a','PolicyName':'invalid-name'}",
		 V1(" 'invalid-name'", "policyName", PATTERN("[\\w]+"))},
		{"PutKeyPolicy", "{'KeyId':'a','Policy':'x','PolicyName':'{a*129}'}",
		 V1(" '{a*129}'", "policyName", LONGEST(128))},
		{"PutKeyPolicy", "{'KeyId':'a','Policy':'\\u0100'}",
		 V1(" '\xc4\x80'", "policy", PATTERN("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"))},
		{"CreateAlias", "{'AliasName':'alias/a b','TargetKeyId':'a'}",
		 V1(" 'alias/a b'", "aliasName", PATTERN("^[a-zA-Z0-9:/_-]+$"))},
		{"UpdateAlias", "{'AliasName':'alias/\\u00e9','TargetKeyId':'a'}",
		 V1(" 'alias/\xc3\xa9'", "aliasName", PATTERN("^[a-zA-Z0-9:/_-]+$"))},
		{"CreateGrant", "{'KeyId':'a','GranteePrincipal':'a b','Operations':['Decrypt']}",
		 V1(" 'a b'", "granteePrincipal", PATTERN("^[\\w+=,.@:/-]+$"))},
		{"CreateGrant",
		 "{'KeyId':'a','GranteePrincipal':'a','Operations':['Decrypt'],'Name':'a b'}",
		 V1(" 'a b'", "name", PATTERN("^[a-zA-Z0-9:/_-]+$"))},
		{"ListGrants", "{'KeyId':'a','GranteePrincipal':'*'}",
		 V1(" '*'", "granteePrincipal", PATTERN("^[\\w+=,.@:/-]+$"))},
		{"ListRetirableGrants", "{'RetiringPrincipal':'{a*257}'}",
		 V1(" '{a*257}'", "retiringPrincipal", LONGEST(256))},
		{"ListKeys", "{'Marker':'\\u0007'}",
		 V1(" '\x07'", "marker", PATTERN("[\\u0020-\\u00FF]*"))},
		{"ReplicateKey", "{'KeyId':'a','ReplicaRegion':'moon'}",
		 V1(" 'moon'", "replicaRegion", PATTERN("^([a-z]+-){2,3}\\d+$"))},
		{"DeleteImportedKeyMaterial", "{'KeyId':'a','KeyMaterialId':'{g*64}'}",
		 V1(" '{g*64}'", "keyMaterialId", PATTERN("^[a-f0-9]+$"))},
	};

	(void)state;
	CHECK(rows);
}

#define SPECS                                                                                      \
	"RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, "              \
	"ECC_SECG_P256K1, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2"
#define GRANT_OPERATIONS                                                                           \
	"Decrypt, Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, ReEncryptFrom, "      \
	"ReEncryptTo, Sign, Verify, GetPublicKey, CreateGrant, RetireGrant, DescribeKey, "         \
	"GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, GenerateMac, VerifyMac, "       \
	"DeriveSharedSecret"
#define ALGORITHMS "SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE"

static void enumerations_are_told_whole(void **state)
{
	static const struct row rows[] = {
		{"GenerateDataKey", "{'KeyId':'a','KeySpec':'AES_512'}",
		 V1(" 'AES_512'", "keySpec", ONE_OF("AES_256, AES_128"))},
		{"GenerateDataKey", "{'KeyId':'a','KeySpec':'aes_256'}",
		 V1(" 'aes_256'", "keySpec", ONE_OF("AES_256, AES_128"))},
		{"CreateKey", "{'KeySpec':'X'}",
		 V1(" 'X'", "keySpec",
		    ONE_OF(SPECS ", ML_DSA_44, ML_DSA_65, ML_DSA_87, ECC_NIST_EDWARDS25519"))},
		{"CreateKey", "{'CustomerMasterKeySpec':'ML_DSA_44'}",
		 V1(" 'ML_DSA_44'", "customerMasterKeySpec", ONE_OF(SPECS))},
		{"CreateKey", "{'KeyUsage':'X'}",
		 V1(" 'X'", "keyUsage",
		    ONE_OF("SIGN_VERIFY, ENCRYPT_DECRYPT, GENERATE_VERIFY_MAC, KEY_AGREEMENT"))},
		{"CreateKey", "{'Origin':'X'}",
		 V1(" 'X'", "origin",
		    ONE_OF("AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE"))},
		{"Encrypt", "{'KeyId':'a','Plaintext':'YQ==','EncryptionAlgorithm':'X'}",
		 V1(" 'X'", "encryptionAlgorithm", ONE_OF(ALGORITHMS))},
		{"Decrypt", "{'CiphertextBlob':'YQ==','EncryptionAlgorithm':''}",
		 V1(" ''", "encryptionAlgorithm", ONE_OF(ALGORITHMS))},
		{"ReEncrypt",
		 "{'CiphertextBlob':'YQ==','DestinationKeyId':'a','SourceEncryptionAlgorithm':'X',"
		 "'DestinationEncryptionAlgorithm':'Y'}",
		 V2(FAILED(" 'X'", "sourceEncryptionAlgorithm", ONE_OF(ALGORITHMS)),
		    FAILED(" 'Y'", "destinationEncryptionAlgorithm", ONE_OF(ALGORITHMS)))},
		{"ListKeyRotations", "{'KeyId':'a','IncludeKeyMaterial':'X'}",
		 V1(" 'X'", "includeKeyMaterial", ONE_OF("ALL_KEY_MATERIAL, ROTATIONS_ONLY"))},
		{"Decrypt", "{'CiphertextBlob':'YQ==','DryRunModifiers':['X']}",
		 V1(" '[X]'", "dryRunModifiers", EACH(ONE_OF("IGNORE_CIPHERTEXT")))},
		{"CreateGrant",
		 "{'KeyId':'a','GranteePrincipal':'a','Operations':['Foo','Decrypt']}",
		 V1(" '[Foo, Decrypt]'", "operations", EACH(ONE_OF(GRANT_OPERATIONS)))},
	};

	(void)state;
	CHECK(rows);
}

static void lists_count_and_their_members_do(void **state)
{
	static const struct row rows[] = {
		{"Decrypt", "{'CiphertextBlob':'YQ==','GrantTokens':[]}", ""},
		{"Decrypt", "{'CiphertextBlob':'YQ==','GrantTokens':[{10*'a'}]}", ""},
		{"Decrypt", "{'CiphertextBlob':'YQ==','GrantTokens':[{11*'a'}]}",
		 V1("", "grantTokens", LONGEST(10))},
		{"DescribeKey", "{'KeyId':'a','GrantTokens':['']}",
		 V1("", "grantTokens", EACH(LONGEST(8192) ", " SHORTEST(1)))},
		{"DescribeKey", "{'KeyId':'a','GrantTokens':['{a*8193}']}",
		 V1("", "grantTokens", EACH(LONGEST(8192) ", " SHORTEST(1)))},
		{"UntagResource", "{'KeyId':'a','TagKeys':['{a*128}']}", ""},
		{"UntagResource", "{'KeyId':'a','TagKeys':['b','']}",
		 V1(" '[b, ]'", "tagKeys", EACH(LONGEST(128) ", " SHORTEST(1)))},
		{"TagResource", "{'KeyId':'a','Tags':[{'TagKey':'{a*128}','TagValue':'{a*256}'}]}",
		 ""},
		{"TagResource", "{'KeyId':'a','Tags':[{'TagKey':'','TagValue':''}]}",
		 V1(" ''", "tags.1.member.tagKey", SHORTEST(1))},
		{"TagResource",
		 "{'KeyId':'a','Tags':[{'TagKey':'a','TagValue':''},{'TagKey':'{a*129}',"
		 "'TagValue':'{b*257}'}]}",
		 V2(FAILED(" '{a*129}'", "tags.2.member.tagKey", LONGEST(128)),
		    FAILED(" '{b*257}'", "tags.2.member.tagValue", LONGEST(256)))},
		{"CreateKey", "{'Tags':[{'TagKey':'a'}]}", MISSING("tags.1.member.tagValue")},
		{"CreateKey", "{'Tags':[{'TagValue':'a'}]}", MISSING("tags.1.member.tagKey")},
		{"CreateKey", "{'Tags':['a']}", "SerializationException"},
		{"CreateKey", "{'Tags':[{'TagKey':1,'TagValue':'a'}]}", "SerializationException"},
		{"CreateKey", "{'Tags':{}}", "SerializationException"},
		{"Decrypt", "{'CiphertextBlob':'YQ==','GrantTokens':'a'}",
		 "SerializationException"},
		{"Encrypt", "{'KeyId':'a','Plaintext':'YQ==','EncryptionContext':{'a':1}}",
		 "SerializationException"},
		{"Encrypt", "{'KeyId':'a','Plaintext':'YQ==','EncryptionContext':['a']}",
		 "SerializationException"},
		{"CreateGrant",
		 "{'KeyId':'a','GranteePrincipal':'a','Operations':['Decrypt'],'Constraints':{"
		 "'EncryptionContextEquals':{'a':1}}}",
		 "SerializationException"},
	};

	(void)state;
	CHECK(rows);
}

/* What each operation must be given, none of it given: all is told at once, in the model's order. */
static void required_members_are_told_at_once(void **state)
{
#define MISS(member) FAILED(" null", member, NOT_NULL)
	static const struct row rows[] = {
		{"CancelKeyDeletion", "{}", MISSING("keyId")},
		{"CreateAlias", "{}", V2(MISS("aliasName"), MISS("targetKeyId"))},
		{"CreateGrant", "{}",
		 "3 validation errors detected: " MISS("keyId") "; " MISS(
			 "granteePrincipal") "; " MISS("operations")},
		{"CreateKey", "{}", ""},
		{"Decrypt", "{}", ""}, /* the operation asks, since a dry run may do without */
		{"DeleteAlias", "{}", MISSING("aliasName")},
		{"DescribeKey", "{}", MISSING("keyId")},
		{"DisableKey", "{}", MISSING("keyId")},
		{"DisableKeyRotation", "{}", MISSING("keyId")},
		{"EnableKey", "{}", MISSING("keyId")},
		{"EnableKeyRotation", "{}", MISSING("keyId")},
		{"Encrypt", "{}", V2(MISS("keyId"), MISS("plaintext"))},
		{"GenerateDataKey", "{}", MISSING("keyId")},
		{"GenerateDataKeyWithoutPlaintext", "{}", MISSING("keyId")},
		{"GenerateRandom", "{}", ""},
		{"GetKeyLastUsage", "{}", MISSING("keyId")},
		{"GetKeyPolicy", "{}", MISSING("keyId")},
		{"GetKeyRotationStatus", "{}", MISSING("keyId")},
		{"ListAliases", "{}", ""},
		{"ListGrants", "{}", MISSING("keyId")},
		{"ListKeyPolicies", "{}", MISSING("keyId")},
		{"ListKeyRotations", "{}", MISSING("keyId")},
		{"ListKeys", "{}", ""},
		{"ListResourceTags", "{}", MISSING("keyId")},
		{"ListRetirableGrants", "{}", MISSING("retiringPrincipal")},
		{"PutKeyPolicy", "{}", V2(MISS("keyId"), MISS("policy"))},
		{"PutKeyPolicy", "{'KeyId':'a','Policy':null}", MISSING("policy")},
		{"ReEncrypt", "{}", MISSING("destinationKeyId")},
		{"RetireGrant", "{}", ""},
		{"RevokeGrant", "{}", V2(MISS("keyId"), MISS("grantId"))},
		{"RotateKeyOnDemand", "{}", MISSING("keyId")},
		{"ScheduleKeyDeletion", "{}", MISSING("keyId")},
		{"TagResource", "{}", V2(MISS("keyId"), MISS("tags"))},
		{"UntagResource", "{}", V2(MISS("keyId"), MISS("tagKeys"))},
		{"UpdateAlias", "{}", V2(MISS("aliasName"), MISS("targetKeyId"))},
		{"UpdateKeyDescription", "{}", V2(MISS("keyId"), MISS("description"))},
	};

	(void)state;
	CHECK(rows);
}

static void several_errors_make_one_text(void **state)
{
	static const struct row rows[] = {
		{"GenerateDataKey", "{'KeyId':'','KeySpec':'AES_512'}",
		 V2(FAILED(" ''", "keyId", SHORTEST(1)),
		    FAILED(" 'AES_512'", "keySpec", ONE_OF("AES_256, AES_128")))},
		{"CreateGrant", "{'KeyId':'a','GranteePrincipal':'a b','Operations':['Foo']}",
		 V2(FAILED(" 'a b'", "granteePrincipal", PATTERN("^[\\w+=,.@:/-]+$")),
		    FAILED(" '[Foo]'", "operations", EACH(ONE_OF(GRANT_OPERATIONS))))},
		{"DescribeKey", "{'KeyId':null}", MISSING("keyId")},
		{"DescribeKey", "{'KeyId':'a','Extra':[]}", ""}, /* unknown members are none */
	};

	(void)state;
	CHECK(rows);
}

static void what_this_server_cannot_do_is_told_by_its_member(void **state)
{
	static const struct row rows[] = {
		{"Decrypt", "{'CiphertextBlob':'YQ==','Recipient':{}}",
		 "UnsupportedOperationException"},
		{"Decrypt", "{'CiphertextBlob':'YQ==','Recipient':null}", ""},
		{"CreateKey", "{'CustomKeyStoreId':'x'}", "UnsupportedOperationException"},
		{"CreateKey", "{'XksKeyId':'x'}", "UnsupportedOperationException"},
		{"GenerateRandom", "{'NumberOfBytes':1,'CustomKeyStoreId':'x'}",
		 "UnsupportedOperationException"},
	};

	(void)state;
	CHECK(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_have_their_bounds),
		cmocka_unit_test(texts_have_their_lengths),
		cmocka_unit_test(blobs_have_their_sizes_and_are_not_repeated),
		cmocka_unit_test(patterns_are_told),
		cmocka_unit_test(enumerations_are_told_whole),
		cmocka_unit_test(lists_count_and_their_members_do),
		cmocka_unit_test(required_members_are_told_at_once),
		cmocka_unit_test(several_errors_make_one_text),
		cmocka_unit_test(what_this_server_cannot_do_is_told_by_its_member),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
