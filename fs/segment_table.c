/*
 * The table of a store's segments: id to struct segment. A reader looks a position up in the block
 * map, then holds its segment; the table's lock makes "look up and hold" one step against unlinking.
 */
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "err.h"
#include "keys.h"
#include "mac.h"
#include "secret.h"
#include "segment_internal.h"

/* Between the first id and the last. 64 PiB of log at least; farther apart are only strangers' files. */
#define ID_SPAN_MAX (1u << 30)

int segment_table_new(struct disk *disk, const struct store_geometry *geometry,
		      const struct secret *data_keys, struct segment_table **ret_table,
		      struct err *err)
{
	struct segment_table *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(err, ENOMEM, "segment table: out of memory");
	t->disk = disk;
	t->geometry = *geometry;
	pthread_rwlock_init(&t->lock, NULL);
	pthread_mutex_init(&t->open_lock, NULL);
	pthread_mutex_init(&t->keep_lock, NULL);
	t->recycle_max = SEGMENT_KEPT_MAX;
	r = keys_segment_header(data_keys, t->header_macs, err);
	for (int age = 0; r == 0 && age < KEYS_AGES; age++)
		r = keys_pick(data_keys, (enum keys_age)age, &t->data_keys[age], err);
	if (r < 0) {
		segment_table_free(t);
		return r;
	}
	*ret_table = t;
	return 0;
}

void segment_table_free(struct segment_table *table)
{
	struct key_slab *slab, *next;

	if (!table)
		return;
	for (unsigned i = 0; i < table->recycled_count; i++)
		disk_close(table->recycled[i].file);
	for (size_t i = 0; i < table->count; i++)
		segment_put(table->segments[i]);
	free(table->segments);
	for (slab = table->slabs; slab; slab = next) {
		next = slab->next;
		secret_free(slab->bytes);
		free(slab);
	}
	keys_free_macs(table->header_macs);
	for (int age = 0; age < KEYS_AGES; age++)
		secret_free(table->data_keys[age]);
	pthread_mutex_destroy(&table->keep_lock);
	pthread_mutex_destroy(&table->open_lock);
	pthread_rwlock_destroy(&table->lock);
	free(table);
}

int segment_table_insert(struct segment_table *t, struct segment *s)
{
	int r = 0;

	pthread_rwlock_wrlock(&t->lock);
	if (t->count && t->segments[t->count - 1]->id >= s->id)
		r = -EUCLEAN;
	if (r == 0 && t->count == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		struct segment **p = realloc(t->segments, room * sizeof(*p));

		if (p) {
			t->segments = p;
			t->room = room;
		} else {
			r = -ENOMEM;
		}
	}
	if (r == 0) {
		t->segments[t->count++] = s;
		if (s->id > t->last)
			t->last = s->id;
	}
	pthread_rwlock_unlock(&t->lock);
	return r;
}

