/* The ciphers: libcrypto's by published vectors, our layout (IV, AAD, trailer) against the same ciphers driven by hand, and by frozen answers, since volumes are written in it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "blockcrypt.h"
#include "bytes.h"
#include "crc32c.h"
#include "err.h"

#define BS	 4096
#define SLOT_LEN (BS + BLOCKCRYPT_TAG_LEN)
#define LBA	 0x0102030405060708ULL
#define SEQ	 0x1112131415161718ULL

static const enum blockcrypt_cipher all[] = {BLOCKCRYPT_AES_256_GCM, BLOCKCRYPT_AES_256_XTS,
					     BLOCKCRYPT_CHACHA20_POLY1305, BLOCKCRYPT_NONE};
#define ALL (sizeof(all) / sizeof(all[0]))

static void unhex(const char *hex, uint8_t *ret)
{
	assert_int_equal(bytes_from_hex(hex, ret, strlen(hex) / 2), 0);
}

/* Encrypt with a cipher of libcrypto by its name, as blockcrypt.c names it. */
static void by_hand(const char *name, const uint8_t *key, const uint8_t *iv, const uint8_t *aad,
		    const uint8_t *plain, int len, uint8_t *ret)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	assert_int_equal(EVP_EncryptInit_ex2(ctx, cipher, key, iv, NULL), 1);
	if (aad)
		assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, aad + 1, aad[0]), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, ret, &n, plain, len), 1);
	assert_int_equal(n, len);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, ret + n, &n), 1);
	if (aad)
		assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, ret + len), 1);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
}

/* "The Galois/Counter Mode of Operation", McGrew and Viega, appendix B, test case 16. */
static void aes_256_gcm_is_the_published_one(void **state)
{
	uint8_t key[32], iv[12], aad[21] = {20}, plain[60], got[76], want[76];

	(void)state;
	unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key);
	unhex("cafebabefacedbaddecaf888", iv);
	unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad + 1);
	unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	      plain);
	by_hand("AES-256-GCM", key, iv, aad, plain, 60, got);
	unhex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	      "76fc6ece0f4e1768cddf8853bb2d551b",
	      want);
	assert_memory_equal(got, want, sizeof(want));
}

/* IEEE 1619-2007, annex B, vector 10 (its first 32 bytes). */
static void aes_256_xts_is_the_published_one(void **state)
{
	uint8_t key[64], iv[16] = {0xff}, plain[512], got[512], want[32];

	(void)state;
	unhex("2718281828459045235360287471352662497757247093699959574966967627"
	      "3141592653589793238462643383279502884197169399375105820974944592",
	      key);
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)i;
	by_hand("AES-256-XTS", key, iv, NULL, plain, sizeof(plain), got);
	unhex("1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b", want);
	assert_memory_equal(got, want, sizeof(want));
}

/* RFC 8439, section 2.8.2. */
static void chacha20_poly1305_is_the_published_one(void **state)
{
	static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
				   "only one tip for the future, sunscreen would be it.";
	uint8_t key[32], iv[12], aad[13] = {12}, got[114 + 16], want[16];

	(void)state;
	unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key);
	unhex("070000004041424344454647", iv);
	unhex("50515253c0c1c2c3c4c5c6c7", aad + 1);
	assert_int_equal(strlen(text), 114);
	by_hand("ChaCha20-Poly1305", key, iv, aad, (const uint8_t *)text, 114, got);
	unhex("d31a8d34648e60db7b86afbc53ef7ec2", want);
	assert_memory_equal(got, want, 16);
	unhex("1ae10b594f09e26a7e902ecbd0600691", want);
	assert_memory_equal(got + 114, want, 16);
}

struct pair {
	struct blockcrypt *encrypt, *decrypt;
	uint8_t key[BLOCKCRYPT_KEY_LEN];
	uint8_t plain[BS], slot[SLOT_LEN], back[BS];
};

