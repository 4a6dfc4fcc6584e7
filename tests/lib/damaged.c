/* A volume whose files tests damage. See damaged.h. */
#include "damaged.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "format.h"
#include "history.h"
#include "memdisk.h"
#include "secret.h"

#define MIB (1u << 20)

uint64_t damaged_any(struct damaged *f, uint64_t below)
{
	return history_random(&f->rng) % below;
}

void damaged_must(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s (%d)", err->msg, r);
}

static void steps(struct damaged *f, struct store *store, unsigned count)
{
	struct err err;

	for (unsigned i = 0; i < count; i++)
		damaged_must(history_random_step(f->history, store, 500000, &err), &err);
}

static void set_up_volume(struct damaged *f, enum blockcrypt_cipher cipher, bool killed)
{
	struct store *store;
	struct err err;

	f->rng = history_seed();
	f->killed = killed;
	f->geometry = (struct store_geometry){.size_bytes = DAMAGED_SIZE,
					      .block_size = DAMAGED_BS,
					      .cipher = cipher,
					      .segment_size = 4 * MIB,
					      .volume_id = "vol-damage"};
	f->key = history_key();
	f->disk = memdisk_new();
	f->history = history_new(DAMAGED_SIZE, DAMAGED_BS, f->rng);
	f->bytes = malloc(DAMAGED_SIZE);
	damaged_must(store_create_on(memdisk_disk(f->disk), &f->geometry, f->key, &err), &err);
	damaged_must(
		store_open_on(memdisk_disk(f->disk), &f->geometry, f->key, false, &store, &err),
		&err);
	steps(f, store, 20);
	damaged_must(history_write(f->history, store, 8192, 100000, &err), &err);
	damaged_must(store_checkpoint(store, &err), &err);
	f->older = memdisk_kill(f->disk);
	for (unsigned i = 0; i < 3; i++) {
		damaged_must(
			history_write(f->history, store, i * 4096, DAMAGED_SIZE - i * 8192, &err),
			&err);
		steps(f, store, 10);
	}
	damaged_must(history_write(f->history, store, 4096, 50000, &err), &err);
	damaged_must(history_flush(f->history, store, &err), &err);
	if (killed) {
		for (unsigned i = 0; i < 5; i++) /* the tail that no flush covers */
			damaged_must(history_write(f->history, store, i * 30000, 9000, &err), &err);
		memdisk_power_off_at(f->disk, 0);
	}
	(void)store_close(store, &err); /* killed: there is no power */
	if (killed) {
		struct memdisk *after = memdisk_kill(f->disk);

		memdisk_free(f->disk);
		f->disk = after;
	}
}

static int set_up_kind(void **state, enum blockcrypt_cipher cipher, bool killed)
{
	struct damaged *f = calloc(1, sizeof(*f));

	set_up_volume(f, cipher, killed);
	*state = f;
	return 0;
}

int damaged_set_up_closed_gcm(void **state)
{
	return set_up_kind(state, BLOCKCRYPT_AES_256_GCM, false);
}

int damaged_set_up_killed_gcm(void **state)
{
	return set_up_kind(state, BLOCKCRYPT_AES_256_GCM, true);
}

int damaged_set_up_closed_xts(void **state)
{
	return set_up_kind(state, BLOCKCRYPT_AES_256_XTS, false);
}

int damaged_set_up_killed_xts(void **state)
{
	return set_up_kind(state, BLOCKCRYPT_AES_256_XTS, true);
}

int damaged_tear_down(void **state)
{
	struct damaged *f = *state;

	print_message("# %u refused, %u served right, %u lost\n", f->refused, f->served, f->lost);
	memdisk_free(f->disk);
	memdisk_free(f->older);
	history_free(f->history);
	secret_free(f->key);
	free(f->bytes);
	free(f);
	return 0;
}

