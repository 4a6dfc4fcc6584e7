/* The operations of AWS KMS: requests built, answers taken apart. The rest is in kms_call.c. See kms.h. */
#include "kms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "err.h"
#include "kms_call.h"
#include "kms_json.h"
#include "secret.h"

#define DEAD_STACK_BYTES 32768

enum operation {
	DECRYPT,
	GENERATE_DATA_KEY_WITHOUT_PLAINTEXT,
	DESCRIBE_KEY,
	CREATE_GRANT,
	RETIRE_GRANT,
	RE_ENCRYPT,
};

static const struct kms_operation operations[] = {
	[DECRYPT] = {"Decrypt", false},
	[GENERATE_DATA_KEY_WITHOUT_PLAINTEXT] = {"GenerateDataKeyWithoutPlaintext", false},
	[DESCRIBE_KEY] = {"DescribeKey", false},
	[CREATE_GRANT] = {"CreateGrant", false},
	[RETIRE_GRANT] = {"RetireGrant", true},
	[RE_ENCRYPT] = {"ReEncrypt", false},
};

/* A request being built; the first thing that goes wrong stays. */
struct request {
	const struct kms_operation *operation;
	struct kms_json *obj; /* owned */
	int r;
	struct err *err;
};

static void begin(struct request *q, enum operation operation, struct err *err)
{
	*q = (struct request){.operation = &operations[operation], .err = err};
	q->obj = kms_json_new_object();
	if (!q->obj)
		q->r = err_set(err, ENOMEM, "out of memory");
}

static void done(struct request *q, int r)
{
	if (r < 0 && q->r == 0)
		q->r = err_set(q->err, -r, "out of memory");
}

static void wrong(struct request *q, const char *member, const char *why)
{
	if (q->r == 0)
		q->r = err_set(q->err, EINVAL, "KMS %s: %s %s", q->operation->name, member, why);
}

/* A text that KMS wants; NULL when it may be left out. */
static void put_text(struct request *q, const char *member, const char *text, size_t max)
{
	if (!text || q->r < 0)
		return;
	if (!*text)
		wrong(q, member, "is empty");
	else if (strlen(text) > max)
		wrong(q, member, "is too long");
	else
		done(q, kms_json_set_str(q->obj, member, text));
}

static void put_wanted(struct request *q, const char *member, const char *text, size_t max)
{
	if (!text)
		wrong(q, member, "is missing");
	put_text(q, member, text, max);
}

static void put_blob(struct request *q, const uint8_t *blob, size_t len)
{
	if (q->r < 0)
		return;
	if (len == 0 || len > KMS_BLOB_MAX)
		wrong(q, "CiphertextBlob", "must be 1 to 6144 bytes long");
	else
		done(q, kms_json_set_base64(q->obj, "CiphertextBlob", blob, len));
}

/* Into @obj, which becomes a member of the request or of one of its members. */
static void put_context(struct request *q, struct kms_json *obj, const char *member,
			const struct kms_context *context)
{
	struct kms_json *map;
	size_t bytes = 0;

	if (!context || context->count == 0 || q->r < 0)
		return;
	map = kms_json_new_object();
	if (!map)
		return done(q, -ENOMEM);
	for (size_t i = 0; i < context->count && q->r == 0; i++) {
		const struct kms_pair *p = &context->pairs[i];

		bytes += strlen(p->name) + strlen(p->value);
		if (!*p->name || kms_json_has(map, p->name))
			wrong(q, member, "has a name that is empty or there twice");
		else if (bytes > KMS_CONTEXT_MAX)
			wrong(q, member, "is larger than 8192 bytes");
		else
			done(q, kms_json_set_str(map, p->name, p->value));
	}
	done(q, kms_json_set(obj, member, map));
}

/* Send it; the request is used up. */
static int send_request(struct kms *kms, struct request *q, const char *key_id,
			struct kms_json **ret_answer)
{
	int r = q->r;

	if (r == 0)
		r = kms_call(kms, q->operation, q->obj, key_id, ret_answer, q->err);
	kms_json_free(q->obj);
	q->obj = NULL;
	return r;
}

/*
 * The members of an answer that was JSON were not as they must be. Nothing is known of the key
 * then, so it counts as transient.
 */
static int bad_answer(const struct request *q, struct kms *kms, int r, struct err *err)
{
	if (r != -EUCLEAN)
		return r;
	if (err)
		err->num = ETIMEDOUT;
	(void)err_prefix(err, "KMS at %s answered %s with what makes no sense", kms_endpoint(kms),
			 q->operation->name);
	return -ETIMEDOUT;
}

/* A text member, copied into @ret with room for @max + 1. */
static int take_text(const struct kms_json *answer, const char *member, char *ret, size_t max,
		     struct err *err)
{
	const char *text;
	int r = kms_json_str(answer, member, &text, err);

