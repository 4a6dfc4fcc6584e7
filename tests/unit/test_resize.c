/* A volume that grows, cut off anywhere: it has the old size or the new one, and all that was flushed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"
#include "store.h"

#define BS	 4096u
#define MIB	 (1ULL << 20)
#define OLD_SIZE (6 * MIB)
#define NEW_SIZE (3ULL << 30) /* with more groups: the roots are longer, too */

static const struct store_geometry geometry = {.size_bytes = OLD_SIZE,
					       .block_size = BS,
					       .cipher = BLOCKCRYPT_AES_256_GCM,
					       .segment_size = 4 * MIB,
					       .volume_id = "vol-resize"};

struct fixture {
	struct secret *key;
	struct memdisk *disk;
	uint8_t bytes[BS], read[BS];
	uint64_t size; /* as the header has it */
	bool renamed;
	bool flushed; /* what was written into the new room */
};

/*
 * The header is replaced by a rename, which a power cut leaves done or not done: both are tried where it
 * falls between the store's closing and its opening.
 */
static int put_size(struct fixture *f, uint64_t size)
{
	struct disk *disk = memdisk_disk(f->disk);
	int r = disk->ops->sync_dir(disk, ".");

	if (r == 0 || f->renamed)
		f->size = size;
	return r;
}

static int open_store(struct fixture *f, struct store **ret_store, struct err *err)
{
	struct store_geometry g = geometry;

	g.size_bytes = f->size;
	return store_open_on(memdisk_disk(f->disk), &g, f->key, false, ret_store, err);
}

/* As the daemon does it: close, the new header, open; then the new room is used. */
static int grow(struct fixture *f, struct store *store, struct err *err)
{
	int r = store_close(store, err);

	if (r == 0)
		r = put_size(f, NEW_SIZE);
	if (r < 0)
		return r;
	r = open_store(f, &store, err);
	if (r < 0)
		return r;
	r = store_write(store, NEW_SIZE - BS, BS, f->bytes, err);
	if (r == 0)
		r = store_flush(store, err);
	f->flushed = r == 0;
	return store_close(store, err) < 0 ? -EIO : r;
}

static void check_block(struct fixture *f, struct store *store, uint64_t off, bool must_be_there)
{
	static const uint8_t zeros[BS];
	struct err err;

	if (store_read(store, off, BS, f->read, &err) < 0)
		fail_msg("%s", err.msg);
	if (memcmp(f->read, f->bytes, BS) != 0 &&
	    (must_be_there || memcmp(f->read, zeros, BS) != 0))
		fail_msg("the block at %" PRIu64 " is not what was written", off);
}

/* True: the power went while it grew. */
static bool cut_at(uint64_t nth, bool renamed)
{
	struct fixture f = {
		.key = history_key(), .disk = memdisk_new(), .size = OLD_SIZE, .renamed = renamed};
	struct memdisk *after;
	struct store *store;
	struct err err;
	bool cut;

	memset(f.bytes, 0xa5, BS);
	assert_int_equal(store_create_on(memdisk_disk(f.disk), &geometry, f.key, &err), 0);
	assert_int_equal(open_store(&f, &store, &err), 0);
	for (uint64_t off = 0; off < OLD_SIZE; off += MIB)
		assert_int_equal(store_write(store, off, BS, f.bytes, &err), 0);
	assert_int_equal(store_flush(store, &err), 0);
	memdisk_power_off_at(f.disk, nth);
	(void)grow(&f, store, &err); /* as far as it gets */
	cut = memdisk_is_off(f.disk);
	after = memdisk_crash(f.disk, nth);
	memdisk_free(f.disk);
	f.disk = after;
	for (int round = 0; round < 2; round++) { /* it can be grown from there, too */
		if (open_store(&f, &store, &err) < 0)
			fail_msg("cut at %" PRIu64 ": %s", nth, err.msg);
		for (uint64_t off = 0; off < OLD_SIZE; off += MIB)
			check_block(&f, store, off, true);
		if (f.flushed || store_read(store, NEW_SIZE - BS, BS, f.read, &err) == 0)
			check_block(&f, store, NEW_SIZE - BS, f.flushed);
		if (round == 0)
			assert_int_equal(grow(&f, store, &err), 0);
		else
			assert_int_equal(store_close(store, &err), 0);
	}
	memdisk_free(f.disk);
	secret_free(f.key);
	return cut;
}

static void power_may_go_at_every_operation_of_growing(void **state)
{
	uint64_t nth = 1;

	(void)state;
	while (cut_at(nth, false) && cut_at(nth, true))
		nth++;
	assert_true(nth > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_may_go_at_every_operation_of_growing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
