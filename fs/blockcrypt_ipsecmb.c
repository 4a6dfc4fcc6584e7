/*
 * The ciphers by Intel's multi-buffer library, libipsec-mb, where it was there at build. Used are its direct
 * functions, one message a call: they keep no state in the library's manager, so all threads share
 * one. It has no XTS: where the processor has the vectors, that is ours (blockcrypt_xts.h), with its keys.
 *
 * Expanded keys lie in locked memory (secret.h); what the library leaves of a message in its context on our
 * stack is wiped after each.
 */
#include "blockcrypt_provider.h"
#include "blockcrypt_xts.h"

#if defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include "err.h"
#include "secret.h"

#define KEY_ALIGN 64 /* the library wants it for struct gcm_key_data */

struct state {
	struct secret *secret; /* what is expanded, or the key where nothing is */
	enum blockcrypt_cipher cipher;
	bool encrypt;
	bool keyed;
};

static pthread_once_t manager_once = PTHREAD_ONCE_INIT;
static IMB_MGR *
	manager; /* pointers to the functions for this processor; NULL: none. Fixed after manager_once */

static void make_manager(void)
{
	IMB_ARCH arch = IMB_ARCH_NONE;

	manager = alloc_mb_mgr(0);
	if (!manager)
		return;
	init_mb_mgr_auto(manager, &arch);
	if (arch == IMB_ARCH_NONE || arch == IMB_ARCH_NOAESNI || imb_get_errno(manager) != 0) {
		free_mb_mgr(manager);
		manager = NULL;
	}
}

static const char *version(void)
{
	return imb_get_version_str();
}

static int check(struct err *err)
{
	uint64_t self_test = IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS;

	(void)pthread_once(&manager_once, make_manager); /* cannot fail on a static once */
	if (!manager)
		return err_set(err, ENOTSUP, "this processor has no AES instructions for it");
	if ((manager->features & self_test) == IMB_FEATURE_SELF_TEST)
		return err_set(err, ENOTSUP, "the library's own self-test fails");
	return 0;
}

/* Its gain is in vectors of AES and of carry-less products; without them OpenSSL is as fast. */
static bool is_faster(void)
{
	return blockcrypt_xts_is_here();
}

static bool has(enum blockcrypt_cipher cipher)
{
	return cipher == BLOCKCRYPT_AES_256_GCM || cipher == BLOCKCRYPT_CHACHA20_POLY1305 ||
	       (cipher == BLOCKCRYPT_AES_256_XTS && blockcrypt_xts_is_here());
}

static void state_close(void *arg)
{
	struct state *s = arg;

	if (!s)
		return;
	secret_free(s->secret);
	free(s);
}

/* Bytes of what @cipher keeps of a key. */
static size_t key_room(enum blockcrypt_cipher cipher)
{
	switch (cipher) {
	case BLOCKCRYPT_AES_256_GCM:
		return sizeof(struct gcm_key_data);
	case BLOCKCRYPT_AES_256_XTS:
		return sizeof(struct blockcrypt_xts_keys);
	case BLOCKCRYPT_CHACHA20_POLY1305:
	case BLOCKCRYPT_NONE:
		break;
	}
	return BLOCKCRYPT_AEAD_KEY_LEN;
}

static int state_open(enum blockcrypt_cipher cipher, bool encrypt, void **ret_state)
{
	struct state *s = NULL;
	size_t len = key_room(cipher);
	int r = check(NULL);

	if (r < 0 || !has(cipher))
		return -EIO;
	s = calloc(1, sizeof(*s));
	r = s ? secret_new(len, &s->secret, NULL) : -ENOMEM;
	if (r < 0) {
		state_close(s);
		return r;
	}
	s->cipher = cipher;
	s->encrypt = encrypt;
	*ret_state = s;
	return 0;
}

/* A secret of this size is a mapping of its own, so it begins a page. */
static struct gcm_key_data *gcm_key(struct state *s)
{
	return __builtin_assume_aligned(secret_bytes(s->secret), KEY_ALIGN);
}

static struct blockcrypt_xts_keys *xts_keys(struct state *s)
{
	return __builtin_assume_aligned(secret_bytes(s->secret), KEY_ALIGN);
}

