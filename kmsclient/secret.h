/*
 * Memory for key bytes: locked (never swapped), left out of core files, empty in a forked child,
 * wiped when freed.
 */
#ifndef KMSCLIENT_SECRET_H
#define KMSCLIENT_SECRET_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct secret;

#define SECRET_LEN_MAX (1024 * 1024) /* bytes */

#define AUTO(fn) __attribute__((cleanup(fn)))

/*
 * A secret of @len_bytes (1 to SECRET_LEN_MAX), all zero; the caller owns *@ret_secret.
 * -ENOMEM when it cannot be had or not be locked (RLIMIT_MEMLOCK).
 */
int secret_new(size_t len_bytes, struct secret **ret_secret, struct err *err);

/* As secret_new(), filled with a copy of @bytes, which the caller still has to wipe. */
int secret_from(const void *bytes, size_t len_bytes, struct secret **ret_secret, struct err *err);

/* Wipe and free. NULL is allowed. */
void secret_free(struct secret *secret);
void secret_freep(struct secret **secret);

/* The bytes, valid until secret_free(). */
uint8_t *secret_bytes(struct secret *secret);
const uint8_t *secret_cbytes(const struct secret *secret);
size_t secret_len(const struct secret *secret);

/*
 * Wipe what calls that have returned left on this thread's stack: libcrypto spills keys and plaintext
 * to it and does not clean up.
 */
void secret_wipe_stack(void);

#endif
