/* The providers: all by the same published vectors, alike block by block, keys in locked memory, and a faulty one is found out. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blockcrypt.h"
#include "blockcrypt_provider.h"
#include "bytes.h"
#include "err.h"
#include "secret.h"

#define LEN_MAX 512
#define BS	4096
#define BS_MAX	65536
#define LBA	0x0102030405060708ULL
#define SEQ	0x1112131415161718ULL

struct vector {
	const char *source;
	enum blockcrypt_cipher cipher;
	const char *key, *iv, *aad, *plain, *encrypted; /* hex; AEAD with the tag behind */
};

#define FEFF  "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define ZERO4 "00000000000000000000000000000000"
#define ZERO8 ZERO4 ZERO4
#define D931                                                                                       \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                         \
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define C522                                                                                       \
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"                         \
	"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"

static const struct vector vectors[] = {
	{"SP 800-38D (McGrew and Viega), test case 13", BLOCKCRYPT_AES_256_GCM, ZERO8,
	 "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
	{"SP 800-38D (McGrew and Viega), test case 14", BLOCKCRYPT_AES_256_GCM, ZERO8,
	 "000000000000000000000000", "", ZERO4,
	 "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
	{"SP 800-38D (McGrew and Viega), test case 15", BLOCKCRYPT_AES_256_GCM, FEFF,
	 "cafebabefacedbaddecaf888", "", D931 "1aafd255",
	 C522 "898015ad"
	      "b094dac5d93471bdec1a502270e3cc6c"},
	{"SP 800-38D (McGrew and Viega), test case 16", BLOCKCRYPT_AES_256_GCM, FEFF,
	 "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", D931,
	 C522 "76fc6ece0f4e1768cddf8853bb2d551b"},
	{"RFC 8439, section 2.8.2", BLOCKCRYPT_CHACHA20_POLY1305,
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

/* Those that there are here. */
static const struct blockcrypt_provider *providers[2];
static size_t provider_count;

static int find_providers(void **state)
{
	(void)state;
	providers[provider_count++] = &blockcrypt_openssl;
	if (blockcrypt_ipsec_mb && blockcrypt_ipsec_mb->check(NULL) == 0)
		providers[provider_count++] = blockcrypt_ipsec_mb;
	return 0;
}

static size_t unhex(const char *hex, uint8_t *ret)
{
	size_t len = strlen(hex) / 2;

	assert_true(len <= LEN_MAX);
	assert_int_equal(bytes_from_hex(hex, ret, len), 0);
	return len;
}

static void *keyed(const struct blockcrypt_provider *p, enum blockcrypt_cipher cipher, bool encrypt,
		   const uint8_t *key)
{
	void *s;

	assert_int_equal(p->open(cipher, encrypt, &s), 0);
	assert_int_equal(p->set_key(s, key), 0);
	return s;
}

static void try_vector(const struct blockcrypt_provider *p, const struct vector *v)
{
	uint8_t key[BLOCKCRYPT_KEY_LEN] = {0}, iv[16], aad[LEN_MAX], plain[LEN_MAX], want[LEN_MAX],
		got[LEN_MAX], tag[BLOCKCRYPT_TAG_LEN];
	struct blockcrypt_message m = {.iv = iv, .aad = aad, .from = plain, .to = got, .tag = tag};
	void *s;

	(void)unhex(v->key, key);
	(void)unhex(v->iv, iv);
	(void)unhex(v->encrypted, want);
	m.aad_len = unhex(v->aad, aad);
	m.len = unhex(v->plain, plain);
	s = keyed(p, v->cipher, true, key);
	assert_int_equal(p->run(s, &m), 0);
	p->close(s);
	assert_memory_equal(got, want, m.len);
	assert_memory_equal(tag, want + m.len, BLOCKCRYPT_TAG_LEN);
	m.from = want;
	s = keyed(p, v->cipher, false, key);
	assert_int_equal(p->run(s, &m), 0);
	assert_memory_equal(got, plain, m.len);
	tag[15] ^= 1;
	assert_int_equal(p->run(s, &m), -EBADMSG);
	p->close(s);
}

static void every_provider_gives_the_published_answers(void **state)
{
	size_t tried = 0;

	(void)state;
	for (size_t i = 0; i < provider_count; i++)
		for (size_t k = 0; k < sizeof(vectors) / sizeof(*vectors); k++)
			if (providers[i]->has(vectors[k].cipher)) {
				print_message("# %s: %s\n", providers[i]->name, vectors[k].source);
				try_vector(providers[i], &vectors[k]);
				tried++;
			}
	assert_int_equal(tried, provider_count * 5);
}

/* IEEE 1619-2007, annex B, vector 10 (its first 32 bytes). */
static void xts_gives_the_published_answer(void **state)
{
	uint8_t key[64], iv[16] = {0xff}, plain[512], got[512], want[32];

	(void)state;
	(void)unhex("2718281828459045235360287471352662497757247093699959574966967627"
		    "3141592653589793238462643383279502884197169399375105820974944592",
		    key);
	(void)unhex("1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b", want);
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)i;
	for (size_t i = 0; i < provider_count; i++) {
		const struct blockcrypt_provider *p = providers[i];
		struct blockcrypt_message m = {.iv = iv, .from = plain, .to = got, .len = 512};
		void *s;

		if (!p->has(BLOCKCRYPT_AES_256_XTS))
			continue;
		s = keyed(p, BLOCKCRYPT_AES_256_XTS, true, key);
		assert_int_equal(p->run(s, &m), 0);
		p->close(s);
		assert_memory_equal(got, want, sizeof(want));
		m.from = got;
		s = keyed(p, BLOCKCRYPT_AES_256_XTS, false, key);
		assert_int_equal(p->run(s, &m), 0);
		p->close(s);
		assert_memory_equal(got, plain, sizeof(plain));
	}
}

/* A volume may be written with one and read with the other. */
static void slots_of_all_providers_are_the_same(void **state)
{
	static uint8_t plain[BS_MAX], slots[2][BS_MAX + BLOCKCRYPT_TAG_LEN];
	uint8_t key[BLOCKCRYPT_KEY_LEN];

	(void)state;
	if (provider_count < 2)
		skip();
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 5 + 2);
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 7 + i / 256);
	for (uint32_t size = BS; size <= BS_MAX; size *= 2)
		for (int cipher = 1; cipher < BLOCKCRYPT_NONE; cipher++) {
			if (!providers[1]->has((enum blockcrypt_cipher)cipher))
				continue;
			for (size_t i = 0; i < 2; i++) {
				struct blockcrypt *c;

				assert_int_equal(blockcrypt_new_by(providers[i],
								   (enum blockcrypt_cipher)cipher,
								   BLOCKCRYPT_ENCRYPT, size, &c,
								   NULL),
						 0);
				assert_int_equal(blockcrypt_set_key(c, key), 0);
				assert_int_equal(blockcrypt_encrypt(c, LBA, SEQ, plain, slots[i]),
						 0);
				blockcrypt_free(c);
			}
			assert_memory_equal(slots[0], slots[1], size + BLOCKCRYPT_TAG_LEN);
		}
}

/* Does the mapping that a line of smaps belongs to have @key in it without being locked and left out of dumps? */
static size_t loose_copies(const uint8_t *key, size_t len)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long from = 0, to = 0, a, b;
	char line[512], rights[8];
	bool writable = false;
	size_t found = 0;

	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx %7s", &a, &b, rights) == 3) {
			from = a;
			to = b;
			writable = strncmp(rights, "rw", 2) == 0;
		}
		if (strncmp(line, "VmFlags:", 8) != 0 || !writable)
			continue;
		if (strstr(line, " lo ") && strstr(line, " dd "))
			continue;
		for (const uint8_t *p = (const uint8_t *)from;
		     (p = memmem(p, to - (uintptr_t)p, key, len)); p++)
			found++;
	}
	fclose(smaps);
	return found;
}

