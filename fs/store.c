/*
 * The life of a store: made, opened (checkpoint, replay), closed. Its I/O is in store_read.c and
 * store_write.c, its checkpoints are in store_checkpoint.c.
 */
#include "store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blockmap.h"
#include "checkpoint.h"
#include "cleaner.h"
#include "cleaner_pace.h"
#include "crew.h"
#include "disk.h"
#include "err.h"
#include "flushed.h"
#include "format.h"
#include "log.h"
#include "replay.h"
#include "secret.h"
#include "segment.h"
#include "store_internal.h"

#define SEGMENT_SIZE_MIN (64ULL << 20)
#define SEGMENTS_WANTED	 4096 /* a volume written once has about so many at the most */

static bool power_of_two(uint64_t v)
{
	return v && (v & (v - 1)) == 0;
}

int store_geometry_check(struct store_geometry *geometry, struct err *err)
{
	struct store_geometry *g = geometry;

	if (!power_of_two(g->block_size) || g->block_size < STORE_BLOCK_SIZE_MIN ||
	    g->block_size > STORE_BLOCK_SIZE_MAX)
		return err_set(err, EINVAL,
			       "block size '%" PRIu32 "' is not a power of two in %d..%d",
			       g->block_size, STORE_BLOCK_SIZE_MIN, STORE_BLOCK_SIZE_MAX);
	if (g->size_bytes == 0)
		return err_set(err, EINVAL,
			       "size '0' is too small: at least one block of %" PRIu32 " bytes",
			       g->block_size);
	if (g->size_bytes > STORE_SIZE_MAX)
		return err_set(err, EINVAL, "size '%" PRIu64 "' is larger than 64 TiB (%llu)",
			       g->size_bytes, STORE_SIZE_MAX);
	if (g->size_bytes % g->block_size)
		return err_set(err, EINVAL,
			       "size '%" PRIu64 "' is not a multiple of the block size %" PRIu32,
			       g->size_bytes, g->block_size);
	if (!blockcrypt_name(g->cipher))
		return err_set(err, EINVAL, "cipher '%d' is unknown", (int)g->cipher);
	if (g->segment_size == 0) {
		g->segment_size = SEGMENT_SIZE_MIN;
		while (g->segment_size < FORMAT_SEGMENT_MAX &&
		       g->segment_size < g->size_bytes / SEGMENTS_WANTED)
			g->segment_size *= 2;
	}
	if (!power_of_two(g->segment_size) || g->segment_size < 4 * STORE_IO_MAX ||
	    g->segment_size > FORMAT_SEGMENT_MAX)
		return err_set(err, EINVAL,
			       "segment size '%" PRIu64 "' is not a power of two in "
			       "%d..%llu",
			       g->segment_size, 4 * STORE_IO_MAX, FORMAT_SEGMENT_MAX);
	if (!memchr(g->volume_id, 0, FORMAT_WRITER_LEN) || !g->volume_id[0])
		return err_set(err, EINVAL, "volume id is empty or too long");
	return 0;
}

const char *store_writer(const struct store_geometry *geometry, uint32_t segment)
{
	for (size_t i = 0; i < geometry->lineage_count; i++)
		if (segment < geometry->lineage[i].below)
			return geometry->lineage[i].volume_id;
	return geometry->volume_id;
}

static int check_keys(const struct store_geometry *geometry, const struct secret *data_keys,
		      struct err *err)
{
	size_t want = STORE_DATA_KEY_LEN * (geometry->previous_key ? 2 : 1);

	if (secret_len(data_keys) == want)
		return 0;
	return err_set(err, EINVAL, "data key of %zu bytes: must be %zu", secret_len(data_keys),
		       want);
}

int store_create_on(struct disk *disk, const struct store_geometry *geometry,
		    const struct secret *data_key, struct err *err)
{
	struct store_geometry g = *geometry;
	struct flushed *flushed;
	int r = store_geometry_check(&g, err);

	if (r == 0)
		r = check_keys(&g, data_key, err);
	if (r == 0 && g.previous_key)
		r = err_set(err, EINVAL, "a new store has one data key");
	if (r < 0)
		return r;
	r = disk->ops->mkdir(disk, "segments");
	if (r < 0)
		return err_set(err, -r, "segments: cannot make the directory: %s", strerror(-r));
	r = flushed_open(disk, &g, data_key, false, &flushed, err);
	if (r < 0)
		return r;
	flushed_free(flushed);
	return checkpoint_create(disk, &g, data_key, err); /* syncs the directory, too */
}

int store_create(const char *dir, const struct store_geometry *geometry,
		 const struct secret *data_key, struct err *err)
{
	struct disk *disk;
	int r = disk_open_dir(dir, &disk, err);

	if (r < 0)
		return r;
	r = store_create_on(disk, geometry, data_key, err);
	disk_free(disk);
	return r;
}

