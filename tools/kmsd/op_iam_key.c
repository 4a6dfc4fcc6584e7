/* Users' access keys. See op_iam.h. */
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "op_iam.h"
#include "secret.h"

static int set_secret(struct kms_json *v, const char *name, const struct secret *s)
{
	char text[IDS_SECRET_KEY_LEN + 1];
	int r;

	if (secret_len(s) > IDS_SECRET_KEY_LEN)
		return -ENOMEM; /* ours never are */
	memcpy(text, secret_cbytes(s), secret_len(s));
	text[secret_len(s)] = '\0';
	r = kms_json_set_str(v, name, text);
	OPENSSL_cleanse(text, sizeof(text));
	return r;
}

static struct kms_json *shown(const struct iam_principal *user, const struct iam_access_key *key)
{
	struct kms_json *e = kms_json_new_object();

	if (e && (kms_json_set_str(e, "UserName", user->name) |
		  kms_json_set_str(e, "AccessKeyId", key->id) |
		  kms_json_set_str(e, "Status", key->active ? "Active" : "Inactive") |
		  iam_set_time(e, "CreateDate", key->created_ms))) {
		kms_json_free(e);
		return NULL;
	}
	return e;
}

int op_iam_create_key(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *user = NULL;
	AUTO(secret_freep) struct secret *secret = NULL;
	struct iam_access_key key;
	struct kms_json *e;
	int r = iam_find_or_self(call, &user, err);

	r = r ? r : store_iam_create_key(call->kmsd->store, user, call->now_ms, &key, &secret, err);
	if (r == -EDQUOT)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "Cannot exceed quota for AccessKeysPerUser: %d", IAM_KEYS_MAX);
	if (r < 0)
		return r;
	e = shown(user, &key);
	r = e ? set_secret(e, "SecretAccessKey", secret) : -ENOMEM;
	return call_filled(r | kms_json_set(call->output, "AccessKey", e), err);
}

static int no_key(struct call *call, struct err *err)
{
	return fault_set(err, FAULT_NO_SUCH_ENTITY, "The Access Key with id %s cannot be found.",
			 call_text(call, "AccessKeyId"));
}

int op_iam_update_key(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *user = NULL;
	int r = iam_find_or_self(call, &user, err);

	r = r ? r
	      : store_iam_set_key(call->kmsd->store, user, call_text(call, "AccessKeyId"),
				  strcmp(call_text(call, "Status"), "Active") == 0, err);
	return r == -ENOENT ? no_key(call, err) : r;
}

int op_iam_delete_key(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *user = NULL;
	int r = iam_find_or_self(call, &user, err);

	r = r ? r
	      : store_iam_delete_key(call->kmsd->store, user, call_text(call, "AccessKeyId"), err);
	return r == -ENOENT ? no_key(call, err) : r;
}

int op_iam_list_keys(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *user = NULL;
	struct iam_access_key keys[IAM_KEYS_MAX];
	struct kms_json *list;
	int n = 0, r = iam_find_or_self(call, &user, err);

	if (r < 0)
		return r;
	n = store_iam_keys(call->kmsd->store, user, keys, err);
	if (n < 0)
		return n;
	list = kms_json_new_array();
	r = list ? 0 : -ENOMEM;
	for (int i = 0; i < n && r == 0; i++)
		r = kms_json_add(list, shown(user, &keys[i]));
	r |= kms_json_set(call->output, "AccessKeyMetadata", list) |
	     kms_json_set_bool(call->output, "IsTruncated", false);
	return call_filled(r, err);
}