static void ipsec_mb_keeps_keys_in_locked_memory(void **state)
{
	static uint8_t plain[BS], out[BS];
	uint8_t iv[16] = {1}, tag[BLOCKCRYPT_TAG_LEN];
	struct blockcrypt_message m = {.iv = iv, .from = plain, .to = out, .len = BS, .tag = tag};
	const struct blockcrypt_provider *p = blockcrypt_ipsec_mb;
	struct secret *key;

	(void)state;
	if (provider_count < 2)
		skip();
	assert_int_equal(secret_new(BLOCKCRYPT_KEY_LEN, &key, NULL), 0);
	for (size_t i = 0; i < BLOCKCRYPT_KEY_LEN; i++)
		secret_bytes(key)[i] = (uint8_t)(i * 11 + 3);
	for (int cipher = 1; cipher < BLOCKCRYPT_NONE; cipher++) {
		void *s;

		if (!p->has((enum blockcrypt_cipher)cipher))
			continue;
		s = keyed(p, (enum blockcrypt_cipher)cipher, true, secret_cbytes(key));
		assert_int_equal(p->run(s, &m), 0);
		assert_int_equal(loose_copies(secret_cbytes(key), 16), 0);
		assert_int_equal(loose_copies(secret_cbytes(key) + 32, 16), 0); /* XTS's second */
		p->close(s);
		assert_int_equal(loose_copies(secret_cbytes(key), 16), 0);
	}
	secret_free(key);
}