/* Free whatever there is of a store. Nothing is written. */
static void destroy(struct store *store)
{
	if (!store)
		return;
	cleaner_free(store->cleaner);
	store->cleaner = NULL;
	store_checkpoints_end(store);
	crew_free(store->crew);
	store_workers_free(store);
	log_free(store->log);
	flushed_free(store->flushed);
	checkpoint_free(store->checkpoint);
	blockmap_free(store->map);
	segment_table_free(store->table);
	if (store->owns_disk)
		disk_free(store->disk);
	pthread_cond_destroy(&store->thread_work);
	pthread_mutex_destroy(&store->thread_lock);
	pthread_cond_destroy(&store->worker_back);
	pthread_mutex_destroy(&store->worker_lock);
	pthread_mutex_destroy(&store->checkpoint_lock);
	free(store);
}

/* Refuse a log that ends before what was flushed. */
static int check_flushed(const struct store *s, const struct replay_result *replay, struct err *err)
{
	uint64_t seq = flushed_seq(s->flushed);
	uint64_t end = replay->last_segment
			       ? format_seq(replay->last_segment, replay->end_off)
			       : format_seq(checkpoint_log(s->checkpoint)->next_segment, 0);

	if (seq <= end)
		return 0;
	return err_set(err, EBADMSG,
		       "segments/%08" PRIx32 ": the log ends at %" PRIu64
		       ", but a flush had covered it up to segment %08" PRIx32 " at %" PRIu64,
		       format_seq_segment(end), format_seq_off(end), format_seq_segment(seq),
		       format_seq_off(seq));
}

/* Load the last checkpoint and replay the log behind it. */
static int load(struct store *s, const struct secret *data_keys, struct replay_result *ret_replay,
		struct err *err)
{
	int r = segment_table_new(s->disk, &s->geometry, data_keys, &s->table, err);

	if (r == 0)
		r = segment_table_scan(s->table, err);
	if (r == 0)
		r = checkpoint_open(s->disk, &s->geometry, data_keys, &s->checkpoint, err);
	if (r == 0)
		r = flushed_open(s->disk, &s->geometry, data_keys, s->read_only, &s->flushed, err);
	if (r == 0)
		r = blockmap_new(s->geometry.size_bytes / s->geometry.block_size, s->slot_len,
				 s->table, &s->map, err);
	if (r == 0)
		r = checkpoint_load(s->checkpoint, s->map, err);
	if (r == 0)
		r = segment_table_check(s->table, err);
	if (r == 0)
		r = replay_run(s->disk, s->table, &s->geometry, s->map,
			       checkpoint_log(s->checkpoint), ret_replay, err);
	if (r == 0)
		r = check_flushed(s, ret_replay, err);
	if (r < 0)
		return r;
	atomic_store(&s->checkpoint_number, checkpoint_number(s->checkpoint));
	s->opened.replayed_records = ret_replay->records;
	s->opened.replayed_bytes = ret_replay->bytes;
	(void)snprintf(s->opened.notice, sizeof(s->opened.notice), "%s",
		       *checkpoint_notice(s->checkpoint) || flushed_known(s->flushed)
			       ? checkpoint_notice(s->checkpoint)
			       : "flushed: is missing or damaged: that the log's end is there "
				 "cannot be told"); /* same size */
	return 0;
}

/*
 * Begin a new segment and make the map durable as it is now: from here on what was behind the end of
 * the log is out of reach for ever. Both roots are written, so that also the older one does not lead
 * across the end that this replay found.
 */
static int begin_writing(struct store *s, const struct replay_result *replay, struct err *err)
{
	struct log_setup setup = {.disk = s->disk,
				  .table = s->table,
				  .flushed = s->flushed,
				  .segment_size = s->geometry.segment_size};
	uint32_t first = checkpoint_log(s->checkpoint)->next_segment;
	int r;

	if (segment_table_last(s->table) >= first)
		first = segment_table_last(s->table) + 1;
	setup.first = first;
	r = log_new(&setup, &s->log, err);
	for (int i = 0; r == 0 && i < 2; i++)
		r = store_checkpoint(s, err);
	if (r < 0)
		return r;
	if (replay->last_segment)
		segment_trim(s->table, replay->last_segment, replay->end_off);
	r = store_checkpoints_begin(s, err);
	return r < 0 ? r : cleaner_new(s, &s->cleaner, err);
}

int store_open_on(struct disk *disk, const struct store_geometry *geometry,
		  const struct secret *data_keys, bool read_only, struct store **ret_store,
		  struct err *err)
{
	struct store_geometry g = *geometry;
	struct replay_result replay;
	struct store *s;
	int r = store_geometry_check(&g, err);

