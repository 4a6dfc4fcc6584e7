/*
 * Which operation works on a key in which state: the table of the AWS KMS Developer Guide, "Key
 * states of AWS KMS keys", whole, as far as it depends on the state alone (import also depends on the
 * key's origin; rotation does too, but a state tells the origins that matter to it). Pure.
 */
#ifndef KMSD_KEYSTATE_H
#define KMSD_KEYSTATE_H

struct err;

enum key_state {
	KEY_STATE_ENABLED,
	KEY_STATE_DISABLED,
	KEY_STATE_PENDING_DELETION,
	KEY_STATE_PENDING_IMPORT,
	KEY_STATE_UNAVAILABLE,
	KEY_STATE_CREATING,
	KEY_STATE_UPDATING,
	KEY_STATE_COUNT
};

/* Operations that the table treats alike. */
enum key_use {
	KEY_USE_ANY, /* Describe, policies, list, retire and revoke grants, delete alias, tags read */
	KEY_USE_CRYPTO, /* Encrypt, Decrypt, ReEncrypt, GenerateDataKey... */
	KEY_USE_CREATE_GRANT,
	KEY_USE_CREATE_ALIAS,
	KEY_USE_UPDATE_ALIAS,
	KEY_USE_ENABLE, /* EnableKey, DisableKey */
	KEY_USE_SCHEDULE_DELETION,
	KEY_USE_CANCEL_DELETION,
	KEY_USE_DESCRIBE_WRITE,	 /* TagResource, UntagResource, UpdateKeyDescription */
	KEY_USE_ROTATION,	 /* EnableKeyRotation, DisableKeyRotation, RotateKeyOnDemand */
	KEY_USE_ROTATION_STATUS, /* GetKeyRotationStatus, ListKeyRotations */
	KEY_USE_COUNT
};

/* The API's name of a state and back (KEY_STATE_COUNT: unknown name). */
const char *keystate_name(enum key_state state);
enum key_state keystate_from_name(const char *name);

/* 0, or the exception that KMS answers with for a key of that ARN. */
int keystate_check(enum key_use use, enum key_state state, const char *arn, struct err *err);

#endif
