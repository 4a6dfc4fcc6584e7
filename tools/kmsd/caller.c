/* Signing keys, cached. See caller.h. */
#include "caller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "secret.h"

#define SIGNERS_MAX 256 /* two locked pages each */

struct callers {
	struct store *store;
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
	free(callers);
}

static void signer_free(struct cached *obj)
{
	struct signer *s = (struct signer *)obj;

	cached_put(s->access);
	secret_free(s->key);
	free(s);
}

static int derive(struct signer *s, const struct sigv4_scope *scope, struct err *err)
{
	char text[IDS_SECRET_KEY_LEN + 1];
	size_t n = secret_len(s->access->secret);
	int r = secret_new(SIGV4_KEY_LEN, &s->key, err);

	if (r < 0)
		return r;
	if (n > IDS_SECRET_KEY_LEN)
		return err_set(err, EUCLEAN, "secret of access key '%s' is too long",
			       s->access->id);
	memcpy(text, secret_cbytes(s->access->secret), n);
	text[n] = '\0';
	r = sigv4_signing_key(text, scope, secret_bytes(s->key), err);
	OPENSSL_cleanse(text, sizeof(text));
	return r;
}

int callers_signer(struct callers *callers, const char *access_key_id,
		   const struct sigv4_scope *scope, struct signer **ret_signer, struct err *err)
{
	char name[CACHE_NAME_MAX + 1];
	struct signer *s;
	uint64_t generation;
	int r = snprintf(name, sizeof(name), "%s/%s/%s/%s", access_key_id, scope->day,
			 scope->region, scope->service);

	if (r < 0 || (size_t)r >= sizeof(name))
		return err_set(err, ENOKEY, "no such access key");
	*ret_signer = cache_find(callers->signers, name);
	if (*ret_signer)
		return 0;
	generation = cache_generation(callers->signers);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "signing key");
	s->cached.free = signer_free;
	atomic_init(&s->cached.refs, 1);
	r = store_load_access_key(callers->store, access_key_id, &s->access, err);
	r = r ? r : derive(s, scope, err);
	if (r < 0) {
		cached_put(s);
		return r;
	}
	cache_put(callers->signers, name, s, generation);
	*ret_signer = s;
	return 0;
}
