/*
 * Replay. Records are applied one after the other, each only when all of it is there: header, and
 * every block's tag. The first that is not ends the log: whatever a crash left behind it was written
 * later, and was never flushed, since a flush waits for all that is before it.
 *
 * If, on the contrary, a record behind the first bad one says (member durable) that a flush had
 * covered it, then this is no torn tail but damage, and the volume is refused instead of losing
 * what somebody was promised.
 */
#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "blockcrypt.h"
#include "blockmap.h"
#include "checkpoint.h"
#include "disk.h"
#include "err.h"
#include "format.h"
#include "segment.h"

#define SCAN_LEN (1u << 20) /* bytes read at a time when looking behind the end */

struct replay {
	struct disk *disk;
	struct segment_table *table;
	const struct store_geometry *geometry;
	struct blockmap *map;
	struct blockcrypt *crypt;
	uint8_t *slots; /* of one record */
	uint8_t *plain; /* one block, never looked at */
	size_t slots_max;
	struct segment *segment; /* held */
	uint64_t off;
	struct replay_result result;
};

static size_t slot_len(const struct replay *rp)
{
	return rp->geometry->block_size + BLOCKCRYPT_TAG_LEN;
}

static uint64_t here(const struct replay *rp)
{
	return format_seq(segment_id(rp->segment), rp->off);
}

/* A range of blocks inside the volume. */
static bool in_volume(const struct replay *rp, uint64_t lba, uint64_t count)
{
	uint64_t blocks = rp->geometry->size_bytes / rp->geometry->block_size;

	return count > 0 && lba < blocks && count <= blocks - lba;
}

/* The blocks of a write at the current offset. -EBADMSG: not all there, or not what was written. */
static int read_blocks(struct replay *rp, const struct format_record *record)
{
	uint64_t first = rp->off + FORMAT_RECORD_LEN;
	size_t len;
	int r;

	if (!in_volume(rp, record->lba, record->count) ||
	    record->count > rp->slots_max / slot_len(rp))
		return -EBADMSG;
	len = (size_t)record->count * slot_len(rp);
	r = disk_pread(segment_file(rp->segment), rp->slots, len, first);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	for (uint64_t i = 0; r == 0 && i < record->count; i++)
		r = blockcrypt_decrypt(
			rp->crypt, record->lba + i,
			format_seq(segment_id(rp->segment), first + i * slot_len(rp)),
			rp->slots + i * slot_len(rp), rp->plain);
	return r;
}

/* The tag of a record without blocks. */
static int check_tag(struct replay *rp, const uint8_t header[FORMAT_RECORD_LEN])
{
	uint8_t tag[FORMAT_RECORD_TAG_LEN], want[FORMAT_RECORD_TAG_LEN];
	int r = disk_pread(segment_file(rp->segment), tag, sizeof(tag),
			   rp->off + FORMAT_RECORD_LEN);

	if (r == 0)
		r = segment_record_mac(rp->segment, header, FORMAT_RECORD_LEN, want);
	if (r == 0 && CRYPTO_memcmp(tag, want, sizeof(tag)) != 0)
		r = -EBADMSG;
	return r == -ENODATA ? -EBADMSG : r;
}

/*
 * Apply the record at the current offset and step behind it. 1: it was the segment's seal.
 * -EBADMSG: no whole record is there.
 */
