/* Callers and their signing keys, cached. See caller.h. */
#include "caller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "forward.h"
#include "identity.h"
#include "secret.h"
#include "service_proof.h"
#include "session.h"

#define SIGNERS_MAX 256 /* callers with their policies, read whole */
#define EMPTY_POLICY                                                                               \
	"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":"                                   \
	"\"Allow\",\"NotAction\":\"*\",\"Resource\":\"*\"}}"

struct callers {
	struct store *store;
	struct sessions *sessions;
	struct cache *signers;
};

int callers_new(struct store *store, struct callers **ret_callers, struct err *err)
{
	struct callers *callers = calloc(1, sizeof(*callers));
	int r;

	if (!callers)
		return err_set(err, ENOMEM, "callers");
	callers->store = store;
	r = cache_new(SIGNERS_MAX, &callers->signers, err);
	r = r ? r : sessions_new(store_rootkey(store), &callers->sessions, err);
	if (r < 0) {
		callers_free(callers);
		return r;
	}
	*ret_callers = callers;
	return 0;
}

void callers_free(struct callers *callers)
{
	if (!callers)
		return;
	cache_free(callers->signers);
	sessions_free(callers->sessions);
	free(callers);
}

static void caller_free(struct cached *obj)
{
	struct caller *c = (struct caller *)obj;

	identity_free(c->identity); /* borrows names of what follows */
	for (size_t i = 0; i < c->session_policy_count; i++) {
		free(c->session_policies[i].name);
		free(c->session_policies[i].text);
	}
	for (size_t i = 0; i < c->session_tag_count; i++) {
		free(c->session_tags[i].key);
		free(c->session_tags[i].value);
	}
	free(c->session_policies);
	free(c->session_tags);
	cached_put(c->principal);
	free(c);
}

static void signer_free(struct cached *obj)
{
	struct signer *s = (struct signer *)obj;

	cached_put(s->caller);
	secret_free(s->key);
	free(s->token);
	free(s);
}

static int derive(struct signer *s, const struct secret *secret, const struct sigv4_scope *scope,
		  struct err *err)
{
	char text[IDS_SECRET_KEY_LEN + 1];
	size_t n = secret_len(secret);
	int r = secret_new(SIGV4_KEY_LEN, &s->key, err);

	if (r < 0)
		return r;
	if (n > IDS_SECRET_KEY_LEN)
		return err_set(err, EUCLEAN, "secret of access key '%s' is too long",
			       s->caller->access_key_id);
	memcpy(text, secret_cbytes(secret), n);
	text[n] = '\0';
	r = sigv4_signing_key(text, scope, secret_bytes(s->key), err);
	OPENSSL_cleanse(text, sizeof(text));
	return r;
}

/* ARN and ids follow from account, principal and session name. */
static void fill_names(struct caller *c)
{
	const struct iam_principal *p = c->principal;

	if (c->kind == CALLER_SERVICE)
		return; /* forward_take() learns which one it is */
	if (!p) {
		(void)snprintf(c->arn, sizeof(c->arn), "arn:aws:iam::%s:root", c->account);
		(void)snprintf(c->principal_id, sizeof(c->principal_id), "%s", c->account);
	} else if (c->kind == CALLER_ROLE) {
		(void)snprintf(c->arn, sizeof(c->arn), "arn:aws:sts::%s:assumed-role/%s/%s",
			       c->account, p->name, c->session_name);
		(void)snprintf(c->principal_id, sizeof(c->principal_id), "%s:%s", p->id,
			       c->session_name);
	} else {
		memcpy(c->arn, p->arn, sizeof(c->arn));
		memcpy(c->principal_id, p->id, sizeof(p->id));
	}
	memcpy(c->issuer_arn, p ? p->arn : c->arn, sizeof(c->issuer_arn));
}

/* The user or role must still be there: an id that was deleted never comes back. */
static int find_principal(struct callers *callers, struct caller *c, const char *id,
			  struct err *err)
{
	int r = store_iam_principal(callers->store, id, &c->principal, err);

	if (r == -ENOENT)
		return err_set(err, ENOKEY, "principal '%s' is gone", id);
	if (r == 0)
		memcpy(c->account, c->principal->account, sizeof(c->account));
	return r;
}

