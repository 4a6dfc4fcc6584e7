/* Encrypt, Decrypt, ReEncrypt. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "fault.h"
#include "keyring.h"
#include "kms_json.h"
#include "operations.h"
#include "secret.h"

#define SYMMETRIC "SYMMETRIC_DEFAULT"

/* All our keys are symmetric. */
static int check_algorithm(struct call *call, const char *member, const struct key *key,
			   struct err *err)
{
	const char *algorithm = call_text(call, member);

	if (!algorithm || strcmp(algorithm, SYMMETRIC) == 0)
		return 0;
	return fault_set(err, FAULT_INVALID_KEY_USAGE,
			 "%s key spec is " SYMMETRIC " which is not valid for %s.", key->arn,
			 algorithm);
}

/* Bytes of a base64 member; the caller frees and, when they are secret, wipes them. */
static int take_blob(struct call *call, const char *member, struct buf *ret, struct err *err)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r = kms_json_base64(call->input, member, &bytes, &len, err);

	if (r < 0)
		return r;
	r = buf_append(ret, bytes, len);
	OPENSSL_cleanse(bytes, len);
	free(bytes);
	return r < 0 ? err_set(err, -r, "%s", member) : 0;
}

int op_crypto_seal(struct call *call, const struct key *key, enum ciphertext_kind kind,
		   const char *context_member, const struct buf *plain, struct err *err)
{
	AUTO(buf_free) struct buf blob = {.max = CIPHERTEXT_BLOB_MAX};
	AUTO(cached_putp) struct material *m = NULL;
	struct ciphertext_key ck = {key->arn, key->material_id, NULL};
	int r = keyring_material(call->kmsd->ring, key->material_id, &m, err);

	if (r < 0)
		return r;
	ck.material = secret_cbytes(m->bytes);
	memcpy(call->material_hex, key->material_hex, sizeof(call->material_hex));
	r = ciphertext_seal(&ck, kind, kms_json_get(call->input, context_member), plain->bytes,
			    plain->len, call->now_ms, &blob, err);
	if (r < 0)
		return r;
	return call_filled(
		kms_json_set_base64(call->output, "CiphertextBlob", blob.bytes, blob.len), err);
}

int op_encrypt(struct call *call, struct err *err)
{
	AUTO(buf_free) struct buf plain = {.max = CIPHERTEXT_PLAIN_MAX};
	int r = check_algorithm(call, "EncryptionAlgorithm", call->key, err);

	r = r ? r : take_blob(call, "Plaintext", &plain, err);
	r = r ? r : call_dry_run(call, err);
	r = r ? r
	      : op_crypto_seal(call, call->key, CIPHERTEXT_ENCRYPTED, "EncryptionContext", &plain,
			       err);
	if (r < 0)
		return r;
	return call_filled(kms_json_set_str(call->output, "KeyId", call->key->arn) |
				   kms_json_set_str(call->output, "EncryptionAlgorithm", SYMMETRIC),
			   err);
}

/* How Decrypt and the first half of ReEncrypt name what they take. */
struct opening {
	const char *key_member, *context_member, *algorithm_member;
	const char *action;
};

static int unknown_ciphertext(struct err *err)
{
	return fault_set(err, FAULT_ACCESS_DENIED,
			 "The ciphertext refers to a customer master key that does not exist, does "
			 "not exist in this region, or you are not allowed to access.");
}

static int incorrect_key(struct err *err)
{
	return fault_set(err, FAULT_INCORRECT_KEY,
			 "The key ID in the request does not identify a CMK that can perform this "
			 "operation.");
}

/* The key that the request names, if it does, must be the one of the blob's material. */
static int find_named(struct call *call, const struct opening *o, const struct material *m,
		      struct key **ret_key, struct err *err)
{
	const char *named = call_text(call, o->key_member);
	struct key *key;
	int r = call_find_key(call, named, o->action, &key, err);

	if (r < 0)
		return r;
	if (!m || strcmp(m->key_id, key->id) != 0 || strcmp(m->account, key->account) != 0 ||
	    strcmp(m->region, key->region) != 0) {
		cached_put(key);
		return incorrect_key(err);
	}
	*ret_key = key;
	return 0;
}

static int find_by_material(struct call *call, const struct opening *o, const struct material *m,
			    struct key **ret_key, struct err *err)
{
	char arn[KEYREF_ARN_MAX];
	struct keyref_place place;
	int r;

	if (!m)
		return unknown_ciphertext(err);
	place = (struct keyref_place){m->account, m->region};
	if (strcmp(m->region, call->place.region) != 0)
		return unknown_ciphertext(err);
	keyref_key_arn(&place, m->key_id, arn);
	r = call_find_key(call, arn, o->action, ret_key, err);
	return r < 0 && fault_is(err, FAULT_NOT_FOUND) ? unknown_ciphertext(err) : r;
}

/* A dry run may ask about permissions alone: then the blob, if there is one, only names the key. */
static bool ignores_ciphertext(struct call *call)
{
	return call_flag(call, "DryRun") && kms_json_get(call->input, "DryRunModifiers") &&
	       kms_json_count(kms_json_get(call->input, "DryRunModifiers")) > 0;
}