static void pair_new(struct pair *p, enum blockcrypt_cipher cipher)
{
	struct err err;

	for (size_t i = 0; i < sizeof(p->key); i++)
		p->key[i] = (uint8_t)(i * 3 + 1);
	for (size_t i = 0; i < BS; i++)
		p->plain[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(blockcrypt_new(cipher, BLOCKCRYPT_ENCRYPT, BS, &p->encrypt, &err), 0);
	assert_int_equal(blockcrypt_new(cipher, BLOCKCRYPT_DECRYPT, BS, &p->decrypt, &err), 0);
	assert_int_equal(blockcrypt_set_key(p->encrypt, p->key), 0);
	assert_int_equal(blockcrypt_set_key(p->decrypt, p->key), 0);
	assert_int_equal(blockcrypt_encrypt(p->encrypt, LBA, SEQ, p->plain, p->slot), 0);
}

static void pair_free(struct pair *p)
{
	blockcrypt_free(p->encrypt);
	blockcrypt_free(p->decrypt);
}

/* IV: four zeros and the seq; AAD: LBA and seq; trailer: the tag. Big-endian. */
static void aead_layout_is_as_in_design(void **state)
{
	static const char *const names[] = {"AES-256-GCM", "ChaCha20-Poly1305"};
	static const enum blockcrypt_cipher ciphers[] = {BLOCKCRYPT_AES_256_GCM,
							 BLOCKCRYPT_CHACHA20_POLY1305};
	uint8_t iv[12], aad[17] = {16}, want[SLOT_LEN];

	(void)state;
	unhex("000000001112131415161718", iv);
	unhex("01020304050607081112131415161718", aad + 1);
	for (size_t i = 0; i < 2; i++) {
		struct pair p;

		pair_new(&p, ciphers[i]);
		by_hand(names[i], p.key, iv, aad, p.plain, BS, want);
		assert_memory_equal(p.slot, want, SLOT_LEN);
		pair_free(&p);
	}
}

/* Tweak: eight zeros and the seq; trailer: CRC-32C of LBA, seq and ciphertext, then zeros. */
static void xts_layout_is_as_in_design(void **state)
{
	uint8_t iv[16], aad[16], want[SLOT_LEN] = {0};
	struct pair p;

	(void)state;
	unhex("00000000000000001112131415161718", iv);
	unhex("01020304050607081112131415161718", aad);
	pair_new(&p, BLOCKCRYPT_AES_256_XTS);
	by_hand("AES-256-XTS", p.key, iv, NULL, p.plain, BS, want);
	put_be32(want + BS, crc32c(crc32c(0, aad, 16), want, BS));
	assert_memory_equal(p.slot, want, SLOT_LEN);
	pair_free(&p);
}

static void layout_never_changes(void **state)
{
	static const char *const trailers[ALL] = {
		"abcc86eab94307b60d914ca77c1ea18c", "786c8734000000000000000000000000",
		"85e47ebf59434256064afe03adee05b2", "41d034e1000000000000000000000000"};

	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		char text[2 * BLOCKCRYPT_TAG_LEN + 1];
		struct pair p;

		pair_new(&p, all[i]);
		bytes_to_hex(p.slot + BS, BLOCKCRYPT_TAG_LEN, text);
		assert_string_equal(text, trailers[i]);
		pair_free(&p);
	}
}

static void what_was_encrypted_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		struct pair p;

		pair_new(&p, all[i]);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(blockcrypt_decrypt(p.decrypt, LBA, SEQ, p.slot, p.back),
					 0);
			assert_memory_equal(p.back, p.plain, BS);
		}
		assert_int_equal(memcmp(p.slot, p.plain, BS) == 0, all[i] == BLOCKCRYPT_NONE);
		pair_free(&p);
	}
}

static void refused(struct pair *p, uint64_t lba, uint64_t seq)
{
	static const uint8_t zeros[BS];

	memset(p->back, 0xaa, BS);
	assert_int_equal(blockcrypt_decrypt(p->decrypt, lba, seq, p->slot, p->back), -EBADMSG);
	assert_memory_equal(p->back, zeros, BS);
}

