/* The proof that a service calls. See service_proof.h. */
#include "service_proof.h"

#include <errno.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"

#define TEXT_MAX 2048

int service_proof(const struct service_proof *proof, const uint8_t key[SIGV4_KEY_LEN],
		  char ret_hex[SIGV4_HEX_LEN + 1], struct err *err)
{
	AUTO(buf_free) struct buf text = {.max = TEXT_MAX};
	char body[SIGV4_HEX_LEN + 1];
	int r = sigv4_sha256_hex(proof->body, proof->body_len, body, err);

	if (r < 0)
		return r;
	/* No line feed can be in a header, so no two calls have the same text. */
	r = buf_printf(&text, "kmsd forward 1\n%s\n%s\n%s\n%s\n%s", proof->date,
		       proof->access_key_id, proof->service, proof->target, body);
	if (r < 0)
		return err_set(err, -r, "proof of a service's call");
	return sigv4_signature(key, (const char *)text.bytes, text.len, ret_hex, err);
}
