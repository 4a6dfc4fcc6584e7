/*
 * No plaintext key stays in the memory of the process: neither in what libcurl, OpenSSL or json-c
 * freed, nor in what they keep. The whole of the process's memory is searched, so this program
 * must not hold the plaintext itself: the server is another process, and what is looked for is
 * kept here with every bit turned over.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "aws_env.h"
#include "bytes.h"
#include "err.h"
#include "fake_http.h"
#include "fake_tls.h"
#include "kms.h"
#include "kms_http.h"
#include "secret.h"
#include "stop.h"

#define KEY_BYTES  64
#define CHUNK	   (1 << 20)
#define PIECE	   16
#define REGION_MAX (1ull << 30) /* larger ones are the shadow of a sanitizer */

/* Byte i of the data key; its complement is all that this process knows. */
static uint8_t key_complement(unsigned i)
{
	return (uint8_t)(i * 37 + 11);
}

/* The answer of a Decrypt. Only ever made in the server's process. */
static char *make_body(void)
{
	uint8_t key[KEY_BYTES];
	char *text, *body = NULL;

	for (unsigned i = 0; i < KEY_BYTES; i++)
		key[i] = (uint8_t)~key_complement(i);
	text = bytes_to_base64(key, sizeof(key));
	if (!text || asprintf(&body, "{\"KeyId\":\"k\",\"Plaintext\":\"%s\"}", text) < 0)
		_exit(1);
	return body;
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
		struct fake_http *fake = fake_http_start();
		char room[64] = "";

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fake_http_add(fake, &(struct fake_reply){.status = 200, .body = make_body()});
		strcpy(room, fake_http_url(fake));
		if (write(fds[1], room, sizeof(room)) != (ssize_t)sizeof(room))
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

/* How often one of the 16-byte pieces of @want stands in @chunk; both are complements. */
static unsigned search(const uint8_t *chunk, size_t len, const uint8_t *want, size_t want_len)
{
	unsigned found = 0;

	for (size_t from = 0; from + PIECE <= want_len; from += PIECE) {
		const uint8_t *at = chunk, *end = chunk + len;

		while ((at = memmem(at, (size_t)(end - at), want + from, PIECE))) {
			found++;
			at++;
		}
	}
	return found;
}

/* What is looked for, and where not. */
struct hunt {
	uint8_t plain[KEY_BYTES]; /* complement */
	uint8_t text[128];	  /* complement of the base64 */
	size_t text_len;
	uint64_t chunk[(CHUNK + PIECE) / 8];
	char maps[1 << 17]; /* read here, since a heap buffer would cover traces */
	int mem;
	int pages;
	unsigned found;
};

/* Is any page from @at there? The shadow of a sanitizer is large, and mostly is not. */
static bool is_there(const struct hunt *h, uintptr_t at)
{
	uint64_t entries[CHUNK / 4096 + 1];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	ssize_t n = pread(h->pages, entries, CHUNK / page * 8, (off_t)(at / page * 8));

	for (ssize_t i = 0; i < n / 8; i++)
		if (entries[i] >> 62) /* present or swapped */
			return true;
	return false;
}

static void search_region(struct hunt *h, uintptr_t begin, uintptr_t end)
{
	for (uintptr_t at = begin; at < end; at += CHUNK) {
		size_t want = end - at < sizeof(h->chunk) ? end - at : sizeof(h->chunk);
		ssize_t n;

		if (!is_there(h, at))
			continue;
		n = pread(h->mem, h->chunk, want, (off_t)at);
		for (size_t i = 0; i < sizeof(h->chunk) / 8; i++)
			h->chunk[i] = ~h->chunk[i];
		if (n > 0)
			h->found += search((uint8_t *)h->chunk, (size_t)n, h->plain, KEY_BYTES) +
				    search((uint8_t *)h->chunk, (size_t)n, h->text, h->text_len);
		OPENSSL_cleanse(h->chunk, sizeof(h->chunk));
	}
}

static void read_maps(int fd, char *ret, size_t room)
{
	size_t len = 0;
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(fd, ret + len, room - 1 - len)) > 0)
		len += (size_t)n;
	assert_true(len > 0 && len < room - 1);
	ret[len] = '\0';
}

/*
 * How often a piece of the key or of its base64 stands in memory, but for the mapping of @except
 * (secrets have mappings of their own) and the one of the search itself.
 */
static unsigned search_memory(const uint8_t *except)
{
	struct hunt *h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			      -1, 0); /* shared: never merged with another mapping */
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uintptr_t begin, end;
	char mode[5];
	unsigned found;

	assert_true(h != MAP_FAILED);
	read_maps(maps, h->maps, sizeof(h->maps));
	h->mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	h->pages = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	assert_true(h->mem >= 0 && h->pages >= 0);
	h->text_len = base64_complement(h->text);
	for (unsigned i = 0; i < KEY_BYTES; i++)
		h->plain[i] = key_complement(i);
	for (char *line = h->maps; *line; line = strchr(line, '\n') + 1) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, mode) != 3 ||
		    mode[0] != 'r' || mode[1] != 'w' || end - begin > REGION_MAX)
			continue;
		if (((uintptr_t)except >= begin && (uintptr_t)except < end) ||
		    ((uintptr_t)h >= begin && (uintptr_t)h < end))
			continue;
		search_region(h, begin, end);
	}
	found = h->found;
	close(maps);
	close(h->mem);
	close(h->pages);
	munmap(h, sizeof(*h));
	return found;
}