static void every_flipped_bit_is_refused_and_nothing_served(void **state)
{
	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		struct pair p;

		pair_new(&p, all[i]);
		for (size_t bit = 0; bit < 8 * SLOT_LEN; bit += bit < 8 * BS - 64 ? 61 : 1) {
			p.slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
			refused(&p, LBA, SEQ);
			p.slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(blockcrypt_decrypt(p.decrypt, LBA, SEQ, p.slot, p.back), 0);
		pair_free(&p);
	}
}

static void another_lba_or_seq_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		struct pair p;

		pair_new(&p, all[i]);
		for (int bit = 0; bit < 64; bit++) {
			refused(&p, LBA ^ 1ULL << bit, SEQ);
			refused(&p, LBA, SEQ ^ 1ULL << bit);
		}
		refused(&p, SEQ, LBA);
		pair_free(&p);
	}
}

static void another_key_is_refused_by_those_with_a_tag(void **state)
{
	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		struct pair p;

		pair_new(&p, all[i]);
		p.key[5] ^= 1;
		assert_int_equal(blockcrypt_set_key(p.decrypt, p.key), 0);
		if (all[i] == BLOCKCRYPT_AES_256_GCM || all[i] == BLOCKCRYPT_CHACHA20_POLY1305)
			refused(&p, LBA, SEQ);
		p.key[5] ^= 1;
		assert_int_equal(blockcrypt_set_key(p.decrypt, p.key), 0);
		assert_int_equal(blockcrypt_decrypt(p.decrypt, LBA, SEQ, p.slot, p.back), 0);
		pair_free(&p);
	}
}

static void without_a_key_nothing_is_encrypted(void **state)
{
	static const uint8_t zeros[SLOT_LEN];
	uint8_t plain[BS] = {1}, slot[SLOT_LEN];

	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		struct blockcrypt *c;
		struct err err;

		if (all[i] == BLOCKCRYPT_NONE)
			continue;
		assert_int_equal(blockcrypt_new(all[i], BLOCKCRYPT_ENCRYPT, BS, &c, &err), 0);
		memset(slot, 0xaa, sizeof(slot));
		assert_int_equal(blockcrypt_encrypt(c, LBA, SEQ, plain, slot), -EIO);
		assert_memory_equal(slot, zeros, SLOT_LEN);
		blockcrypt_free(c);
	}
}

static void names_lead_to_ciphers_and_back(void **state)
{
	enum blockcrypt_cipher cipher;
	struct blockcrypt *c;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ALL; i++) {
		assert_int_equal(blockcrypt_by_name(blockcrypt_name(all[i]), &cipher), 0);
		assert_int_equal(cipher, all[i]);
	}
	assert_int_equal(blockcrypt_by_name("aes-128-ecb", &cipher), -ENOENT);
	assert_null(blockcrypt_name((enum blockcrypt_cipher)0));
	assert_int_equal(
		blockcrypt_new((enum blockcrypt_cipher)9, BLOCKCRYPT_ENCRYPT, BS, &c, &err),
		-EINVAL);
	assert_non_null(strstr(err.msg, "9"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aes_256_gcm_is_the_published_one),
		cmocka_unit_test(aes_256_xts_is_the_published_one),
		cmocka_unit_test(chacha20_poly1305_is_the_published_one),
		cmocka_unit_test(aead_layout_is_as_in_design),
		cmocka_unit_test(xts_layout_is_as_in_design),
		cmocka_unit_test(layout_never_changes),
		cmocka_unit_test(what_was_encrypted_comes_back),
		cmocka_unit_test(every_flipped_bit_is_refused_and_nothing_served),
		cmocka_unit_test(another_lba_or_seq_is_refused),
		cmocka_unit_test(another_key_is_refused_by_those_with_a_tag),
		cmocka_unit_test(without_a_key_nothing_is_encrypted),
		cmocka_unit_test(names_lead_to_ciphers_and_back),
	};

	return cmocka_run_group_tests_name("blockcrypt", tests, NULL, NULL);
}
