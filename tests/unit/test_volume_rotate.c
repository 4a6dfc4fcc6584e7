/* A new data key in a volume's header: begun, ended, and what is left when either fails. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "keys.h"
#include "kms_json.h"
#include "secret.h"
#include "store.h"
#include "volume.h"
#include "volume_rotate.h"
#include "volume_seal.h"

#define ID	   "vol-0123456789abcdef0"
#define SIZE	   (8u << 20)
#define BLOCK_SIZE 4096u

struct fixture {
	char top[32], dir[48];
	struct secret *old, *new, *keys; /* keys: those that the volume has now */
	struct volume_header *header;
	uint8_t block[BLOCK_SIZE];
};

static void must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->msg);
}

static struct secret *key_of(uint8_t salt)
{
	uint8_t bytes[STORE_DATA_KEY_LEN];
	struct secret *key;
	struct err err;

	memset(bytes, salt, sizeof(bytes));
	must(secret_from(bytes, sizeof(bytes), &key, &err), &err);
	return key;
}

static void set_blob(struct kms_blob *blob, uint8_t byte, size_t len)
{
	blob->bytes = malloc(len);
	assert_non_null(blob->bytes);
	memset(blob->bytes, byte, len);
	blob->len = len;
}

static struct store *open_store(struct fixture *f)
{
	struct store *store;
	struct err err;

	must(store_open(f->dir, &f->header->geometry, f->keys, false, &store, &err), &err);
	return store;
}

/* The block at 0 is what was written there. */
static void check_block(struct fixture *f, struct store *store)
{
	uint8_t read[BLOCK_SIZE];
	struct err err;

	must(store_read(store, 0, BLOCK_SIZE, read, &err), &err);
	assert_memory_equal(read, f->block, BLOCK_SIZE);
}

static void close_store(struct store *store)
{
	struct err err;

	must(store_close(store, &err), &err);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct store *store;
	struct err err;

	assert_non_null(f);
	strcpy(f->top, "/tmp/test_rotate.XXXXXX");
	assert_non_null(mkdtemp(f->top));
	(void)snprintf(f->dir, sizeof(f->dir), "%s/vol", f->top);
	f->old = key_of(1);
	f->new = key_of(2);
	f->keys = key_of(1);
	memset(f->block, 0xb7, BLOCK_SIZE);
	f->header = calloc(1, sizeof(*f->header));
	assert_non_null(f->header);
	f->header->geometry = (struct store_geometry){.size_bytes = SIZE,
						      .block_size = BLOCK_SIZE,
						      .cipher = BLOCKCRYPT_AES_256_GCM,
						      .volume_id = ID};
	must(store_geometry_check(&f->header->geometry, &err), &err);
	strcpy(f->header->key_arn, "arn:aws:kms:us-east-1:111122223333:key/x");
	set_blob(&f->header->wrapped_key, 7, 200);
	must(volume_header_add_pair(f->header, VOLUME_ID_CONTEXT, ID, &err), &err);
	must(volume_lay_out(f->dir, f->header, f->old, NULL, &err), &err);
	store = open_store(f);
	must(store_write(store, 0, BLOCK_SIZE, f->block, &err), &err);
	close_store(store);
	*state = f;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	(void)nftw(f->top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	volume_header_free(f->header);
	secret_free(f->old);
	secret_free(f->new);
	secret_free(f->keys);
	free(f);
	return 0;
}

static struct volume_new_data_key new_key(struct fixture *f)
{
	struct volume_new_data_key new = {0};
	struct err err;

	set_blob(&new.wrapped, 8, 210);
	must(secret_from(secret_cbytes(f->new), STORE_DATA_KEY_LEN, &new.key, &err), &err);
	return new;
}

static void begin(struct fixture *f)
{
	struct volume_new_data_key new = new_key(f);
	struct err err;

	must(volume_rotate_begin(f->dir, f->header, &new, &f->keys, &err), &err);
	assert_null(new.key);
	assert_null(new.wrapped.bytes);
}

/* The header on disk is the one in memory, sealed by these keys, with so many wrapped keys. */
static void check_header(struct fixture *f, const struct secret *keys, bool previous)
{
	struct volume_header *h;
	struct err err;

	must(volume_header_load(f->dir, &h, &err), &err);
	assert_int_equal(h->geometry.previous_key, previous);
	assert_int_equal(f->header->geometry.previous_key, previous);
	assert_int_equal(h->wrapped_key.len, f->header->wrapped_key.len);
	assert_memory_equal(h->mac, f->header->mac, VOLUME_MAC_LEN);
	assert_int_equal(h->previous_key.len, previous ? 200 : 0);
	must(volume_seal_check(h, keys, &err), &err);
	volume_header_free(h);
}

static void begun_and_ended_it_has_the_new_key_alone(void **state)
{
	struct fixture *f = *state;
	struct store *store;
	struct err err;

	begin(f);
	check_header(f, f->new, true);
	assert_true(keys_has_previous(f->keys));
	store = open_store(f);
	check_block(f, store);
	must(store_clean(store, &err), &err);
	close_store(store);
	must(volume_rotate_end(f->dir, f->header, &f->keys, &err), &err);
	check_header(f, f->new, false);
	assert_int_equal(secret_len(f->keys), STORE_DATA_KEY_LEN);
	assert_memory_equal(secret_cbytes(f->keys), secret_cbytes(f->new), STORE_DATA_KEY_LEN);
	store = open_store(f);
	check_block(f, store);
	close_store(store);
}

/* Nothing is ever written to it: there is no block to move, and no flush. */
static void an_empty_volume_leaves_the_old_key_too(void **state)
{
	struct fixture *f = *state;
	struct store_stats stats;
	struct store *store = open_store(f);
	struct err err;

	must(store_discard(store, 0, SIZE, &err), &err);
	close_store(store);
	begin(f);
	close_store(open_store(f));
	must(volume_rotate_end(f->dir, f->header, &f->keys, &err), &err);
	store = open_store(f);
	store_stats(store, &stats);
	assert_string_equal(stats.notice, "");
	close_store(store);
}

static void it_does_not_end_while_a_block_is_under_the_previous_key(void **state)
{
	struct fixture *f = *state;
	struct err err;

	begin(f);
	assert_int_equal(volume_rotate_end(f->dir, f->header, &f->keys, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "by the new data key alone it does not open: "));
	check_header(f, f->new, true);
	assert_true(keys_has_previous(f->keys));
}

/* The directory is gone when the header is to be written. */
static void what_cannot_be_written_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct volume_new_data_key new = new_key(f);
	char aside[64];
	struct err err;

	(void)snprintf(aside, sizeof(aside), "%s/aside", f->top);
	assert_int_equal(rename(f->dir, aside), 0);
	assert_int_equal(volume_rotate_begin(f->dir, f->header, &new, &f->keys, &err), -ENOENT);
	assert_non_null(new.key); /* still the caller's */
	volume_new_data_key_free(&new);
	assert_int_equal(rename(aside, f->dir), 0);
	check_header(f, f->old, false);
	assert_int_equal(secret_len(f->keys), STORE_DATA_KEY_LEN);
	close_store(open_store(f));
	begin(f);
	assert_int_equal(rename(f->dir, aside), 0);
	assert_int_equal(volume_rotate_end(f->dir, f->header, &f->keys, &err), -ENOENT);
	assert_int_equal(rename(aside, f->dir), 0);
	check_header(f, f->new, true);
}