/* Index of the first segment whose id is not below @id. */
static size_t at_locked(const struct segment_table *t, uint32_t id)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (t->segments[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct segment *find_locked(const struct segment_table *t, uint32_t id)
{
	size_t i = at_locked(t, id);

	return i < t->count && t->segments[i]->id == id ? t->segments[i] : NULL;
}

struct id_list {
	uint32_t *ids;
	size_t count;
	size_t room;
};

static int collect(const char *entry, void *arg)
{
	struct id_list *list = arg;
	char name[SEGMENT_NAME_MAX];
	unsigned long id = strtoul(entry, NULL, 16);

	if (id == 0 || id >= UINT32_MAX)
		return 0;
	segment_name((uint32_t)id, name);
	if (strcmp(strchr(name, '/') + 1, entry) != 0)
		return 0; /* a stranger's file: left alone */
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 256;
		uint32_t *p = realloc(list->ids, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		list->ids = p;
		list->room = room;
	}
	list->ids[list->count++] = (uint32_t)id;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int segment_table_scan(struct segment_table *table, struct err *err)
{
	struct id_list list = {0};
	int r = table->disk->ops->list(table->disk, "segments", collect, &list);

	if (list.count)
		qsort(list.ids, list.count, sizeof(*list.ids), by_value);
	if (r == 0 && list.count && list.ids[list.count - 1] - list.ids[0] >= ID_SPAN_MAX) {
		r = err_set(err, EUCLEAN,
			    "segments: %08" PRIx32 " and %08" PRIx32
			    " are more than %u apart: no volume has both",
			    list.ids[0], list.ids[list.count - 1], ID_SPAN_MAX);
		free(list.ids);
		return r;
	}
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		struct segment *s = segment_new(table, list.ids[i]);

		r = s ? segment_table_insert(table, s) : -ENOMEM;
		if (r < 0)
			free(s);
	}
	free(list.ids);
	if (r < 0)
		return err_set(err, -r, "segments: cannot list them: %s", strerror(-r));
	return 0;
}

uint32_t segment_table_last(struct segment_table *table)
{
	uint32_t last;

	pthread_rwlock_rdlock(&table->lock);
	last = table->last;
	pthread_rwlock_unlock(&table->lock);
	return last;
}

uint32_t segment_table_next(struct segment_table *table, uint32_t id)
{
	size_t i;

	pthread_rwlock_rdlock(&table->lock);
	i = at_locked(table, id);
	id = i < table->count ? table->segments[i]->id : 0;
	pthread_rwlock_unlock(&table->lock);
	return id;
}

uint64_t segment_table_count(struct segment_table *table)
{
	uint64_t count;

	pthread_rwlock_rdlock(&table->lock);
	count = table->count;
	pthread_rwlock_unlock(&table->lock);
	return count;
}

int segment_get(struct segment_table *table, uint32_t id, struct segment **ret_segment,
		struct err *err)
{
	struct segment *s;
	int r = 0;

	pthread_rwlock_rdlock(&table->lock);
	s = find_locked(table, id);
	if (s)
		atomic_fetch_add(&s->holds, 1);
	pthread_rwlock_unlock(&table->lock);
	if (!s)
		return err_set(err, ENOENT, "segments/%08" PRIx32 ": the file is missing", id);
	if (!atomic_load(&s->file)) {
		pthread_mutex_lock(&table->open_lock);
		if (!atomic_load(&s->file))
			r = segment_open_locked(s, err);
		pthread_mutex_unlock(&table->open_lock);
		if (r < 0) {
			segment_put(s);
			return r;
		}
	}
	*ret_segment = s;
	return 0;
}

int segment_live_add(struct segment_table *table, uint32_t id, int64_t delta, uint64_t end_off)
{
	struct segment *s;

	pthread_rwlock_rdlock(&table->lock);
	s = find_locked(table, id);
	if (s) {
		atomic_fetch_add(&s->live, delta);
		if (end_off > s->end_off)
			s->end_off = end_off;
	}
	pthread_rwlock_unlock(&table->lock);
	return s ? 0 : -ENOENT;
}

int segment_table_check(struct segment_table *table, struct err *err)
{
	for (size_t i = 0; i < table->count; i++) {
		struct segment *s = table->segments[i], *held;
		int r;

		if (atomic_load(&s->live) == 0)
			continue;
		r = segment_get(table, s->id, &held, err);
		if (r < 0)
			return r;
		segment_put(held);
		if (atomic_load(&s->len) < s->end_off)
			return err_set(err, EBADMSG,
				       "segments/%08" PRIx32 ": the file is cut short:"
				       " %" PRIu64 " bytes, its blocks need %" PRIu64,
				       s->id, (uint64_t)atomic_load(&s->len), s->end_off);
	}
	return 0;
}

int segment_table_survey(struct segment_table *table, struct segment_info **ret_info,
			 size_t *ret_count)
{
	struct segment_info *info;
	size_t count;

	pthread_rwlock_rdlock(&table->lock);
	count = table->count;
	info = malloc((count ? count : 1) * sizeof(*info));
	for (size_t i = 0; info && i < count; i++) {
		struct segment *s = table->segments[i];
		struct disk_file *file = atomic_load(&s->file);
		unsigned links = 1;

		if (file && table->disk->ops->links(file, &links) < 0)
			links = 1; /* asked again before anything is done to it */
		info[i] = (struct segment_info){
			.id = s->id,
			.len = atomic_load(&s->len),
			.live_blocks = (uint64_t)atomic_load(&s->live),
			.pinned = links > 1,
			.damaged = atomic_load(&s->damaged),
			.previous = file && s->age == KEYS_PREVIOUS,
		};
	}
	pthread_rwlock_unlock(&table->lock);
	if (!info)
		return -ENOMEM;
	*ret_info = info;
	*ret_count = count;
	return 0;
}

uint64_t segment_table_bytes(struct segment_table *table)
{
	uint64_t bytes = 0;

	pthread_rwlock_rdlock(&table->lock);
	for (size_t i = 0; i < table->count; i++)
		bytes += atomic_load(&table->segments[i]->len);
	pthread_rwlock_unlock(&table->lock);
	return bytes;
}