	if (r < 0)
		return r;
	if (strlen(text) > max)
		return err_set(err, EUCLEAN, "member '%s' is longer than %zu", member, max);
	strcpy(ret, text);
	return 0;
}

/* CiphertextBlob and KeyId, as three operations return them. */
static int take_blob(const struct kms_json *answer, struct kms_blob *ret_blob, char *ret_key_arn,
		     struct err *err)
{
	char arn[KMS_KEY_ID_MAX + 1];
	struct kms_blob blob = {0};
	int r = take_text(answer, "KeyId", arn, KMS_KEY_ID_MAX, err);

	if (r < 0)
		return r;
	r = kms_json_base64(answer, "CiphertextBlob", &blob.bytes, &blob.len, err);
	if (r < 0)
		return r;
	if (blob.len == 0 || blob.len > KMS_BLOB_MAX) {
		kms_blob_free(&blob);
		return err_set(err, EUCLEAN, "member 'CiphertextBlob' is not 1 to %d bytes long",
			       KMS_BLOB_MAX);
	}
	*ret_blob = blob;
	if (ret_key_arn)
		strcpy(ret_key_arn, arn);
	return 0;
}

void kms_blob_free(struct kms_blob *blob)
{
	free(blob->bytes);
	*blob = (struct kms_blob){0};
}

/*
 * Wipe what the functions just called left below us on the stack. None of them keeps key bytes in
 * a local on purpose, but copying takes them through vector registers, and the dynamic linker
 * saves those on the stack when it binds a function.
 */
static __attribute__((noinline)) void wipe_dead_stack(void)
{
	uint8_t below[DEAD_STACK_BYTES];

	OPENSSL_cleanse(below, sizeof(below));
}

static void put_grant_token(struct request *q, const char *token)
{
	struct kms_json *list;

	if (!token || q->r < 0)
		return;
	list = kms_json_new_array();
	if (!list)
		return done(q, -ENOMEM);
	done(q, kms_json_add_str(list, token));
	done(q, kms_json_set(q->obj, "GrantTokens", list));
}

int kms_decrypt(struct kms *kms, const uint8_t *blob, size_t blob_len,
		const struct kms_context *context, const char *key_id,
		struct secret **ret_plaintext, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *answer = NULL;
	struct request q;
	int r;

	begin(&q, DECRYPT, err);
	put_blob(&q, blob, blob_len);
	put_text(&q, "KeyId", key_id, KMS_KEY_ID_MAX);
	put_context(&q, q.obj, "EncryptionContext", context);
	put_grant_token(&q, kms_grant_token(kms));
	r = send_request(kms, &q, key_id, &answer);
	if (r < 0)
		return r;
	r = kms_json_secret(answer, "Plaintext", ret_plaintext, err);
	if (r == -EINVAL) /* a secret of no bytes */
		r = err_set(err, EUCLEAN, "member 'Plaintext' is empty");
	kms_json_freep(&answer);
	wipe_dead_stack();
	return bad_answer(&q, kms, r, err);
}

int kms_generate_data_key_without_plaintext(struct kms *kms, const char *key_id, unsigned bytes,
					    const struct kms_context *context,
					    struct kms_blob *ret_blob, char *ret_key_arn,
					    struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *answer = NULL;
	struct request q;
	int r;

	begin(&q, GENERATE_DATA_KEY_WITHOUT_PLAINTEXT, err);
	put_wanted(&q, "KeyId", key_id, KMS_KEY_ID_MAX);
	if (bytes == 0 || bytes > KMS_DATA_KEY_MAX)
		wrong(&q, "NumberOfBytes", "must be 1 to 1024");
	else if (q.r == 0)
		done(&q, kms_json_set_i64(q.obj, "NumberOfBytes", bytes));
	put_context(&q, q.obj, "EncryptionContext", context);
	r = send_request(kms, &q, key_id, &answer);
	if (r < 0)
		return r;
	return bad_answer(&q, kms, take_blob(answer, ret_blob, ret_key_arn, err), err);
}

/* A text of KeyMetadata that older servers leave out. */
static void take_optional(const struct kms_json *obj, const char *member, char *ret, size_t max)
{
	if (take_text(obj, member, ret, max, NULL) < 0)
		ret[0] = '\0';
}

static int take_metadata(const struct kms_json *answer, struct kms_key_metadata *ret,
			 struct err *err)
{
	struct kms_key_metadata m = {0};
	struct kms_json *obj;
	int r = kms_json_object(answer, "KeyMetadata", &obj, err);