static char url[64];
static pid_t server;

static void set_environment(void)
{
	aws_env_clean();
	setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("AWS_REGION", "eu-central-1", 1);
}

static int set_up(void **state)
{
	(void)state;
	set_environment();
	server = start_server(url);
	return 0;
}

static int set_up_tls(void **state)
{
	char path[256];

	(void)state;
	set_environment();
	snprintf(path, sizeof(path), "%s", aws_env_write("/cert.pem", ""));
	server = fake_tls_start(path, make_body, url);
	setenv("AWS_CA_BUNDLE", path, 1);
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
	assert_int_equal(search_memory(NULL), 0);
	for (unsigned i = 0; i < KEY_BYTES; i++)
		left[i] = (uint8_t)~key_complement(i);
	assert_true(search_memory(NULL) >= 4);
	text = bytes_to_base64(left, KEY_BYTES);
	OPENSSL_cleanse(left, KEY_BYTES);
	assert_true(search_memory(NULL) >= 4);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	free(left);
	assert_int_equal(search_memory(NULL), 0);
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
			assert_int_equal(search_memory(secret_cbytes(plain)), 0);
		if (i < 19)
			secret_freep(&plain);
	}
	kms_forget(kms);
	assert_int_equal(search_memory(secret_cbytes(plain)), 0);
	assert_true(search_memory(NULL) >= 4); /* it does look where secrets are */
	secret_free(plain);
	assert_int_equal(search_memory(NULL), 0);
	kms_close(kms);
}

static void an_exchange_leaves_nothing_once_its_answer_is_done(void **state)
{
	struct kms_http_request request = {.method = "GET",
					   .url = url,
					   .timeout_ms = 5000,
					   .ca_file = getenv("AWS_CA_BUNDLE")};
	struct kms_http_answer answer;
	struct kms_http *http;
	struct stop stop;
	struct err err = {0};

	(void)state;
	assert_int_equal(stop_init(&stop, &err), 0);
	assert_int_equal(kms_http_open(&stop, &http, &err), 0);
	if (kms_http_do(http, &request, &answer, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(search_memory(NULL) >= 5);
	kms_http_answer_done(&answer);
	assert_int_equal(search_memory(NULL), 0); /* though the connection is open */
	kms_http_close(http);
	stop_done(&stop);
}

static void call_and_drop(struct kms *kms, int times)
{
	for (int i = 0; i < times; i++) {
		struct secret *plain = NULL;
		struct err err = {0};

		if (kms_decrypt(kms, (const uint8_t *)"b", 1, NULL, NULL, &plain, &err) < 0)
			fail_msg("%s", err.msg);
		secret_free(plain);
	}
}

static unsigned count_mappings(void)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	static char text[1 << 17];
	unsigned n = 0;

	read_maps(fd, text, sizeof(text));
	close(fd);
	for (char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static void calls_leave_no_memory_behind(void **state)
{
	struct kms_config config = {.endpoint = url};
	struct kms *kms;
	struct err err = {0};
	struct mallinfo2 before, after;
	unsigned mappings;

	(void)state;
	assert_int_equal(kms_open(&config, &kms, &err), 0);
	call_and_drop(kms, 10);
	mappings = count_mappings();
	before = mallinfo2(); /* all zero under a sanitizer, whose own report it is then */
	call_and_drop(kms, 500);
	after = mallinfo2();
	if (after.uordblks > before.uordblks + 1024)
		fail_msg("%zu bytes before 500 calls, %zu after", before.uordblks, after.uordblks);
	assert_true(count_mappings() <= mappings + 8);
	kms_close(kms);
}

#define TEST(fn, set_up_fn)                                                                        \
	{                                                                                          \
#fn " (" #set_up_fn ")", fn, set_up_fn, tear_down, NULL                            \
	}

int main(void)
{
	/* The first calls go first: they are the ones that bind functions. */
	static const struct CMUnitTest tests[] = {
		TEST(decrypt_leaves_the_plaintext_in_the_secret_only, set_up),
		TEST(decrypt_leaves_the_plaintext_in_the_secret_only, set_up_tls),
		TEST(an_exchange_leaves_nothing_once_its_answer_is_done, set_up),
		TEST(an_exchange_leaves_nothing_once_its_answer_is_done, set_up_tls),
		TEST(calls_leave_no_memory_behind, set_up_tls),
		TEST(the_search_finds_a_key_that_was_left_behind, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
