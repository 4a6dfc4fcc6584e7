/*
 * Reading, writing and discarding. A write: claim the blocks, complete partial ones with what they
 * hold, reserve its place in the log, encrypt and write there chunk by chunk, show it in the map. A
 * read: look where the blocks are, read and decrypt runs that stand one behind the other.
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
#include "log.h"
#include "segment.h"
#include "store.h"
#include "store_internal.h"

/* Reading. */

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

static int read_blocks(struct store *s, struct store_worker *w, uint64_t lba, uint64_t count,
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

/* A read or a write of many chunks, in parts that the crew takes. */
struct wide {
	struct store *store;
	uint64_t lba;
	uint64_t count;		     /* blocks */
	uint8_t *buf;		     /* of a read */
	struct store_worker *worker; /* of a write: has the edges, and does a single chunk */
	const struct piece *piece;
	const struct log_place *place;
	pthread_mutex_t lock; /* guards said and *err */
	bool said;
	struct err *err;
};

static unsigned chunk_count(const struct store *s, uint64_t blocks)
{
	return (unsigned)((blocks + s->chunk_blocks - 1) / s->chunk_blocks);
}

/* Blocks of chunk @part. */
static uint64_t chunk_len(const struct store *s, uint64_t blocks, unsigned part)
{
	uint64_t left = blocks - (uint64_t)part * s->chunk_blocks;

	return left < s->chunk_blocks ? left : s->chunk_blocks;
}

static int read_chunk(void *arg, unsigned part)
{
	struct wide *wide = arg;
	struct store *s = wide->store;
	uint64_t skip = (uint64_t)part * s->chunk_blocks;
	struct store_worker *w;
	struct err err;
	int r = store_worker_get(s, true, &w, &err);

	if (r == 0) {
		r = read_blocks(s, w, wide->lba + skip, chunk_len(s, wide->count, part),
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

/* read_blocks() for any length. */
static int read_wide(struct store *s, struct store_worker *w, uint64_t lba, uint64_t count,
		     uint8_t *buf, struct err *err)
{
	struct wide wide = {.store = s,
			    .lba = lba,
			    .count = count,
			    .buf = buf,
			    .err = err,
			    .lock = PTHREAD_MUTEX_INITIALIZER};

	if (chunk_count(s, count) == 1)
		return read_blocks(s, w, lba, count, buf, err);
	return crew_run(s->crew, chunk_count(s, count), read_chunk, &wide);
}

static int check_range(const struct store *s, uint64_t off, uint64_t len, struct err *err)
{
	if (off <= s->geometry.size_bytes && len <= s->geometry.size_bytes - off)
		return 0;
	return err_set(err, EINVAL,
		       "%" PRIu64 " bytes at %" PRIu64 " end behind the volume's %" PRIu64, len,
		       off, s->geometry.size_bytes);
}

/* The part of one block from @skip on. */
static int read_part(struct store *s, struct store_worker *w, uint64_t lba, uint32_t skip,
		     size_t len, uint8_t *buf, struct err *err)
{
	int r = read_blocks(s, w, lba, 1, w->edges[0], err);

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
	int r = check_range(store, off, len, err);

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

/* Writing. */

/* One record's worth of a write. */
struct piece {
	uint64_t lba;
	uint64_t count;	    /* blocks */
	uint32_t skip;	    /* bytes of the first block before the data */
	size_t len;	    /* bytes of data */
	const uint8_t *buf; /* NULL: zeros */
	bool first_partial, last_partial;
};

/* The whole plain block @i of a piece. */
static const uint8_t *plain_of(const struct store *s, const struct store_worker *w,
			       const struct piece *p, uint64_t i)
{
	if (i == 0 && p->first_partial)
		return w->edges[0];
	if (i == p->count - 1 && p->last_partial)
		return w->edges[1];
	return p->buf + i * s->geometry.block_size - p->skip;
}

static void overlay(uint8_t *to, const uint8_t *from, size_t len)
{
	if (from)
		memcpy(to, from, len);
	else
		memset(to, 0, len);
}

/* Read-modify-write: fill the edges with what the blocks hold and what is written over it. */
static int complete_edges(struct store *s, struct store_worker *w, const struct piece *p,
			  struct err *err)
{
	uint32_t block_size = s->geometry.block_size;
	int r = 0;

	if (p->first_partial) {
		size_t n = block_size - p->skip < p->len ? block_size - p->skip : p->len;

		r = read_blocks(s, w, p->lba, 1, w->edges[0], err);
		if (r == 0)
			overlay(w->edges[0] + p->skip, p->buf, n);
	}
	if (r == 0 && p->last_partial) {
		size_t before = (size_t)(p->count - 1) * block_size - p->skip;

		r = read_blocks(s, w, p->lba + p->count - 1, 1, w->edges[1], err);
		if (r == 0)
			overlay(w->edges[1], p->buf ? p->buf + before : NULL, p->len - before);
	}
	return r;
}

/* Encrypt one chunk of a piece to its place in the log; the first takes the header along. */
static int write_chunk(void *arg, unsigned part)
{
	struct wide *wide = arg;
	struct store *s = wide->store;
	const struct log_place *place = wide->place;
	uint64_t first = (uint64_t)part * s->chunk_blocks, unit = s->slot_len / FORMAT_UNIT;
	uint64_t count = chunk_len(s, wide->count, part);
	uint64_t off = place->off, seq = place->seq + FORMAT_RECORD_LEN / FORMAT_UNIT;
	struct store_worker *w = wide->worker;
	size_t fill = 0;
	int r = count == wide->count ? 0 : store_worker_get(s, true, &w, NULL);

	if (r < 0)
		return r;
	if (part == 0) {
		struct format_record record = {.type = FORMAT_WRITE,
					       .lba = wide->lba,
					       .count = wide->count,
					       .seq = place->seq,
					       .durable = place->durable};

		format_record_put(&record, w->slots);
		fill = FORMAT_RECORD_LEN;
	} else {
		off += FORMAT_RECORD_LEN + first * s->slot_len;
	}
	r = store_use_key(w->encrypt, &w->encrypt_for, place->segment);
	for (uint64_t i = first; r == 0 && i < first + count; i++, fill += s->slot_len)
		r = blockcrypt_encrypt(w->encrypt, wide->lba + i, seq + i * unit,
				       plain_of(s, wide->worker, wide->piece, i), w->slots + fill);
	if (r == 0)
		r = disk_pwrite(segment_file(place->segment), w->slots, fill, off);
	if (w != wide->worker)
		store_worker_put(s, w);
	return r;
}

/* Encrypt the piece's blocks to their place in the log. */
static int write_record(struct store *s, struct store_worker *w, const struct piece *p,
			const struct log_place *place)
{
	struct wide wide = {.store = s,
			    .lba = p->lba,
			    .count = p->count,
			    .worker = w,
			    .piece = p,
			    .place = place};

	return crew_run(s->crew, chunk_count(s, p->count), write_chunk, &wide);
}

static int write_piece(struct store *s, struct store_worker *w, const struct piece *p,
		       struct err *err)
{
	size_t len = FORMAT_RECORD_LEN + (size_t)p->count * s->slot_len;
	struct log_place place;
	struct log_claim claim;
	int r;

	log_claim(s->log, &claim, p->lba, p->count);
	r = complete_edges(s, w, p, err);
	if (r == 0)
		r = log_reserve(s->log, &claim, len, &place, err);
	if (r == 0) {
		int written = write_record(s, w, p, &place);

		if (written == 0)
			blockmap_set(s->map, p->lba, p->count,
				     place.seq + FORMAT_RECORD_LEN / FORMAT_UNIT);
		else
			r = err_set(err, EIO,
				    "block %" PRIu64 ": segments/%08" PRIx32 " at %" PRIu64
				    ": write: %s",
				    p->lba, segment_id(place.segment), place.off,
				    strerror(-written));
		log_done(s->log, &claim, &place, written);
	}
	log_release(s->log, &claim);
	store_appended(s, len);
	if (p->first_partial)
		OPENSSL_cleanse(w->edges[0], s->geometry.block_size);
	if (p->last_partial)
		OPENSSL_cleanse(w->edges[1], s->geometry.block_size);
	return r;
}

/* Write @len bytes, zeros with @buf NULL (then all within one block). */
static int write_bytes(struct store *s, uint64_t off, size_t len, const uint8_t *buf,
		       struct err *err)
{
	uint32_t block_size = s->geometry.block_size;
	struct store_worker *w;
	int r = store_worker_get(s, false, &w, err);

	if (r < 0)
		return r;
	while (r == 0 && len) {
		struct piece p = {
			.lba = off / block_size, .skip = (uint32_t)(off % block_size), .buf = buf};

		p.len = STORE_IO_MAX - p.skip < len ? STORE_IO_MAX - p.skip : len;
		p.count = (p.skip + p.len + block_size - 1) / block_size;
		p.first_partial = p.skip || p.len < block_size;
		p.last_partial = p.count > 1 && (p.skip + p.len) % block_size;
		r = write_piece(s, w, &p, err);
		off += p.len;
		len -= p.len;
		buf = buf ? buf + p.len : NULL;
	}
	store_worker_put(s, w);
	return r;
}

static int check_writable(struct store *s, struct err *err)
{
	if (s->read_only)
		return err_set(err, EROFS, "the volume is open for reading only");
	return log_stopped(s->log) ? log_stopped_err(s->log, err) : 0;
}

int store_write(struct store *store, uint64_t off, size_t len, const uint8_t *buf, struct err *err)
{
	int r = check_range(store, off, len, err);

	if (r == 0)
		r = check_writable(store, err);
	return r < 0 ? r : write_bytes(store, off, len, buf, err);
}

/* Discard whole blocks. */
static int discard_blocks(struct store *s, uint64_t lba, uint64_t count, struct err *err)
{
	uint8_t bytes[FORMAT_RECORD_LEN + FORMAT_RECORD_TAG_LEN];
	struct format_record record = {.type = FORMAT_DISCARD, .lba = lba, .count = count};
	struct log_place place;
	struct log_claim claim;
	int r = 0, written;

	log_claim(s->log, &claim, lba, count);
	if (blockmap_seek(s->map, lba, 0) >= lba + count)
		goto out; /* nothing there */
	r = log_reserve(s->log, &claim, sizeof(bytes), &place, err);
	if (r < 0)
		goto out;
	record.seq = place.seq;
	record.durable = place.durable;
	format_record_put(&record, bytes);
	written = segment_record_mac(place.segment, bytes, FORMAT_RECORD_LEN,
				     bytes + FORMAT_RECORD_LEN);
	if (written == 0)
		written = disk_pwrite(segment_file(place.segment), bytes, sizeof(bytes), place.off);
	if (written == 0)
		blockmap_set(s->map, lba, count, 0);
	else /* as a failed write: also -ENOSPC is not one that passes here */
		r = err_set(err, EIO, "discard of %" PRIu64 " blocks at %" PRIu64 ": write: %s",
			    count, lba, strerror(-written));
	log_done(s->log, &claim, &place, written);
	store_appended(s, sizeof(bytes));
out:
	log_release(s->log, &claim);
	return r;
}

int store_discard(struct store *store, uint64_t off, uint64_t len, struct err *err)
{
	uint32_t block_size = store->geometry.block_size;
	uint64_t end = off + len;
	uint64_t first = (off + block_size - 1) / block_size;
	uint64_t last = end / block_size;
	int r = check_range(store, off, len, err);

	if (r == 0)
		r = check_writable(store, err);
	if (r < 0 || len == 0)
		return r;
	if (first > last) /* within one block */
		return write_bytes(store, off, (size_t)len, NULL, err);
	if (off % block_size)
		r = write_bytes(store, off, (size_t)(first * block_size - off), NULL, err);
	if (r == 0 && last > first)
		r = discard_blocks(store, first, last - first, err);
	if (r == 0 && end % block_size)
		r = write_bytes(store, last * block_size, (size_t)(end % block_size), NULL, err);
	return r;
}

int store_flush(struct store *store, struct err *err)
{
	return store->log ? log_flush(store->log, err) : 0;
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
