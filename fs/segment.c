/*
 * Segment files and their table.
 *
 * The table maps an id to a struct segment, whose file is opened and whose keys are derived when it
 * is first held. A reader looks a position up in the block map, then holds its segment; the table's
 * lock makes "look up and hold" one step against unlinking, and a holder keeps the open file.
 */
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "disk.h"
#include "err.h"
#include "format.h"
#include "hkdf.h"
#include "mac.h"
#include "secret.h"

#define KEYS_LEN     (BLOCKCRYPT_KEY_LEN + MAC_KEY_LEN) /* of one segment */
#define KEYS_IN_SLAB 40					/* fits a page of locked memory */
#define DEAD_CALLS   3 /* a segment is dead at before its file goes */
#define NAME_DIGITS  8

struct segment {
	struct segment_table *table;
	uint32_t id;
	uint32_t previous;		  /* fixed when file is set */
	_Atomic(struct disk_file *) file; /* NULL until first held */
	const uint8_t *keys;		  /* KEYS_LEN, fixed when file is set */
	struct mac *mac;		  /* fixed when file is set */
	atomic_uint holds;		  /* one of them the table's */
	atomic_int_least64_t live;	  /* blocks that the map has here */
	uint64_t end_off;  /* of the furthest live block; guarded by the loader being alone */
	unsigned dead_for; /* calls of segment_unlink_dead(); guarded by table->lock */
};

struct key_slab {
	struct key_slab *next;
	struct secret *bytes;
	unsigned used;
};

struct segment_table {
	struct disk *disk;		/* fixed at open */
	struct store_geometry geometry; /* fixed at open */
	struct secret *data_key;	/* fixed at open */
	struct mac *header_mac;		/* fixed at open */
	pthread_rwlock_t lock;		/* guards by_id, first, room, count */
	struct segment **by_id;		/* [id - first], NULL where there is none */
	uint32_t first;
	uint32_t room;
	uint32_t last;
	uint64_t count;
	pthread_mutex_t open_lock; /* guards slabs; one opens at a time */
	struct key_slab *slabs;
};

static void name_of(uint32_t id, char name[SEGMENT_NAME_MAX])
{
	(void)snprintf(name, SEGMENT_NAME_MAX, "segments/%0*" PRIx32, NAME_DIGITS, id); /* fits */
}

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

static void segment_destroy(struct segment *s)
{
	disk_close(atomic_load(&s->file));
	mac_free(s->mac);
	free(s);
}

void segment_put(struct segment *segment)
{
	if (segment && atomic_fetch_sub(&segment->holds, 1) == 1)
		segment_destroy(segment);
}

