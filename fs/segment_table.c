/*
 * The table of a store's segments: id to struct segment. A reader looks a position up in the block
 * map, then holds its segment; the table's lock makes "look up and hold" one step against unlinking.
 */
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "disk.h"
#include "err.h"
#include "hkdf.h"
#include "mac.h"
#include "secret.h"
#include "segment_internal.h"

#define DEAD_CALLS 3 /* a segment is dead at before its file goes */

/* Between the first id and the last: what the table may cost is 8 bytes each. 4 PiB of log at least. */
#define ID_SPAN_MAX (1u << 26)

int segment_table_new(struct disk *disk, const struct store_geometry *geometry,
		      const struct secret *data_key, struct segment_table **ret_table,
		      struct err *err)
{
	struct segment_table *t = calloc(1, sizeof(*t));
	uint8_t key[MAC_KEY_LEN];
	int r;

	if (!t)
		return err_set(err, ENOMEM, "segment table: out of memory");
	t->disk = disk;
	t->geometry = *geometry;
	pthread_rwlock_init(&t->lock, NULL);
	pthread_mutex_init(&t->open_lock, NULL);
	r = secret_from(secret_cbytes(data_key), secret_len(data_key), &t->data_key, err);
	if (r == 0)
		r = hkdf_sha256(data_key, NULL, 0, "kmsvol v1 segment header", key, sizeof(key),
				err);
	if (r == 0)
		r = mac_new(key, &t->header_mac, err);
	OPENSSL_cleanse(key, sizeof(key));
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
	for (uint32_t i = 0; i < table->room; i++)
		segment_put(table->by_id[i]);
	free(table->by_id);
	for (slab = table->slabs; slab; slab = next) {
		next = slab->next;
		secret_free(slab->bytes);
		free(slab);
	}
	mac_free(table->header_mac);
	secret_free(table->data_key);
	pthread_mutex_destroy(&table->open_lock);
	pthread_rwlock_destroy(&table->lock);
	free(table);
}

/* Room for @id, which is never far above the last: ids are given out one by one. */
static int reserve_locked(struct segment_table *t, uint32_t id)
{
	uint32_t room = t->room ? t->room : 64;
	struct segment **p;

	if (t->count == 0 && t->room == 0)
		t->first = id;
	if (id < t->first)
		return -EUCLEAN;
	while (room <= id - t->first) {
		if (room > UINT32_MAX / 2)
			return -ENOMEM;
		room *= 2;
	}
	if (room == t->room)
		return 0;
	p = realloc(t->by_id, room * sizeof(*p));
	if (!p)
		return -ENOMEM;
	memset(p + t->room, 0, (room - t->room) * sizeof(*p));
	t->by_id = p;
	t->room = room;
	return 0;
}

int segment_table_insert(struct segment_table *t, uint32_t id, struct segment *s)
{
	int r;

	pthread_rwlock_wrlock(&t->lock);
	r = reserve_locked(t, id);
	if (r == 0) {
		t->by_id[id - t->first] = s;
		t->count++;
		if (id > t->last)
			t->last = id;
	}
	pthread_rwlock_unlock(&t->lock);
	return r;
}

static struct segment *find_locked(struct segment_table *t, uint32_t id)
{
	return id >= t->first && id - t->first < t->room ? t->by_id[id - t->first] : NULL;
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

		r = s ? segment_table_insert(table, list.ids[i], s) : -ENOMEM;
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
	for (uint32_t i = 0; i < table->room; i++) {
		struct segment *s = table->by_id[i], *held;
		uint64_t len;
		int r;

		if (!s || atomic_load(&s->live) == 0)
			continue;
		r = segment_get(table, s->id, &held, err);
		if (r < 0)
			return r;
		r = table->disk->ops->size(segment_file(held), &len);
		segment_put(held);
		if (r < 0)
			return err_set(err, -r, "segments/%08" PRIx32 ": %s", s->id, strerror(-r));
		if (len < s->end_off)
			return err_set(err, EBADMSG,
				       "segments/%08" PRIx32 ": the file is cut short:"
				       " %" PRIu64 " bytes, its blocks need %" PRIu64,
				       s->id, len, s->end_off);
	}
	return 0;
}

