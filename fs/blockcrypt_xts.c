/*
 * XTS by vectors. See blockcrypt_xts.h.
 *
 * Eight vectors of four AES blocks are in work at once, since an AES instruction takes several cycles and another
 * one can begin in each. Tweak number j is the first one times x to the power of j in GF(2^128), whose elements
 * are little-endian here; by the polynomial x^128 + x^7 + x^2 + x + 1 what is shifted out at the
 * top comes in again at the bottom times 0x87.
 */
#include "blockcrypt_xts.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define TARGET                                                                                     \
	__attribute__((target("aes,pclmul,vaes,vpclmulqdq,avx512f,avx512bw,avx512dq,avx512vl")))
#define VECTORS	   8
#define POLYNOMIAL 0x87

bool blockcrypt_xts_is_here(void)
{
	unsigned a, b, c, d;

	/* What compilers ask the processor says, too, whether the system keeps the registers. */
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul") &&
	       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	       __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_VAES) && (c & bit_VPCLMULQDQ);
}

TARGET static inline __m128i encrypt_tweak(const struct blockcrypt_xts_keys *keys,
					   const uint8_t *iv)
{
	const __m128i *k = (const __m128i *)keys->tweak;
	__m128i t = _mm_xor_si128(_mm_loadu_si128((const __m128i *)iv), k[0]);

	for (int i = 1; i < BLOCKCRYPT_XTS_ROUNDS; i++)
		t = _mm_aesenc_si128(t, k[i]);
	return _mm_aesenclast_si128(t, k[BLOCKCRYPT_XTS_ROUNDS]);
}

/* Each element times x. */
TARGET static inline __m128i times_x(__m128i t)
{
	const __m128i top = _mm_srli_epi64(t, 63);
	const __m128i over =
		_mm_clmulepi64_si128(_mm_srli_si128(top, 8), _mm_set_epi64x(0, POLYNOMIAL), 0);

	return _mm_xor_si128(_mm_or_si128(_mm_slli_epi64(t, 1), _mm_slli_si128(top, 8)), over);
}

/* Times x^4: four elements on, when a vector holds four that follow each other. */
TARGET static inline __m512i times_x4(__m512i t, __m512i polynomial)
{
	const __m512i top = _mm512_srli_epi64(t, 60);
	const __m512i over = _mm512_clmulepi64_epi128(_mm512_bsrli_epi128(top, 8), polynomial, 0);

	return _mm512_xor_si512(
		_mm512_or_si512(_mm512_slli_epi64(t, 4), _mm512_bslli_epi128(top, 8)), over);
}

/* Times x^32: all VECTORS on. */
TARGET static inline __m512i times_x32(__m512i t, __m512i polynomial)
{
	const __m512i over = _mm512_clmulepi64_epi128(_mm512_bsrli_epi128(t, 12), polynomial, 0);

	return _mm512_xor_si512(_mm512_bslli_epi128(t, 4), over);
}

TARGET static inline void first_tweaks(__m128i t, __m512i polynomial, __m512i ret[VECTORS])
{
	__m128i four[4];

	for (int i = 0; i < 4; i++, t = times_x(t))
		four[i] = t;
	ret[0] = _mm512_inserti32x4(_mm512_castsi128_si512(four[0]), four[1], 1);
	ret[0] = _mm512_inserti32x4(ret[0], four[2], 2);
	ret[0] = _mm512_inserti32x4(ret[0], four[3], 3);

#pragma GCC unroll 8
	for (int v = 1; v < VECTORS; v++)
		ret[v] = times_x4(ret[v - 1], polynomial);
}

/* All rounds on what is in work; @encrypt is known where this is built in. */
TARGET static inline __attribute__((always_inline)) void rounds(const __m128i *keys, bool encrypt,
								__m512i data[VECTORS])
{
	__m512i k = _mm512_broadcast_i32x4(keys[0]);

#pragma GCC unroll 8
	for (int v = 0; v < VECTORS; v++)
		data[v] = _mm512_xor_si512(data[v], k);
	for (int i = 1; i < BLOCKCRYPT_XTS_ROUNDS; i++) {
		k = _mm512_broadcast_i32x4(keys[i]);

#pragma GCC unroll 8
		for (int v = 0; v < VECTORS; v++)
			data[v] = encrypt ? _mm512_aesenc_epi128(data[v], k)
					  : _mm512_aesdec_epi128(data[v], k);
	}
	k = _mm512_broadcast_i32x4(keys[BLOCKCRYPT_XTS_ROUNDS]);

#pragma GCC unroll 8
	for (int v = 0; v < VECTORS; v++)
		data[v] = encrypt ? _mm512_aesenclast_epi128(data[v], k)
				  : _mm512_aesdeclast_epi128(data[v], k);
}

TARGET static inline __attribute__((always_inline)) void
run(const __m128i *keys, bool encrypt, __m128i tweak, const uint8_t *from, uint8_t *to, size_t len)
{
	const __m512i polynomial = _mm512_set1_epi64(POLYNOMIAL);
	__m512i tweaks[VECTORS], data[VECTORS];

	first_tweaks(tweak, polynomial, tweaks);
	for (size_t off = 0; off < len; off += BLOCKCRYPT_XTS_UNIT) {

#pragma GCC unroll 8
		for (int v = 0; v < VECTORS; v++)
			data[v] = _mm512_xor_si512(_mm512_loadu_si512(from + off + 64 * v),
						   tweaks[v]);
		rounds(keys, encrypt, data);

#pragma GCC unroll 8
		for (int v = 0; v < VECTORS; v++) {
			_mm512_storeu_si512(to + off + 64 * v,
					    _mm512_xor_si512(data[v], tweaks[v]));
			tweaks[v] = times_x32(tweaks[v], polynomial);
		}
	}
}

#define WIPE(n) "vpxorq %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"

/* A signal's frame would take what is in them to the stack. */
TARGET static inline void wipe_registers(void)
{
	__asm__ volatile(WIPE(0) WIPE(1) WIPE(2) WIPE(3) WIPE(4) WIPE(5) WIPE(6) WIPE(7) WIPE(8)
				 WIPE(9) WIPE(10) WIPE(11) WIPE(12) WIPE(13) WIPE(14) WIPE(15)
					 WIPE(16) WIPE(17) WIPE(18) WIPE(19) WIPE(20) WIPE(21)
						 WIPE(22) WIPE(23) WIPE(24) WIPE(25) WIPE(26)
							 WIPE(27) WIPE(28) WIPE(29) WIPE(30)
								 WIPE(31)
			 :
			 :
			 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",
			   "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
			   "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

TARGET void blockcrypt_xts_run(const struct blockcrypt_xts_keys *keys, bool encrypt,
			       const uint8_t *iv, const uint8_t *from, uint8_t *to, size_t len)
{
	__m128i tweak = encrypt_tweak(keys, iv);

	if (encrypt)
		run((const __m128i *)keys->encrypt, true, tweak, from, to, len);
	else
		run((const __m128i *)keys->decrypt, false, tweak, from, to, len);
	wipe_registers();
}

#else

bool blockcrypt_xts_is_here(void)
{
	return false;
}

void blockcrypt_xts_run(const struct blockcrypt_xts_keys *keys, bool encrypt, const uint8_t *iv,
			const uint8_t *from, uint8_t *to, size_t len)
{
	(void)keys, (void)encrypt, (void)iv, (void)from, (void)to, (void)len;
	__builtin_trap(); /* it is not here */
}

#endif
