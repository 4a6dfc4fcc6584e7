/* placeholder until blockcrypt lands: the ciphers */
#ifndef FS_BLOCKCRYPT_H
#define FS_BLOCKCRYPT_H

enum blockcrypt_cipher {
	BLOCKCRYPT_AES_256_GCM,
	BLOCKCRYPT_AES_256_XTS,
	BLOCKCRYPT_CHACHA20_POLY1305,
	BLOCKCRYPT_NONE,
};

/* "aes-256-gcm", "aes-256-xts", ...; NULL for a value that is no cipher. */
const char *blockcrypt_name(enum blockcrypt_cipher cipher);

/* The cipher of that name; -ENOENT. */
int blockcrypt_by_name(const char *name, enum blockcrypt_cipher *ret_cipher);

#endif
