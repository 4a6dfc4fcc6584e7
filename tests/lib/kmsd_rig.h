/*
 * kmsd without sockets or clocks, for tests: a data directory, and calls that go signed through the
 * request flow at a time the test sets. Functions that a test does not use are dropped.
 */
#ifndef KMSD_RIG_H
#define KMSD_RIG_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit.h"
#include "bytes.h"
#include "call.h"
#include "caller.h"
#include "err.h"
#include "flow.h"
#include "grants.h"
#include "keyring.h"
#include "kms_json.h"
#include "secret.h"
#include "usage.h"

#define RIG_NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define RIG_DAY_MS (24 * 60 * 60 * INT64_C(1000))
#define RIG_FN	   __attribute__((unused)) static

#define RIG_ROOT  "arn:aws:iam::111122223333:root"
#define RIG_OTHER "arn:aws:iam::123456789012:root"

struct rig {
	char dir[64];
	int dir_fd;
	struct kmsd kmsd;
	struct access_key *root;  /* of the account whose keys these are */
	struct access_key *other; /* root user of account 123456789012 */
	int64_t now_ms;
};

RIG_FN void rig_open(struct rig *f)
{
	struct err err = {0};

	f->kmsd.place = (struct keyref_place){"111122223333", "us-east-1"};
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY);
	assert_true(f->dir_fd >= 0);
	if (store_open(f->dir, f->dir_fd, &f->kmsd.store, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(audit_open(f->dir_fd, 0, &f->kmsd.audit, &err), 0);
	assert_int_equal(keyring_new(f->kmsd.store, &f->kmsd.ring, &err), 0);
	assert_int_equal(callers_new(f->kmsd.store, &f->kmsd.callers, &err), 0);
	assert_int_equal(
		store_root_access_key(f->kmsd.store, "111122223333", f->now_ms, &f->root, &err), 0);
	assert_int_equal(
		store_root_access_key(f->kmsd.store, "123456789012", f->now_ms, &f->other, &err),
		0);
}

RIG_FN void rig_close(struct rig *f)
{
	cached_put(f->root);
	cached_put(f->other);
	callers_free(f->kmsd.callers);
	keyring_free(f->kmsd.ring);
	audit_close(f->kmsd.audit);
	store_close(f->kmsd.store);
	close(f->dir_fd);
}

RIG_FN void rig_make_dir(struct rig *f)
{
	strcpy(f->dir, "/tmp/kmsd-test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->now_ms = RIG_NOW_MS;
}

RIG_FN int rig_set_up(void **state)
{
	struct rig *f = calloc(1, sizeof(*f));

	rig_make_dir(f);
	rig_open(f);
	*state = f;
	return 0;
}

RIG_FN void rig_remove_dir(struct rig *f)
{
	DIR *dir = opendir(f->dir);

	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));)
		(void)unlinkat(dirfd(dir), e->d_name, 0); /* not "." and ".." */
	closedir(dir);
	assert_int_equal(rmdir(f->dir), 0);
}

RIG_FN int rig_tear_down(void **state)
{
	struct rig *f = *state;

	rig_close(f);
	rig_remove_dir(f);
	free(f);
	return 0;
}

/* @signed_headers: "host;x-amz-date;...". */
RIG_FN void rig_sign(const struct access_key *who, struct sigv4_request *req, const char *date,
		     const char *headers, char *ret)
{
	char day[9] = "", hex[SIGV4_HEX_LEN + 1];
	struct sigv4_scope scope = {day, "us-east-1", "kms"};
	struct buf canonical = {.max = 65536}, to_sign = {.max = 65536};
	char *secret = calloc(1, secret_len(who->secret) + 1);
	uint8_t key[SIGV4_KEY_LEN];
	struct err err = {0};

	memcpy(day, date, 8);
	memcpy(secret, secret_cbytes(who->secret), secret_len(who->secret));
	assert_int_equal(sigv4_canonical_request(req, headers, &canonical, &err), 0);
	assert_int_equal(sigv4_string_to_sign(date, &scope, &canonical, &to_sign, &err), 0);
	assert_int_equal(sigv4_signing_key(secret, &scope, key, &err), 0);
	assert_int_equal(sigv4_signature(key, (char *)to_sign.bytes, to_sign.len, hex, &err), 0);
	sprintf(ret,
		"AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/kms/aws4_request, SignedHeaders=%s, "
		"Signature=%s",
		who->id, day, headers, hex);
	buf_free(&canonical);
	buf_free(&to_sign);
	free(secret);
}

#define RIG_MORE_MAX 4

/* Headers beside the usual ones; in order of name, all of them signed. */
struct rig_more {
	struct sigv4_header list[RIG_MORE_MAX];
	size_t count;
	const char *address; /* where the request comes from; NULL: from here */
};

RIG_FN void rig_date(const struct rig *f, char ret[32])
{
	time_t t = (time_t)(f->now_ms / 1000);
	struct tm tm;

	strftime(ret, 32, "%Y%m%dT%H%M%SZ", gmtime_r(&t, &tm));
}

