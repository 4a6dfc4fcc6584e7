/*
 * What the tests of the credential chain share. Its checks fail the cmocka test that is running.
 */
#ifndef TESTS_CREDS_FIXTURE_H
#define TESTS_CREDS_FIXTURE_H

#include "err.h"
#include "stop.h"

struct aws_creds;
struct creds;
struct fake_http;
struct kms_http;

#define CREDS_FIXTURE_NOW 1767225600 /* 2026-01-01T00:00:00Z */

/* Valid between set-up and tear-down. */
struct creds_fixture {
	struct fake_http *server;
	struct stop stop;
	struct kms_http *http;
	struct creds *creds;
	const struct aws_creds *got; /* by the last creds_get() */
	struct err err;		     /* of the last call */
};

extern struct creds_fixture creds_fixture;

int creds_fixture_set_up(void **state);
int creds_fixture_tear_down(void **state);

void creds_fixture_reply(int status, const char *body);

/* creds_get() returns exactly these; NULL: no token. */
void creds_fixture_expect(const char *id, const char *secret, const char *token);

/* creds_get() fails with -@num and @words in its sentence, which never shows "TOPSECRET". */
void creds_fixture_expect_failure(int num, const char *words);

#endif
