/*
 * The test that a provider passes before it is used. Published answers first; then random messages, whose
 * results must be those of OpenSSL bit by bit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "blockcrypt_provider.h"
#include "bytes.h"
#include "err.h"
#include "store.h"

#define ANSWER_MAX 128
#define SHIFT_MAX  17 /* bytes by which messages are moved off their alignment */
#define AAD_LEN	   16

struct answer {
	enum blockcrypt_cipher cipher;
	const char *key, *iv, *aad, *plain, *encrypted; /* hex; @encrypted with the tag */
};

static const struct answer answers[] = {
	/* "The Galois/Counter Mode of Operation", McGrew and Viega, appendix B, test case 16 */
	{BLOCKCRYPT_AES_256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	 "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	 "76fc6ece0f4e1768cddf8853bb2d551b"},
	/* RFC 8439, section 2.8.2 */
	{BLOCKCRYPT_CHACHA20_POLY1305,
	 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	 "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
	 "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
	 "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
	 "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	 "637265656e20776f756c642062652069742e",
	 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	 "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	 "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	 "3ff4def08e4b7a9de576d26586cec64b6116"
	 "1ae10b594f09e26a7e902ecbd0600691"},
};

/* One context of each kind, with one key. */
struct rig {
	const struct blockcrypt_provider *tested;
	enum blockcrypt_cipher cipher;
	void *encrypt, *decrypt, *reference; /* the last is OpenSSL's, encrypting */
	uint8_t *plain, *got, *want, *back;  /* a largest block each, and SHIFT_MAX and a tag */
};

static int open_all(struct rig *b, const uint8_t *key)
{
	int r = b->tested->open(b->cipher, true, &b->encrypt);

	if (r == 0)
		r = b->tested->open(b->cipher, false, &b->decrypt);
	if (r == 0)
		r = blockcrypt_openssl.open(b->cipher, true, &b->reference);
	if (r == 0)
		r = b->tested->set_key(b->encrypt, key);
	if (r == 0)
		r = b->tested->set_key(b->decrypt, key);
	if (r == 0)
		r = blockcrypt_openssl.set_key(b->reference, key);
	return r;
}

static void close_all(struct rig *b)
{
	b->tested->close(b->encrypt);
	b->tested->close(b->decrypt);
	blockcrypt_openssl.close(b->reference);
	b->encrypt = b->decrypt = b->reference = NULL;
}

/* Bytes from @hex, at most @max; how many. */
static size_t unhex(const char *hex, uint8_t *ret, size_t max)
{
	size_t len = strlen(hex) / 2;

	return len <= max && bytes_from_hex(hex, ret, len) == 0 ? len : 0;
}

/* Does the published message come out, and in again? */
static int try_answer(struct rig *b, const struct answer *a, struct err *err)
{
	uint8_t key[BLOCKCRYPT_KEY_LEN] = {0}, iv[BLOCKCRYPT_XTS_IV_LEN], aad[ANSWER_MAX];
	uint8_t plain[ANSWER_MAX], want[ANSWER_MAX + BLOCKCRYPT_TAG_LEN], tag[BLOCKCRYPT_TAG_LEN];
	struct blockcrypt_message m = {.iv = iv, .aad = aad, .tag = tag};
	int r;

	(void)unhex(a->key, key, sizeof(key));
	(void)unhex(a->iv, iv, sizeof(iv));
	m.aad_len = unhex(a->aad, aad, sizeof(aad));
	m.len = unhex(a->plain, plain, sizeof(plain));
	(void)unhex(a->encrypted, want, sizeof(want));
	r = open_all(b, key);
	m.from = plain;
	m.to = b->got;
	if (r == 0)
		r = b->tested->run(b->encrypt, &m);
	if (r == 0 && (memcmp(b->got, want, m.len) != 0 ||
		       memcmp(tag, want + m.len, BLOCKCRYPT_TAG_LEN) != 0))
		r = -EIO;
	m.from = want;
	m.to = b->back;
	if (r == 0)
		r = b->tested->run(b->decrypt, &m);
	if (r == 0 && memcmp(b->back, plain, m.len) != 0)
		r = -EIO;
	close_all(b);
	return r == 0 ? 0
		      : err_set(err, EIO, "%s: a published answer is not reached",
				blockcrypt_name(b->cipher));
}

/* Both encrypt the same; it is decrypted again, in place and not, and refused with another tag. */
static int cross_check(struct rig *b, size_t len, size_t shift)
{
	uint8_t iv[BLOCKCRYPT_XTS_IV_LEN], aad[AAD_LEN], tag[BLOCKCRYPT_TAG_LEN] = {0},
							 other[BLOCKCRYPT_TAG_LEN] = {0};
	uint8_t *plain = b->plain + shift, *got = b->got + (SHIFT_MAX - shift);
	struct blockcrypt_message m = {
		.iv = iv, .aad = aad, .aad_len = AAD_LEN, .from = plain, .len = len, .tag = tag};
	int r;

	if (RAND_bytes(iv, sizeof(iv)) != 1 || RAND_bytes(aad, sizeof(aad)) != 1 ||
	    RAND_bytes(plain, (int)len) != 1)
		return -EIO;
	m.to = got;
	r = b->tested->run(b->encrypt, &m);
	m.to = b->want;
	m.tag = other;
	if (r == 0)
		r = blockcrypt_openssl.run(b->reference, &m);
	if (r < 0 || memcmp(got, b->want, len) != 0 || memcmp(tag, other, sizeof(tag)) != 0)
		return -EIO;
	m.from = got;
	m.to = b->back;
	if (b->tested->run(b->decrypt, &m) != 0 || memcmp(b->back, plain, len) != 0)
		return -EIO;
	if (b->cipher != BLOCKCRYPT_AES_256_XTS) {
		other[len % sizeof(other)] ^= 0x40;
		if (b->tested->run(b->decrypt, &m) != -EBADMSG)
			return -EIO;
		m.tag = tag;
	}
	m.to = got;
	if (b->tested->run(b->decrypt, &m) != 0 || memcmp(got, plain, len) != 0)
		return -EIO;
	if (b->tested->run(b->encrypt, &m) != 0 || memcmp(got, b->want, len) != 0)
		return -EIO;
	return 0;
}

static int test_cipher(struct rig *b, struct err *err)
{
	uint8_t key[BLOCKCRYPT_KEY_LEN];
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(answers) / sizeof(*answers); i++)
		if (answers[i].cipher == b->cipher)
			r = try_answer(b, &answers[i], err);
	if (r < 0)
		return r;
	if (RAND_bytes(key, sizeof(key)) != 1)
		return err_set(err, EIO, "no random bytes from libcrypto");
	r = open_all(b, key);
	for (size_t len = STORE_BLOCK_SIZE_MIN; r == 0 && len <= STORE_BLOCK_SIZE_MAX; len *= 2) {
		r = cross_check(b, len, 0);
		if (r == 0)
			r = cross_check(b, len, len % (SHIFT_MAX + 1));
		if (r < 0)
			r = err_set(err, EIO, "%s: blocks of %zu bytes: not what OpenSSL makes",
				    blockcrypt_name(b->cipher), len);
	}
	close_all(b);
	return r;
}

int blockcrypt_self_test(const struct blockcrypt_provider *tested, struct err *err)
{
	const size_t room = STORE_BLOCK_SIZE_MAX + SHIFT_MAX + BLOCKCRYPT_TAG_LEN;
	struct rig b = {.tested = tested};
	uint8_t *all = malloc(4 * room);
	int r = all ? 0 : err_set(err, ENOMEM, "self-test: out of memory");

	b.plain = all;
	b.got = all + room;
	b.want = all + 2 * room;
	b.back = all + 3 * room;
	for (b.cipher = BLOCKCRYPT_AES_256_GCM; r == 0 && b.cipher < BLOCKCRYPT_NONE; b.cipher++)
		if (tested->has(b.cipher))
			r = test_cipher(&b, err);
	free(all);
	return r;
}
