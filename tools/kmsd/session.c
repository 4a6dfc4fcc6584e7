/*
 * Session tokens: base64 of version (1 byte), nonce (12), AES-256-GCM of a JSON object (tag at the
 * end). See session.h and DESIGN.md, "Session tokens".
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "aead.h"
#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "rootkey.h"
#include "secret.h"
#include "store_iam.h"

#define VERSION	  1
#define LABEL	  "kmsd session token 1"
#define HEAD_LEN  (1 + AEAD_NONCE_LEN)
#define PLAIN_MAX (SESSION_TOKEN_MAX / 4 * 3 - HEAD_LEN - AEAD_TAG_LEN)

struct sessions {
	struct secret *key; /* AEAD_KEY_LEN bytes */
};

static const char *const kind_names[] = {
	[CALLER_ROOT] = "root", [CALLER_USER] = "user", [CALLER_ROLE] = "role"};

int sessions_new(const struct rootkey *rootkey, struct sessions **ret_sessions, struct err *err)
{
	struct sessions *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "sessions");
	r = rootkey_derive(rootkey, LABEL, &s->key, err);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_sessions = s;
	return 0;
}

void sessions_free(struct sessions *sessions)
{
	if (!sessions)
		return;
	secret_free(sessions->key);
	free(sessions);
}

void session_free(struct session *session)
{
	if (!session)
		return;
	for (size_t i = 0; i < session->policy_count; i++) {
		free(session->policies[i].name);
		free(session->policies[i].text);
	}
	for (size_t i = 0; i < session->tag_count; i++) {
		free(session->tags[i].key);
		free(session->tags[i].value);
	}
	free(session->policies);
	free(session->tags);
	secret_free(session->secret);
	free(session);
}

void session_freep(struct session **session)
{
	session_free(*session);
	*session = NULL;
}

static int put_policies(struct kms_json *v, const struct session *s)
{
	struct kms_json *list = kms_json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < s->policy_count && r == 0; i++) {
		const struct iam_document *d = &s->policies[i];
		struct kms_json *e = kms_json_new_object();

		if (e)
			r = d->name ? kms_json_set_str(e, "arn", d->name)
				    : kms_json_set_str(e, "text", d->text);
		r |= kms_json_add(list, e);
	}
	return r | kms_json_set(v, "policies", list);
}

static int put_tags(struct kms_json *v, const struct session *s)
{
	struct kms_json *tags = kms_json_new_object();
	int r = tags ? 0 : -ENOMEM;

	for (size_t i = 0; i < s->tag_count && r == 0; i++)
		r = kms_json_set_str(tags, s->tags[i].key, s->tags[i].value);
	return r | kms_json_set(v, "tags", tags);
}

/* The caller wipes and frees. NULL: out of memory. */
static char *describe(const struct session *s, const char *secret)
{
	AUTO(kms_json_freep) struct kms_json *v = kms_json_new_object();
	int r;

	if (!v)
		return NULL;
	r = kms_json_set_str(v, "kind", kind_names[s->kind]) |
	    kms_json_set_str(v, "account", s->account) |
	    kms_json_set_str(v, "key", s->access_key_id) | kms_json_set_str(v, "secret", secret) |
	    kms_json_set_str(v, "principal", s->principal_id) |
	    kms_json_set_str(v, "name", s->name) | kms_json_set_i64(v, "issued", s->issued_ms) |
	    kms_json_set_i64(v, "expires", s->expires_ms) | put_policies(v, s) | put_tags(v, s);
	return r ? NULL : kms_json_text(v);
}

static int seal(const struct sessions *sessions, const char *plain, char **ret_token,
		struct err *err)
{
	struct aead_text aad = {LABEL, strlen(LABEL)}, text = {plain, strlen(plain)};
	uint8_t *b;
	int r;

	if (text.len > PLAIN_MAX)
		return err_set(err, EMSGSIZE, "session token is too long");
	b = malloc(HEAD_LEN + text.len + AEAD_TAG_LEN);
	if (!b)
		return err_set(err, ENOMEM, "session token");
	b[0] = VERSION;
	r = ids_random(b + 1, AEAD_NONCE_LEN, false, err);
	r = r ? r : aead_seal(secret_cbytes(sessions->key), b + 1, &aad, &text, b + HEAD_LEN, err);
	if (r == 0) {
		*ret_token = bytes_to_base64(b, HEAD_LEN + text.len + AEAD_TAG_LEN);
		r = *ret_token ? 0 : err_set(err, ENOMEM, "session token");
	}
	free(b);
	return r;
}

int sessions_issue(const struct sessions *sessions, struct session *session, char **ret_token,
		   struct err *err)
{
	char text[IDS_SECRET_KEY_LEN + 1], *plain;
	int r = ids_temporary_key(session->access_key_id, err);

	r = r ? r : ids_secret_key(text, err);
	r = r ? r : secret_from(text, IDS_SECRET_KEY_LEN, &session->secret, err);
	if (r < 0)
		return r;
	plain = describe(session, text);
	OPENSSL_cleanse(text, sizeof(text));
	if (!plain)
		return err_set(err, ENOMEM, "session token");
	r = seal(sessions, plain, ret_token, err);
	OPENSSL_cleanse(plain, strlen(plain));
	free(plain);
	return r;
}

