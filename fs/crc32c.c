/*
 * CRC-32C: the processor's instruction where it has one (SSE 4.2), else a table. See crc32c.h.
 *
 * The instruction takes three cycles and a new one can begin in each, so three lanes run beside each other. Their
 * results are put together as the CRC is linear: the register of a lane, taken through as many zero
 * bytes as the next lane has, is what that one should have begun with. That step is linear as well:
 * four tables, one for each byte of the register.
 */
#include "crc32c.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL_REFLECTED 0x82f63b78u

static uint32_t table[256]; /* fixed after table_once */
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ POLYNOMIAL_REFLECTED : c >> 1;
		table[i] = c;
	}
}

static uint32_t by_table(uint32_t c, const uint8_t *p, size_t len)
{
	(void)pthread_once(&table_once, table_fill); /* cannot fail on a static once */
	for (; len; len--)
		c = c >> 8 ^ table[(c ^ *p++) & 0xff];
	return c;
}

#ifdef __x86_64__
#define LANE 336 /* bytes; three lanes four times are a block of 4 KiB but for 64 bytes */

static uint32_t through_lane[4][256]; /* fixed after lanes_once */
static pthread_once_t lanes_once = PTHREAD_ONCE_INIT;

static void lanes_fill(void)
{
	static const uint8_t zeros[LANE];

	for (int byte = 0; byte < 4; byte++)
		for (uint32_t i = 0; i < 256; i++)
			through_lane[byte][i] = by_table(i << 8 * byte, zeros, LANE);
}

static uint32_t after_lane(uint32_t c)
{
	return through_lane[0][c & 0xff] ^ through_lane[1][c >> 8 & 0xff] ^
	       through_lane[2][c >> 16 & 0xff] ^ through_lane[3][c >> 24];
}

static uint64_t word_at(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* Three lanes of bytes. */
__attribute__((target("sse4.2"))) static uint32_t by_lanes(uint32_t c, const uint8_t *p)
{
	uint64_t a = c, b = 0, d = 0;

	for (size_t i = 0; i < LANE; i += 8) {
		a = __builtin_ia32_crc32di(a, word_at(p + i));
		b = __builtin_ia32_crc32di(b, word_at(p + LANE + i));
		d = __builtin_ia32_crc32di(d, word_at(p + 2 * LANE + i));
	}
	return after_lane(after_lane((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)d;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t c, const uint8_t *p,
								 size_t len)
{
	uint64_t c64;

	if (len >= 3 * (size_t)LANE)
		(void)pthread_once(&lanes_once, lanes_fill); /* cannot fail on a static once */
	for (; len >= 3 * (size_t)LANE; len -= 3 * (size_t)LANE, p += 3 * (size_t)LANE)
		c = by_lanes(c, p);
	for (c64 = c; len >= 8; len -= 8, p += 8)
		c64 = __builtin_ia32_crc32di(c64, word_at(p));
	c = (uint32_t)c64;
	for (; len; len--)
		c = __builtin_ia32_crc32qi(c, *p++);
	return c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~by_instruction(~crc, bytes, len);
#endif
	return ~by_table(~crc, bytes, len);
}
