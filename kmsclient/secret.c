/* Locked, undumpable, wiped memory for keys. One mapping each: secrets are few. See secret.h. */
#include "secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "err.h"

#define STACK_BYTES (32 * 1024) /* deeper than libcrypto and the dynamic linker go */

struct secret {
	uint8_t *bytes;
	size_t len;
	size_t mapped; /* len rounded up to pages */
};

int secret_new(size_t len_bytes, struct secret **ret_secret, struct err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct secret *s;

	if (len_bytes == 0 || len_bytes > SECRET_LEN_MAX)
		return err_set(err, EINVAL, "secret of %zu bytes: must be 1 to %d", len_bytes,
			       SECRET_LEN_MAX);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "secret of %zu bytes: out of memory", len_bytes);
	s->len = len_bytes;
	s->mapped = (len_bytes + page - 1) / page * page;
	s->bytes =
		mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->bytes == MAP_FAILED) {
		free(s);
		return err_set(err, ENOMEM, "secret of %zu bytes: %s", len_bytes, strerror(errno));
	}
	if (mlock(s->bytes, s->mapped) < 0 || madvise(s->bytes, s->mapped, MADV_DONTDUMP) < 0 ||
	    madvise(s->bytes, s->mapped, MADV_WIPEONFORK) < 0) {
		int num = errno;

		secret_free(s);
		return err_set(err, ENOMEM,
			       "secret of %zu bytes: cannot lock it in memory: %s; see 'ulimit -l'",
			       len_bytes, strerror(num));
	}
	*ret_secret = s;
	return 0;
}

int secret_from(const void *bytes, size_t len_bytes, struct secret **ret_secret, struct err *err)
{
	int r = secret_new(len_bytes, ret_secret, err);

	if (r == 0)
		memcpy((*ret_secret)->bytes, bytes, len_bytes);
	return r;
}

void secret_free(struct secret *secret)
{
	if (!secret)
		return;
	OPENSSL_cleanse(secret->bytes, secret->mapped);
	(void)munmap(secret->bytes, secret->mapped); /* cannot fail on our own mapping */
	free(secret);
}

void secret_freep(struct secret **secret)
{
	secret_free(*secret);
	*secret = NULL;
}

uint8_t *secret_bytes(struct secret *secret)
{
	return secret->bytes;
}

const uint8_t *secret_cbytes(const struct secret *secret)
{
	return secret->bytes;
}

size_t secret_len(const struct secret *secret)
{
	return secret->len;
}

__attribute__((noinline)) void secret_wipe_stack(void)
{
	uint8_t below[STACK_BYTES];

	OPENSSL_cleanse(below, sizeof(below));
}
