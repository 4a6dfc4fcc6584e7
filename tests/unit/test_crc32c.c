/* CRC-32C with the vectors of RFC 3720 appendix B.4, by instruction and by table. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../fs/crc32c.c" /* for the table, which a processor with the instruction never uses */

static void rfc_3720_vectors(void **state)
{
	static const uint8_t read10[48] = {
		0x01, 0xc0, 0, 0, 0, 0, 0,    0, 0, 0, 0,    0,	   0, 0, 0, 0, 0x14, 0, 0, 0,	0,
		0,    0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0,    0, 0, 0x02};
	uint8_t bytes[32];

	(void)state;
	memset(bytes, 0, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, bytes, 32), 0x113fdb5c);
	assert_int_equal(crc32c(0, read10, sizeof(read10)), 0xd9963a56);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283); /* the usual check value */
	assert_int_equal(crc32c(0, bytes, 0), 0);
}

static void table_and_instruction_agree(void **state)
{
	uint8_t bytes[300];
	unsigned seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rand_r(&seed);
	for (size_t len = 0; len <= sizeof(bytes) - 8; len++)
		for (size_t off = 0; off < 8; off++)
			assert_int_equal(~by_table(~0u, bytes + off, len),
					 crc32c(0, bytes + off, len));
}

/* Long enough for lanes, with what is left over behind them. */
static void lanes_make_what_the_table_makes(void **state)
{
	static uint8_t bytes[4 * 3 * 336 + 64 + 8];
	unsigned seed = 2;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rand_r(&seed);
	for (size_t len = 900; len <= sizeof(bytes) - 8; len += len % 1008 < 997 ? 31 : 1)
		for (size_t off = 0; off < 8; off += 7)
			assert_int_equal(~by_table(~0x12345678u, bytes + off, len),
					 crc32c(0x12345678, bytes + off, len));
}

static void parts_make_the_whole(void **state)
{
	static const char text[] = "123456789";

	(void)state;
	for (size_t i = 0; i <= 9; i++)
		assert_int_equal(crc32c(crc32c(0, text, i), text + i, 9 - i), 0xe3069283);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_3720_vectors),
		cmocka_unit_test(table_and_instruction_agree),
		cmocka_unit_test(lanes_make_what_the_table_makes),
		cmocka_unit_test(parts_make_the_whole),
	};

	return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
