/*
 * Which files of segments stay: dead ones go or are kept to be written anew, room that was made ahead
 * is given back, and all of that only for files that nobody else has. A snapshot shares files by hard
 * links, and while it links them a pin keeps every file as it is.
 */
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "err.h"
#include "segment_internal.h"

void segment_table_pin(struct segment_table *table)
{
	pthread_mutex_lock(&table->keep_lock);
	table->pins++;
	pthread_mutex_unlock(&table->keep_lock);
}

void segment_table_unpin(struct segment_table *table)
{
	pthread_mutex_lock(&table->keep_lock);
	table->pins--;
	pthread_mutex_unlock(&table->keep_lock);
}

/* May the bytes of a file be overwritten or cut off? Not while a pin holds, nor with two names. */
static bool is_ours_locked(const struct segment_table *t, struct disk_file *file)
{
	unsigned links;

	return t->pins == 0 && t->disk->ops->links(file, &links) == 0 && links == 1;
}

bool segment_cut(struct segment *segment, uint64_t len)
{
	struct segment_table *t = segment->table;
	struct disk_file *file = segment_file(segment);
	bool cut;

	pthread_mutex_lock(&t->keep_lock);
	cut = is_ours_locked(t, file) && t->disk->ops->truncate(file, len) == 0;
	if (cut) {
		atomic_store(&segment->len, len);
		segment->room = 0;
	}
	pthread_mutex_unlock(&t->keep_lock);
	return cut;
}

void segment_trim(struct segment_table *table, uint32_t id, uint64_t end_off)
{
	struct segment *s;
	struct err ignored;

	if (segment_get(table, id, &s, &ignored) < 0)
		return;
	(void)segment_cut(s, end_off); /* only gives room back */
	segment_put(s);
}

void segment_mark_dead(struct segment_table *table, uint64_t checkpoint)
{
	pthread_rwlock_wrlock(&table->lock);
	for (size_t i = 0; i < table->count; i++) {
		struct segment *s = table->segments[i];

		if (atomic_load(&s->live) != 0)
			s->dead_at = 0;
		else if (!s->dead_at)
			s->dead_at = checkpoint;
	}
	pthread_rwlock_unlock(&table->lock);
}

uint64_t segment_dead_bytes(struct segment_table *table, uint32_t below)
{
	uint64_t bytes = 0;

	pthread_rwlock_rdlock(&table->lock);
	for (size_t i = 0; i < table->count && table->segments[i]->id < below; i++)
		if (atomic_load(&table->segments[i]->live) == 0)
			bytes += atomic_load(&table->segments[i]->len) +
				 1; /* 0: not looked at yet */
	pthread_rwlock_unlock(&table->lock);
	return bytes;
}

/* Keep the file of a segment that is out of the table, or unlink it. */
static int dispose_locked(struct segment_table *t, struct segment *s, struct err *err)
{
	struct recycled r = {.file = segment_file(s), .id = s->id, .len = atomic_load(&s->len)};
	char name[SEGMENT_NAME_MAX];
	int num;

	/* Nobody else holds it and nobody can any more: its bytes may be overwritten. */
	if (r.file && atomic_load(&s->holds) == 1 && t->recycled_count < t->recycle_max &&
	    is_ours_locked(t, r.file)) {
		t->recycled[t->recycled_count++] = r;
		atomic_store(&s->file, NULL);
		return 0;
	}
	segment_name(s->id, name);
	num = t->disk->ops->unlink(t->disk, name);
	if (num < 0 && num != -ENOENT)
		return err_set(err, -num, "%s: cannot unlink: %s", name, strerror(-num));
	return 0;
}

/* Take the segments that may go out of the table. Returns how many, in @ret_gone (room for all). */
static size_t take_dead(struct segment_table *t, uint64_t older, uint32_t below,
			struct segment **ret_gone)
{
	size_t gone = 0, kept = 0;

	pthread_rwlock_wrlock(&t->lock);
	for (size_t i = 0; i < t->count; i++) {
		struct segment *s = t->segments[i];

		if (ret_gone && s->id < below && s->dead_at && s->dead_at <= older)
			ret_gone[gone++] = s;
		else
			t->segments[kept++] = s;
	}
	t->count = kept;
	pthread_rwlock_unlock(&t->lock);
	return gone;
}

int segment_retire_dead(struct segment_table *table, uint64_t older, uint32_t below,
			struct err *err)
{
	struct segment **gone = NULL;
	size_t count = 0;
	int r = 0;

	pthread_mutex_lock(&table->keep_lock);
	if (table->pins == 0) {
		gone = malloc((segment_table_count(table) + 1) * sizeof(struct segment *));
		count = take_dead(table, older, below, gone); /* none without memory */
	}
	for (size_t i = 0; i < count; i++) {
		int num = dispose_locked(table, gone[i], err);

		r = num < 0 ? num : r; /* that file waits for the next open */
		segment_put(gone[i]);
	}
	pthread_mutex_unlock(&table->keep_lock);
	free(gone);
	return r < 0 ? r : (int)count;
}

int segment_take_recycled(struct segment_table *t, const char *name, struct recycled *ret,
			  struct err *err)
{
	char old[SEGMENT_NAME_MAX];
	int r = 0;

	pthread_mutex_lock(&t->keep_lock);
	if (t->recycled_count == 0 || !is_ours_locked(t, t->recycled[t->recycled_count - 1].file))
		goto out;
	*ret = t->recycled[--t->recycled_count];
	segment_name(ret->id, old);
	r = t->disk->ops->rename(t->disk, old, name);
	if (r < 0) {
		disk_close(ret->file);
		r = err_set(err, -r, "%s: cannot rename it to %s: %s", old, name, strerror(-r));
		goto out;
	}
	r = 1;
out:
	pthread_mutex_unlock(&t->keep_lock);
	return r;
}

unsigned segment_drop_recycled(struct segment_table *table)
{
	char name[SEGMENT_NAME_MAX];
	unsigned n = 0;

	pthread_mutex_lock(&table->keep_lock);
	while (table->pins == 0 && table->recycled_count) {
		struct recycled *r = &table->recycled[--table->recycled_count];

		segment_name(r->id, name);
		disk_close(r->file);
		(void)table->disk->ops->unlink(table->disk, name); /* else at the next open */
		n++;
	}
	pthread_mutex_unlock(&table->keep_lock);
	return n;
}

void segment_recycle_at_most(struct segment_table *table, unsigned max)
{
	pthread_mutex_lock(&table->keep_lock);
	table->recycle_max = max < SEGMENT_KEPT_MAX ? max : SEGMENT_KEPT_MAX;
	pthread_mutex_unlock(&table->keep_lock);
}

uint64_t segment_recycled_bytes(struct segment_table *table)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&table->keep_lock);
	for (unsigned i = 0; i < table->recycled_count; i++)
		bytes += table->recycled[i].len;
	pthread_mutex_unlock(&table->keep_lock);
	return bytes;
}
