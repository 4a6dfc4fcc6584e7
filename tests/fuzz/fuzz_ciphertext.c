/*
 * Ciphertext blobs. The first byte says what is done with the rest: 0 it is a blob; else a good blob is made
 * of it, which must open, and not when the byte that it names is bent.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "ciphertext.h"
#include "err.h"

static const uint8_t material[32], material_id[CIPHERTEXT_MATERIAL_LEN];
static const struct ciphertext_key key = {
	"arn:aws:kms:us-east-1:111122223333:key/00112233-4455-6677-8899-aabbccddeeff", material_id,
	material};

static int open_blob(const uint8_t *blob, size_t len)
{
	struct buf plain = {.max = CIPHERTEXT_PLAIN_MAX};
	struct ciphertext ct;
	struct err err = {0};
	int r = ciphertext_parse(blob, len, &ct, &err);

	r = r ? r : ciphertext_open(&ct, &key, NULL, &plain, &err);
	if (r < 0 && strcmp(err.code, "InvalidCiphertextException") != 0)
		abort();
	buf_free(&plain);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf blob = {.max = CIPHERTEXT_BLOB_MAX};
	struct err err = {0};

	if (size < 3)
		return 0;
	if (data[0] == 0) {
		(void)open_blob(data + 1, size - 1); /* most are refused */
		return 0;
	}
	if (size - 2 > CIPHERTEXT_PLAIN_MAX ||
	    ciphertext_seal(&key, CIPHERTEXT_ENCRYPTED, NULL, data + 2, size - 2, 77, &blob, &err) <
		    0)
		return 0;
	if (open_blob(blob.bytes, blob.len) < 0)
		abort();
	blob.bytes[(data[0] << 8 | data[1]) % blob.len] ^= 1;
	if (open_blob(blob.bytes, blob.len) == 0)
		abort();
	buf_free(&blob);
	return 0;
}
