/* A new volume that begins as what an open store holds, sharing its segments. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "err.h"
#include "flushed.h"
#include "segment.h"
#include "store.h"
#include "store_internal.h"
#include "voldir.h"

static bool any_live(const struct segment_info *info, size_t count, uint32_t from, uint32_t below)
{
	for (size_t i = 0; i < count; i++)
		if (info[i].live_blocks && info[i].id >= from && info[i].id < below)
			return true;
	return false;
}

/*
 * Whose segments the new volume has: those of the store's origins, and the store's own, which are below
 * @next. Who has none that is needed is left out.
 */
static int set_lineage(const struct store *store, const struct segment_info *info, size_t count,
		       uint32_t next, struct store_geometry *geometry, struct err *err)
{
	const struct store_geometry *old = &store->geometry;
	uint32_t from = 1;
	size_t n = 0;

	memset(geometry->lineage, 0, sizeof(geometry->lineage));
	for (size_t i = 0; i <= old->lineage_count; i++) {
		struct store_origin o = {.below = next};

		if (i < old->lineage_count)
			o = old->lineage[i];
		else
			memcpy(o.volume_id, old->volume_id, sizeof(o.volume_id));
		if (any_live(info, count, from, o.below)) {
			if (n == STORE_LINEAGE_MAX)
				return err_set(err, E2BIG,
					       "its data was written by more than %d volumes",
					       STORE_LINEAGE_MAX);
			geometry->lineage[n++] = o;
		}
		from = o.below;
	}
	geometry->lineage_count = n;
	return 0;
}

int store_restore(struct store *store, struct disk *to, const char *volume_id,
		  const struct secret *data_key, const struct voldir_job *job,
		  struct store_geometry *ret_geometry, struct err *err)
{
	struct store_geometry geometry = store->geometry;
	uint32_t next = checkpoint_log(store->checkpoint)->next_segment;
	struct segment_info *info = NULL;
	struct flushed *flushed;
	size_t count = 0;
	int r;

	if (!store->read_only)
		return err_set(err, EINVAL, "the store is not open for reading only");
	if (segment_table_last(store->table) >= next)
		next = segment_table_last(store->table) + 1;
	memset(geometry.volume_id, 0, sizeof(geometry.volume_id));
	strcpy(geometry.volume_id, volume_id);
	r = segment_table_survey(store->table, &info, &count);
	if (r < 0)
		return err_set(err, -r, "segments: out of memory");
	r = set_lineage(store, info, count, next, &geometry, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (info[i].live_blocks)
			r = voldir_link(store->disk, to, info[i].id, true, job, NULL, err);
	free(info);
	if (r == 0)
		r = checkpoint_write_new(to, &geometry, data_key, store->map, next, err);
	if (r == 0)
		r = flushed_open(to, &geometry, data_key, false, &flushed, err);
	if (r < 0)
		return r;
	flushed_free(flushed);
	*ret_geometry = geometry;
	return 0;
}
