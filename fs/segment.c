/*
 * One segment: its file, header and keys. The file is opened and the keys are derived when the segment
 * is first held; who holds it keeps the open file, also when its name has gone meanwhile.
 */
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "disk.h"
#include "err.h"
#include "format.h"
#include "keys.h"
#include "mac.h"
#include "secret.h"
#include "segment_internal.h"

#define NAME_DIGITS 8

void segment_name(uint32_t id, char name[SEGMENT_NAME_MAX])
{
	(void)snprintf(name, SEGMENT_NAME_MAX, "segments/%0*" PRIx32, NAME_DIGITS, id); /* fits */
}

struct segment *segment_new(struct segment_table *t, uint32_t id)
{
	struct segment *s = calloc(1, sizeof(*s));

	if (s) {
		s->table = t;
		s->id = id;
		atomic_init(&s->holds, 1);
	}
	return s;
}

/* Room for one segment's keys. The caller holds open_lock. */
static int take_keys_locked(struct segment_table *t, uint8_t **ret_keys, struct err *err)
{
	struct key_slab *slab;
	unsigned i;
	int r;

	for (slab = t->slabs; slab; slab = slab->next)
		if (slab->used != (1ULL << SEGMENT_SLAB_KEYS) - 1)
			break;
	if (!slab) {
		slab = calloc(1, sizeof(*slab));
		if (!slab)
			return err_set(err, ENOMEM, "segment keys: out of memory");
		r = secret_new(SEGMENT_SLAB_KEYS * SEGMENT_KEYS_LEN, &slab->bytes, err);
		if (r < 0) {
			free(slab);
			return r;
		}
		slab->next = t->slabs;
		t->slabs = slab;
	}
	i = (unsigned)__builtin_ctzll(~slab->used);
	slab->used |= 1ULL << i;
	*ret_keys = secret_bytes(slab->bytes) + i * SEGMENT_KEYS_LEN;
	return 0;
}

/* Wipe a segment's keys and give their room back. */
static void release_keys(struct segment_table *t, uint8_t *keys)
{
	pthread_mutex_lock(&t->open_lock);
	OPENSSL_cleanse(keys, SEGMENT_KEYS_LEN);
	for (struct key_slab *slab = t->slabs; slab; slab = slab->next) {
		uint8_t *first = secret_bytes(slab->bytes);

		if (keys >= first && keys < first + SEGMENT_SLAB_KEYS * SEGMENT_KEYS_LEN)
			slab->used &= ~(1ULL << (size_t)(keys - first) / SEGMENT_KEYS_LEN);
	}
	pthread_mutex_unlock(&t->open_lock);
}

static void segment_destroy(struct segment *s)
{
	disk_close(atomic_load(&s->file));
	mac_free(s->mac);
	if (s->keys)
		release_keys(s->table, s->keys);
	free(s);
}

void segment_put(struct segment *segment)
{
	if (segment && atomic_fetch_sub(&segment->holds, 1) == 1)
		segment_destroy(segment);
}

/* Derive the keys of a segment into locked memory. The caller holds open_lock. */
static int derive_locked(struct segment *s, const uint8_t *salt, struct err *err)
{
	struct segment_table *t = s->table;
	int r = s->keys ? 0 : take_keys_locked(t, &s->keys, err); /* an earlier try got as far */

	if (r < 0)
		return r;
	/* The keys go with the segment, also on failure. */
	return keys_segment(t->data_keys[s->age], t->geometry.cipher, salt, s->keys, &s->mac, err);
}