/* A refusal: one of the numbers for it, and a sentence with @word in it. */
static void check_refusal(int r, const struct err *err, const char *word, const char *what)
{
	if (r != -EBADMSG && r != -EUCLEAN && r != -EIO && r != -ENOENT)
		fail_msg("%s: refused with %d: %s", what, r, err->msg);
	if (!strstr(err->msg, word))
		fail_msg("%s: the sentence does not name '%s': %s", what, word, err->msg);
}

/* Read block by block what cannot be read at once; a block refused is taken for right. */
static bool read_blocks(struct damaged *f, struct store *store, const char *word, const char *what)
{
	bool refused = false;
	struct err err;

	if (history_read_all(f->history, store, f->bytes, &err) == 0)
		return false;
	for (uint64_t off = 0; off < DAMAGED_SIZE; off += DAMAGED_BS) {
		int r = store_read(store, off, DAMAGED_BS, f->bytes + off, &err);

		if (r == 0)
			continue;
		check_refusal(r, &err, word, what);
		for (unsigned i = 0; i < DAMAGED_BS; i++)
			assert_int_equal(f->bytes[off + i], 0); /* wiped */
		history_last(f->history, off, f->bytes + off, DAMAGED_BS);
		refused = true;
	}
	return refused;
}

enum damaged_outcome damaged_look(struct damaged *f, struct memdisk *disk, bool read_only,
				  const char *word, const char *what)
{
	struct store *store = NULL;
	struct err err = {0};
	size_t least = f->killed ? history_flushed(f->history) : history_steps(f->history);
	bool refused;
	int r = store_open_on(memdisk_disk(disk), &f->geometry, f->key, read_only, &store, &err);

	if (r < 0) {
		check_refusal(r, &err, word, what);
		/* Who wants no sentence needs not give an err. */
		assert_true(store_open_on(memdisk_disk(disk), &f->geometry, f->key, read_only,
					  &store, NULL) < 0);
		f->refused++;
		return REFUSED;
	}
	refused = read_blocks(f, store, word, what);
	damaged_must(store_close(store, &err), &err);
	if (history_match(f->history, f->bytes, least) >= 0) {
		f->refused += refused;
		f->served += !refused;
		return refused ? REFUSED : SERVED;
	}
	if (refused || history_match(f->history, f->bytes, 0) < 0)
		fail_msg("%s: wrong bytes are served", what);
	f->lost++;
	return LOST;
}

void damaged_flip(struct damaged *f, const char *name, size_t at)
{
	uint8_t *bytes = memdisk_bytes(f->disk, name, NULL);
	uint8_t bit = (uint8_t)(1u << damaged_any(f, 8));
	enum damaged_outcome outcome;
	char what[128];

	(void)snprintf(what, sizeof(what), "%s: bit %02x of byte %zu flipped", name, bit, at);
	bytes[at] ^= bit;
	outcome = damaged_look(f, f->disk, true, name, what);
	if (outcome == LOST)
		fail_msg("%s: flushed data is lost unsaid", what);
	if (damaged_any(f, 40) == 0) { /* and when it is opened for writing; twice */
		struct memdisk *copy = memdisk_kill(f->disk);

		assert_int_equal(damaged_look(f, copy, false, name, what), outcome);
		if (outcome == SERVED)
			assert_int_equal(damaged_look(f, copy, false, name, what), outcome);
		memdisk_free(copy);
	}
	bytes[at] ^= bit;
}

void damaged_flip_range(struct damaged *f, const char *name, size_t from, size_t len)
{
	unsigned step = history_env("DAMAGE_STEP", 3, 17);
	size_t file_len;

	(void)memdisk_bytes(f->disk, name, &file_len);
	for (size_t i = from + damaged_any(f, step); i < from + len && i < file_len; i += step)
		damaged_flip(f, name, i);
}

void damaged_flip_record(struct damaged *f, const char *name, size_t off, size_t len)
{
	damaged_flip_range(f, name, off, FORMAT_RECORD_LEN + 2);
	damaged_flip(f, name, off + FORMAT_RECORD_LEN + damaged_any(f, len - FORMAT_RECORD_LEN));
	damaged_flip_range(f, name, off + len - 17, 17);
}