void segment_table_free(struct segment_table *table)
{
	struct key_slab *slab, *next;

	if (!table)
		return;
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

static int insert(struct segment_table *t, uint32_t id, struct segment *s)
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

static struct segment *segment_new(struct segment_table *t, uint32_t id)
{
	struct segment *s = calloc(1, sizeof(*s));

	if (s) {
		s->table = t;
		s->id = id;
		atomic_init(&s->holds, 1);
	}
	return s;
}

struct id_list {
	uint32_t *ids;
	size_t count;
	size_t room;
};

static int collect(const char *entry, void *arg)
{
	struct id_list *list = arg;
	unsigned long id;
	char *end;

	id = strtoul(entry, &end, 16);
	if (*end || strlen(entry) != NAME_DIGITS || id == 0)
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
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		struct segment *s = segment_new(table, list.ids[i]);

		r = s ? insert(table, list.ids[i], s) : -ENOMEM;
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

/* Derive the keys of a segment into locked memory. The caller holds open_lock. */
static int derive_locked(struct segment *s, const uint8_t *salt, struct err *err)
{
	struct segment_table *t = s->table;
	struct key_slab *slab = t->slabs;
	char label[64];
	uint8_t *keys;
	int r;

	if (!slab || slab->used == KEYS_IN_SLAB) {
		slab = calloc(1, sizeof(*slab));
		if (!slab)
			return err_set(err, ENOMEM, "segment keys: out of memory");
		r = secret_new(KEYS_IN_SLAB * KEYS_LEN, &slab->bytes, err);
		if (r < 0) {
			free(slab);
			return r;
		}
		slab->next = t->slabs;
		t->slabs = slab;
	}
	keys = secret_bytes(slab->bytes) + slab->used * KEYS_LEN;
	(void)snprintf(label, sizeof(label), "kmsvol v1 segment %s",
		       blockcrypt_name(t->geometry.cipher)); /* fits */
	r = hkdf_sha256(t->data_key, salt, FORMAT_SALT_LEN, label, keys, KEYS_LEN, err);
	if (r == 0)
		r = mac_new(keys + BLOCKCRYPT_KEY_LEN, &s->mac, err);
	if (r < 0)
		return r;
	slab->used++;
	s->keys = keys;
	return 0;
}

/* Open the file of a segment of the table and check its header. The caller holds open_lock. */
static int open_locked(struct segment *s, struct err *err)
{
	struct segment_table *t = s->table;
	uint8_t bytes[FORMAT_SEGMENT_LEN];
	struct format_segment h;
	char name[SEGMENT_NAME_MAX];
	struct disk_file *file;
	int r;

	name_of(s->id, name);
	r = disk_open(t->disk, name, DISK_WRITE, &file, err);
	if (r == -EROFS || r == -EACCES)
		r = disk_open(t->disk, name, DISK_READ, &file, err);
	if (r < 0)
		return r;
	r = disk_pread(file, bytes, sizeof(bytes), 0);
	if (r < 0) {
		r = err_set(err, r == -ENODATA ? EBADMSG : -r, "header: %s",
			    r == -ENODATA ? "the file is cut short" : strerror(-r));
		goto fail;
	}
	r = format_segment_get(bytes, t->header_mac, &h, err);
	if (r < 0)
		goto fail;
	if (h.id != s->id || h.cipher != t->geometry.cipher ||
	    h.block_size != t->geometry.block_size) {
		r = err_set(err, EUCLEAN,
			    "header is of segment %08" PRIx32 " of a volume with "
			    "cipher %d and block size %" PRIu32,
			    h.id, (int)h.cipher, h.block_size);
		goto fail;
	}
	s->previous = h.previous;
	r = derive_locked(s, h.salt, err);
	if (r < 0)
		goto fail;
	atomic_store(&s->file, file);
	return 0;
fail:
	disk_close(file);
	return err_prefix(err, "%s", name);
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
			r = open_locked(s, err);
		pthread_mutex_unlock(&table->open_lock);
		if (r < 0) {
			segment_put(s);
			return r;
		}
	}
	*ret_segment = s;
	return 0;
}

/* Write the header of a new segment's file and make file and name durable. */
static int write_header(struct segment *s, struct disk_file *file, uint32_t previous,
			const uint8_t *salt)
{
	struct segment_table *t = s->table;
	uint8_t bytes[FORMAT_SEGMENT_LEN];
	struct format_segment h = {
		.cipher = t->geometry.cipher,
		.block_size = t->geometry.block_size,
		.id = s->id,
		.previous = previous,
		.created = (uint64_t)time(NULL),
	};
	int r;

	memcpy(h.salt, salt, FORMAT_SALT_LEN);
	r = format_segment_put(&h, t->header_mac, bytes);
	if (r == 0)
		r = disk_pwrite(file, bytes, sizeof(bytes), 0);
	if (r == 0)
		r = t->disk->ops->sync(file);
	if (r == 0)
		r = t->disk->ops->sync_dir(t->disk, "segments");
	return r;
}

int segment_create(struct segment_table *table, uint32_t id, uint32_t previous,
		   struct segment **ret_segment, struct err *err)
{
	struct segment *s = segment_new(table, id);
	uint8_t salt[FORMAT_SALT_LEN];
	struct disk_file *file;
	char name[SEGMENT_NAME_MAX];
	int r;

	name_of(id, name);
	if (!s)
		return err_set(err, ENOMEM, "%s: out of memory", name);
	if (RAND_bytes(salt, sizeof(salt)) != 1) {
		free(s);
		return err_set(err, EIO, "%s: no random bytes from libcrypto", name);
	}
	r = disk_open(table->disk, name, DISK_CREATE, &file, err);
	if (r < 0) {
		free(s);
		return r;
	}
	s->previous = previous;
	r = write_header(s, file, previous, salt);
	if (r < 0)
		r = err_set(err, -r, "%s: cannot write its header: %s", name, strerror(-r));
	if (r == 0) {
		pthread_mutex_lock(&table->open_lock);
		r = derive_locked(s, salt, err);
		pthread_mutex_unlock(&table->open_lock);
	}
	atomic_store(&s->file, file);
	if (r == 0 && (r = insert(table, id, s)) < 0)
		r = err_set(err, -r, "%s: no room in the segment table", name);
	if (r < 0) {
		segment_put(s);
		(void)table->disk->ops->unlink(table->disk, name); /* was never used */
		return r;
	}
	atomic_fetch_add(&s->holds, 1);
	*ret_segment = s;
	return 0;
}

uint32_t segment_id(const struct segment *segment)
{
	return segment->id;
}

uint32_t segment_previous(const struct segment *segment)
{
	return segment->previous;
}

struct disk_file *segment_file(const struct segment *segment)
{
	return atomic_load(&segment->file);
}

const uint8_t *segment_key(const struct segment *segment)
{
	return segment->keys;
}

int segment_record_mac(const struct segment *segment, const uint8_t *header, size_t len,
		       uint8_t *ret_tag)
{
	uint8_t tag[MAC_LEN];
	int r = mac_sign(segment->mac, header, len, tag);

	if (r == 0)
		memcpy(ret_tag, tag, FORMAT_RECORD_TAG_LEN);
	return r;
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

/* Take a segment out of the table and the directory. */
static int remove_segment(struct segment_table *t, uint32_t id, struct err *err)
{
	char name[SEGMENT_NAME_MAX];
	struct segment *s;
	int r;

	name_of(id, name);
	r = t->disk->ops->unlink(t->disk, name);
	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "%s: cannot unlink: %s", name, strerror(-r));
	pthread_rwlock_wrlock(&t->lock);
	s = find_locked(t, id);
	t->by_id[id - t->first] = NULL;
	t->count--;
	pthread_rwlock_unlock(&t->lock);
	segment_put(s);
	return 0;
}

int segment_unlink_dead(struct segment_table *table, uint32_t below, struct err *err)
{
	int unlinked = 0;

	for (uint32_t i = 0; i < table->room && table->first + i < below; i++) {
		struct segment *s;
		bool gone;

		pthread_rwlock_wrlock(&table->lock);
		s = table->by_id[i];
		if (s)
			s->dead_for = atomic_load(&s->live) == 0 ? s->dead_for + 1 : 0;
		gone = s && s->dead_for >= DEAD_CALLS;
		pthread_rwlock_unlock(&table->lock);
		if (!gone)
			continue;
		int r = remove_segment(table, table->first + i, err);
		if (r < 0)
			return r;
		unlinked++;
	}
	return unlinked;
}

void segment_trim(struct segment_table *table, uint32_t id, uint64_t end_off)
{
	struct segment *s;
	struct err ignored;

	if (segment_get(table, id, &s, &ignored) < 0)
		return;
	(void)table->disk->ops->truncate(segment_file(s), end_off); /* only gives room back */
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