/* Faulty providers: OpenSSL, but for one thing. */

static enum { NOTHING, ONE_BIT, TAG_NOT_CHECKED, LONG_ONES, ONLY_IN_PLACE } fault;

static int faulty_run(void *s, const struct blockcrypt_message *m)
{
	int r = blockcrypt_openssl.run(s, m);

	if (fault == ONE_BIT && r == 0 && m->len)
		m->to[m->len - 1] ^= 1;
	if (fault == TAG_NOT_CHECKED && r == -EBADMSG)
		r = 0;
	if (fault == LONG_ONES && m->len == BS_MAX)
		m->to[BS] ^= 0x80;
	if (fault == ONLY_IN_PLACE && m->to == m->from)
		m->to[0] ^= 1;
	return r;
}

static bool yes(void)
{
	return true;
}

static struct blockcrypt_provider faulty(void)
{
	struct blockcrypt_provider p = blockcrypt_openssl;

	p.name = "faulty";
	p.run = faulty_run;
	p.is_faster = yes;
	return p;
}

static void the_self_test_passes_the_good_and_finds_each_fault(void **state)
{
	const struct blockcrypt_provider p = faulty();
	struct err err;

	(void)state;
	for (size_t i = 0; i < provider_count; i++)
		assert_int_equal(blockcrypt_self_test(providers[i], &err), 0);
	fault = NOTHING;
	assert_int_equal(blockcrypt_self_test(&p, &err), 0);
	fault = ONE_BIT;
	assert_int_equal(blockcrypt_self_test(&p, &err), -EIO);
	assert_string_equal(err.msg, "aes-256-gcm: a published answer is not reached");
	fault = TAG_NOT_CHECKED;
	assert_int_equal(blockcrypt_self_test(&p, &err), -EIO);
	assert_string_equal(err.msg, "aes-256-gcm: blocks of 4096 bytes: not what OpenSSL makes");
	fault = LONG_ONES;
	assert_int_equal(blockcrypt_self_test(&p, &err), -EIO);
	assert_string_equal(err.msg, "aes-256-gcm: blocks of 65536 bytes: not what OpenSSL makes");
	fault = ONLY_IN_PLACE;
	assert_int_equal(blockcrypt_self_test(&p, &err), -EIO);
	assert_string_equal(err.msg, "aes-256-gcm: blocks of 4096 bytes: not what OpenSSL makes");
}

static int not_here(struct err *err)
{
	return err_set(err, ENOTSUP, "not here");
}

