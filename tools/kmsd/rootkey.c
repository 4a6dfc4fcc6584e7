/* The root key's file, wrapping and unwrapping. See rootkey.h. */
#include "rootkey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "aead.h"
#include "err.h"
#include "ids.h"
#include "secret.h"
#include "textfile.h"

#define FILE_NAME "root-key"

struct rootkey {
	struct secret *bytes;
};

static int create_file(int dir_fd, struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	int r = secret_new(AEAD_KEY_LEN, &s, err);

	if (r < 0)
		return r;
	r = ids_random(secret_bytes(s), AEAD_KEY_LEN, true, err);
	if (r < 0)
		return r;
	r = textfile_replace_bytes(dir_fd, FILE_NAME, secret_cbytes(s), AEAD_KEY_LEN, 0600);
	if (r < 0)
		return err_set(err, -r, "cannot write '" FILE_NAME "': %s", strerror(-r));
	return 0;
}

static int read_file(int fd, struct secret **ret_secret, struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	struct stat st;
	ssize_t n;
	int r;

	if (fstat(fd, &st) < 0)
		return err_set(err, errno, "'" FILE_NAME "': %s", strerror(errno));
	if (st.st_mode & 077)
		return err_set(err, EACCES,
			       "'" FILE_NAME "' can be read by others (mode %03o): chmod 600 it",
			       (unsigned)st.st_mode & 0777);
	if (st.st_size != AEAD_KEY_LEN)
		return err_set(err, EUCLEAN, "'" FILE_NAME "' has %lld bytes, not %d",
			       (long long)st.st_size, AEAD_KEY_LEN);
	r = secret_new(AEAD_KEY_LEN, &s, err);
	if (r < 0)
		return r;
	n = read(fd, secret_bytes(s), AEAD_KEY_LEN);
	if (n != AEAD_KEY_LEN)
		return err_set(err, EIO, "'" FILE_NAME "' cannot be read: %s", strerror(errno));
	*ret_secret = s;
	s = NULL;
	return 0;
}

int rootkey_load(int dir_fd, int create, struct rootkey **ret_key, struct err *err)
{
	struct rootkey *key;
	int r, fd = openat(dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT && create) {
		r = create_file(dir_fd, err);
		if (r < 0)
			return r;
		fd = openat(dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd < 0)
		return err_set(err, errno, "'" FILE_NAME "': %s", strerror(errno));
	key = calloc(1, sizeof(*key));
	r = key ? read_file(fd, &key->bytes, err) : err_set(err, ENOMEM, "'" FILE_NAME "'");
	(void)close(fd); /* only read */
	if (r < 0) {
		free(key);
		return r;
	}
	*ret_key = key;
	return 0;
}

void rootkey_free(struct rootkey *key)
{
	if (!key)
		return;
	secret_free(key->bytes);
	free(key);
}

int rootkey_wrap(const struct rootkey *key, const char *name, const struct secret *secret,
		 uint8_t ret_wrapped[ROOTKEY_WRAPPED_MAX], size_t *ret_len, struct err *err)
{
	struct aead_text aad = {name, strlen(name)};
	struct aead_text plain = {secret_cbytes(secret), secret_len(secret)};
	int r;

	if (plain.len > ROOTKEY_PLAIN_MAX)
		return err_set(err, EINVAL, "secret of %zu bytes is too long to wrap", plain.len);
	r = ids_random(ret_wrapped, AEAD_NONCE_LEN, false, err);
	if (r < 0)
		return r;
	r = aead_seal(secret_cbytes(key->bytes), ret_wrapped, &aad, &plain,
		      ret_wrapped + AEAD_NONCE_LEN, err);
	if (r == 0)
		*ret_len = plain.len + ROOTKEY_OVERHEAD;
	return r;
}

int rootkey_derive(const struct rootkey *key, const char *label, struct secret **ret_secret,
		   struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	unsigned len = 0;
	int r = secret_new(32, &s, err);

	if (r < 0)
		return r;
	if (!HMAC(EVP_sha256(), secret_cbytes(key->bytes), (int)secret_len(key->bytes),
		  (const unsigned char *)label, strlen(label), secret_bytes(s), &len) ||
	    len != 32)
		return err_set(err, EIO, "HMAC-SHA256 failed");
	*ret_secret = s;
	s = NULL;
	return 0;
}

int rootkey_unwrap(const struct rootkey *key, const char *name, const void *wrapped, size_t len,
		   struct secret **ret_secret, struct err *err)
{
	AUTO(secret_freep) struct secret *s = NULL;
	const uint8_t *bytes = wrapped;
	struct aead_text aad = {name, strlen(name)}, sealed;
	int r;

	if (len <= ROOTKEY_OVERHEAD || len > ROOTKEY_WRAPPED_MAX)
		return err_set(err, EBADMSG, "%s: wrapped to %zu bytes", name, len);
	sealed = (struct aead_text){bytes + AEAD_NONCE_LEN, len - AEAD_NONCE_LEN};
	r = secret_new(len - ROOTKEY_OVERHEAD, &s, err);
	if (r < 0)
		return r;
	r = aead_open(secret_cbytes(key->bytes), bytes, &aad, &sealed, secret_bytes(s), err);
	if (r == -EBADMSG)
		return err_set(err, EBADMSG, "%s: not wrapped under this root key", name);
	if (r < 0)
		return r;
	*ret_secret = s;
	s = NULL;
	return 0;
}
