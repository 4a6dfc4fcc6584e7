/* Memory for keys: what is locked, shared pages, wiping. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "err.h"
#include "secret.h"

#define MANY 10000

/* The sanitizers lock nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCKED_MIN 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOCKED_MIN 0
#endif
#endif
#ifndef LOCKED_MIN
#define LOCKED_MIN (MANY * 32 / 1024) /* kB */
#endif

/* A figure of /proc/self/status in kB. */
static long status_kb(const char *name)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = -1;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtol(line + strlen(name), NULL, 10);
	fclose(f);
	return kb;
}

static struct secret *new_of(size_t len)
{
	struct secret *s = NULL;
	struct err err = {0};

	if (secret_new(len, &s, &err) < 0)
		fail_msg("%s", err.msg);
	return s;
}

static void lengths_are_kept_and_checked(void **state)
{
	static const size_t lengths[] = {1, 32, 64, 65, 4096, 4097, SECRET_LEN_MAX};
	struct secret *s = NULL;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		s = new_of(lengths[i]);
		assert_int_equal(secret_len(s), lengths[i]);
		for (size_t j = 0; j < lengths[i]; j++)
			assert_int_equal(secret_bytes(s)[j], 0);
		memset(secret_bytes(s), 0xa5, lengths[i]);
		secret_free(s);
	}
	s = NULL;
	assert_int_equal(secret_new(0, &s, &err), -EINVAL);
	assert_int_equal(secret_new(SECRET_LEN_MAX + 1, &s, &err), -EINVAL);
	assert_string_equal(err.msg, "secret of 1048577 bytes: must be 1 to 1048576");
	assert_null(s);
}

static void ten_thousand_keys_lock_less_than_a_megabyte(void **state)
{
	struct secret **all = calloc(MANY, sizeof(struct secret *));
	long before = status_kb("VmLck:"), most;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		all[i] = new_of(32);
		memset(secret_bytes(all[i]), i & 0xff, 32);
	}
	most = status_kb("VmLck:") - before;
	assert_in_range(most, LOCKED_MIN, 1024);
	for (int i = 0; i < MANY; i++)
		for (int j = 0; j < 32; j++)
			assert_int_equal(secret_bytes(all[i])[j], i & 0xff);
	for (int i = 0; i < MANY; i += 2) /* leaves holes in every page */
		secret_free(all[i]);
	for (int i = 0; i < MANY; i += 2) {
		all[i] = new_of(64);
		for (int j = 0; j < 64; j++)
			assert_int_equal(secret_bytes(all[i])[j], 0);
	}
	assert_int_equal(status_kb("VmLck:") - before, most);
	for (int i = 0; i < MANY; i++)
		secret_free(all[i]);
	assert_true(status_kb("VmLck:") - before <= 4); /* one page is kept */
	free(all);
}

static void a_child_finds_zeros(void **state)
{
	struct secret *small = new_of(32), *large = new_of(10000);
	int status;
	pid_t pid;

	(void)state;
	memset(secret_bytes(small), 0xa5, 32);
	memset(secret_bytes(large), 0xa5, 10000);
	pid = fork();
	if (pid == 0)
		_exit(secret_bytes(small)[31] == 0 && secret_bytes(large)[9999] == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(secret_bytes(small)[31], 0xa5);
	secret_free(small);
	secret_free(large);
}

/* Each thread's secrets hold what it wrote, whoever else takes and gives back. */
static void *take_and_give(void *arg)
{
	struct secret *mine[100] = {0};
	unsigned char mark = (unsigned char)(uintptr_t)arg;
	bool good = true;

	for (int round = 0; round < 20000; round++) {
		struct secret **s = &mine[(unsigned)(round * 7919) % 100];

		for (int j = 0; *s && j < 32; j++)
			good = good && secret_bytes(*s)[j] == mark;
		secret_freep(s);
		if (secret_new(32, s, NULL) == 0)
			memset(secret_bytes(*s), mark, 32);
	}
	for (int i = 0; i < 100; i++)
		secret_free(mine[i]);
	return good ? arg : NULL;
}

static void threads_do_not_share_slots(void **state)
{
	pthread_t threads[4];
	void *got;

	(void)state;
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)),
				 0);
	for (uintptr_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &got), 0);
		assert_ptr_equal(got, (void *)(i + 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_are_kept_and_checked),
		cmocka_unit_test(ten_thousand_keys_lock_less_than_a_megabyte),
		cmocka_unit_test(a_child_finds_zeros),
		cmocka_unit_test(threads_do_not_share_slots),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