static void what_fails_its_test_is_not_used(void **state)
{
	struct blockcrypt_provider p = faulty();
	const struct blockcrypt_provider *got;
	struct err notice, err;

	(void)state;
	fault = NOTHING;
	assert_int_equal(blockcrypt_pick(BLOCKCRYPT_AUTO, &p, &got, &notice, &err), 0);
	assert_ptr_equal(got, &p);
	assert_string_equal(notice.msg, "");
	assert_int_equal(blockcrypt_pick(BLOCKCRYPT_OPENSSL, &p, &got, &notice, &err), 0);
	assert_ptr_equal(got, &blockcrypt_openssl);
	fault = ONE_BIT;
	assert_int_equal(blockcrypt_pick(BLOCKCRYPT_AUTO, &p, &got, &notice, &err), 0);
	assert_ptr_equal(got, &blockcrypt_openssl);
	assert_string_equal(notice.msg,
			    "crypto provider 'faulty' is not used, OpenSSL is: its self-test "
			    "failed: aes-256-gcm: a published answer is not reached");
	assert_int_equal(blockcrypt_pick(BLOCKCRYPT_IPSEC_MB, &p, &got, &notice, &err), -EIO);
	assert_string_equal(err.msg, "crypto provider 'faulty': aes-256-gcm: a published answer is "
				     "not reached");
	p.check = not_here;
	assert_int_equal(blockcrypt_pick(BLOCKCRYPT_AUTO, &p, &got, &notice, &err), 0);
	assert_ptr_equal(got, &blockcrypt_openssl);
	assert_int_equal(blockcrypt_pick(BLOCKCRYPT_IPSEC_MB, &p, &got, &notice, &err), -ENOTSUP);
	assert_string_equal(err.msg, "crypto provider 'faulty': not here");
	assert_int_equal(blockcrypt_pick(BLOCKCRYPT_IPSEC_MB, NULL, &got, &notice, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "libipsec-mb-dev"));
}

static void the_choice_counts_for_new_contexts(void **state)
{
	(void)state;
	assert_int_equal(blockcrypt_choose(BLOCKCRYPT_OPENSSL, NULL), 0);
	assert_string_equal(blockcrypt_provider_name(BLOCKCRYPT_AES_256_GCM), "openssl");
	assert_string_equal(blockcrypt_provider_name(BLOCKCRYPT_NONE), "none");
	if (provider_count < 2)
		return;
	assert_int_equal(blockcrypt_choose(BLOCKCRYPT_IPSEC_MB, NULL), 0);
	assert_string_equal(blockcrypt_provider_name(BLOCKCRYPT_AES_256_GCM), "ipsec-mb");
	assert_string_equal(blockcrypt_provider_name(BLOCKCRYPT_AES_256_XTS),
			    blockcrypt_ipsec_mb->is_faster() ? "ipsec-mb" : "openssl");
	assert_ptr_equal(blockcrypt_provider_for(BLOCKCRYPT_AES_256_GCM), blockcrypt_ipsec_mb);
	assert_int_equal(blockcrypt_choose(BLOCKCRYPT_AUTO, NULL), 0);
	assert_string_equal(blockcrypt_provider_name(BLOCKCRYPT_AES_256_GCM),
			    blockcrypt_ipsec_mb->is_faster() ? "ipsec-mb" : "openssl");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_provider_gives_the_published_answers),
		cmocka_unit_test(xts_gives_the_published_answer),
		cmocka_unit_test(slots_of_all_providers_are_the_same),
		cmocka_unit_test(ipsec_mb_keeps_keys_in_locked_memory),
		cmocka_unit_test(the_self_test_passes_the_good_and_finds_each_fault),
		cmocka_unit_test(what_fails_its_test_is_not_used),
		cmocka_unit_test(the_choice_counts_for_new_contexts),
	};

	return cmocka_run_group_tests_name("blockcrypt_provider", tests, find_providers, NULL);
}
