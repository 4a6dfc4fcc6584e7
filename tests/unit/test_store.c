/* The store on a real directory: what is written is read, across offsets, threads, reopening. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "secret.h"
#include "store.h"

#define BS 4096

struct fixture {
	char dir[64];
	struct store_geometry geometry;
	struct secret *key;
	struct store *store;
};

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s (%d)", err->msg, r);
}

static int set_up_cipher(void **state, enum blockcrypt_cipher cipher)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err;
	uint8_t bytes[STORE_DATA_KEY_LEN];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_store.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	must(secret_from(bytes, sizeof(bytes), &f->key, &err), &err);
	f->geometry = (struct store_geometry){
		.size_bytes = 64 << 20, .block_size = BS, .cipher = cipher, .volume_id = "vol-1"};
	must(store_create(f->dir, &f->geometry, f->key, &err), &err);
	must(store_open(f->dir, &f->geometry, f->key, false, &f->store, &err), &err);
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_cipher(state, BLOCKCRYPT_AES_256_GCM);
}

static int set_up_xts(void **state)
{
	return set_up_cipher(state, BLOCKCRYPT_AES_256_XTS);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	struct err err;

	must(store_close(f->store, &err), &err);
	secret_free(f->key);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	struct err err;

	must(store_close(f->store, &err), &err);
	must(store_open(f->dir, &f->geometry, f->key, false, &f->store, &err), &err);
}

static void random_io_equals_a_plain_array(void **state)
{
	struct fixture *f = *state;
	size_t size = f->geometry.size_bytes;
	uint8_t *model = calloc(1, size), *buf = malloc(4 << 20);
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
	struct err err;

	print_message("SEED=%u\n", seed);
	for (int i = 0; i < 1500; i++) {
		size_t off = ((size_t)rand_r(&seed) << 10 ^ (size_t)rand_r(&seed)) % size;
		size_t len = 1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 8 ? 20000 : 3 << 20);
		int what = rand_r(&seed) % 16;

		if (rand_r(&seed) % 2)
			off = off / BS * BS, len = (len + BS - 1) / BS * BS;
		if (off + len > size)
			len = size - off;
		if (what < 8) {
			for (size_t k = 0; k < len; k++)
				buf[k] = model[off + k] = (uint8_t)(rand_r(&seed) >> 8);
			must(store_write(f->store, off, len, buf, &err), &err);
		} else if (what < 10) {
			memset(model + off, 0, len);
			must(store_discard(f->store, off, len, &err), &err);
		} else if (what < 14) {
			must(store_read(f->store, off, len, buf, &err), &err);
			assert_memory_equal(buf, model + off, len);
		} else if (what == 14) {
			must(store_flush(f->store, &err), &err);
		} else if (rand_r(&seed) % 8 == 0) {
			reopen(f);
		}
	}
	reopen(f);
	for (size_t off = 0; off < size; off += 1 << 20) {
		must(store_read(f->store, off, 1 << 20, buf, &err), &err);
		assert_memory_equal(buf, model + off, 1 << 20);
	}
	free(model);
	free(buf);
}

/* A copy of the directory of a running store is what kill -9 leaves. */
static void tail_that_a_flush_covered_is_missed_when_it_is_cut_off(void **state)
{
	struct fixture *f = *state;
	uint8_t *buf = calloc(1, 1 << 20);
	struct store *copy;
	char command[400], dir[80];
	struct err err;

	memset(buf, 7, 1 << 20);
	for (unsigned i = 0; i < 4; i++) {
		must(store_write(f->store, (uint64_t)i << 20, 1 << 20, buf, &err), &err);
		must(store_flush(f->store, &err), &err);
	}
	(void)snprintf(dir, sizeof(dir), "%s.copy", f->dir);
	for (int cut = 0; cut < 2; cut++) {
		(void)snprintf(command, sizeof(command),
			       "rm -rf %s && cp -a %s %s && %s %s/segments/*", dir, f->dir, dir,
			       cut ? "truncate -s 3500000" : "ls >/dev/null", dir);
		assert_int_equal(system(command), 0);
		if (!cut) {
			must(store_open(dir, &f->geometry, f->key, false, &copy, &err), &err);
			must(store_close(copy, &err), &err);
			continue;
		}
		assert_int_equal(store_open(dir, &f->geometry, f->key, false, &copy, &err),
				 -EBADMSG);
		assert_non_null(strstr(err.msg, "segments/00000001"));
		assert_non_null(strstr(err.msg, "a flush had covered"));
	}
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			tail_that_a_flush_covered_is_missed_when_it_is_cut_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_io_equals_a_plain_array, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_io_equals_a_plain_array, set_up_xts,
						tear_down),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
