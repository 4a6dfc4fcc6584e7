/* Steps, and the volume's content after any number of them. See history.h. */
#include "history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "secret.h"

#define SEED_USUAL 1 /* what fails once fails again; tests/crash-soak takes others */

struct step {
	uint64_t off;
	uint64_t len;
	uint64_t fill; /* 0: zeros */
};

struct history {
	uint64_t size;
	uint32_t block_size;
	uint64_t rng;
	uint8_t *base; /* before the first step */
	uint8_t *last; /* after the last */
	uint8_t *work; /* for matching */
	uint8_t *buf;  /* for writing */
	struct step *steps;
	size_t count;
	size_t room;
	size_t flushed;
};

uint64_t history_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL); /* SplitMix64, Steele et al. 2014 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t history_seed(void)
{
	const char *text = getenv("SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : SEED_USUAL;

	printf("# SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

unsigned history_env(const char *name, unsigned usual, unsigned sanitized)
{
	const char *text = getenv(name);

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	usual = sanitized;
#else
	(void)sanitized;
#endif
	return text ? (unsigned)strtoul(text, NULL, 0) : usual;
}

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

struct secret *history_key(void)
{
	uint8_t bytes[STORE_DATA_KEY_LEN];
	struct secret *key;
	struct err err;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 11 + 3);
	if (secret_from(bytes, sizeof(bytes), &key, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	return key;
}

struct history *history_new(uint64_t size, uint32_t block_size, uint64_t seed)
{
	struct history *h = need(calloc(1, sizeof(*h)));

	h->size = size;
	h->block_size = block_size;
	h->rng = seed;
	h->base = need(calloc(1, size));
	h->last = need(calloc(1, size));
	h->work = need(malloc(size));
	h->buf = need(malloc(size));
	return h;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	free(history->base);
	free(history->last);
	free(history->work);
	free(history->buf);
	free(history->steps);
	free(history);
}

/* The bytes of a step from @off on: each depends on the step and on where it stands. */
static void fill_bytes(const struct step *s, uint64_t off, size_t len, uint8_t *ret)
{
	if (!s->fill) {
		memset(ret, 0, len);
		return;
	}
	for (size_t i = 0; i < len;) {
		uint64_t at = off + i;
		uint64_t word = s->fill ^ (at / 8) * 0x9e3779b97f4a7c15ULL;
		size_t skip = at % 8, n = 8 - skip < len - i ? 8 - skip : len - i;

		memcpy(ret + i, (uint8_t *)&word + skip, n);
		i += n;
	}
}

static void add(struct history *h, uint64_t off, uint64_t len, bool zeros)
{
	struct step *s;

	if (!len)
		return;
	if (h->count == h->room) {
		h->room = h->room ? h->room * 2 : 64;
		h->steps = need(realloc(h->steps, h->room * sizeof(*h->steps)));
	}
	s = &h->steps[h->count++];
	*s = (struct step){off, len, zeros ? 0 : history_random(&h->rng) | 1};
	fill_bytes(s, off, len, h->last + off);
}

int history_write(struct history *h, struct store *store, uint64_t off, size_t len, struct err *err)
{
	for (size_t done = 0, n; done < len;
	     done += n) { /* a record at a time, as the store does */
		size_t max = STORE_IO_MAX - (off + done) % h->block_size;

		n = len - done < max ? len - done : max;
		add(h, off + done, n, false);
	}
	memcpy(h->buf, h->last + off, len);
	return store_write(store, off, len, h->buf, err);
}

int history_discard(struct history *h, struct store *store, uint64_t off, uint64_t len,
		    struct err *err)
{
	uint64_t bs = h->block_size, end = off + len;
	uint64_t first = (off + bs - 1) / bs * bs, last = end / bs * bs;

	if (first > last) {
		add(h, off, len, true);
	} else {
		add(h, off, first - off, true);
		add(h, first, last - first, true);
		add(h, last, end - last, true);
	}
	return store_discard(store, off, len, err);
}

