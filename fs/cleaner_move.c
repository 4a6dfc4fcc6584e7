/*
 * One move: walk through the records of the segments and list the slots that the map still names; sort the
 * list by LBA; for each run of neighbours claim it, look at the map again, read and check what is
 * there as any reader does, and append it as any writer does.
 */
#include "cleaner_move.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "blockmap.h"
#include "disk.h"
#include "err.h"
#include "format.h"
#include "log.h"
#include "segment.h"
#include "store_internal.h"

#define WINDOW (256u * 1024) /* bytes of a segment looked at in one read */

/* A slot that was live when the list was made. */
struct slot {
	uint64_t lba;
	uint64_t seq;
};

struct cleaner_mover {
	struct store *store;
	const atomic_bool *stop;
	struct slot *slots;
	size_t count;
	size_t room;
	uint8_t *window;
	uint8_t *plain;		     /* a chunk of blocks; wiped after each move */
	struct store_worker *worker; /* lent for the time of a move */
	uint64_t bytes;
};

int cleaner_mover_new(struct store *store, const atomic_bool *stop,
		      struct cleaner_mover **ret_mover, struct err *err)
{
	struct cleaner_mover *m = calloc(1, sizeof(*m));

	if (m) {
		m->store = store;
		m->stop = stop;
		m->window = malloc(WINDOW);
		m->plain = malloc(STORE_CHUNK_BYTES);
	}
	if (!m || !m->window || !m->plain) {
		cleaner_mover_free(m);
		return err_set(err, ENOMEM, "cleaner: out of memory");
	}
	*ret_mover = m;
	return 0;
}

void cleaner_mover_free(struct cleaner_mover *mover)
{
	if (!mover)
		return;
	if (mover->plain)
		OPENSSL_cleanse(mover->plain, STORE_CHUNK_BYTES);
	free(mover->plain);
	free(mover->window);
	free(mover->slots);
	free(mover);
}

/* The list. */

