/* What JSON texts leave in memory: nothing, once text and value are freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "kms_json.h"

#define MARK_LEN   43
#define HOLES	   112 /* of 48 bytes to 3 KiB */
#define REGION_MAX ((size_t)64 << 20)

/* The mark is nowhere but where it was put: what is compared with is made byte by byte. */
static char mark_at(size_t i)
{
	return (char)('A' + (i * 7 + i / 5) % 26);
}

static unsigned marks_in(const char *bytes, size_t len)
{
	unsigned found = 0;

	for (size_t i = 0; i + MARK_LEN <= len; i++) {
		size_t n = 0;

		while (n < MARK_LEN && bytes[i + n] == mark_at(n))
			n++;
		found += n == MARK_LEN;
	}
	return found;
}

/* In all memory that can be written to. */
static unsigned marks(void)
{
	char *copy =
		mmap(NULL, REGION_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t begin, end;
	unsigned found = 0;
	char line[512], mode[5];

	assert_true(copy != MAP_FAILED && mem >= 0 && maps);
	while (fgets(line, sizeof(line), maps)) {
		ssize_t n;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, mode) != 3 ||
		    strncmp(mode, "rw", 2) != 0 || end - begin >= REGION_MAX)
			continue;
		n = pread(mem, copy, end - begin, (off_t)begin);
		found += n > 0 ? marks_in(copy, (size_t)n) : 0;
	}
	(void)fclose(maps); /* only read */
	close(mem);
	munmap(copy, REGION_MAX);
	return found;
}

static void a_text_leaves_no_copies(void **state)
{
	static const char arn[] = "arn:aws:kms:us-east-1:111122223333:key/"
				  "1234abcd-12ab-34cd-56ef-1234567890ab";
	struct kms_json *v = kms_json_new_object();
	char mark[MARK_LEN + 1] = "", *text;
	void *holes[HOLES];

	(void)state;
	for (size_t i = 0; i < MARK_LEN; i++)
		mark[i] = mark_at(i);
	assert_int_equal(kms_json_set_str(v, "KeyId", arn), 0);
	assert_int_equal(kms_json_set_str(v, "Plaintext", mark), 0);
	for (int i = 0; i < 20; i++) /* the text outgrows the sizes that a buffer may begin with */
		assert_int_equal(kms_json_set_str(v, (char[]){(char)('a' + i), '\0'}, arn), 0);
	OPENSSL_cleanse(mark, sizeof(mark));
	for (int i = 0; i < HOLES; i++)
		holes[i] = malloc((size_t)48 << (i / 16));
	for (int i = 1; i < HOLES; i += 2)
		free(holes[i]); /* each between two that stay: what begins there cannot grow there */
	text = kms_json_text(v);
	assert_in_range(marks(), 2, 9); /* value and text: it is found where it is */
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	kms_json_free(v);
	assert_int_equal(marks(), 0);
	for (int i = 0; i < HOLES; i += 2)
		free(holes[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_text_leaves_no_copies)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
