/* The shapes, and input checked against them. See validate.h. */
#include "validate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "ciphertext.h"
#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "secret.h"

enum kind {
	STRING,
	BLOB,
	INTEGER,
	BOOLEAN,
	CONTEXT,
	STRINGS,
	OBJECTS,
	CONSTRAINTS,
	UNSUPPORTED,
	ANY
};

#define NAME_MAX_SHOWN	 64
#define IAM_NAME_PATTERN "[\\w+=,.@-]+"

#define EC_SPECS                                                                                   \
	"RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, "              \
	"ECC_SECG_P256K1, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2, "        \
	"ML_DSA_44, ML_DSA_65, ML_DSA_87, ECC_NIST_EDWARDS25519"

#define GRANT_OPERATIONS                                                                           \
	"Decrypt, Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, ReEncryptFrom, "      \
	"ReEncryptTo, Sign, Verify, GetPublicKey, CreateGrant, RetireGrant, DescribeKey, "         \
	"GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, GenerateMac, VerifyMac, "       \
	"DeriveSharedSecret"

/* max 0: no limit. min and max of STRINGS are those of its elements, count its own maximum. */
static const struct shape_row {
	enum kind kind;
	bool sensitive; /* the value is not repeated in a message */
	int64_t min, max;
	size_t count;
	const char *pattern; /* as messages show it */
	const char *values;  /* of an enumeration, as messages show them */
} shapes[SHAPE_COUNT] = {
	[SHAPE_ALIAS_NAME] = {STRING, .min = 1, .max = 256, .pattern = "^[a-zA-Z0-9:/_-]+$"},
	[SHAPE_ALGORITHM] = {STRING,
			     .values = "SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, "
				       "SM2PKE"},
	[SHAPE_BOOLEAN] = {.kind = BOOLEAN},
	[SHAPE_CIPHERTEXT] = {BLOB, .sensitive = true, .min = 1, .max = CIPHERTEXT_BLOB_MAX},
	[SHAPE_CONTEXT] = {.kind = CONTEXT},
	[SHAPE_DATA_KEY_SPEC] = {STRING, .values = "AES_256, AES_128"},
	[SHAPE_DESCRIPTION] = {STRING, .max = 8192},
	[SHAPE_GRANT_CONSTRAINTS] = {.kind = CONSTRAINTS},
	[SHAPE_GRANT_ID] = {STRING, .min = 1, .max = 128},
	[SHAPE_GRANT_NAME] = {STRING, .min = 1, .max = 256, .pattern = "^[a-zA-Z0-9:/_-]+$"},
	[SHAPE_GRANT_OPERATIONS] = {STRINGS, .values = GRANT_OPERATIONS, .count = 1000},
	[SHAPE_GRANT_TOKEN] = {STRING, .sensitive = true, .min = 1, .max = 8192},
	[SHAPE_GRANT_TOKENS] = {STRINGS, .min = 1, .max = 8192, .count = 10},
	[SHAPE_INCLUDE_MATERIAL] = {STRING, .values = "ALL_KEY_MATERIAL, ROTATIONS_ONLY"},
	[SHAPE_KEY_ID] = {STRING, .min = 1, .max = 2048},
	[SHAPE_KEY_SPEC] = {STRING, .values = EC_SPECS},
	[SHAPE_KEY_USAGE] = {STRING, .values = "SIGN_VERIFY, ENCRYPT_DECRYPT, GENERATE_VERIFY_MAC, "
					       "KEY_AGREEMENT"},
	[SHAPE_LIMIT] = {INTEGER, .min = 1, .max = 1000},
	[SHAPE_LIMIT_ALIASES] = {INTEGER, .min = 1, .max = 100},
	[SHAPE_LIMIT_TAGS] = {INTEGER, .min = 1, .max = 50},
	[SHAPE_MARKER] = {STRING, .min = 1, .max = 1024, .pattern = "[\\u0020-\\u00FF]*"},
	[SHAPE_NUMBER_OF_BYTES] = {INTEGER, .min = 1, .max = 1024},
	[SHAPE_ORIGIN] = {STRING, .values = "AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE"},
	[SHAPE_PENDING_WINDOW] = {INTEGER, .min = 7, .max = 30},
	[SHAPE_PLAINTEXT] = {BLOB, .sensitive = true, .min = 1, .max = CIPHERTEXT_PLAIN_MAX},
	[SHAPE_POLICY] = {STRING, .min = 1, .max = 131072,
			  .pattern = "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"},
	[SHAPE_POLICY_NAME] = {STRING, .min = 1, .max = 128, .pattern = "[\\w]+"},
	[SHAPE_PRINCIPAL] = {STRING, .min = 1, .max = 256, .pattern = "^[\\w+=,.@:/-]+$"},
	[SHAPE_ROTATION_PERIOD] = {INTEGER, .min = 90, .max = 2560},
	[SHAPE_TAGS] = {.kind = OBJECTS},
	[SHAPE_TAG_KEYS] = {STRINGS, .min = 1, .max = 128, .count = 1000},
	[SHAPE_UNSUPPORTED] = {.kind = UNSUPPORTED},
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

/* Errors found so far, and the member at hand. */
struct check {
	struct buf text;
	unsigned count;
	enum shape shape;
	char name[NAME_MAX_SHOWN];
	char *value; /* as messages show it: "Value 'x'", "Value null", "Value" */
	int r;	     /* first failure to append */
};

static void add(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct check *c, const char *fmt, ...)
{
	char constraint[1024];
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(constraint, sizeof(constraint), fmt, ap); /* cut: our own tables */
	va_end(ap);
	r = buf_printf(&c->text, "%s%s at '%s' failed to satisfy constraint: %s",
		       c->count ? "; " : "", c->value ? c->value : "Value", c->name, constraint);
	if (r < 0 && c->r == 0)
		c->r = r;
	c->count++;
}

static void check_length(struct check *c, int64_t n)
{
	const struct shape_row *s = &shapes[c->shape];

	if (s->max && n > s->max)
		add(c, "Member must have length less than or equal to %" PRId64, s->max);
	if (n < s->min)
		add(c, "Member must have length greater than or equal to %" PRId64, s->min);
}

static bool in_list(const char *list, const char *text)
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

static void check_string(struct check *c, const char *text)
{
	const struct shape_row *s = &shapes[c->shape];
	bool ok;
	size_t n = count_characters(c->shape, text, &ok);

	if (c->shape == SHAPE_IAM_PATH && n > 0)
		ok = ok && text[0] == '/' && text[strlen(text) - 1] == '/';
	if (c->shape == SHAPE_IAM_PATH_PREFIX)
		ok = ok && text[0] == '/';
	check_length(c, (int64_t)n);
	if (s->pattern && n > 0 && !ok)
		add(c, "Member must satisfy regular expression pattern: %s", s->pattern);
	if (s->values && !in_list(s->values, text))
		add(c, "Member must satisfy enum value set: [%s]", s->values);
}

static void check_integer(struct check *c, int64_t n)
{
	const struct shape_row *s = &shapes[c->shape];

	if (s->max && n > s->max)
		add(c, "Member must have value less than or equal to %" PRId64, s->max);
	if (n < s->min)
		add(c, "Member must have value greater than or equal to %" PRId64, s->min);
}

/* The length of what base64 text holds; -EINVAL: it is not base64. */
static int64_t blob_length(const struct kms_json *value)
{
	uint8_t *bytes;
	size_t len;
	int r = bytes_from_base64(kms_json_string_value(value), kms_json_string_len(value), &bytes,
				  &len);

	if (r < 0)
		return r;
	OPENSSL_cleanse(bytes, len);
	free(bytes);
	return (int64_t)len;
}

/* A string without a NUL inside, which no text of the API can hold. */
static bool plain_string(const struct kms_json *v)
{
	return kms_json_type(v) == KMS_JSON_STRING &&
	       strlen(kms_json_string_value(v)) == kms_json_string_len(v);
}

static int check_strings(struct check *c, const struct kms_json *list, struct err *err)
{
	const struct shape_row *s = &shapes[c->shape];
	bool bad = false, ok;

	if (kms_json_type(list) != KMS_JSON_ARRAY)
		return fault_set(err, FAULT_SERIALIZATION, NULL);
	if (kms_json_count(list) > s->count)
		add(c, "Member must have length less than or equal to %zu", s->count);
	if (kms_json_count(list) == 0 && s->values)
		add(c, "Member must have length greater than or equal to 1");
	for (size_t i = 0; i < kms_json_count(list); i++) {
		const struct kms_json *v = kms_json_at(list, i);
		size_t n;

		if (!v || !plain_string(v))
			return fault_set(err, FAULT_SERIALIZATION, NULL);
		n = count_characters(c->shape, kms_json_string_value(v), &ok);
		bad = bad || (int64_t)n < s->min || (s->max && (int64_t)n > s->max);
		bad = bad || (s->values && !in_list(s->values, kms_json_string_value(v)));
	}
	if (bad && s->values)
		add(c, "Member must satisfy constraint: [Member must satisfy enum value set: [%s]]",
		    s->values);
	else if (bad)
		add(c,
		    "Member must satisfy constraint: [Member must have length less than or equal "
		    "to "
		    "%" PRId64 ", Member must have length greater than or equal to %" PRId64 "]",
		    s->max, s->min);
	return 0;
}

/* Both members are encryption contexts; how many and how large the operation checks. */
static int check_constraints(const struct kms_json *v, struct err *err)
{
	static const char *const names[] = {"EncryptionContextEquals", "EncryptionContextSubset"};
	int r = 0;

	for (size_t i = 0; i < 2 && r == 0; i++) {
		const struct kms_json *context = kms_json_get(v, names[i]);

		if (context && kms_json_type(context) != KMS_JSON_OBJECT)
			return fault_set(err, FAULT_SERIALIZATION, NULL);
		r = ciphertext_check_context(context, err);
	}
	return r;
}

/* How messages show the value; NULL (just "Value") for what is sensitive or structured. */
static char *shown(const struct shape_row *s, const struct kms_json *v)
{
	char *text = NULL;
	int n = 0;

	if (s->sensitive || s->kind == STRINGS)
		return NULL;
	if (s->kind == INTEGER)
		n = asprintf(&text, "Value '%" PRId64 "'", kms_json_int_value(v));
	else if (s->kind == STRING)
		n = asprintf(&text, "Value '%s'", kms_json_string_value(v));
	return n < 0 ? NULL : text;
}

static int check_value(struct check *c, const struct kms_json *v, struct err *err)
{
	const struct shape_row *s = &shapes[c->shape];
	enum kms_json_type type = kms_json_type(v);
	int64_t n;

	switch (s->kind) {
	case STRING:
		if (!plain_string(v))
			break;
		check_string(c, kms_json_string_value(v));
		return 0;
	case BLOB:
		n = type == KMS_JSON_STRING ? blob_length(v) : -EINVAL;
		if (n < 0)
			break;
		check_length(c, n);
		return 0;
	case INTEGER:
		if (type != KMS_JSON_INT || kms_json_int_value(v) > INT32_MAX ||
		    kms_json_int_value(v) < INT32_MIN) /* no member is longer */
			break;
		check_integer(c, kms_json_int_value(v));
		return 0;
	case BOOLEAN:
		if (type != KMS_JSON_BOOL)
			break;
		return 0;
	case CONTEXT:
		if (type != KMS_JSON_OBJECT)
			break;
		return ciphertext_check_context(v, err);
	case CONSTRAINTS:
		if (type != KMS_JSON_OBJECT)
			break;
		return check_constraints(v, err);
	case STRINGS:
		return check_strings(c, v, err);
	case OBJECTS:
		if (type != KMS_JSON_ARRAY)
			break;
		return 0;
	case ANY:
		return 0;
	case UNSUPPORTED:
		return fault_set(err, FAULT_UNSUPPORTED_OPERATION,
				 "kmsd does not support the parameter %s.", c->name);
	}
	return fault_set(err, FAULT_SERIALIZATION, NULL);
}

bool validate_is_list(enum shape shape)
{
	return shapes[shape].kind == STRINGS || shapes[shape].kind == OBJECTS;
}

/* What is no number stays a string, which validate_input() then refuses. */
struct kms_json *validate_from_text(enum shape shape, const char *text)
{
	struct kms_json *v = NULL;
	AUTO(kms_json_freep) struct kms_json *box = kms_json_new_object();
	char *end;
	long long n;
	int r = -ENOMEM;

	if (!box)
		return NULL;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (shapes[shape].kind == INTEGER && *text && !*end && !errno)
		r = kms_json_set_i64(box, "v", n);
	else if (shapes[shape].kind == BOOLEAN &&
		 (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		r = kms_json_set_bool(box, "v", *text == 't');
	else
		r = kms_json_set_str(box, "v", text);
	if (r == 0)
		v = kms_json_copy(kms_json_get(box, "v"));
	return v;
}

void validate_member_name(const char *name, char ret[64])
{
	(void)snprintf(ret, 64, "%s", name); /* names of our tables are shorter */
	if (ret[0] >= 'A' && ret[0] <= 'Z')
		ret[0] = (char)(ret[0] + 'a' - 'A');
}

static int check_member(struct check *c, const struct kms_json *input, const struct member *m,
			struct err *err)
{
	const struct kms_json *v = kms_json_get(input, m->name);
	int r = 0;

	c->shape = m->shape;
	validate_member_name(m->name, c->name);
	if (v) {
		c->value = shown(&shapes[m->shape], v);
		r = check_value(c, v, err);
	} else if (m->flags & MEMBER_REQUIRED) {
		c->value = strdup("Value null");
		add(c, "Member must not be null");
	}
	free(c->value);
	c->value = NULL;
	return r;
}

int validate_input(const struct kms_json *input, const struct member *members, struct err *err)
{
	AUTO(buf_free) struct buf text = {.max = 1 << 20};
	struct check c = {.text = text};
	int r = 0;

	for (; members->name && r == 0; members++)
		r = check_member(&c, input, members, err);
	text = c.text; /* so that it is freed */
	if (r == 0 && c.r < 0)
		r = err_set(err, -c.r, "validation errors");
	if (r == 0 && c.count > 0)
		r = fault_set(err, FAULT_VALIDATION, "%u validation error%s detected: %s", c.count,
			      c.count > 1 ? "s" : "", (char *)text.bytes);
	return r;
}
