/*
 * What differs between two stores of one volume. Where both maps name the same seq, the content is the
 * same: a seq is written once. Where they do not, the cleaner may have moved the block, so it is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "blockmap.h"
#include "err.h"
#include "store.h"
#include "store_internal.h"

struct diff {
	struct store *a, *b;
	uint8_t *bytes[2]; /* STORE_DIFF_UNIT each */
};

static bool mapped_in(const struct store *s, uint64_t lba, uint64_t count)
{
	uint64_t blocks = s->geometry.size_bytes / s->geometry.block_size;

	return lba < blocks && blockmap_seek(s->map, lba, 0) < lba + count;
}

static uint64_t entry(const struct store *s, uint64_t lba)
{
	return lba < s->geometry.size_bytes / s->geometry.block_size ? blockmap_get(s->map, lba)
								     : 0;
}

/* 1: @len bytes at @off differ, 0: they do not. Both stores have them. */
static int content_differs(struct diff *d, uint64_t off, uint64_t len, struct err *err)
{
	uint32_t block_size = d->a->geometry.block_size;
	uint64_t lba = off / block_size, count = len / block_size;
	bool same = true;
	int r;

	for (uint64_t i = 0; same && i < count; i++)
		same = entry(d->a, lba + i) == entry(d->b, lba + i);
	if (same)
		return 0;
	r = store_read(d->a, off, len, d->bytes[0], err);
	if (r == 0)
		r = store_read(d->b, off, len, d->bytes[1], err);
	return r < 0 ? r : memcmp(d->bytes[0], d->bytes[1], len) != 0;
}

/* One unit of which at least one has a block. */
static int compare(struct diff *d, uint64_t off,
		   int (*change)(void *arg, const struct store_change *c), void *arg,
		   struct err *err)
{
	uint64_t a = d->a->geometry.size_bytes, b = d->b->geometry.size_bytes;
	uint64_t both = a < b ? a : b, all = a < b ? b : a;
	uint32_t block_size = d->a->geometry.block_size;
	uint64_t count = STORE_DIFF_UNIT / block_size;
	struct store_change c = {
		.off = off,
		.len = all - off < STORE_DIFF_UNIT ? all - off : STORE_DIFF_UNIT,
		.in_first = mapped_in(d->a, off / block_size, count),
		.in_second = mapped_in(d->b, off / block_size, count),
	};
	uint64_t end = off + c.len < both ? off + c.len : both;
	int differs = c.in_first != c.in_second;

	if (!differs && off + c.len > both) /* one of them ends in it: the other one's rest */
		differs = mapped_in(d->a, both / block_size, (off + c.len - both) / block_size) ||
			  mapped_in(d->b, both / block_size, (off + c.len - both) / block_size);
	if (!differs && end > off)
		differs = content_differs(d, off, end - off, err);
	return differs > 0 ? change(arg, &c) : differs;
}

/* First unit at or behind @off that has a block in either; UINT64_MAX: none. */
static uint64_t next_unit(const struct diff *d, uint64_t off)
{
	uint64_t best = UINT64_MAX, found;

	if (store_seek(d->a, off, false, &found) == 0)
		best = found;
	if (store_seek(d->b, off, false, &found) == 0 && found < best)
		best = found;
	return best == UINT64_MAX ? best : best / STORE_DIFF_UNIT * STORE_DIFF_UNIT;
}

int store_diff(struct store *first, struct store *second,
	       int (*change)(void *arg, const struct store_change *c), void *arg, struct err *err)
{
	struct diff d = {.a = first, .b = second};
	int r = 0;

	if (first->geometry.block_size != second->geometry.block_size ||
	    strcmp(first->geometry.volume_id, second->geometry.volume_id) != 0)
		return err_set(err, EINVAL, "they are of different volumes");
	for (int i = 0; i < 2; i++)
		if (!(d.bytes[i] = malloc(STORE_DIFF_UNIT)))
			r = err_set(err, ENOMEM, "out of memory");
	for (uint64_t off = next_unit(&d, 0); r == 0 && off != UINT64_MAX;
	     off = next_unit(&d, off + STORE_DIFF_UNIT))
		r = compare(&d, off, change, arg, err);
	for (int i = 0; i < 2; i++) {
		if (d.bytes[i])
			OPENSSL_cleanse(d.bytes[i], STORE_DIFF_UNIT);
		free(d.bytes[i]);
	}
	return r;
}