	if (r == 0)
		r = take_text(obj, "Arn", m.arn, sizeof(m.arn) - 1, err);
	if (r == 0)
		r = take_text(obj, "KeyId", m.key_id, sizeof(m.key_id) - 1, err);
	if (r == 0)
		r = take_text(obj, "KeyState", m.state, sizeof(m.state) - 1, err);
	if (r == 0)
		r = kms_json_bool(obj, "Enabled", &m.enabled, err);
	if (r == 0 && kms_json_get(obj, "DeletionDate"))
		r = kms_json_double(obj, "DeletionDate", &m.deletion_date, err);
	if (r < 0)
		return r;
	take_optional(obj, "KeyUsage", m.usage, sizeof(m.usage) - 1);
	take_optional(obj, "KeySpec", m.spec, sizeof(m.spec) - 1);
	take_optional(obj, "KeyManager", m.manager, sizeof(m.manager) - 1);
	*ret = m;
	return 0;
}

int kms_describe_key(struct kms *kms, const char *key_id, struct kms_key_metadata *ret_metadata,
		     struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *answer = NULL;
	struct request q;
	int r;

	begin(&q, DESCRIBE_KEY, err);
	put_wanted(&q, "KeyId", key_id, KMS_KEY_ID_MAX);
	r = send_request(kms, &q, key_id, &answer);
	if (r < 0)
		return r;
	return bad_answer(&q, kms, take_metadata(answer, ret_metadata, err), err);
}

static void put_operations(struct request *q, const char *const *names)
{
	struct kms_json *list;

	if (q->r < 0)
		return;
	if (!names || !names[0])
		return wrong(q, "Operations", "is missing");
	list = kms_json_new_array();
	if (!list)
		return done(q, -ENOMEM);
	for (; *names; names++)
		done(q, kms_json_add_str(list, *names));
	done(q, kms_json_set(q->obj, "Operations", list));
}

static void put_constraints(struct request *q, const struct kms_grant_request *request)
{
	struct kms_json *obj;

	if (q->r < 0 || ((!request->context_subset || request->context_subset->count == 0) &&
			 (!request->context_equals || request->context_equals->count == 0)))
		return;
	obj = kms_json_new_object();
	if (!obj)
		return done(q, -ENOMEM);
	put_context(q, obj, "EncryptionContextSubset", request->context_subset);
	put_context(q, obj, "EncryptionContextEquals", request->context_equals);
	done(q, kms_json_set(q->obj, "Constraints", obj));
}

int kms_create_grant(struct kms *kms, const struct kms_grant_request *request,
		     struct kms_grant *ret_grant, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *answer = NULL;
	struct kms_grant grant = {0};
	struct request q;
	int r;

	begin(&q, CREATE_GRANT, err);
	put_wanted(&q, "KeyId", request->key_id, KMS_KEY_ID_MAX);
	put_wanted(&q, "GranteePrincipal", request->grantee_principal, 256);
	put_text(&q, "RetiringPrincipal", request->retiring_principal, 256);
	put_operations(&q, request->operations);
	put_constraints(&q, request);
	put_text(&q, "Name", request->name, 256);
	r = send_request(kms, &q, request->key_id, &answer);
	if (r < 0)
		return r;
	r = take_text(answer, "GrantId", grant.id, KMS_GRANT_ID_MAX, err);
	if (r == 0)
		r = take_text(answer, "GrantToken", grant.token, KMS_GRANT_TOKEN_MAX, err);
	if (r == 0)
		*ret_grant = grant;
	return bad_answer(&q, kms, r, err);
}

int kms_retire_grant(struct kms *kms, const char *token, const char *key_arn, const char *grant_id,
		     struct err *err)
{
	struct request q;

	begin(&q, RETIRE_GRANT, err);
	put_text(&q, "GrantToken", token, KMS_GRANT_TOKEN_MAX);
	if (!token) {
		put_wanted(&q, "KeyId", key_arn, KMS_KEY_ID_MAX);
		put_wanted(&q, "GrantId", grant_id, KMS_GRANT_ID_MAX);
	}
	return send_request(kms, &q, key_arn, NULL);
}

int kms_re_encrypt(struct kms *kms, const struct kms_re_encrypt_request *request,
		   struct kms_blob *ret_blob, char *ret_key_arn, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *answer = NULL;
	struct request q;
	int r;

	begin(&q, RE_ENCRYPT, err);
	put_blob(&q, request->blob, request->blob_len);
	put_text(&q, "SourceKeyId", request->source_key_id, KMS_KEY_ID_MAX);
	put_wanted(&q, "DestinationKeyId", request->destination_key_id, KMS_KEY_ID_MAX);
	put_context(&q, q.obj, "SourceEncryptionContext", request->source_context);
	put_context(&q, q.obj, "DestinationEncryptionContext", request->destination_context);
	r = send_request(kms, &q, request->destination_key_id, &answer);
	if (r < 0)
		return r;
	return bad_answer(&q, kms, take_blob(answer, ret_blob, ret_key_arn, err), err);
}
