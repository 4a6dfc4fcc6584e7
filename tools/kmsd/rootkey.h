/*
 * The root key: 32 random bytes in a file of the data directory (0600), under which everything
 * secret in the database is wrapped with AES-256-GCM.
 */
#ifndef KMSD_ROOTKEY_H
#define KMSD_ROOTKEY_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct rootkey;
struct secret;

#define ROOTKEY_PLAIN_MAX   256	      /* bytes that can be wrapped */
#define ROOTKEY_OVERHEAD    (12 + 16) /* nonce and tag */
#define ROOTKEY_WRAPPED_MAX (ROOTKEY_PLAIN_MAX + ROOTKEY_OVERHEAD)

/*
 * Read the root key of the data directory @dir_fd; with none there, make one and make it durable
 * before it returns (@create). -ENOENT: none there. -EUCLEAN: not 32 bytes. -EACCES: others may
 * read it.
 */
int rootkey_load(int dir_fd, int create, struct rootkey **ret_key, struct err *err);
void rootkey_free(struct rootkey *key);

/* Wrap @secret; @name is bound to it: unwrapping wants the same. *@ret_len bytes are written. */
int rootkey_wrap(const struct rootkey *key, const char *name, const struct secret *secret,
		 uint8_t ret_wrapped[ROOTKEY_WRAPPED_MAX], size_t *ret_len, struct err *err);

/*
 * A key of 32 bytes for the purpose @label (HMAC-SHA256 of it under the root key): the same one at
 * every start. The caller owns *@ret_secret.
 */
int rootkey_derive(const struct rootkey *key, const char *label, struct secret **ret_secret,
		   struct err *err);

/* -EBADMSG: not wrapped under this root key and name. The caller owns *@ret_secret. */
int rootkey_unwrap(const struct rootkey *key, const char *name, const void *wrapped, size_t len,
		   struct secret **ret_secret, struct err *err);

#endif