/* Has the file a second name, a snapshot's? Then its bytes are not ours alone to change. */
static bool is_shared(struct disk_file *file)
{
	unsigned links = 0;

	return file->disk->ops->links(file, &links) < 0 || links > 1;
}

/* Keep the file of a segment that is out of the table, or unlink it. */
static int dispose(struct segment_table *t, struct segment *s, struct err *err)
{
	struct recycled r = {.file = atomic_load(&s->file), .id = s->id};
	char name[SEGMENT_NAME_MAX];
	bool keep = false;
	int num;

	/* Nobody else holds it and nobody can any more: its bytes may be overwritten. */
	if (r.file && atomic_load(&s->holds) == 1 && !is_shared(r.file) &&
	    t->disk->ops->size(r.file, &r.len) == 0) {
		pthread_rwlock_wrlock(&t->lock);
		keep = t->recycled_count < SEGMENT_RECYCLE_MAX;
		if (keep) {
			t->recycled[t->recycled_count++] = r;
			atomic_store(&s->file, NULL);
		}
		pthread_rwlock_unlock(&t->lock);
	}
	if (keep)
		return 0;
	segment_name(s->id, name);
	num = t->disk->ops->unlink(t->disk, name);
	if (num < 0 && num != -ENOENT)
		return err_set(err, -num, "%s: cannot unlink: %s", name, strerror(-num));
	return 0;
}

int segment_retire_dead(struct segment_table *table, uint32_t below, struct err *err)
{
	int retired = 0;

	for (uint32_t id = table->first; id < below; id++) {
		struct segment *s;
		bool gone;
		int r;

		pthread_rwlock_wrlock(&table->lock);
		s = find_locked(table, id);
		if (s)
			s->dead_for = atomic_load(&s->live) == 0 ? s->dead_for + 1 : 0;
		gone = s && s->dead_for >= DEAD_CALLS;
		if (gone) {
			table->by_id[id - table->first] = NULL;
			table->count--;
		}
		pthread_rwlock_unlock(&table->lock);
		if (!gone)
			continue;
		r = dispose(table, s, err); /* on failure the file waits for the next open */
		segment_put(s);
		if (r < 0)
			return r;
		retired++;
	}
	return retired;
}

bool segment_table_has_dead(struct segment_table *table, uint32_t below)
{
	bool any = false;

	pthread_rwlock_rdlock(&table->lock);
	for (uint32_t i = 0; !any && i < table->room && table->first + i < below; i++)
		any = table->by_id[i] && atomic_load(&table->by_id[i]->live) == 0;
	pthread_rwlock_unlock(&table->lock);
	return any;
}

bool segment_table_take_recycled(struct segment_table *table, struct recycled *ret_recycled)
{
	bool any;

	pthread_rwlock_wrlock(&table->lock);
	any = table->recycled_count > 0;
	if (any)
		*ret_recycled = table->recycled[--table->recycled_count];
	pthread_rwlock_unlock(&table->lock);
	return any;
}

unsigned segment_drop_recycled(struct segment_table *table)
{
	char name[SEGMENT_NAME_MAX];
	struct recycled r;
	unsigned n;

	for (n = 0; segment_table_take_recycled(table, &r); n++) {
		segment_name(r.id, name);
		disk_close(r.file);
		(void)table->disk->ops->unlink(table->disk, name); /* else at the next open */
	}
	return n;
}

void segment_trim(struct segment_table *table, uint32_t id, uint64_t end_off)
{
	struct segment *s;
	struct err ignored;

	if (segment_get(table, id, &s, &ignored) < 0)
		return;
	if (!is_shared(segment_file(s)))
		(void)table->disk->ops->truncate(segment_file(s),
						 end_off); /* only gives room back */
	segment_put(s);
}

uint64_t segment_table_bytes(struct segment_table *table)
{
	uint64_t bytes = 0, len;

	pthread_rwlock_rdlock(&table->lock);
	for (uint32_t i = 0; i < table->room; i++) {
		struct segment *s = table->by_id[i];
		struct disk_file *file = s ? atomic_load(&s->file) : NULL;

		if (file && table->disk->ops->size(file, &len) == 0)
			bytes += len;
	}
	pthread_rwlock_unlock(&table->lock);
	return bytes;
}