static int take_text(const struct kms_json *v, const char *name, char *ret, size_t size,
		     struct err *err)
{
	const char *text;
	int r = kms_json_str(v, name, &text, err);

	if (r == 0 && strlen(text) >= size)
		r = err_set(err, EUCLEAN, "member '%s' is too long", name);
	if (r == 0)
		memcpy(ret, text, strlen(text) + 1);
	return r;
}

static char *copy(const struct kms_json *v)
{
	return v ? strdup(kms_json_string_value(v)) : NULL;
}

static int take_policies(const struct kms_json *v, struct session *s)
{
	const struct kms_json *list = kms_json_get(v, "policies");
	size_t n = list ? kms_json_count(list) : 0;

	s->policies = calloc(n + 1, sizeof(*s->policies));
	if (!s->policies)
		return -ENOMEM;
	for (; s->policy_count < n; s->policy_count++) {
		const struct kms_json *e = kms_json_at(list, s->policy_count);
		struct iam_document *d = &s->policies[s->policy_count];

		d->name = copy(kms_json_get(e, "arn"));
		d->text = copy(kms_json_get(e, "text"));
		d->managed = d->name != NULL;
		if (!d->name && !d->text)
			return -ENOMEM;
	}
	return 0;
}

static int take_tag(const char *name, struct kms_json *value, void *arg)
{
	struct session *s = arg;
	struct iam_tag *t = &s->tags[s->tag_count];

	t->key = strdup(name);
	t->value = copy(value);
	s->tag_count++;
	return t->key && t->value ? 0 : -ENOMEM;
}

static int take(const struct kms_json *v, struct session *s, struct err *err)
{
	const struct kms_json *tags = kms_json_get(v, "tags");
	const char *kind, *secret;
	int r = kms_json_str(v, "kind", &kind, err);

	r = r ? r : kms_json_str(v, "secret", &secret, err);
	r = r ? r : take_text(v, "account", s->account, sizeof(s->account), err);
	r = r ? r : take_text(v, "key", s->access_key_id, sizeof(s->access_key_id), err);
	r = r ? r : take_text(v, "principal", s->principal_id, sizeof(s->principal_id), err);
	r = r ? r : take_text(v, "name", s->name, sizeof(s->name), err);
	r = r ? r : kms_json_i64(v, "issued", &s->issued_ms, err);
	r = r ? r : kms_json_i64(v, "expires", &s->expires_ms, err);
	r = r ? r : secret_from(secret, strlen(secret), &s->secret, err);
	if (r < 0)
		return r;
	s->kind = strcmp(kind, "role") == 0   ? CALLER_ROLE
		  : strcmp(kind, "user") == 0 ? CALLER_USER
					      : CALLER_ROOT;
	s->tags = calloc((tags ? kms_json_count(tags) : 0) + 1, sizeof(*s->tags));
	if (!s->tags || take_policies(v, s) < 0 || (tags && kms_json_each(tags, take_tag, s) != 0))
		return err_set(err, ENOMEM, "session");
	return 0;
}

/* @ret_plain has room for @len bytes. */
static int unseal(const struct sessions *sessions, const uint8_t *bytes, size_t len,
		  char *ret_plain, struct err *err)
{
	struct aead_text aad = {LABEL, strlen(LABEL)}, sealed;

	if (len <= HEAD_LEN + AEAD_TAG_LEN || bytes[0] != VERSION)
		return err_set(err, EBADMSG, "not a session token");
	sealed = (struct aead_text){bytes + HEAD_LEN, len - HEAD_LEN};
	return aead_open(secret_cbytes(sessions->key), bytes + 1, &aad, &sealed,
			 (uint8_t *)ret_plain, err);
}

static int read_plain(const char *plain, size_t len, struct session **ret_session, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *v = NULL;
	AUTO(session_freep) struct session *s = calloc(1, sizeof(*s));
	int r = s ? kms_json_parse(plain, len, &v, err) : err_set(err, ENOMEM, "session");

	r = r ? r : take(v, s, err);
	if (r < 0)
		return r;
	*ret_session = s;
	s = NULL;
	return 0;
}

int sessions_open(const struct sessions *sessions, const char *token, struct session **ret_session,
		  struct err *err)
{
	size_t text_len = strlen(token), len, plain_len;
	uint8_t *bytes;
	char *plain;
	int r;

	if (text_len > SESSION_TOKEN_MAX)
		return err_set(err, EBADMSG, "not a session token");
	r = bytes_from_base64(token, text_len, &bytes, &len);
	if (r < 0)
		return err_set(err, r == -ENOMEM ? ENOMEM : EBADMSG, "not a session token");
	plain_len = len;
	plain = malloc(plain_len + 1);
	r = plain ? unseal(sessions, bytes, len, plain, err) : err_set(err, ENOMEM, "session");
	if (r == 0)
		r = read_plain(plain, len - HEAD_LEN - AEAD_TAG_LEN, ret_session, err);
	if (plain)
		OPENSSL_cleanse(plain, plain_len + 1);
	free(plain);
	free(bytes);
	return r;
}