/* For a condition: whether the key that ReEncrypt goes to is the one it comes from. */
static void note_same_key(struct call *call, const struct key *from)
{
	const char *text = call_text(call, "DestinationKeyId");
	AUTO(cached_putp) struct key *to = NULL;
	struct keyref ref;
	struct err ignored; /* told when it is looked for in earnest */

	if (text && keyref_parse(text, &call->place, true, false, &ref, &ignored) == 0 &&
	    keyring_find(call->kmsd->ring, &call->place, &ref, call->now_ms, &to, &ignored) == 0)
		call->same_key =
			strcmp(from->arn, to->arn) == 0 ? CALL_KEYS_SAME : CALL_KEYS_DIFFER;
}

static int check_use(struct call *call, const struct opening *o, const struct key *key,
		     struct err *err)
{
	int r;

	note_same_key(call, key);
	r = call_authorize(call, o->action, key, err);
	r = r ? r : call_check_state(call, KEY_USE_CRYPTO, key, err);
	return r ? r : check_algorithm(call, o->algorithm_member, key, err);
}

/*
 * Open the blob of the input, in AWS's order: parse, find the key, compare it with the one named,
 * authorize, state, authenticate. The caller puts *@ret_key back and wipes @ret_plain.
 */
static int open_blob(struct call *call, const struct opening *o, struct key **ret_key,
		     struct buf *ret_plain, struct err *err)
{
	AUTO(buf_free) struct buf blob = {.max = CIPHERTEXT_BLOB_MAX};
	AUTO(cached_putp) struct material *m = NULL;
	const char *named = call_text(call, o->key_member);
	bool ignore = ignores_ciphertext(call);
	struct ciphertext_key ck = {0};
	struct ciphertext ct;
	int r;

	if (ignore && named) {
		r = call_find_key(call, named, o->action, ret_key, err);
		return r ? r : check_use(call, o, *ret_key, err);
	}
	if (!kms_json_get(call->input, "CiphertextBlob"))
		return validate_missing("ciphertextBlob", err);
	r = take_blob(call, "CiphertextBlob", &blob, err);
	r = r ? r : ciphertext_parse(blob.bytes, blob.len, &ct, err);
	if (r < 0)
		return r;
	r = keyring_material(call->kmsd->ring, ct.material_id, &m, err);
	if (r < 0 && r != -ENOKEY)
		return r;
	r = named ? find_named(call, o, m, ret_key, err)
		  : find_by_material(call, o, m, ret_key, err);
	r = r ? r : check_use(call, o, *ret_key, err);
	if (r < 0 || ignore)
		return r;
	ck = (struct ciphertext_key){(*ret_key)->arn, m->id, secret_cbytes(m->bytes)};
	bytes_to_hex(m->id, sizeof(m->id), call->material_hex);
	return ciphertext_open(&ct, &ck, kms_json_get(call->input, o->context_member), ret_plain,
			       err);
}

int op_decrypt(struct call *call, struct err *err)
{
	static const struct opening o = {"KeyId", "EncryptionContext", "EncryptionAlgorithm",
					 "Decrypt"};
	AUTO(buf_free) struct buf plain = {.max = CIPHERTEXT_PLAIN_MAX};
	AUTO(cached_putp) struct key *key = NULL;
	int r = open_blob(call, &o, &key, &plain, err);

	r = r ? r : call_dry_run(call, err);
	if (r < 0)
		return r;
	return call_filled(
		kms_json_set_str(call->output, "KeyId", key->arn) |
			kms_json_set_base64(call->output, "Plaintext", plain.bytes, plain.len) |
			kms_json_set_str(call->output, "EncryptionAlgorithm", SYMMETRIC) |
			kms_json_set_str(call->output, "KeyMaterialId", call->material_hex),
		err);
}

static int re_encrypt_to(struct call *call, const struct key *to, const struct buf *plain,
			 struct err *err)
{
	int r = call_authorize(call, "ReEncryptTo", to, err);

	r = r ? r : call_check_state(call, KEY_USE_CRYPTO, to, err);
	r = r ? r : check_algorithm(call, "DestinationEncryptionAlgorithm", to, err);
	r = r ? r : call_dry_run(call, err);
	return r ? r
		 : op_crypto_seal(call, to, CIPHERTEXT_ENCRYPTED, "DestinationEncryptionContext",
				  plain, err);
}

int op_re_encrypt(struct call *call, struct err *err)
{
	static const struct opening o = {"SourceKeyId", "SourceEncryptionContext",
					 "SourceEncryptionAlgorithm", "ReEncryptFrom"};
	AUTO(buf_free) struct buf plain = {.max = CIPHERTEXT_PLAIN_MAX};
	AUTO(cached_putp) struct key *from = NULL, *to = NULL;
	char source_material[sizeof(call->material_hex)];
	int r = open_blob(call, &o, &from, &plain, err);

	if (r < 0)
		return r;
	memcpy(source_material, call->material_hex, sizeof(source_material));
	r = call_find_key(call, call_text(call, "DestinationKeyId"), "ReEncryptTo", &to, err);
	r = r ? r : re_encrypt_to(call, to, &plain, err);
	if (r < 0)
		return r;
	return call_filled(
		kms_json_set_str(call->output, "SourceKeyId", from->arn) |
			kms_json_set_str(call->output, "KeyId", to->arn) |
			kms_json_set_str(call->output, "SourceEncryptionAlgorithm", SYMMETRIC) |
			kms_json_set_str(call->output, "DestinationEncryptionAlgorithm",
					 SYMMETRIC) |
			kms_json_set_str(call->output, "SourceKeyMaterialId", source_material) |
			kms_json_set_str(call->output, "DestinationKeyMaterialId",
					 to->material_hex),
		err);
}
