/*
 * No plaintext key stays in the memory of the process: neither in what libcurl, OpenSSL or json-c
 * freed, nor in what they keep. The whole of the process's memory is searched, so this program
 * must not hold the plaintext itself: the server is another process, and what is looked for is
 * kept here with every bit turned over.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "aws_env.h"
#include "bytes.h"
#include "err.h"
#include "fake_http.h"
#include "kms.h"
#include "secret.h"

#define KEY_BYTES  64
#define CHUNK	   (1 << 20)
#define REGION_MAX (1ull << 30) /* larger ones are the shadow of a sanitizer */

/* Byte i of the data key; its complement is all that this process knows. */
static uint8_t key_complement(unsigned i)
{
	return (uint8_t)(i * 37 + 11);
}

static pid_t start_server(char ret_url[64])
{
	int fds[2];
	pid_t pid;
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct fake_http *server = fake_http_start();
		uint8_t key[KEY_BYTES];
		char *text, *body = NULL;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0; i < KEY_BYTES; i++)
			key[i] = (uint8_t)~key_complement(i);
		text = bytes_to_base64(key, sizeof(key));
		if (!text || asprintf(&body, "{\"KeyId\":\"k\",\"Plaintext\":\"%s\"}", text) < 0)
			_exit(1);
		fake_http_add(server, &(struct fake_reply){.status = 200, .body = body});
		if (write(fds[1], fake_http_url(server), 64) != 64)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	n = read(fds[0], ret_url, 64);
	assert_int_equal(n, 64);
	close(fds[0]);
	return pid;
}

/* The base64 text of the key, complemented, without ever making it. */
static size_t base64_complement(uint8_t ret[128])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	size_t n = 0;

	for (unsigned i = 0; i + 3 <= KEY_BYTES; i += 3) {
		uint32_t v = 0;

		for (unsigned k = 0; k < 3; k++)
			v = v << 8 | (uint8_t)~key_complement(i + k);
		for (int shift = 18; shift >= 0; shift -= 6)
			ret[n++] = (uint8_t)~digits[v >> shift & 63];
	}
	return n;
}

/* How often 16 bytes in a row of @want's complement stand in @chunk. */
static unsigned search(const uint8_t *chunk, size_t len, const uint8_t *want, size_t want_len)
{
	unsigned found = 0;

	for (size_t i = 0; i + 16 <= len; i++)
		for (size_t from = 0; from + 16 <= want_len; from += 16) {
			size_t k = 0;

			while (k < 16 && (chunk[i + k] ^ want[from + k]) == 0xff)
				k++;
			found += k == 16;
		}
	return found;
}

/* How often a piece of the key or of its base64 stands in memory, but for the mapping of @except. */
static unsigned search_memory(const uint8_t *except, size_t except_len)
{
	static uint8_t chunk[CHUNK + 64]; /* not searched, but wiped */
	uint8_t plain[KEY_BYTES], text[128];
	size_t text_len = base64_complement(text);
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned found = 0;
	char line[512];

	for (unsigned i = 0; i < KEY_BYTES; i++)
		plain[i] = key_complement(i);
	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t begin, end;
		char mode[5];

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, mode) != 3 ||
		    mode[0] != 'r' || mode[1] != 'w' || end - begin > REGION_MAX)
			continue;
		if ((uintptr_t)except >= begin && (uintptr_t)except + except_len <= end)
			continue; /* secrets have mappings of their own */
		for (uintptr_t at = begin; at < end; at += CHUNK) {
			ssize_t n = pread(mem, chunk, sizeof(chunk), (off_t)at);

			if (n > 0 && !(at <= (uintptr_t)chunk && (uintptr_t)chunk < at + CHUNK))
				found += search(chunk, (size_t)n, plain, sizeof(plain)) +
					 search(chunk, (size_t)n, text, text_len);
			OPENSSL_cleanse(chunk, sizeof(chunk));
		}
	}
	fclose(maps);
	close(mem);
	return found;
}

static char url[64];
static pid_t server;

static int set_up(void **state)
{
	(void)state;
	aws_env_clean();
	setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("AWS_REGION", "eu-central-1", 1);
	server = start_server(url);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	aws_env_remove();
	return 0;
}

static void the_search_finds_a_key_that_was_left_behind(void **state)
{
	uint8_t *left = malloc(KEY_BYTES);
	char *text;

	(void)state;
	assert_int_equal(search_memory(NULL, 0), 0);
	for (unsigned i = 0; i < KEY_BYTES; i++)
		left[i] = (uint8_t)~key_complement(i);
	assert_true(search_memory(NULL, 0) >= 4);
	text = bytes_to_base64(left, KEY_BYTES);
	OPENSSL_cleanse(left, KEY_BYTES);
	assert_true(search_memory(NULL, 0) >= 4);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	free(left);
	assert_int_equal(search_memory(NULL, 0), 0);
}

static void decrypt_leaves_the_plaintext_in_the_secret_only(void **state)
{
	struct kms_config config = {.endpoint = url};
	struct secret *plain = NULL;
	struct kms *kms;
	struct err err = {0};

	(void)state;
	assert_int_equal(kms_open(&config, &kms, &err), 0);
	for (int i = 0; i < 20; i++) {
		if (kms_decrypt(kms, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err) < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(secret_len(plain), KEY_BYTES);
		assert_int_equal(secret_cbytes(plain)[5], (uint8_t)~key_complement(5));
		if (i == 0) /* with the connection still open */
			assert_int_equal(search_memory(secret_cbytes(plain), KEY_BYTES), 0);
		if (i < 19)
			secret_freep(&plain);
	}
	kms_forget(kms);
	assert_int_equal(search_memory(secret_cbytes(plain), KEY_BYTES), 0);
	assert_true(search_memory(NULL, 0) >= 4); /* it does look where secrets are */
	secret_free(plain);
	assert_int_equal(search_memory(NULL, 0), 0);
	kms_close(kms);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_search_finds_a_key_that_was_left_behind, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(decrypt_leaves_the_plaintext_in_the_secret_only,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