/* The newest key seals both wrapped keys. */
static void the_previous_key_is_sealed(void **state)
{
	struct fixture *f = *state;
	struct err err;

	begin(f);
	must(volume_seal_check(f->header, f->new, &err), &err);
	assert_int_equal(volume_seal_check(f->header, f->old, &err), -EBADMSG);
	f->header->previous_key.bytes[199] ^= 1;
	assert_int_equal(volume_seal_check(f->header, f->new, &err), -EBADMSG);
	f->header->previous_key.bytes[199] ^= 1;
	f->header->geometry.previous_key = false;
	assert_int_equal(volume_seal_check(f->header, f->new, &err), -EBADMSG);
}

/* A volume that was made before there were previous keys has no such member, and the same seal. */
static void a_header_without_the_member_is_as_one_with_null(void **state)
{
	struct fixture *f = *state;
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	AUTO(freep) char *whole = volume_header_text(f->header);
	AUTO(freep) char *text = NULL;
	struct volume_header *h = NULL;
	struct err err;

	must(kms_json_parse(whole, strlen(whole), &obj, &err), &err);
	assert_true(kms_json_has(obj, "previous_data_key"));
	kms_json_del(obj, "previous_data_key");
	text = kms_json_text(obj);
	must(volume_header_parse(text, strlen(text), &h, &err), &err);
	assert_false(h->geometry.previous_key);
	must(volume_seal_check(h, f->old, &err), &err);
	volume_header_free(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(begun_and_ended_it_has_the_new_key_alone),
		TEST(an_empty_volume_leaves_the_old_key_too),
		TEST(it_does_not_end_while_a_block_is_under_the_previous_key),
		TEST(what_cannot_be_written_changes_nothing),
		TEST(the_previous_key_is_sealed),
		TEST(a_header_without_the_member_is_as_one_with_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
