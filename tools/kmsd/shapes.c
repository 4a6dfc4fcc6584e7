/* The shapes as the services' models state them. See shapes.h. */
#include "shapes.h"

#include <string.h>

#include "ciphertext.h"

#define IAM_NAME_PATTERN "[\\w+=,.@-]+"

#define OLD_KEY_SPECS                                                                              \
	"RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, "              \
	"ECC_SECG_P256K1, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2"

#define GRANT_OPERATIONS                                                                           \
	"Decrypt, Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, ReEncryptFrom, "      \
	"ReEncryptTo, Sign, Verify, GetPublicKey, CreateGrant, RetireGrant, DescribeKey, "         \
	"GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, GenerateMac, VerifyMac, "       \
	"DeriveSharedSecret"

static const struct member tag[] = {{"TagKey", SHAPE_TAG_KEY, MEMBER_REQUIRED},
				    {"TagValue", SHAPE_TAG_VALUE, MEMBER_REQUIRED},
				    {0}};

static const struct shape_row shapes[SHAPE_COUNT] = {
	[SHAPE_ALIAS_NAME] = {STRING, .min = 1, .max = 256, .pattern = "^[a-zA-Z0-9:/_-]+$"},
	[SHAPE_ALGORITHM] = {STRING,
			     .values = "SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, "
				       "SM2PKE"},
	[SHAPE_BOOLEAN] = {.kind = BOOLEAN},
	[SHAPE_CIPHERTEXT] = {BLOB, .sensitive = true, .min = 1, .max = CIPHERTEXT_BLOB_MAX},
	[SHAPE_CONTEXT] = {.kind = CONTEXT},
	[SHAPE_DATA_KEY_SPEC] = {STRING, .values = "AES_256, AES_128"},
	[SHAPE_DESCRIPTION] = {STRING, .max = 8192},
	[SHAPE_DRY_RUN_MODIFIERS] = {STRINGS, .values = "IGNORE_CIPHERTEXT", .count = 1000},
	[SHAPE_GRANT_CONSTRAINTS] = {.kind = CONSTRAINTS},
	[SHAPE_GRANT_ID] = {STRING, .min = 1, .max = 128},
	[SHAPE_GRANT_NAME] = {STRING, .min = 1, .max = 256, .pattern = "^[a-zA-Z0-9:/_-]+$"},
	[SHAPE_GRANT_OPERATIONS] = {STRINGS, .values = GRANT_OPERATIONS, .count = 1000},
	[SHAPE_GRANT_TOKEN] = {STRING, .sensitive = true, .min = 1, .max = 8192},
	[SHAPE_GRANT_TOKENS] = {STRINGS, .sensitive = true, .min = 1, .max = 8192, .count = 10},
	[SHAPE_INCLUDE_MATERIAL] = {STRING, .values = "ALL_KEY_MATERIAL, ROTATIONS_ONLY"},
	[SHAPE_KEY_ID] = {STRING, .min = 1, .max = 2048},
	[SHAPE_KEY_SPEC] = {STRING, .values = OLD_KEY_SPECS ", ML_DSA_44, ML_DSA_65, ML_DSA_87, "
							    "ECC_NIST_EDWARDS25519"},
	[SHAPE_KEY_SPEC_OLD] = {STRING, .values = OLD_KEY_SPECS},
	[SHAPE_KEY_USAGE] = {STRING, .values = "SIGN_VERIFY, ENCRYPT_DECRYPT, GENERATE_VERIFY_MAC, "
					       "KEY_AGREEMENT"},
	[SHAPE_KEY_AGREEMENT] = {STRING, .values = "ECDH"},
	[SHAPE_KEY_PAIR_SPEC] = {STRING,
				 .values = "RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, "
					   "ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, SM2, "
					   "ECC_NIST_EDWARDS25519"},
	[SHAPE_LIMIT] = {INTEGER, .min = 1, .max = 1000},
	[SHAPE_LIMIT_ALIASES] = {INTEGER, .min = 1, .max = 100},
	[SHAPE_LIMIT_TAGS] = {INTEGER, .min = 1, .max = 50},
	[SHAPE_MAC_ALGORITHM] = {STRING, .values = "HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, "
						   "HMAC_SHA_512"},
	[SHAPE_MARKER] = {STRING, .min = 1, .max = 1024, .pattern = "[\\u0020-\\u00FF]*"},
	[SHAPE_MATERIAL_ID] = {STRING, .min = 64, .max = 64, .pattern = "^[a-f0-9]+$"},
	[SHAPE_MESSAGE_TYPE] = {STRING, .values = "RAW, DIGEST, EXTERNAL_MU"},
	[SHAPE_NUMBER_OF_BYTES] = {INTEGER, .min = 1, .max = 1024},
	[SHAPE_ORIGIN] = {STRING, .values = "AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE"},
	[SHAPE_PENDING_WINDOW] = {INTEGER, .min = 1, .max = 365}, /* the operation wants less */
	[SHAPE_PLAINTEXT] = {BLOB, .sensitive = true, .min = 1, .max = CIPHERTEXT_PLAIN_MAX},
	[SHAPE_POLICY] = {STRING, .min = 1, .max = 131072,
			  .pattern = "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"},
	[SHAPE_POLICY_NAME] = {STRING, .min = 1, .max = 128, .pattern = "[\\w]+"},
	[SHAPE_PRINCIPAL] = {STRING, .min = 1, .max = 256, .pattern = "^[\\w+=,.@:/-]+$"},
	[SHAPE_PUBLIC_KEY] = {BLOB, .sensitive = true, .min = 1, .max = 8192},
	[SHAPE_REGION] = {STRING, .min = 1, .max = 32, .pattern = "^([a-z]+-){2,3}\\d+$"},
	[SHAPE_ROTATION_PERIOD] = {INTEGER, .min = 90, .max = 2560},
	[SHAPE_SIGNING_ALGORITHM] =
		{STRING, .values = "RSASSA_PSS_SHA_256, RSASSA_PSS_SHA_384, "
				   "RSASSA_PSS_SHA_512, RSASSA_PKCS1_V1_5_SHA_256, "
				   "RSASSA_PKCS1_V1_5_SHA_384, RSASSA_PKCS1_V1_5_SHA_512, "
				   "ECDSA_SHA_256, ECDSA_SHA_384, ECDSA_SHA_512, SM2DSA, "
				   "ML_DSA_SHAKE_256, ED25519_SHA_512, ED25519_PH_SHA_512"},
	[SHAPE_TAGS] = {OBJECTS, .members = tag},
	[SHAPE_TAG_KEY] = {STRING, .min = 1, .max = 128},
	[SHAPE_TAG_KEYS] = {STRINGS, .min = 1, .max = 128, .count = 1000},
	[SHAPE_TAG_VALUE] = {STRING, .max = 256},
	[SHAPE_UNSUPPORTED] = {.kind = UNSUPPORTED},
	[SHAPE_WRAPPING_ALGORITHM] = {STRING, .values =
						      "RSAES_PKCS1_V1_5, RSAES_OAEP_SHA_1, "
						      "RSAES_OAEP_SHA_256, RSA_AES_KEY_WRAP_SHA_1, "
						      "RSA_AES_KEY_WRAP_SHA_256, SM2PKE"},
	[SHAPE_WRAPPING_KEY_SPEC] = {STRING, .values = "RSA_2048, RSA_3072, RSA_4096, SM2"},
	[SHAPE_IAM_ACCESS_KEY_ID] = {STRING, .min = 16, .max = 128, .pattern = "[\\w]+"},
	[SHAPE_IAM_ARN] = {STRING, .min = 20, .max = 2048},
	[SHAPE_IAM_DESCRIPTION] = {STRING, .max = 1000},
	[SHAPE_IAM_DOCUMENT] = {STRING, .min = 1, .max = 131072,
				.pattern = "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"},
	[SHAPE_IAM_ENTITY_NAME] = {STRING, .min = 1, .max = 128, .pattern = IAM_NAME_PATTERN},
	[SHAPE_IAM_KEY_STATUS] = {STRING, .values = "Active, Inactive"},
	[SHAPE_IAM_MARKER] = {STRING, .min = 1, .max = 320, .pattern = "[\\u0020-\\u00FF]+"},
	[SHAPE_IAM_MAX_ITEMS] = {INTEGER, .min = 1, .max = 1000},
	[SHAPE_IAM_MAX_SESSION] = {INTEGER, .min = 3600, .max = 43200},
	[SHAPE_IAM_NAME] = {STRING, .min = 1, .max = 64, .pattern = IAM_NAME_PATTERN},
	[SHAPE_IAM_PATH] = {STRING, .min = 1, .max = 512,
			    .pattern = "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)"},
	[SHAPE_IAM_PATH_PREFIX] = {STRING, .min = 1, .max = 512,
				   .pattern = "\\u002F[\\u0021-\\u007F]*"},
	[SHAPE_IAM_POLICY_SCOPE] = {STRING, .values = "All, AWS, Local"},
	[SHAPE_IAM_POLICY_USAGE] = {STRING, .values = "PermissionsPolicy, PermissionsBoundary"},
	[SHAPE_IAM_TAGS] = {.kind = OBJECTS},
	[SHAPE_IAM_TAG_KEYS] = {STRINGS, .min = 1, .max = 128, .count = 50},
	[SHAPE_IAM_VERSION_ID] = {STRING, .min = 2, .max = 32},
	[SHAPE_STS_DURATION] = {INTEGER, .min = 900, .max = 43200},
	[SHAPE_STS_EXTERNAL_ID] = {STRING, .min = 2, .max = 1224},
	[SHAPE_STS_POLICY] = {STRING, .min = 1, .max = 2048,
			      .pattern = "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"},
	[SHAPE_STS_POLICY_ARNS] = {.kind = OBJECTS},
	[SHAPE_STS_SESSION_NAME] = {STRING, .min = 2, .max = 64, .pattern = "[\\w+=,.@-]*"},
	[SHAPE_STS_TOKEN_DURATION] = {INTEGER, .min = 900, .max = 129600},
	[SHAPE_TRAIL_ANY] = {.kind = ANY},
};