static int add_slot(struct cleaner_mover *m, uint64_t lba, uint64_t seq)
{
	if (m->count == m->room) {
		size_t room = m->room ? m->room * 2 : 4096;
		struct slot *p = realloc(m->slots, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		m->slots = p;
		m->room = room;
	}
	m->slots[m->count++] = (struct slot){lba, seq};
	return 0;
}

/* The slots of one record that the map names. A header that lies names none: LBA and seq must both fit. */
static int list_record(struct cleaner_mover *m, const struct format_record *record)
{
	const struct store *s = m->store;
	uint64_t blocks = s->geometry.size_bytes / s->geometry.block_size;
	uint64_t unit = s->slot_len / FORMAT_UNIT,
		 seq = record->seq + FORMAT_RECORD_LEN / FORMAT_UNIT;
	int r = 0;

	if (record->lba >= blocks || record->count > blocks - record->lba)
		return 0;
	for (uint64_t i = 0; r == 0 && i < record->count; i++, seq += unit)
		if (blockmap_get(s->map, record->lba + i) == seq)
			r = add_slot(m, record->lba + i, seq);
	return r;
}

/* Bytes of a record whose header is whole; 0: no record of ours is that long. */
static uint64_t record_len(const struct store *s, const struct format_record *record)
{
	if (record->type != FORMAT_WRITE)
		return FORMAT_RECORD_LEN + FORMAT_RECORD_TAG_LEN;
	if (record->count == 0 || record->count > STORE_IO_MAX / s->geometry.block_size)
		return 0;
	return FORMAT_RECORD_LEN + record->count * s->slot_len;
}

/* List what is live in a segment. It ends at the seal, or where no record follows. */
static int list_segment(struct cleaner_mover *m, struct segment *segment)
{
	uint64_t off = FORMAT_SEGMENT_LEN, from = 0;
	int64_t have = 0;
	int r = 0;

	while (r == 0 && !atomic_load(m->stop)) {
		struct format_record record;
		uint64_t len;

		if (off < from || off + FORMAT_RECORD_LEN > from + (uint64_t)have) {
			from = off;
			have = disk_pread_some(segment_file(segment), m->window, WINDOW, off);
			if (have < FORMAT_RECORD_LEN)
				return have < 0 ? (int)have : 0;
		}
		if (format_record_get(m->window + (off - from),
				      format_seq(segment_id(segment), off), &record) < 0)
			return 0;
		len = record_len(m->store, &record);
		if (record.type == FORMAT_SEAL || len == 0)
			return 0;
		if (record.type == FORMAT_WRITE)
			r = list_record(m, &record);
		off += len;
	}
	return r;
}

static int by_lba(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return x->lba < y->lba ? -1 : x->lba > y->lba;
}

/* Moving. */

static void set_damaged(struct cleaner_mover *m, uint32_t id)
{
	struct segment *segment;
	struct err ignored;

	if (segment_get(m->store->table, id, &segment, &ignored) < 0)
		return; /* gone, so there is nothing in it any more */
	segment_set_damaged(segment);
	segment_put(segment);
}

/* Move blocks that are claimed and stand where the list says. */
static int move_claimed(struct cleaner_mover *m, struct log_claim *claim, const struct slot *slots,
			size_t count, struct err *err)
{
	struct store *s = m->store;
	struct store_piece piece = {.lba = slots->lba,
				    .count = count,
				    .len = count * s->geometry.block_size,
				    .buf = m->plain};
	int r = store_read_blocks(s, m->worker, slots->lba, count, m->plain, err);

	if (r == 0) {
		r = store_append_piece(s, m->worker, &piece, claim, err);
		if (r == 0)
			m->bytes += FORMAT_RECORD_LEN + count * s->slot_len;
		return r;
	}
	if (r != -EBADMSG && r != -EIO)
		return r;
	if (count == 1) { /* never sealed anew: it stays where it is, to be found there */
		set_damaged(m, format_seq_segment(slots->seq));
		return 0;
	}
	r = 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = move_claimed(m, claim, slots + i, 1, err);
	return r;
}

/* Move a run of neighbours, at most a chunk: those of them that nobody has changed since. */
static int move_run(struct cleaner_mover *m, const struct slot *slots, size_t count,
		    struct err *err)
{
	struct store *s = m->store;
	struct log_claim claim;
	int r = 0;

	log_claim(s->log, &claim, slots->lba, count);
	claim.into_reserve = true;
	for (size_t i = 0, n; r == 0 && i < count; i += n) {
		for (n = 0; i + n < count; n++)
			if (blockmap_get(s->map, slots[i + n].lba) != slots[i + n].seq)
				break;
		if (n)
			r = move_claimed(m, &claim, slots + i, n, err);
		else
			n = 1;
	}
	log_release(s->log, &claim);
	return r;
}

static int move_slots(struct cleaner_mover *m, struct err *err)
{
	int r = 0;

	if (m->count)
		qsort(m->slots, m->count, sizeof(*m->slots), by_lba);
	for (size_t i = 0, n; r == 0 && i < m->count; i += n) {
		if (atomic_load(m->stop))
			return 0;
		for (n = 1; i + n < m->count && n < m->store->chunk_blocks;)
			if (m->slots[i + n].lba == m->slots[i].lba + n)
				n++;
			else
				break;
		r = move_run(m, m->slots + i, n, err);
	}
	return r;
}

int cleaner_move(struct cleaner_mover *mover, const uint32_t *ids, size_t count,
		 uint64_t *ret_bytes, struct err *err)
{
	struct cleaner_mover *m = mover;
	struct store *s = m->store;
	int r = 0;

	m->count = 0;
	m->bytes = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct segment *segment;
		int listed = segment_get(s->table, ids[i], &segment, err);

		if (listed == 0) {
			listed = list_segment(m, segment);
			segment_put(segment);
		}
		if (listed == -ENOMEM)
			r = err_set(err, ENOMEM, "cleaner: out of memory");
		else if (listed < 0)
			set_damaged(m, ids[i]);
	}
	if (r == 0)
		r = store_worker_get(s, true, &m->worker, err);
	if (r == 0) {
		r = move_slots(m, err);
		store_worker_put(s, m->worker);
		OPENSSL_cleanse(m->plain, STORE_CHUNK_BYTES);
	}
	if (r == 0 && atomic_load(m->stop))
		r = err_set(err, EINTR, "cleaner: was told to stop");
	for (size_t i = 0; r == 0 && i < count;
	     i++) { /* what is left was not found in its records */
		struct segment *segment;
		struct err ignored;

		if (segment_get(s->table, ids[i], &segment, &ignored) < 0)
			continue;
		if (segment_live(segment) > 0)
			segment_set_damaged(segment);
		segment_put(segment);
	}
	*ret_bytes = m->bytes;
	return r;
}
