/*
 * XTS-AES-256 (IEEE 1619) with the processor's vectors of AES: VAES, VPCLMULQDQ, AVX-512. For the provider
 * libipsec-mb, which expands keys but has no XTS.
 */
#ifndef FS_BLOCKCRYPT_XTS_H
#define FS_BLOCKCRYPT_XTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCKCRYPT_XTS_UNIT   512 /* messages are multiples of this many bytes */
#define BLOCKCRYPT_XTS_ROUNDS 14
#define BLOCKCRYPT_XTS_WIDTH  16 /* bytes of an AES block, and of a round key */

/* Round keys, in the order of use; those of decryption for the equivalent inverse cipher (FIPS 197, 5.3.5). */
struct blockcrypt_xts_keys {
	uint8_t encrypt[BLOCKCRYPT_XTS_ROUNDS + 1][BLOCKCRYPT_XTS_WIDTH];
	uint8_t decrypt[BLOCKCRYPT_XTS_ROUNDS + 1][BLOCKCRYPT_XTS_WIDTH];
	uint8_t tweak[BLOCKCRYPT_XTS_ROUNDS + 1][BLOCKCRYPT_XTS_WIDTH];
} __attribute__((aligned(64)));

/* Does this processor have what it takes? */
bool blockcrypt_xts_is_here(void);

/*
 * Encrypt or decrypt @len bytes, a multiple of BLOCKCRYPT_XTS_UNIT, under the tweak @iv, 16 bytes. @to is
 * @from, or does not overlap it. Only where it is here. Nothing is left in registers.
 */
void blockcrypt_xts_run(const struct blockcrypt_xts_keys *keys, bool encrypt, const uint8_t *iv,
			const uint8_t *from, uint8_t *to, size_t len);

#endif