const struct shape_row *shape_row(enum shape shape)
{
	return &shapes[shape];
}

static bool word(unsigned c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static bool matches(enum shape shape, unsigned c)
{
	switch (shape) {
	case SHAPE_PRINCIPAL:
		return word(c) || (c < 0x80 && strchr("+=,.@:/-", (int)c));
	case SHAPE_ALIAS_NAME:
	case SHAPE_GRANT_NAME:
		return word(c) || c == ':' || c == '/' || c == '-';
	case SHAPE_MATERIAL_ID:
		return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
	case SHAPE_POLICY_NAME:
	case SHAPE_IAM_ACCESS_KEY_ID:
		return word(c);
	case SHAPE_IAM_ENTITY_NAME:
	case SHAPE_IAM_NAME:
	case SHAPE_STS_SESSION_NAME:
		return word(c) || (c && c < 0x80 && strchr("+=,.@-", (int)c));
	case SHAPE_IAM_PATH:
	case SHAPE_IAM_PATH_PREFIX:
		return c >= 0x21 && c <= 0x7e;
	case SHAPE_POLICY:
	case SHAPE_IAM_DOCUMENT:
	case SHAPE_STS_POLICY:
		return c == 0x09 || c == 0x0a || c == 0x0d || (c >= 0x20 && c <= 0xff);
	case SHAPE_MARKER:
	case SHAPE_IAM_MARKER:
		return c >= 0x20 && c <= 0xff;
	default:
		return true;
	}
}

/* Count the characters of UTF-8 text (valid: the JSON reader checked) and test each. */
static size_t count_characters(enum shape shape, const char *text, bool *ret_matches)
{
	size_t count = 0;

	*ret_matches = true;
	for (const unsigned char *p = (const unsigned char *)text; *p; count++) {
		unsigned c = *p++;
		int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

		c &= more == 3 ? 0x07 : more == 2 ? 0x0f : more == 1 ? 0x1f : 0xff;
		for (; more > 0 && *p; more--)
			c = c << 6 | (*p++ & 0x3f);
		*ret_matches = *ret_matches && matches(shape, c);
	}
	return count;
}

/* ^([a-z]+-){2,3}\d+$ */
static bool region_matches(const char *text)
{
	size_t words = 0, n;

	while ((n = strspn(text, "abcdefghijklmnopqrstuvwxyz")) > 0 && text[n] == '-') {
		words++;
		text += n + 1;
	}
	return words >= 2 && words <= 3 && *text && !text[strspn(text, "0123456789")];
}

size_t shape_characters(enum shape shape, const char *text, bool *ret_matches)
{
	size_t n = count_characters(shape, text, ret_matches);

	if (shape == SHAPE_REGION)
		*ret_matches = region_matches(text);
	if (shape == SHAPE_IAM_PATH && n > 0)
		*ret_matches = *ret_matches && text[0] == '/' && text[strlen(text) - 1] == '/';
	if (shape == SHAPE_IAM_PATH_PREFIX)
		*ret_matches = *ret_matches && text[0] == '/';
	return n;
}

bool shape_in_list(const char *list, const char *text)
{
	size_t n = strlen(text);

	for (const char *p = list; *p; p += strspn(p, ", ")) {
		size_t len = strcspn(p, ",");

		if (len == n && strncmp(p, text, n) == 0)
			return true;
		p += len;
	}
	return false;
}