/* A long-lived key: of the services, of a user, or else of the root user. */
static int load_lasting(struct callers *callers, struct caller *c, struct secret **ret_secret,
			struct err *err)
{
	AUTO(cached_putp) struct access_key *root = NULL;
	struct iam_access_key key;
	int r;

	if (strcmp(c->access_key_id, SERVICE_ACCESS_KEY) == 0) {
		c->kind = CALLER_SERVICE;
		return forward_secret(store_rootkey(callers->store), ret_secret, err);
	}
	r = store_iam_load_key(callers->store, c->access_key_id, &key, ret_secret, err);
	if (r == 0 && !key.active)
		return err_set(err, ENOKEY, "access key is not active");
	if (r == 0) {
		c->kind = CALLER_USER;
		return find_principal(callers, c, key.user_id, err);
	}
	if (r != -ENOENT)
		return r;
	r = store_load_access_key(callers->store, c->access_key_id, &root, err);
	if (r < 0)
		return r;
	c->kind = CALLER_ROOT;
	memcpy(c->account, root->account, sizeof(c->account));
	return secret_from(secret_cbytes(root->secret), secret_len(root->secret), ret_secret, err);
}

/* Session policies that are managed ones come without text; one that is gone allows nothing. */
static int load_texts(struct callers *callers, struct caller *c, struct err *err)
{
	for (size_t i = 0; i < c->session_policy_count; i++) {
		AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
		struct iam_document *d = &c->session_policies[i];
		int r;

		if (d->text)
			continue;
		r = store_iam_load_policy(callers->store, d->name, &p, err);
		if (r < 0 && r != -ENOENT)
			return r;
		if (p && strcmp(p->account, c->account) != 0)
			r = -ENOENT; /* another account's is as good as none */
		d->text = strdup(r == 0 ? p->text : EMPTY_POLICY);
		if (!d->text)
			return err_set(err, ENOMEM, "session policy");
	}
	return 0;
}

static int load_temporary(struct callers *callers, struct caller *c, const char *token,
			  struct secret **ret_secret, struct err *err)
{
	AUTO(session_freep) struct session *s = NULL;
	int r = sessions_open(callers->sessions, token, &s, err);

	if (r == -EBADMSG || r == -EUCLEAN)
		return err_set(err, ENOKEY, "session token is not ours");
	if (r < 0)
		return r;
	if (strcmp(s->access_key_id, c->access_key_id) != 0)
		return err_set(err, ENOKEY, "session token of another access key");
	c->kind = s->kind;
	c->issued_ms = s->issued_ms;
	c->expires_ms = s->expires_ms;
	memcpy(c->account, s->account, sizeof(c->account));
	memcpy(c->session_name, s->name, sizeof(c->session_name));
	c->session_policies = s->policies;
	c->session_policy_count = s->policy_count;
	c->session_tags = s->tags;
	c->session_tag_count = s->tag_count;
	*ret_secret = s->secret;
	s->policies = NULL;
	s->tags = NULL;
	s->secret = NULL;
	s->policy_count = s->tag_count = 0;
	if (s->kind != CALLER_ROOT)
		r = find_principal(callers, c, s->principal_id, err);
	return r ? r : load_texts(callers, c, err);
}

static int load_caller(struct callers *callers, struct signer *s, const char *access_key_id,
		       struct secret **ret_secret, struct err *err)
{
	struct caller *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(err, ENOMEM, "caller");
	c->cached.free = caller_free;
	atomic_init(&c->cached.refs, 1);
	s->caller = c;
	if (strlen(access_key_id) > IDS_ACCESS_KEY_LEN)
		return err_set(err, ENOKEY, "no such access key");
	(void)snprintf(c->access_key_id, sizeof(c->access_key_id), "%s", access_key_id); /* fits */
	r = s->token ? load_temporary(callers, c, s->token, ret_secret, err)
		     : load_lasting(callers, c, ret_secret, err);
	if (r < 0)
		return r;
	fill_names(c);
	return identity_new(c, &c->identity, err);
}