static int apply_next(struct replay *rp)
{
	uint8_t header[FORMAT_RECORD_LEN];
	struct format_record record;
	size_t len = FORMAT_RECORD_LEN + FORMAT_RECORD_TAG_LEN;
	int r = disk_pread(segment_file(rp->segment), header, sizeof(header), rp->off);

	if (r == 0)
		r = format_record_get(header, here(rp), &record);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	if (record.type == FORMAT_WRITE) {
		r = read_blocks(rp, &record);
		len = FORMAT_RECORD_LEN + (size_t)record.count * slot_len(rp);
	} else {
		r = check_tag(rp, header);
	}
	if (r < 0)
		return r;
	switch (record.type) {
	case FORMAT_WRITE:
		blockmap_set(rp->map, record.lba, record.count,
			     here(rp) + FORMAT_RECORD_LEN / FORMAT_UNIT);
		break;
	case FORMAT_DISCARD:
		if (!in_volume(rp, record.lba, record.count))
			return -EUCLEAN;
		blockmap_set(rp->map, record.lba, record.count, 0);
		break;
	case FORMAT_SEAL:
		break;
	default:
		return -EUCLEAN;
	}
	rp->off += len;
	rp->result.records++;
	rp->result.bytes += len;
	return record.type == FORMAT_SEAL;
}

/* Does a record header in these bytes say that what is before seq @bad and with it was flushed? */
static bool says_flushed(const uint8_t *bytes, size_t len, uint64_t seq, uint64_t bad)
{
	struct format_record record;

	for (size_t i = 0; i + FORMAT_RECORD_LEN <= len; i += FORMAT_UNIT)
		if (format_record_get(bytes + i, seq + i / FORMAT_UNIT, &record) == 0 &&
		    record.durable > bad)
			return true;
	return false;
}

/* Look through one segment from @off on. 1: some record says that @bad was flushed. */
static int scan_segment(struct replay *rp, uint32_t id, uint64_t off, uint64_t bad)
{
	struct segment *s;
	struct err ignored;
	uint8_t *bytes;
	int64_t n = 0;
	int found = 0;
	int r = segment_get(rp->table, id, &s, &ignored);

	if (r == -ENOENT || r == -EBADMSG || r == -EUCLEAN)
		return 0; /* a crash in the middle of making it */
	if (r < 0)	  /* not to be read now: it may say so all the same */
		return r;
	bytes = malloc(SCAN_LEN + FORMAT_RECORD_LEN);
	if (!bytes) {
		segment_put(s);
		return -ENOMEM;
	}
	while (!found) {
		n = disk_pread_some(segment_file(s), bytes, SCAN_LEN + FORMAT_RECORD_LEN, off);
		if (n < FORMAT_RECORD_LEN)
			break;
		found = says_flushed(bytes, (size_t)n, format_seq(id, off), bad);
		off += SCAN_LEN;
	}
	free(bytes);
	segment_put(s);
	return n < 0 ? (int)n : found;
}

/* The record at the current offset is not whole: is that the end of the log, or damage? */
static int judge_end(struct replay *rp, struct err *err)
{
	uint64_t bad = here(rp);
	int r = scan_segment(rp, segment_id(rp->segment), rp->off, bad);

	for (uint32_t id = segment_table_next(rp->table, segment_id(rp->segment) + 1); r == 0 && id;
	     id = segment_table_next(rp->table, id + 1))
		r = scan_segment(rp, id, FORMAT_SEGMENT_LEN, bad);
	if (r < 0)
		return err_set(err, -r, "segments/%08" PRIx32 ": read: %s", segment_id(rp->segment),
			       strerror(-r));
	if (r > 0)
		return err_set(err, EBADMSG,
			       "segments/%08" PRIx32 ": record at %" PRIu64
			       " is damaged, though a later flush had covered it",
			       segment_id(rp->segment), rp->off);
	return 0;
}

static int enter(struct replay *rp, uint32_t id, uint32_t previous, struct err *err)
{
	int r;

	segment_put(rp->segment);
	rp->segment = NULL;
	r = segment_get(rp->table, id, &rp->segment, err);
	if (r == -ENOENT)
		r = err_set(err, EBADMSG,
			    "segments/%08" PRIx32 ": the file is missing, and the log "
			    "goes on there",
			    id);
	if (r < 0)
		return r;
	if (previous && segment_previous(rp->segment) != previous)
		return err_set(err, EUCLEAN,
			       "segments/%08" PRIx32 ": follows segment %08" PRIx32
			       ", not %08" PRIx32,
			       id, segment_previous(rp->segment), previous);
	rp->off = FORMAT_SEGMENT_LEN;
	/* After an fsync that failed, the cache has what never reached the disk. */
	rp->disk->ops->forget(segment_file(rp->segment));
	if (blockcrypt_set_key(rp->crypt, segment_key(rp->segment)) < 0)
		return err_set(err, EIO, "libcrypto failed");
	return 0;
}