int segment_open_locked(struct segment *s, struct err *err)
{
	struct segment_table *t = s->table;
	uint8_t bytes[FORMAT_SEGMENT_LEN];
	struct format_segment h;
	char name[SEGMENT_NAME_MAX];
	struct disk_file *file;
	const char *writer;
	uint64_t len;
	int r;

	segment_name(s->id, name);
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
	r = format_segment_get(bytes, t->header_macs[KEYS_NEWEST], &h, err);
	if (r == -EBADMSG && t->header_macs[KEYS_PREVIOUS] &&
	    format_segment_get(bytes, t->header_macs[KEYS_PREVIOUS], &h, NULL) == 0) {
		s->age = KEYS_PREVIOUS;
		r = 0;
	}
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
	writer = store_writer(&t->geometry, s->id);
	if (strcmp(h.writer, writer) != 0) {
		r = err_set(err, EUCLEAN,
			    "it was written for volume '%s', and here belongs one of '%s'",
			    h.writer, writer);
		goto fail;
	}
	r = t->disk->ops->size(file, &len);
	if (r < 0) {
		r = err_set(err, -r, "size: %s", strerror(-r));
		goto fail;
	}
	s->previous = h.previous;
	if (!s->mac) {
		r = derive_locked(s, h.salt, err);
		if (r < 0)
			goto fail;
	}
	atomic_store(&s->len, len);
	atomic_store(&s->file, file);
	return 0;
fail:
	disk_close(file);
	return err_prefix(err, "%s", name);
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
	memcpy(h.writer, t->geometry.volume_id, FORMAT_WRITER_LEN - 1); /* its length is checked */
	r = format_segment_put(&h, t->header_macs[s->age], bytes);
	if (r == 0)
		r = disk_pwrite(file, bytes, sizeof(bytes), 0);
	if (r == 0)
		r = t->disk->ops->sync(file);
	if (r == 0)
		r = t->disk->ops->sync_dir(t->disk, "segments");
	return r;
}

/* The file of a new segment: a recycled one under its new name, or a new one. */
static int make_file(struct segment *s, const char *name, struct disk_file **ret_file,
		     struct err *err)
{
	struct recycled recycled;
	int r = segment_take_recycled(s->table, name, &recycled, err);

	if (r < 0)
		return r;
	if (r == 0)
		return disk_open(s->table->disk, name, DISK_CREATE, ret_file, err);
	s->room = recycled.len;
	*ret_file = recycled.file;
	return 0;
}

int segment_create(struct segment_table *table, uint32_t id, uint32_t previous,
		   struct segment **ret_segment, struct err *err)
{
	struct segment *s = segment_new(table, id);
	uint8_t salt[FORMAT_SALT_LEN];
	struct disk_file *file;
	char name[SEGMENT_NAME_MAX];
	int r;

	segment_name(id, name);
	if (!s)
		return err_set(err, ENOMEM, "%s: out of memory", name);
	if (RAND_bytes(salt, sizeof(salt)) != 1)
		r = err_set(err, EIO, "%s: no random bytes from libcrypto", name);
	else
		r = make_file(s, name, &file, err);
	if (r < 0) {
		segment_put(s);
		return r;
	}
	atomic_store(&s->file, file);
	s->previous = previous;
	atomic_store(&s->len, segment_room(s));
	r = write_header(s, file, previous, salt);
	if (r < 0)
		r = err_set(err, -r, "%s: cannot write its header: %s", name, strerror(-r));
	if (r == 0) {
		pthread_mutex_lock(&table->open_lock);
		r = derive_locked(s, salt, err);
		pthread_mutex_unlock(&table->open_lock);
	}
	if (r == 0 && (r = segment_table_insert(table, s)) < 0)
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

uint64_t segment_room(const struct segment *segment)
{
	return segment->room > FORMAT_SEGMENT_LEN ? segment->room : FORMAT_SEGMENT_LEN;
}

void segment_set_len(struct segment *segment, uint64_t len)
{
	atomic_store(&segment->len, len);
}

void segment_set_damaged(struct segment *segment)
{
	atomic_store(&segment->damaged, true);
}

uint64_t segment_live(const struct segment *segment)
{
	return (uint64_t)atomic_load(&segment->live);
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