int history_flush(struct history *h, struct store *store, struct err *err)
{
	size_t count = h->count;
	int r = store_flush(store, err);

	if (r == 0)
		h->flushed = count;
	return r;
}

int history_random_step(struct history *h, struct store *store, size_t max_len, struct err *err)
{
	uint64_t what = history_random(&h->rng) % 32;
	uint64_t off = history_random(&h->rng) % h->size;
	uint64_t len =
		1 + history_random(&h->rng) % (history_random(&h->rng) % 8 ? 20000 : max_len);
	uint64_t bs = h->block_size;

	if (history_random(&h->rng) % 2)
		off = history_random(&h->rng) % 16 * bs; /* the same few blocks again and again */
	if (history_random(&h->rng) % 2) {
		off = off / bs * bs;
		len = (len + bs - 1) / bs * bs;
	}
	if (len > h->size - off)
		len = h->size - off;
	if (what < 18)
		return history_write(h, store, off, len, err);
	if (what < 24)
		return history_discard(h, store, off, len, err);
	if (what < 30)
		return history_flush(h, store, err);
	return what == 30 ? store_checkpoint(store, err) : store_clean(store, err);
}

int history_settle(struct history *h, struct store *store, size_t least, struct err *err)
{
	int r = history_read_all(h, store, h->buf, err);
	int64_t k;

	if (r < 0)
		return r;
	k = history_match(h, h->buf, least);
	if (k < 0)
		return err_set(err, EBADMSG, "the volume is as after no step from %zu to %zu",
			       least, h->count);
	h->count = (size_t)k;
	memcpy(h->last, h->buf, h->size);
	return 0;
}

size_t history_steps(const struct history *h)
{
	return h->count;
}

size_t history_flushed(const struct history *h)
{
	return h->flushed;
}

int history_read_all(const struct history *h, struct store *store, uint8_t *ret_bytes,
		     struct err *err)
{
	for (uint64_t off = 0; off < h->size; off += STORE_IO_MAX) {
		uint64_t n = h->size - off < STORE_IO_MAX ? h->size - off : STORE_IO_MAX;
		int r = store_read(store, off, n, ret_bytes + off, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static bool block_differs(const struct history *h, const uint8_t *bytes, uint64_t block)
{
	uint64_t at = block * h->block_size;

	return memcmp(h->work + at, bytes + at, h->block_size) != 0;
}

int64_t history_match(const struct history *h, const uint8_t *bytes, size_t least)
{
	uint64_t differing = 0;
	int64_t found = -1;

	memcpy(h->work, h->base, h->size);
	for (size_t k = 0; k < least && k < h->count; k++)
		fill_bytes(&h->steps[k], h->steps[k].off, h->steps[k].len,
			   h->work + h->steps[k].off);
	for (uint64_t b = 0; b < h->size / h->block_size; b++)
		differing += block_differs(h, bytes, b);
	for (size_t k = least; k <= h->count; k++) {
		if (k > least) {
			const struct step *s = &h->steps[k - 1];
			uint64_t first = s->off / h->block_size;
			uint64_t last = (s->off + s->len - 1) / h->block_size;

			for (uint64_t b = first; b <= last; b++)
				differing -= block_differs(h, bytes, b);
			fill_bytes(s, s->off, s->len, h->work + s->off);
			for (uint64_t b = first; b <= last; b++)
				differing += block_differs(h, bytes, b);
		}
		if (differing == 0)
			found = (int64_t)k;
	}
	return found;
}

bool history_is_last(const struct history *h, uint64_t off, const uint8_t *bytes, size_t len)
{
	return memcmp(h->last + off, bytes, len) == 0;
}

void history_last(const struct history *h, uint64_t off, uint8_t *ret_bytes, size_t len)
{
	memcpy(ret_bytes, h->last + off, len);
}

void history_rebase(struct history *h, const uint8_t *bytes)
{
	memcpy(h->base, bytes, h->size);
	memcpy(h->last, bytes, h->size);
	h->count = 0;
	h->flushed = 0;
}