/* Apply everything up to the end of the log. */
static int apply_all(struct replay *rp, uint64_t from, struct err *err)
{
	int r = enter(rp, format_seq_segment(from), 0, err);

	if (r < 0)
		return r;
	rp->off = format_seq_off(from);
	for (;;) {
		r = apply_next(rp);
		if (r == -EBADMSG)
			return judge_end(rp, err);
		if (r < 0)
			return err_set(err, -r, "segments/%08" PRIx32 ": record at %" PRIu64 ": %s",
				       segment_id(rp->segment), rp->off,
				       r == -EUCLEAN ? "makes no sense" : strerror(-r));
		if (r == 0)
			continue;
		r = rp->disk->ops->sync(segment_file(rp->segment));
		if (r == 0)
			r = enter(rp, segment_id(rp->segment) + 1, segment_id(rp->segment), err);
		else
			r = err_set(err, -r, "segments/%08" PRIx32 ": fsync: %s",
				    segment_id(rp->segment), strerror(-r));
		if (r < 0)
			return r;
	}
}

/*
 * The last mount ended well, so nothing was written since: a record in a segment from @next on says that
 * the roots are of an earlier time. A mount that was cut off leaves such a segment too, but without
 * records, since it writes the roots first.
 */
static int refuse_newer(struct replay *rp, uint32_t next, struct err *err)
{
	int r = 0;

	for (uint32_t id = segment_table_next(rp->table, next); r == 0 && id;
	     id = segment_table_next(rp->table, id + 1)) {
		r = scan_segment(rp, id, FORMAT_SEGMENT_LEN, 0);
		if (r < 0)
			return err_set(err, -r, "segments/%08" PRIx32 ": read: %s", id,
				       strerror(-r));
		if (r > 0)
			return err_set(err, EBADMSG,
				       "segments/%08" PRIx32
				       ": it is newer than root.0 and root.1, "
				       "which are of an earlier time",
				       id);
	}
	return 0;
}

int replay_run(struct disk *disk, struct segment_table *table,
	       const struct store_geometry *geometry, struct blockmap *map,
	       const struct checkpoint_log *log, struct replay_result *ret_result, struct err *err)
{
	struct replay rp = {.disk = disk, .table = table, .geometry = geometry, .map = map};
	int r;

	memset(ret_result, 0, sizeof(*ret_result));
	if (log->replay == 0)
		return refuse_newer(&rp, log->next_segment, err);
	rp.slots_max = STORE_IO_MAX / geometry->block_size * slot_len(&rp);
	rp.slots = malloc(rp.slots_max);
	rp.plain = malloc(geometry->block_size);
	r = rp.slots && rp.plain ? 0 : err_set(err, ENOMEM, "replay: out of memory");
	if (r == 0)
		r = blockcrypt_new(geometry->cipher, BLOCKCRYPT_DECRYPT, geometry->block_size,
				   &rp.crypt, err);
	if (r == 0)
		r = apply_all(&rp, log->replay, err);
	if (r == 0) {
		r = disk->ops->sync(segment_file(rp.segment));
		if (r < 0)
			(void)err_set(err, -r, "segments/%08" PRIx32 ": fsync: %s",
				      segment_id(rp.segment), strerror(-r));
	}
	if (r == 0) {
		rp.result.last_segment = segment_id(rp.segment);
		rp.result.end_off = rp.off;
		*ret_result = rp.result;
	}
	segment_put(rp.segment);
	blockcrypt_free(rp.crypt);
	if (rp.plain)
		OPENSSL_cleanse(rp.plain, geometry->block_size);
	free(rp.plain);
	free(rp.slots);
	return r;
}
