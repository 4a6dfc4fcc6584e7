/*
 * Reading: look where the blocks are, read and decrypt runs that stand one behind the other. Nothing is
 * served before its tag, with its LBA and seq, was checked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "blockcrypt.h"
#include "blockmap.h"
#include "crew.h"
#include "disk.h"
#include "err.h"
#include "format.h"
#include "segment.h"
#include "store.h"
#include "store_internal.h"

/* @count blocks that stand one behind the other from @seq on, at most a chunk. */
static int read_slots(struct store *s, struct store_worker *w, uint64_t lba, uint64_t count,
		      uint64_t seq, uint8_t *buf, struct err *err)
{
	uint32_t block_size = s->geometry.block_size;
	uint64_t i = 0, unit = s->slot_len / FORMAT_UNIT;
	struct segment *segment;
	int r = segment_get(s->table, format_seq_segment(seq), &segment, err);

	if (r < 0)
		return r;
	r = disk_pread(segment_file(segment), w->slots, count * s->slot_len, format_seq_off(seq));
	if (r == 0)
		r = store_use_key(w->decrypt, &w->decrypt_for, segment);
	for (; r == 0 && i < count; i++)
		r = blockcrypt_decrypt(w->decrypt, lba + i, seq + i * unit,
				       w->slots + i * s->slot_len, buf + i * block_size);
	segment_put(segment);
	if (r == 0)
		return 0;
	i -= i > 0;
	if (r == -EBADMSG || r == -ENODATA)
		return err_set(err, EBADMSG,
			       "block %" PRIu64 ": segments/%08" PRIx32 " at %" PRIu64 ": %s",
			       lba + i, format_seq_segment(seq), format_seq_off(seq + i * unit),
			       r == -EBADMSG ? "the data is damaged: it fails its check"
					     : "the file is cut short");
	return err_set(err, EIO,
		       "block %" PRIu64 ": segments/%08" PRIx32 " at %" PRIu64 ": read: %s",
		       lba + i, format_seq_segment(seq), format_seq_off(seq), strerror(-r));
}

/* How many of the next blocks, at most @max, stand one behind the other (holes: are holes too). */
static uint64_t run_length(const struct store *s, uint64_t lba, uint64_t max, uint64_t seq)
{
	uint64_t step = seq ? s->slot_len / FORMAT_UNIT : 0, n = 1;

	while (n < max && blockmap_get(s->map, lba + n) == seq + n * step)
		n++;
	return n;
}

int store_read_blocks(struct store *s, struct store_worker *w, uint64_t lba, uint64_t count,
		      uint8_t *buf, struct err *err)
{
	while (count) {
		uint64_t seq = blockmap_get(s->map, lba);
		uint64_t max = count < s->chunk_blocks ? count : s->chunk_blocks;
		uint64_t n = run_length(s, lba, max, seq);
		int r;

		if (seq) {
			r = read_slots(s, w, lba, n, seq, buf, err);
			if (r == -ENOENT && blockmap_get(s->map, lba) != seq)
				continue; /* overwritten, and its dead segment gone, meanwhile */
			if (r < 0)
				return r == -ENOENT ? err_set(err, EIO, "%s", err ? err->msg : "")
						    : r;
		} else {
			memset(buf, 0, n * s->geometry.block_size);
		}
		lba += n;
		count -= n;
		buf += n * s->geometry.block_size;
	}
	return 0;
}

/* A read of many chunks, in parts that the crew takes. */
struct wide {
	struct store *store;
	uint64_t lba;
	uint64_t count; /* blocks */
	uint8_t *buf;
	pthread_mutex_t lock; /* guards said and *err */
	bool said;
	struct err *err;
};

static int read_chunk(void *arg, unsigned part)
{
	struct wide *wide = arg;
	struct store *s = wide->store;
	uint64_t skip = (uint64_t)part * s->chunk_blocks;
	struct store_worker *w;
	struct err err;
	int r = store_worker_get(s, true, &w, &err);

	if (r == 0) {
		r = store_read_blocks(s, w, wide->lba + skip, store_chunk_len(s, wide->count, part),
				      wide->buf + skip * s->geometry.block_size, &err);
		store_worker_put(s, w);
	}
	if (r < 0) {
		pthread_mutex_lock(&wide->lock);
		if (!wide->said && wide->err)
			*wide->err = err;
		wide->said = true;
		pthread_mutex_unlock(&wide->lock);
	}
	return r;
}

/* store_read_blocks() for any length. */
static int read_wide(struct store *s, struct store_worker *w, uint64_t lba, uint64_t count,
		     uint8_t *buf, struct err *err)
{
	struct wide wide = {.store = s,
			    .lba = lba,
			    .count = count,
			    .buf = buf,
			    .err = err,
			    .lock = PTHREAD_MUTEX_INITIALIZER};

	if (store_chunk_count(s, count) == 1)
		return store_read_blocks(s, w, lba, count, buf, err);
	return crew_run(s->crew, store_chunk_count(s, count), read_chunk, &wide);
}

/* The part of one block from @skip on. */
static int read_part(struct store *s, struct store_worker *w, uint64_t lba, uint32_t skip,
		     size_t len, uint8_t *buf, struct err *err)
{
	int r = store_read_blocks(s, w, lba, 1, w->edges[0], err);

	if (r == 0)
		memcpy(buf, w->edges[0] + skip, len);
	OPENSSL_cleanse(w->edges[0], s->geometry.block_size);
	return r;
}

int store_read(struct store *store, uint64_t off, size_t len, uint8_t *buf, struct err *err)
{
	uint32_t block_size = store->geometry.block_size;
	struct store_worker *w;
	size_t done = 0;
	int r = store_check_range(store, off, len, err);

	if (r == 0)
		r = store_worker_get(store, false, &w, err);
	if (r < 0)
		return r;
	while (r == 0 && done < len) {
		uint64_t lba = (off + done) / block_size;
		uint32_t skip = (uint32_t)((off + done) % block_size);
		size_t n = (len - done) / block_size * block_size;

		if (skip || n == 0) {
			n = block_size - skip < len - done ? block_size - skip : len - done;
			r = read_part(store, w, lba, skip, n, buf + done, err);
		} else {
			r = read_wide(store, w, lba, n / block_size, buf + done, err);
		}
		done += n;
	}
	store_worker_put(store, w);
	if (r < 0)
		OPENSSL_cleanse(buf, len);
	return r;
}

int store_seek(struct store *store, uint64_t off, bool hole, uint64_t *ret_off)
{
	uint32_t block_size = store->geometry.block_size;
	uint64_t size = store->geometry.size_bytes, found;

	if (off >= size)
		return -ENXIO;
	found = blockmap_seek(store->map, off / block_size, hole) * block_size;
	if (!hole && found >= size)
		return -ENXIO;
	*ret_off = found > off ? found : off;
	return 0;
}
