/* A check from beginning to end, and what it leaves to be read. See check.h. */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "blockmap.h"
#include "check_internal.h"
#include "copy.h"
#include "crew.h"
#include "disk.h"
#include "err.h"
#include "flushed.h"
#include "keys.h"
#include "secret.h"

/* What a volume's or a snapshot's directory may have besides segments/. */
static const char *const names[] = {"volume.json",
				    "segments",
				    "map",
				    "root.0",
				    "root.1",
				    "flushed",
				    "events.jsonl",
				    "lock",
				    "control",
				    "snapshot.json",
				    "repair-report.json",
				    "grant.json",
				    "outage.json",
				    NULL};

void check_say(struct check *c, const struct check_finding *finding)
{
	pthread_mutex_lock(&c->lock);
	c->result.findings += finding->weight == CHECK_DAMAGE;
	c->options->report(c->options->arg, finding);
	pthread_mutex_unlock(&c->lock);
}

bool check_stopped(const struct check *c)
{
	return c->options->stop && atomic_load(c->options->stop);
}

uint64_t check_blocks(const struct check *c)
{
	return c->geometry->size_bytes / c->geometry->block_size;
}

struct check_segment *check_find(struct check *c, uint32_t id)
{
	size_t low = 0, high = c->segment_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (c->segments[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->segment_count && c->segments[low].id == id ? &c->segments[low] : NULL;
}

static int look_at_name(const char *entry, void *arg)
{
	for (size_t i = 0; names[i]; i++)
		if (strcmp(entry, names[i]) == 0)
			return 0;
	check_say(arg, &(struct check_finding){.weight = CHECK_NOTE,
					       .file = entry,
					       .what = "no file of a volume has this name"});
	return 0;
}

/* The file `flushed`. Who has no key cannot tell it from a damaged one. */
static int look_at_flushed(struct check *c, struct err *err)
{
	struct flushed *flushed;
	int r;

	if (!c->data_key)
		return 0;
	r = flushed_open(c->disk, c->geometry, c->data_key, true, &flushed, err);
	if (r < 0)
		return r;
	c->flushed = flushed_seq(flushed);
	if (!flushed_known(flushed))
		check_say(c,
			  &(struct check_finding){
				  .weight = CHECK_DAMAGE,
				  .file = "flushed",
				  .what = "is missing or damaged: whether the log's last flushed "
					  "records are there cannot be told"});
	flushed_free(flushed);
	return 0;
}

static int make_keys(struct check *c, struct err *err)
{
	int r;

	if (!c->data_key)
		return 0;
	r = keys_segment_header(c->data_key, c->header_macs, err);
	if (r == 0)
		r = keys_volume_file(c->data_key, "map", c->geometry->volume_id, c->map_macs, err);
	for (int age = 0; r == 0 && age < KEYS_AGES; age++)
		r = keys_pick(c->data_key, (enum keys_age)age, &c->keys[age], err);
	return r;
}

static int run(struct check *c, struct err *err)
{
	int r = make_keys(c, err);

	if (r == 0)
		r = crew_new(&c->crew, err);
	if (r == 0)
		r = blockmap_new(check_blocks(c), c->slot_len, NULL, &c->map, err);
	if (r == 0)
		r = c->disk->ops->list(c->disk, ".", look_at_name, c);
	if (r == 0)
		r = check_load_map(c, err);
	if (r == 0)
		r = look_at_flushed(c, err);
	if (r == 0)
		r = check_scan(c, err);
	if (r == 0)
		r = check_apply_log(c, err);
	if (r == 0)
		r = check_verify(c, err);
	if (r == 0 && check_stopped(c))
		r = err_set(err, EINTR, "interrupted");
	return r;
}

int check_run(struct disk *disk, const struct store_geometry *geometry,
	      const struct secret *data_key, const struct check_options *options,
	      struct check **ret_check, struct check_result *ret_result, struct err *err)
{
	struct check *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(err, ENOMEM, "check: out of memory");
	c->disk = disk;
	c->geometry = geometry;
	c->data_key = data_key;
	c->options = options;
	c->slot_len = geometry->block_size + BLOCKCRYPT_TAG_LEN;
	pthread_mutex_init(&c->lock, NULL);
	r = run(c, err);
	if (r < 0) {
		check_free(c);
		return r;
	}
	*ret_result = c->result;
	*ret_check = c;
	return 0;
}

void check_free(struct check *check)
{
	if (!check)
		return;
	for (size_t i = 0; i < check->segment_count; i++)
		free(check->segments[i].gaps);
	free(check->segments);
	free(check->unknown_leaves);
	blockmap_free(check->map);
	crew_free(check->crew);
	keys_free_macs(check->header_macs);
	keys_free_macs(check->map_macs);
	for (int age = 0; age < KEYS_AGES; age++)
		secret_free(check->keys[age]);
	pthread_mutex_destroy(&check->lock);
	free(check);
}

/* What is intact, as an image. */

static int64_t source_read(void *arg, uint64_t off, size_t len, uint8_t *buf, struct err *err)
{
	struct check *c = arg;
	struct check_reader reader = {.check = NULL};
	uint32_t size = c->geometry->block_size;

	(void)err; /* what cannot be read are zeros */
	memset(buf, 0, len);
	for (size_t at = 0; at < len; at += size) {
		uint64_t lba = (off + at) / size, seq = blockmap_get(c->map, lba);
		struct check_segment *s = check_find(c, format_seq_segment(seq));

		if (!seq || !s || !s->readable)
			continue;
		if (reader.id != s->id) {
			if (reader.check)
				check_reader_close(&reader);
			if (check_reader_open(c, &reader, s) < 0 ||
			    check_reader_keys(c, &reader) < 0) {
				check_reader_close(&reader);
				continue;
			}
		}
		if (check_read_slot(c, &reader, lba, format_seq_off(seq)) == 0)
			memcpy(buf + at, reader.plain, size);
	}
	if (reader.check)
		check_reader_close(&reader);
	return (int64_t)len;
}

static int source_find(void *arg, uint64_t off, uint64_t *ret_from, uint64_t *ret_to,
		       struct err *err)
{
	struct check *c = arg;
	uint32_t size = c->geometry->block_size;
	uint64_t lba = blockmap_seek(c->map, off / size, 0);

	(void)err; /* the map is in memory */
	*ret_from = lba * size;
	*ret_to = blockmap_seek(c->map, lba, 1) * size;
	return 0;
}

struct copy_source check_source(struct check *check)
{
	return (struct copy_source){.arg = check, .read = source_read, .find = source_find};
}
