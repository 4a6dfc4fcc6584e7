/* Names that the server makes up: UUIDs, access keys, material ids; and random bytes for all. */
#ifndef KMSD_IDS_H
#define KMSD_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define IDS_UUID_LEN	   36
#define IDS_ACCESS_KEY_LEN 20
#define IDS_SECRET_KEY_LEN 40
#define IDS_ACCOUNT_LEN	   12
#define IDS_UNIQUE_LEN	   21 /* of an IAM user, role, policy */

/* Random bytes from libcrypto; @private for those that become keys. */
int ids_random(void *ret_bytes, size_t len, bool private, struct err *err);

/* A random UUID (RFC 4122 version 4). */
int ids_uuid(char ret_text[IDS_UUID_LEN + 1], struct err *err);

/* The 16 bytes of a UUID and back. -EINVAL: @text is not one (either case, with its dashes). */
int ids_uuid_parse(const char *text, uint8_t ret_bytes[16]);
void ids_uuid_format(const uint8_t bytes[16], char ret_text[IDS_UUID_LEN + 1]);

/*
 * "AKIA" (temporary: "ASIA") and 16 letters or digits; 40 characters of base64's alphabet, which
 * the caller wipes.
 */
int ids_access_key(char ret_text[IDS_ACCESS_KEY_LEN + 1], struct err *err);
int ids_temporary_key(char ret_text[IDS_ACCESS_KEY_LEN + 1], struct err *err);

/* An IAM unique id: @prefix ("AIDA", "AROA", "ANPA") and 17 letters or digits. */
int ids_unique(const char *prefix, char ret_text[IDS_UNIQUE_LEN + 1], struct err *err);
int ids_secret_key(char ret_text[IDS_SECRET_KEY_LEN + 1], struct err *err);

/* Twelve digits. */
bool ids_account_valid(const char *text);

/* "i-" and 8 or 17 lower-case hex digits. */
bool ids_instance_valid(const char *text);

/* Lower-case letters, digits, dashes; 2 to 31 characters. */
bool ids_region_valid(const char *text);

/* Whether AWS has a region of that name, in the partition "aws". */
bool ids_region_known(const char *text);

#endif
