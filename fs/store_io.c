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
#include "disk.h"
#include "err.h"
#include "format.h"
#include "log.h"
#include "segment.h"
#include "store.h"
#include "store_internal.h"

/* Workers. */

static void worker_free(const struct store *s, struct store_worker *w)
{
	if (!w)
		return;
	blockcrypt_free(w->encrypt);
	blockcrypt_free(w->decrypt);
	for (size_t i = 0; i < 2; i++) {
		if (w->edges[i])
			OPENSSL_cleanse(w->edges[i], s->geometry.block_size);
		free(w->edges[i]);
	}
	free(w->slots);
	free(w);
}

static int worker_new(const struct store *s, struct store_worker **ret_worker, struct err *err)
{
	struct store_worker *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (w) {
		w->slots = malloc(FORMAT_RECORD_LEN + (size_t)s->chunk_blocks * s->slot_len);
		w->edges[0] = malloc(s->geometry.block_size);
		w->edges[1] = malloc(s->geometry.block_size);
	}
	if (!w || !w->slots || !w->edges[0] || !w->edges[1])
		(void)err_set(err, ENOMEM, "buffers for I/O: out of memory");
	else
		r = blockcrypt_new(s->geometry.cipher, BLOCKCRYPT_ENCRYPT, s->geometry.block_size,
				   &w->encrypt, err);
	if (r == 0)
		r = blockcrypt_new(s->geometry.cipher, BLOCKCRYPT_DECRYPT, s->geometry.block_size,
				   &w->decrypt, err);
	if (r < 0) {
		worker_free(s, w);
		return r;
	}
	*ret_worker = w;
	return 0;
}

int store_worker_get(struct store *store, struct store_worker **ret_worker, struct err *err)
{
	struct store_worker *w;
	int r = 0;

	pthread_mutex_lock(&store->worker_lock);
	while (!store->workers && store->worker_count == STORE_WORKERS_MAX)
		pthread_cond_wait(&store->worker_back, &store->worker_lock);
	w = store->workers;
	if (w)
		store->workers = w->next;
	else
		store->worker_count++;
	pthread_mutex_unlock(&store->worker_lock);
	if (!w) {
		r = worker_new(store, &w, err);
		if (r < 0) {
			pthread_mutex_lock(&store->worker_lock);
			store->worker_count--;
			pthread_mutex_unlock(&store->worker_lock);
			return r;
		}
	}
	*ret_worker = w;
	return 0;
}

void store_worker_put(struct store *store, struct store_worker *worker)
{
	pthread_mutex_lock(&store->worker_lock);
	worker->next = store->workers;
	store->workers = worker;
	pthread_cond_signal(&store->worker_back);
	pthread_mutex_unlock(&store->worker_lock);
}

void store_workers_free(struct store *store)
{
	struct store_worker *w;

	while ((w = store->workers)) {
		store->workers = w->next;
		worker_free(store, w);
	}
}

/* Have @crypt use the key of @segment; *@id is the one whose key it uses. */
static int use_key(struct blockcrypt *crypt, uint32_t *id, const struct segment *segment)
{
	if (*id == segment_id(segment))
		return 0;
	*id = 0;
	if (blockcrypt_set_key(crypt, segment_key(segment)) < 0)
		return -EIO;
	*id = segment_id(segment);
	return 0;
}

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
		r = use_key(w->decrypt, &w->decrypt_for, segment);
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
		r = store_worker_get(store, &w, err);
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
			r = read_blocks(store, w, lba, n / block_size, buf + done, err);
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

/* Encrypt the piece's blocks to their place in the log. */
static int write_record(struct store *s, struct store_worker *w, const struct piece *p,
			const struct log_place *place)
{
	struct format_record record = {.type = FORMAT_WRITE,
				       .lba = p->lba,
				       .count = p->count,
				       .seq = place->seq,
				       .durable = place->durable};
	uint64_t off = place->off, unit = s->slot_len / FORMAT_UNIT;
	uint64_t seq = place->seq + FORMAT_RECORD_LEN / FORMAT_UNIT;
	size_t fill = FORMAT_RECORD_LEN;
	int r = use_key(w->encrypt, &w->encrypt_for, place->segment);

	format_record_put(&record, w->slots);
	for (uint64_t i = 0; r == 0 && i < p->count;) {
		uint64_t n = p->count - i < s->chunk_blocks ? p->count - i : s->chunk_blocks;

		for (uint64_t k = 0; r == 0 && k < n; k++, fill += s->slot_len)
			r = blockcrypt_encrypt(w->encrypt, p->lba + i + k, seq + (i + k) * unit,
					       plain_of(s, w, p, i + k), w->slots + fill);
		if (r == 0)
			r = disk_pwrite(segment_file(place->segment), w->slots, fill, off);
		off += fill;
		fill = 0;
		i += n;
	}
	return r;
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
	int r = store_worker_get(s, &w, err);

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
