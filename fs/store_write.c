/*
 * Writing and discarding. A write: claim the blocks, complete partial ones with what they hold, reserve
 * its place in the log, encrypt and write there chunk by chunk, show it in the map.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "blockcrypt.h"
#include "blockmap.h"
#include "cleaner.h"
#include "crew.h"
#include "disk.h"
#include "err.h"
#include "format.h"
#include "log.h"
#include "segment.h"
#include "store.h"
#include "store_internal.h"

#define ROOM_TRIES 16 /* how often a writer waits for room that others then take */

/* A record of many chunks, in parts that the crew takes. */
struct wide {
	struct store *store;
	struct store_worker *worker; /* has the edges, and does a single chunk */
	const struct store_piece *piece;
	const struct log_place *place;
};

int store_check_range(const struct store *s, uint64_t off, uint64_t len, struct err *err)
{
	if (off <= s->geometry.size_bytes && len <= s->geometry.size_bytes - off)
		return 0;
	return err_set(err, EINVAL,
		       "%" PRIu64 " bytes at %" PRIu64 " end behind the volume's %" PRIu64, len,
		       off, s->geometry.size_bytes);
}

/* The whole plain block @i of a piece. */
static const uint8_t *plain_of(const struct store *s, const struct store_worker *w,
			       const struct store_piece *p, uint64_t i)
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
static int complete_edges(struct store *s, struct store_worker *w, const struct store_piece *p,
			  struct err *err)
{
	uint32_t block_size = s->geometry.block_size;
	int r = 0;

	if (p->first_partial) {
		size_t n = block_size - p->skip < p->len ? block_size - p->skip : p->len;

		r = store_read_blocks(s, w, p->lba, 1, w->edges[0], err);
		if (r == 0)
			overlay(w->edges[0] + p->skip, p->buf, n);
	}
	if (r == 0 && p->last_partial) {
		size_t before = (size_t)(p->count - 1) * block_size - p->skip;

		r = store_read_blocks(s, w, p->lba + p->count - 1, 1, w->edges[1], err);
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
	uint64_t count = store_chunk_len(s, wide->piece->count, part);
	uint64_t off = place->off, seq = place->seq + FORMAT_RECORD_LEN / FORMAT_UNIT;
	struct store_worker *w = wide->worker;
	size_t fill = 0;
	int r = count == wide->piece->count ? 0 : store_worker_get(s, true, &w, NULL);

	if (r < 0)
		return r;
	if (part == 0) {
		struct format_record record = {.type = FORMAT_WRITE,
					       .lba = wide->piece->lba,
					       .count = wide->piece->count,
					       .seq = place->seq,
					       .durable = place->durable};

		format_record_put(&record, w->slots);
		fill = FORMAT_RECORD_LEN;
	} else {
		off += FORMAT_RECORD_LEN + first * s->slot_len;
	}
	r = store_use_key(w->encrypt, &w->encrypt_for, place->segment);
	for (uint64_t i = first; r == 0 && i < first + count; i++, fill += s->slot_len)
		r = blockcrypt_encrypt(w->encrypt, wide->piece->lba + i, seq + i * unit,
				       plain_of(s, wide->worker, wide->piece, i), w->slots + fill);
	if (r == 0)
		r = disk_pwrite(segment_file(place->segment), w->slots, fill, off);
	if (w != wide->worker)
		store_worker_put(s, w);
	return r;
}

int store_append_piece(struct store *s, struct store_worker *w, const struct store_piece *p,
		       struct log_claim *claim, struct err *err)
{
	size_t len = FORMAT_RECORD_LEN + (size_t)p->count * s->slot_len;
	struct log_place place;
	struct wide wide = {.store = s, .worker = w, .piece = p, .place = &place};
	int written, r = log_reserve(s->log, claim, len, &place, err);

	if (r < 0)
		return r;
	written = crew_run(s->crew, store_chunk_count(s, p->count), write_chunk, &wide);
	if (written == 0)
		blockmap_set(s->map, p->lba, p->count, place.seq + FORMAT_RECORD_LEN / FORMAT_UNIT);
	else
		r = err_set(err, EIO,
			    "block %" PRIu64 ": segments/%08" PRIx32 " at %" PRIu64 ": write: %s",
			    p->lba, segment_id(place.segment), place.off, strerror(-written));
	log_done(s->log, claim, &place, written);
	store_appended(s, len);
	return r;
}

static int write_piece(struct store *s, struct store_worker *w, const struct store_piece *p,
		       struct err *err)
{
	struct log_claim claim;
	unsigned tries = 0;
	int r, room = 0;

	cleaner_slow_writer(s->cleaner);
	do { /* no claim is held while the cleaner makes room: it may want to move these blocks */
		log_claim(s->log, &claim, p->lba, p->count);
		r = complete_edges(s, w, p, err);
		if (r == 0)
			r = store_append_piece(s, w, p, &claim, err);
		log_release(s->log, &claim);
		cleaner_stir(s->cleaner, FORMAT_RECORD_LEN + p->count * s->slot_len);
		if (r == -ENOSPC && tries++ < ROOM_TRIES)
			room = cleaner_make_room(s->cleaner);
		else
			break;
	} while (room == 0);
	if (room == -EAGAIN) /* whether there is room is not known */
		r = err_set(err, EAGAIN,
			    "the store is wanted, a write that waits for room is not done");
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
		struct store_piece p = {
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
	int r = store_check_range(store, off, len, err);

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
	claim.into_reserve = true; /* it makes more room than it takes */
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
	cleaner_stir(s->cleaner, sizeof(bytes));
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
	int r = store_check_range(store, off, len, err);

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

void store_hurry(struct store *store, bool hurry)
{
	if (store)
		cleaner_hurry(store->cleaner, hurry);
}

void store_end_waiting(struct store *store)
{
	if (store)
		cleaner_end_waiting(store->cleaner);
}

int store_flush(struct store *store, struct err *err)
{
	return store->log ? log_flush(store->log, err) : 0;
}