static int load_signer(struct callers *callers, const char *access_key_id, const char *token,
		       const struct sigv4_scope *scope, struct signer **ret_signer, struct err *err)
{
	AUTO(secret_freep) struct secret *secret = NULL;
	AUTO(cached_putp) struct signer *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "signing key");
	s->cached.free = signer_free;
	atomic_init(&s->cached.refs, 1);
	s->generation = store_iam_generation(callers->store); /* before anything is read */
	if (token && !(s->token = strdup(token)))
		return err_set(err, ENOMEM, "session token");
	r = load_caller(callers, s, access_key_id, &secret, err);
	r = r ? r : derive(s, secret, scope, err);
	if (r < 0)
		return r;
	*ret_signer = s;
	s = NULL;
	return 0;
}

static bool same_token(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

int callers_signer(struct callers *callers, const char *access_key_id, const char *token,
		   const struct sigv4_scope *scope, int64_t now_ms, struct signer **ret_signer,
		   struct err *err)
{
	AUTO(cached_putp) struct signer *s = NULL;
	char name[CACHE_NAME_MAX + 1];
	uint64_t generation;
	int r = snprintf(name, sizeof(name), "%s/%s/%s/%s", access_key_id, scope->day,
			 scope->region, scope->service);

	if (r < 0 || (size_t)r >= sizeof(name))
		return err_set(err, ENOKEY, "no such access key");
	s = cache_find(callers->signers, name);
	if (s && s->generation != store_iam_generation(callers->store)) {
		cache_drop(callers->signers, name);
		cached_putp(&s);
	}
	if (!s || !same_token(s->token, token)) {
		cached_putp(&s);
		generation = cache_generation(callers->signers);
		r = load_signer(callers, access_key_id, token, scope, &s, err);
		if (r < 0)
			return r;
		cache_put(callers->signers, name, s, generation);
	}
	if (s->caller->expires_ms && now_ms >= s->caller->expires_ms)
		return err_set(err, EKEYEXPIRED, "the session has expired");
	*ret_signer = s;
	s = NULL;
	return 0;
}

int callers_issue(struct callers *callers, struct session *session, char **ret_token,
		  struct err *err)
{
	return sessions_issue(callers->sessions, session, ret_token, err);
}

static struct caller *acting(enum caller_kind kind, const char *account,
			     const struct caller *signer)
{
	struct caller *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->cached.free = caller_free;
	atomic_init(&c->cached.refs, 1);
	c->kind = kind;
	(void)snprintf(c->account, sizeof(c->account), "%s", account); /* 12 digits */
	memcpy(c->access_key_id, signer->access_key_id, sizeof(c->access_key_id));
	return c;
}

struct caller *caller_of_service(const char *account, const char *name, const struct caller *signer)
{
	struct caller *c = acting(CALLER_SERVICE, account, signer);

	if (c) {
		(void)snprintf(c->arn, sizeof(c->arn), "%s", name); /* FORWARD_NAME_MAX */
		memcpy(c->issuer_arn, c->arn, sizeof(c->issuer_arn));
	}
	return c;
}

struct caller *caller_of_instance(const char *account, const char *instance,
				  const struct caller *signer, int64_t now_ms)
{
	struct caller *c = acting(CALLER_INSTANCE, account, signer);

	if (!c)
		return NULL;
	c->issued_ms = now_ms;
	/* What follows fits: an instance's id is short. */
	(void)snprintf(c->session_name, sizeof(c->session_name), "%s", instance);
	(void)snprintf(c->arn, sizeof(c->arn), "arn:aws:sts::%s:assumed-role/" FORWARD_ROLE "/%s",
		       account, instance);
	(void)snprintf(c->issuer_arn, sizeof(c->issuer_arn), "arn:aws:iam::%s:role/" FORWARD_ROLE,
		       account);
	(void)snprintf(c->instance_arn, sizeof(c->instance_arn),
		       "arn:aws:iam::%s:role/" FORWARD_ROLE "/%s", account, instance);
	(void)snprintf(c->principal_id, sizeof(c->principal_id), "%s:" FORWARD_ROLE ":%s", account,
		       instance);
	return c;
}
