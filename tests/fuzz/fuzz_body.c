/*
 * Bodies: a line "Operation", then the body, signed by the account's root user, through all of the request flow. Whatever it
 * is, the answer is JSON and the failure the caller's.
 */
#include "fuzz.h"

#include "rig.h"

/* The rig, with a key that the corpus calls alias/a. */
static struct rig *rig_with_key(void)
{
	struct rig *f = fuzz_rig_get();
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/a\",\"TargetKeyId\":\"%s\"}", arn);
	return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig *f = fuzz_rig ? fuzz_rig : rig_with_key();
	const uint8_t *end = memchr(data, '\n', size);
	char operation[64] = "", *body;
	struct kms_json *reply = NULL;
	size_t n = end ? (size_t)(end - data) : 0;
	unsigned status;

	if (!end || n >= sizeof(operation) || memchr(data, 0, n))
		return 0;
	memcpy(operation, data, n);
	body = calloc(1, size - n);
	memcpy(body, end + 1, size - n - 1); /* calloc() has put a NUL behind it */
	status = rig_send(f, f->root, operation, body, &reply);
	if (status != 200 && status != 400)
		abort();
	kms_json_free(reply);
	free(body);
	return 0;
}
