/*
 * Reading: look where the blocks are, read and decrypt them in the order in which they stand there. Nothing
 * is served before its tag, with its LBA and seq, was checked.
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

#define CHUNK_BLOCKS_MAX (STORE_CHUNK_BYTES / STORE_BLOCK_SIZE_MIN)

/* A block to be read. */
struct wanted {
	uint64_t seq; /* where the map says that it is */
	unsigned i;   /* which of the chunk's */
};

/* The chunk that is read. */
struct chunk {
	struct store *store;
	struct store_worker *worker;
	uint64_t lba;
	uint8_t *buf;
	struct wanted wanted[CHUNK_BLOCKS_MAX]; /* by rising seq, without holes */
	unsigned count;
};

static int say_error(const struct chunk *c, const struct wanted *w, int r, struct err *err)
{
	const char *why = r == -EBADMSG	  ? "the data is damaged: it fails its check"
			  : r == -ENODATA ? "the file is cut short"
					  : strerror(-r);
	bool damaged = r == -EBADMSG || r == -ENODATA;

	return err_set(err, damaged ? EBADMSG : EIO,
		       "block %" PRIu64 ": segments/%08" PRIx32 " at %" PRIu64 ": %s%s",
		       c->lba + w->i, format_seq_segment(w->seq), format_seq_off(w->seq),
		       damaged ? "" : "read: ", why);
}

/* Read blocks that stand close together, in one piece with what is between them, and decrypt them. */
static int read_group(struct chunk *c, const struct wanted *w, unsigned count, struct err *err)
{
	struct store *s = c->store;
	struct store_worker *worker = c->worker;
	uint64_t from = format_seq_off(w[0].seq), len;
	struct segment *segment;
	unsigned i = 0;
	int r = segment_get(s->table, format_seq_segment(w[0].seq), &segment, err);

	if (r < 0)
		return r;
	len = format_seq_off(w[count - 1].seq) + s->slot_len - from;
	r = disk_pread(segment_file(segment), worker->slots, len, from);
	if (r == 0)
		r = store_use_key(worker->decrypt, &worker->decrypt_for, segment);
	for (; r == 0 && i < count; i++)
		r = blockcrypt_decrypt(worker->decrypt, c->lba + w[i].i, w[i].seq,
				       worker->slots + (format_seq_off(w[i].seq) - from),
				       c->buf + (size_t)w[i].i * s->geometry.block_size);
	segment_put(segment);
	return r == 0 ? 0 : say_error(c, &w[i - (i > 0)], r, err);
}

/* How many of the next blocks are read with the first: the gaps cost less than further calls. */
static unsigned group_len(const struct chunk *c, const struct wanted *w, unsigned count)
{
	uint32_t slot_len = c->store->slot_len;
	uint64_t room = FORMAT_RECORD_LEN + (uint64_t)c->store->chunk_blocks * slot_len;
	unsigned n = 1;

	for (; n < count; n++) {
		uint64_t off = format_seq_off(w[n].seq),
			 end = format_seq_off(w[n - 1].seq) + slot_len;

		if (format_seq_segment(w[n].seq) != format_seq_segment(w[0].seq) ||
		    off - end > slot_len || off + slot_len - format_seq_off(w[0].seq) > room)
			break;
	}
	return n;
}

/* Where the blocks of the chunk are; those that are nowhere are zeros. */
static void look_up(struct chunk *c, uint64_t count)
{
	uint32_t block_size = c->store->geometry.block_size;

	c->count = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t seq = blockmap_get(c->store->map, c->lba + i);
		unsigned k = c->count;

		if (!seq) {
			memset(c->buf + (size_t)i * block_size, 0, block_size);
			continue;
		}
		for (; k > 0 && c->wanted[k - 1].seq > seq; k--)
			c->wanted[k] = c->wanted[k - 1];
		c->wanted[k] = (struct wanted){seq, i};
		c->count++;
	}
}

/* At most a chunk. -ENOENT: a segment is gone though the map names it still. */
static int read_blocks_of_chunk(struct store *s, struct store_worker *w, uint64_t lba,
				uint64_t count, uint8_t *buf, struct err *err)
{
	struct chunk c = {.store = s, .worker = w, .lba = lba, .buf = buf};
	int r = 0;

	look_up(&c, count);
	for (unsigned i = 0, n; r == 0 && i < c.count; i += n) {
		n = group_len(&c, c.wanted + i, c.count - i);
		r = read_group(&c, c.wanted + i, n, err);
		if (r == -ENOENT && blockmap_get(s->map, lba + c.wanted[i].i) != c.wanted[i].seq)
			return -EAGAIN; /* overwritten or moved, and its dead segment gone, meanwhile */
	}
	return r;
}

int store_read_blocks(struct store *s, struct store_worker *w, uint64_t lba, uint64_t count,
		      uint8_t *buf, struct err *err)
{
	while (count) {
		uint64_t n = count < s->chunk_blocks ? count : s->chunk_blocks;
		int r = read_blocks_of_chunk(s, w, lba, n, buf, err);

		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return r == -ENOENT ? err_set(err, EIO, "%s", err ? err->msg : "") : r;
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
