/*
 * Input of operations checked against limits as the service's model states them: one table of
 * shapes, one message for all errors of a request. Pure.
 */
#ifndef KMSD_VALIDATE_H
#define KMSD_VALIDATE_H

#include <stdbool.h>

struct err;
struct kms_json;

/* Named as in the AWS KMS API Reference and its model. */
enum shape {
	SHAPE_ALIAS_NAME,
	SHAPE_ALGORITHM,
	SHAPE_BOOLEAN,
	SHAPE_CIPHERTEXT,
	SHAPE_CONTEXT,
	SHAPE_DATA_KEY_SPEC,
	SHAPE_DESCRIPTION,
	SHAPE_DRY_RUN_MODIFIERS,
	SHAPE_GRANT_CONSTRAINTS,
	SHAPE_GRANT_ID,
	SHAPE_GRANT_NAME,
	SHAPE_GRANT_OPERATIONS,
	SHAPE_GRANT_TOKEN,
	SHAPE_GRANT_TOKENS,
	SHAPE_INCLUDE_MATERIAL,
	SHAPE_KEY_AGREEMENT,
	SHAPE_KEY_ID,
	SHAPE_KEY_PAIR_SPEC,
	SHAPE_KEY_SPEC,
	SHAPE_KEY_SPEC_OLD, /* of CustomerMasterKeySpec */
	SHAPE_KEY_USAGE,
	SHAPE_LIMIT,
	SHAPE_LIMIT_ALIASES, /* of grants too */
	SHAPE_LIMIT_TAGS,
	SHAPE_MAC_ALGORITHM,
	SHAPE_MARKER,
	SHAPE_MATERIAL_ID,
	SHAPE_MESSAGE_TYPE,
	SHAPE_NUMBER_OF_BYTES,
	SHAPE_ORIGIN,
	SHAPE_PENDING_WINDOW,
	SHAPE_PLAINTEXT,
	SHAPE_POLICY,
	SHAPE_POLICY_NAME,
	SHAPE_PRINCIPAL,
	SHAPE_PUBLIC_KEY,
	SHAPE_REGION,
	SHAPE_ROTATION_PERIOD,
	SHAPE_SIGNING_ALGORITHM,
	SHAPE_TAGS,
	SHAPE_TAG_KEY,
	SHAPE_TAG_KEYS,
	SHAPE_TAG_VALUE,
	SHAPE_UNSUPPORTED, /* what this server cannot do: UnsupportedOperationException when given */
	SHAPE_WRAPPING_ALGORITHM,
	SHAPE_WRAPPING_KEY_SPEC,
	/* of IAM and STS */
	SHAPE_IAM_ACCESS_KEY_ID,
	SHAPE_IAM_ARN,
	SHAPE_IAM_DESCRIPTION,
	SHAPE_IAM_DOCUMENT,
	SHAPE_IAM_ENTITY_NAME, /* of a user or role, to find it */
	SHAPE_IAM_KEY_STATUS,
	SHAPE_IAM_MARKER,
	SHAPE_IAM_MAX_ITEMS,
	SHAPE_IAM_MAX_SESSION,
	SHAPE_IAM_NAME, /* of a user or role, to make it */
	SHAPE_IAM_PATH,
	SHAPE_IAM_PATH_PREFIX,
	SHAPE_IAM_POLICY_SCOPE,
	SHAPE_IAM_POLICY_USAGE,
	SHAPE_IAM_TAGS,
	SHAPE_IAM_TAG_KEYS,
	SHAPE_IAM_VERSION_ID,
	SHAPE_STS_DURATION,
	SHAPE_STS_EXTERNAL_ID,
	SHAPE_STS_POLICY,
	SHAPE_STS_POLICY_ARNS,
	SHAPE_STS_SESSION_NAME,
	SHAPE_STS_TOKEN_DURATION,
	/* of CloudTrail */
	SHAPE_TRAIL_ANY, /* checked by the operation, which has exceptions of its own */
	SHAPE_COUNT
};

/* One member of an operation's input. */
struct member {
	const char *name; /* NULL ends a list */
	enum shape shape;
	unsigned flags;
};

#define MEMBER_REQUIRED 1u
#define MEMBER_HIDDEN	2u /* never in an audit record */

/*
 * SerializationException: a member of another JSON type, bad base64. ValidationException: "N
 * validation error(s) detected: ...", all in one text. Members not listed are ignored; null is
 * absent.
 */
int validate_input(const struct kms_json *input, const struct member *members, struct err *err);

/* The ValidationException of a member that is required by what else was given. */
int validate_missing(const char *member, struct err *err);

/* Whether a shape is an array; and a value of it (or of an element) out of a form's text. */
bool validate_is_list(enum shape shape);
struct kms_json *validate_from_text(enum shape shape, const char *text);

/* @name as texts and records spell it: with a small first letter. @ret has room for 64. */
void validate_member_name(const char *name, char ret[64]);

#endif
