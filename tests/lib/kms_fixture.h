/*
 * What the tests of the client share: a clean environment with credentials, a scripted server, and
 * a client for it that hardly waits between tries. Valid between set-up and tear-down.
 */
#ifndef TESTS_KMS_FIXTURE_H
#define TESTS_KMS_FIXTURE_H

#include "fake_http.h"

struct err;
struct kms;
struct secret;

#define KMS_FIXTURE_ARN                                                                            \
	"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define KMS_FIXTURE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define KMS_FIXTURE_GOOD   /* the answer of a Decrypt */                                           \
	"{\"KeyId\":\"" KMS_FIXTURE_ARN "\",\"Plaintext\":\"AAECAwQFBgc=\","                       \
	"\"EncryptionAlgorithm\":\"SYMMETRIC_DEFAULT\"}"

extern struct fake_http *kms_fixture_server;
extern struct kms *kms_fixture_kms;

int kms_fixture_set_up(void **state);
int kms_fixture_tear_down(void **state);

/* Script one more answer. */
void kms_fixture_reply(int status, const char *body);
void kms_fixture_reply_how(int status, const char *body, enum fake_how how);

/* Decrypt "blob" under KMS_FIXTURE_ARN. */
int kms_fixture_decrypt(struct secret **ret, struct err *err);

#endif