/* The first half of the key is for data, the second for tweaks, which are only ever encrypted. */
static void expand_xts(struct state *s, const uint8_t *key)
{
	struct blockcrypt_xts_keys *k = xts_keys(s);
	uint8_t unused[sizeof(k->decrypt)] __attribute__((aligned(16)));

	IMB_AES_KEYEXP_256(manager, key, k->encrypt, k->decrypt);
	IMB_AES_KEYEXP_256(manager, key + BLOCKCRYPT_KEY_LEN / 2, k->tweak, unused);
	OPENSSL_cleanse(unused, sizeof(unused));
}

static int state_set_key(void *arg, const uint8_t *key)
{
	struct state *s = arg;

	if (s->cipher == BLOCKCRYPT_AES_256_GCM)
		IMB_AES256_GCM_PRE(manager, key, gcm_key(s));
	else if (s->cipher == BLOCKCRYPT_AES_256_XTS)
		expand_xts(s, key);
	else
		memcpy(secret_bytes(s->secret), key, BLOCKCRYPT_AEAD_KEY_LEN);
	s->keyed = true;
	return 0;
}

static void run_gcm(struct state *s, const struct blockcrypt_message *m, uint8_t *ret_tag)
{
	struct gcm_context_data ctx;

	if (s->encrypt)
		IMB_AES256_GCM_ENC(manager, gcm_key(s), &ctx, m->to, m->from, m->len, m->iv, m->aad,
				   m->aad_len, ret_tag, BLOCKCRYPT_TAG_LEN);
	else
		IMB_AES256_GCM_DEC(manager, gcm_key(s), &ctx, m->to, m->from, m->len, m->iv, m->aad,
				   m->aad_len, ret_tag, BLOCKCRYPT_TAG_LEN);
	OPENSSL_cleanse(&ctx, sizeof(ctx));
}

static void run_chacha(struct state *s, const struct blockcrypt_message *m, uint8_t *ret_tag)
{
	struct chacha20_poly1305_context_data ctx;
	const uint8_t *key = secret_cbytes(s->secret);

	IMB_CHACHA20_POLY1305_INIT(manager, key, &ctx, m->iv, m->aad, m->aad_len);
	if (s->encrypt) {
		IMB_CHACHA20_POLY1305_ENC_UPDATE(manager, key, &ctx, m->to, m->from, m->len);
		IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager, &ctx, ret_tag, BLOCKCRYPT_TAG_LEN);
	} else {
		IMB_CHACHA20_POLY1305_DEC_UPDATE(manager, key, &ctx, m->to, m->from, m->len);
		IMB_CHACHA20_POLY1305_DEC_FINALIZE(manager, &ctx, ret_tag, BLOCKCRYPT_TAG_LEN);
	}
	OPENSSL_cleanse(&ctx, sizeof(ctx));
}

static int state_run(void *arg, const struct blockcrypt_message *m)
{
	struct state *s = arg;
	uint8_t tag[BLOCKCRYPT_TAG_LEN];
	int r = 0;

	if (!s->keyed)
		return -EIO;
	if (s->cipher == BLOCKCRYPT_AES_256_XTS) {
		if (m->len % BLOCKCRYPT_XTS_UNIT)
			return -EIO;
		blockcrypt_xts_run(xts_keys(s), s->encrypt, m->iv, m->from, m->to, m->len);
		return 0;
	}
	if (s->cipher == BLOCKCRYPT_AES_256_GCM)
		run_gcm(s, m, tag);
	else
		run_chacha(s, m, tag);
	if (s->encrypt)
		memcpy(m->tag, tag, sizeof(tag));
	else if (CRYPTO_memcmp(tag, m->tag, sizeof(tag)) != 0)
		r = -EBADMSG;
	OPENSSL_cleanse(tag, sizeof(tag)); /* of a forged message: nobody may learn the right one */
	return r;
}

static const struct blockcrypt_provider provider = {
	.name = "ipsec-mb",
	.version = version,
	.check = check,
	.is_faster = is_faster,
	.has = has,
	.open = state_open,
	.close = state_close,
	.set_key = state_set_key,
	.run = state_run,
};

const struct blockcrypt_provider *const blockcrypt_ipsec_mb = &provider;

#else

const struct blockcrypt_provider *const blockcrypt_ipsec_mb = NULL;

#endif