/* The reply's status, and its body parsed (NULL: it has none), which the caller frees. */
RIG_FN unsigned rig_send_more(struct rig *f, const struct access_key *who, const char *operation,
			      const char *body, const struct rig_more *more, struct kms_json **ret)
{
	char target[128], authorization[1024], date[32];
	char list[256] = "host;x-amz-date;x-amz-target";
	struct sigv4_header headers[4 + RIG_MORE_MAX] = {
		{"Host", "127.0.0.1:1"}, {"X-Amz-Date", date}, {"X-Amz-Target", target}};
	struct flow_request request = {
		.http = {.method = "POST",
			 .path = "/",
			 .query = "",
			 .headers = headers,
			 .header_count = 3,
			 .body = body,
			 .body_len = strlen(body)},
		.address = more && more->address ? more->address : "127.0.0.1",
	};
	struct flow_reply reply;
	struct err err = {0};
	unsigned status;

	rig_date(f, date);
	sprintf(target, "TrentService.%s", operation);
	for (size_t i = 0; more && i < more->count; i++) {
		size_t n = strlen(list);

		headers[request.http.header_count++] = more->list[i];
		sprintf(list + n, ";%s", more->list[i].name);
		for (char *p = list + n; *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	}
	rig_sign(who, &request.http, date, list, authorization);
	headers[request.http.header_count++] =
		(struct sigv4_header){"Authorization", authorization};
	flow_handle(&f->kmsd, &request, f->now_ms, &reply);
	status = reply.status;
	*ret = NULL;
	if (reply.body)
		assert_int_equal(kms_json_parse(reply.body, reply.body_len, ret, &err), 0);
	flow_reply_free(&reply);
	return status;
}

RIG_FN unsigned rig_send(struct rig *f, const struct access_key *who, const char *operation,
			 const char *body, struct kms_json **ret)
{
	return rig_send_more(f, who, operation, body, NULL, ret);
}

/* What must succeed. */
RIG_FN struct kms_json *rig_call(struct rig *f, const struct access_key *who, const char *operation,
				 const char *fmt, ...)
{
	struct kms_json *v;
	char body[32768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	if (rig_send(f, who, operation, body, &v) != 200)
		fail_msg("%s %s: %s", operation, body, kms_json_text(v));
	return v;
}

#define rig_do(f, ...) kms_json_free(rig_call((f), (f)->root, __VA_ARGS__))

/* What must be refused: @want is "TYPE" or "TYPE: TEXT", all of the text. */
RIG_FN void rig_refused(struct rig *f, const struct access_key *who, const char *want,
			const char *operation, const char *fmt, ...)
{
	const struct kms_json *text;
	struct kms_json *v;
	char body[32768], got[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	if (rig_send(f, who, operation, body, &v) != 400)
		fail_msg("%s %s was not refused", operation, body);
	text = kms_json_get(v, "message") ? kms_json_get(v, "message") : kms_json_get(v, "Message");
	snprintf(got, sizeof(got), "%s%s%s", kms_json_string_value(kms_json_get(v, "__type")),
		 text ? ": " : "", text ? kms_json_string_value(text) : "");
	if (!strstr(want, ": "))
		got[strcspn(got, ":")] = '\0';
	assert_string_equal(got, want);
	kms_json_free(v);
}

RIG_FN const char *rig_text(const struct kms_json *v, const char *name)
{
	return kms_json_string_value(kms_json_get(v, name));
}

/* A new key's ARN; its id is the last 36 characters. */
RIG_FN void rig_key(struct rig *f, char ret_arn[KEYREF_ARN_MAX])
{
	struct kms_json *v = rig_call(f, f->root, "CreateKey", "{}");

	strcpy(ret_arn, rig_text(kms_json_get(v, "KeyMetadata"), "Arn"));
	kms_json_free(v);
}

/* A grant to the other account's root user; @more is JSON behind the operations. */
RIG_FN void rig_grant(struct rig *f, const char *arn, const char *operations, const char *more,
		      char ret_id[GRANT_ID_LEN + 1], char *ret_token)
{
	struct kms_json *v = rig_call(f, f->root, "CreateGrant",
				      "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" RIG_OTHER
				      "\",\"Operations\":[%s]%s}",
				      arn, operations, more);

	assert_int_equal(strlen(rig_text(v, "GrantId")), GRANT_ID_LEN);
	if (ret_id)
		strcpy(ret_id, rig_text(v, "GrantId"));
	if (ret_token)
		strcpy(ret_token, rig_text(v, "GrantToken"));
	kms_json_free(v);
}

/* A blob of "hello". */
RIG_FN void rig_encrypt(struct rig *f, const char *arn, const char *context, char *ret_blob)
{
	struct kms_json *v = rig_call(f, f->root, "Encrypt",
				      "{\"KeyId\":\"%s\",\"Plaintext\":\"aGVsbG8=\","
				      "\"EncryptionContext\":%s}",
				      arn, context);

	strcpy(ret_blob, rig_text(v, "CiphertextBlob"));
	kms_json_free(v);
}

#endif
