/* GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateRandom. */
#include <string.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "operations.h"
#include "secret.h"

static int data_key_length(struct call *call, size_t *ret_len, struct err *err)
{
	const char *spec = call_text(call, "KeySpec");
	int64_t bytes = call_number(call, "NumberOfBytes", 0);

	if ((spec != NULL) == (bytes != 0))
		return fault_set(err, FAULT_VALIDATION,
				 "Please specify either number of bytes or key spec.");
	if (spec)
		bytes = strcmp(spec, "AES_128") == 0 ? 16 : 32;
	*ret_len = (size_t)bytes;
	return 0;
}

static int generate(struct call *call, size_t len, bool show, struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	struct buf plain; /* borrows the secret's bytes */
	int r = secret_new(len, &s, err);

	r = r ? r : ids_random(secret_bytes(s), len, true, err);
	if (r < 0)
		return r;
	plain = (struct buf){.bytes = secret_bytes(s), .len = len};
	r = op_crypto_seal(call, call->key, CIPHERTEXT_DATA_KEY, "EncryptionContext", &plain, err);
	if (r < 0)
		return r;
	r = kms_json_set_str(call->output, "KeyId", call->key->arn) |
	    kms_json_set_str(call->output, "KeyMaterialId", call->key->material_hex);
	if (show)
		r |= kms_json_set_base64(call->output, "Plaintext", plain.bytes, plain.len);
	return call_filled(r, err);
}

static int data_key(struct call *call, bool show, struct err *err)
{
	size_t len = 0;
	int r = data_key_length(call, &len, err);

	r = r ? r : call_dry_run(call, err);
	return r ? r : generate(call, len, show, err);
}

int op_generate_data_key(struct call *call, struct err *err)
{
	return data_key(call, true, err);
}

int op_generate_data_key_without_plaintext(struct call *call, struct err *err)
{
	return data_key(call, false, err);
}

int op_generate_random(struct call *call, struct err *err)
{
	int64_t len = call_number(call, "NumberOfBytes", 0);
	AUTO(secret_freep) struct secret *s = NULL;
	int r = call_authorize(call, "GenerateRandom", NULL, err);

	if (r < 0)
		return r;
	if (len == 0)
		return fault_set(err, FAULT_VALIDATION, "NumberOfBytes is required.");
	r = secret_new((size_t)len, &s, err);
	r = r ? r : ids_random(secret_bytes(s), (size_t)len, true, err);
	if (r < 0)
		return r;
	return call_filled(
		kms_json_set_base64(call->output, "Plaintext", secret_cbytes(s), (size_t)len), err);
}