	if (r == 0)
		r = check_keys(&g, data_keys, err);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "store: out of memory");
	s->geometry = g;
	s->read_only = read_only;
	s->disk = disk;
	s->slot_len = g.block_size + BLOCKCRYPT_TAG_LEN;
	s->chunk_blocks = STORE_CHUNK_BYTES / g.block_size;
	pthread_mutex_init(&s->checkpoint_lock, NULL);
	pthread_mutex_init(&s->worker_lock, NULL);
	pthread_mutex_init(&s->thread_lock, NULL);
	pthread_cond_init(&s->worker_back, NULL);
	pthread_cond_init(&s->thread_work, NULL);
	r = crew_new(&s->crew, err);
	if (r == 0)
		r = load(s, data_keys, &replay, err);
	if (r == 0 && !read_only)
		r = begin_writing(s, &replay, err);
	secret_wipe_stack(); /* of what replay has decrypted */
	if (r < 0) {
		destroy(s);
		return r;
	}
	*ret_store = s;
	return 0;
}

int store_open(const char *dir, const struct store_geometry *geometry,
	       const struct secret *data_keys, bool read_only, struct store **ret_store,
	       struct err *err)
{
	struct disk *disk;
	int r = disk_open_dir(dir, &disk, err);

	if (r < 0)
		return r;
	r = store_open_on(disk, geometry, data_keys, read_only, ret_store, err);
	if (r < 0)
		disk_free(disk);
	else
		(*ret_store)->owns_disk = true;
	return r;
}

/* The last checkpoint of a mount says that there is nothing to replay. */
static int checkpoint_at_close(struct store *store, struct err *err)
{
	struct checkpoint_log at = {0};
	uint64_t *leaves = NULL, end;
	size_t count = 0;
	int r;

	log_freeze(store->log, &end); /* for good: no call is under way */
	r = blockmap_freeze(store->map, &leaves, &count);
	if (r < 0)
		return err_set(err, ENOSPC, "checkpoint: out of memory");
	at.next_segment = log_next_segment(store->log);
	r = checkpoint_write(store->checkpoint, store->map, leaves, count, &at, err);
	free(leaves);
	return r;
}

int store_close(struct store *store, struct err *err)
{
	int r = 0;

	if (!store)
		return 0;
	cleaner_free(store->cleaner);
	store->cleaner = NULL;
	store_checkpoints_end(store);
	if (store->log) {
		r = log_flush(store->log, err);
		if (r == 0)
			r = checkpoint_at_close(store, err);
		(void)segment_drop_recycled(store->table); /* all of them may go */
	}
	destroy(store);
	secret_wipe_stack();
	return r;
}

int store_clean(struct store *store, struct err *err)
{
	if (store->read_only)
		return err_set(err, EROFS, "the volume is open for reading only");
	return cleaner_clean_all(store->cleaner, err);
}

/* What of the log's bytes is live, dead, pinned. All zero without memory to look. */
static void measure(struct store *store, struct store_stats *st)
{
	struct pace_log log = {.segment_size = store->geometry.segment_size,
			       .slot_len = store->slot_len,
			       .head = UINT32_MAX};
	struct segment_info *info;
	struct pace_space space;
	uint64_t off;
	size_t count;

	if (segment_table_survey(store->table, &info, &count) < 0)
		return;
	if (store->log)
		log.head = log_head(store->log, &off);
	pace_measure(info, count, segment_recycled_bytes(store->table), &log, &space);
	free(info);
	st->log_bytes = space.total;
	st->live_bytes = space.live;
	st->dead_bytes = space.total - space.live - space.pinned;
	st->pinned_bytes = space.pinned;
	st->damaged_segments = space.damaged;
	st->previous_bytes = space.previous;
	st->previous_stuck_bytes = space.previous - space.previous_movable;
	st->previous_segments = space.previous_segments;
}

void store_stats(struct store *store, struct store_stats *ret_stats)
{
	struct store_stats st = store->opened;

	st.mapped_bytes = blockmap_mapped(store->map) * store->geometry.block_size;
	st.segments = segment_table_count(store->table);
	st.checkpoint = atomic_load(&store->checkpoint_number);
	measure(store, &st);
	if (store->cleaner) {
		struct cleaner_stats cl;

		cleaner_stats(store->cleaner, &cl);
		st.moved_bytes = cl.moved_bytes;
		st.appended_bytes = log_appended(store->log) - cl.moved_bytes;
		st.cleaned_segments = cl.cleaned_segments;
		st.cleaning = cl.cleaning;
		st.previous_no_room = cl.no_room;
		st.flushes = log_flushes(store->log);
		st.writing_stopped = log_stopped(store->log) != 0;
	}
	*ret_stats = st;
}
