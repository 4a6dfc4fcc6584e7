/*
 * The segments of a volume that is checked, record by record. Where no record stands the next one is looked
 * for at every position: a header says its own position under a CRC, so none is found where none is.
 */
#include "check_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "crew.h"
#include "disk.h"
#include "err.h"
#include "segment_internal.h"

#define SCAN_LEN (1u << 20) /* bytes read at a time when looking for a record */

uint64_t check_record_len(const struct check *c, const struct format_record *record)
{
	if (record->type == FORMAT_DISCARD || record->type == FORMAT_SEAL)
		return FORMAT_RECORD_LEN + FORMAT_RECORD_TAG_LEN;
	if (record->type != FORMAT_WRITE || record->count == 0 ||
	    record->count > STORE_IO_MAX / c->geometry->block_size ||
	    record->lba >= check_blocks(c) || record->count > check_blocks(c) - record->lba)
		return 0;
	return FORMAT_RECORD_LEN + record->count * c->slot_len;
}

/* The first record at or behind @off; 0: none. */
static int64_t find_record(struct check_reader *reader, uint32_t id, uint64_t off)
{
	uint8_t *bytes = malloc(SCAN_LEN + FORMAT_RECORD_LEN);
	struct format_record record;
	int64_t n, found = 0;

	if (!bytes)
		return -ENOMEM;
	for (; !found; off += SCAN_LEN) {
		n = disk_pread_some(reader->file, bytes, SCAN_LEN + FORMAT_RECORD_LEN, off);
		if (n < FORMAT_RECORD_LEN) {
			found = n < 0 ? n : 0;
			break;
		}
		for (int64_t i = 0; i + FORMAT_RECORD_LEN <= n && !found; i += FORMAT_UNIT)
			if (format_record_get(bytes + i, format_seq(id, off + (uint64_t)i),
					      &record) == 0)
				found = (int64_t)off + i;
	}
	free(bytes);
	return found;
}

/* What check_walk() finds besides records, for who wants to keep it. */
struct walked {
	struct check *check;
	struct check_segment *segment;
	struct check_reader *reader;
};

static int keep_gap(struct check_segment *s, uint64_t off, uint64_t end)
{
	struct check_gap *p;

	if (s->gap_count == CHECK_GAPS_MAX) {
		s->gaps[s->gap_count - 1].end = end;
		return 0;
	}
	p = reallocarray(s->gaps, s->gap_count + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->gaps = p;
	s->gaps[s->gap_count++] = (struct check_gap){off, end};
	return 0;
}

static int read_header(struct check_reader *reader, uint32_t id, uint64_t off,
		       struct format_record *ret_record)
{
	uint8_t bytes[FORMAT_RECORD_LEN];
	int r = disk_pread(reader->file, bytes, sizeof(bytes), off);

	return r < 0 ? r : format_record_get(bytes, format_seq(id, off), ret_record);
}

/* Through a segment for the first time: its records, gaps and end. */
static int scan_records(struct walked *w)
{
	struct check_segment *s = w->segment;
	uint64_t off = FORMAT_SEGMENT_LEN;

	while (!s->sealed && off < s->len && !check_stopped(w->check)) {
		struct format_record record;
		int64_t next;
		int r = read_header(w->reader, s->id, off, &record);
		uint64_t len = r == 0 ? check_record_len(w->check, &record) : 0;

		if (r < 0 && r != -EBADMSG && r != -ENODATA)
			return r;
		if (len) {
			s->records++;
			if (record.durable > s->durable)
				s->durable = record.durable;
			s->sealed = record.type == FORMAT_SEAL;
			if (record.type != FORMAT_WRITE && w->check->data_key &&
			    check_tag(w->check, w->reader, &record, off) == -EBADMSG &&
			    keep_gap(s, off, off + len) < 0)
				return -ENOMEM;
			off += len;
			continue;
		}
		next = find_record(w->reader, s->id, off + FORMAT_UNIT);
		if (next < 0)
			return (int)next;
		if (next == 0)
			break;
		r = keep_gap(s, off, (uint64_t)next);
		if (r < 0)
			return r;
		off = (uint64_t)next;
	}
	s->end_off = off;
	return 0;
}

int check_walk(struct check_reader *reader, const struct check_segment *s, uint64_t off,
	       check_record_fn *fn, void *arg)
{
	const struct check *c = reader->check;
	size_t gap = 0;
	int r = 0;

	while (r == 0 && off < s->end_off) {
		struct format_record record;

		while (gap < s->gap_count && s->gaps[gap].end <= off)
			gap++;
		if (gap < s->gap_count && s->gaps[gap].off <= off) {
			off = s->gaps[gap].end;
			continue;
		}
		r = read_header(reader, s->id, off, &record);
		if (r == 0)
			r = fn(arg, &record, off);
		off += r == 0 ? check_record_len(c, &record) : 0;
	}
	return r < 0 ? r : 0;
}

static void say_segment(struct check *c, uint32_t id, uint64_t len, const char *what)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(id, name);
	check_say(c, &(struct check_finding){
			     .weight = CHECK_DAMAGE, .file = name, .len = len, .what = what});
}

/* The header of a segment. 1: its blocks cannot be read, and that has been said. */
static int look_at_header(struct check *c, struct check_segment *s, struct check_reader *reader)
{
	uint8_t bytes[FORMAT_SEGMENT_LEN];
	struct format_segment h;
	struct err why;
	int r = disk_pread(reader->file, bytes, sizeof(bytes), 0);

	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	r = format_segment_get(bytes, c->header_macs[s->age], &h, &why);
	if (r < 0 && format_segment_get(bytes, NULL, &h, NULL) < 0)
		return -EBADMSG;
	if (r < 0)
		say_segment(c, s->id, FORMAT_SEGMENT_LEN, "the header is damaged");
	else if (h.id != s->id || h.cipher != c->geometry->cipher ||
		 h.block_size != c->geometry->block_size ||
		 strcmp(h.writer, store_writer(c->geometry, s->id)) != 0) {
		say_segment(c, s->id, FORMAT_SEGMENT_LEN,
			    "the header is of another segment or volume");
		return 1;
	}
	/* The salt may be right all the same; but only a tag under the key can say so. */
	if (r < 0 && c->geometry->cipher != BLOCKCRYPT_AES_256_GCM &&
	    c->geometry->cipher != BLOCKCRYPT_CHACHA20_POLY1305)
		return 1;
	s->previous = h.previous;
	s->readable = true;
	return 0;
}

static int scan_segment(void *arg, unsigned part)
{
	struct check *c = arg;
	struct check_segment *s = &c->segments[part];
	struct check_reader reader = {.check = c};
	struct walked w = {.check = c, .segment = s, .reader = &reader};
	int r;

	if (check_stopped(c))
		return 0;
	r = check_reader_open(c, &reader, s);
	if (r == 0)
		r = c->disk->ops->size(reader.file, &s->len);
	if (r == 0)
		r = look_at_header(c, s, &reader);
	if (r == -EBADMSG || r == -EUCLEAN)
		say_segment(c, s->id, 0, "it has no header: the file is cut short or another's");
	if (r == 0)
		r = check_reader_keys(c, &reader);
	if (r == 0)
		r = scan_records(&w);
	check_reader_close(&reader);
	return r == -EBADMSG || r == -EUCLEAN || r > 0 ? 0 : r;
}

/* A name in segments/: a segment's, or one that does not belong there. */
static int take_name(const char *entry, void *arg)
{
	struct check *c = arg;
	unsigned long id = strtoul(entry, NULL, 16);
	char name[SEGMENT_NAME_MAX];
	struct check_segment *p;

	segment_name((uint32_t)id, name);
	if (id == 0 || id >= UINT32_MAX || strcmp(strchr(name, '/') + 1, entry) != 0) {
		char path[300] = "segments/";

		strncat(path, entry, 255);
		check_say(c, &(struct check_finding){.weight = CHECK_NOTE,
						     .file = path,
						     .what = "no file of a volume has this name"});
		return 0;
	}
	p = reallocarray(c->segments, c->segment_count + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	c->segments = p;
	c->segments[c->segment_count++] = (struct check_segment){.id = (uint32_t)id};
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct check_segment *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/*
 * With two data keys: which segment is under which. One whose header does not say so is as the one before: what
 * is under the newest comes behind all that is not.
 */
static void find_ages(struct check *c)
{
	enum keys_age before = KEYS_PREVIOUS;

	for (size_t i = 0; i < c->segment_count; i++) {
		struct check_segment *s = &c->segments[i];
		uint8_t bytes[FORMAT_SEGMENT_LEN];
		char name[SEGMENT_NAME_MAX];
		struct format_segment h;
		struct disk_file *file;

		s->age = before;
		segment_name(s->id, name);
		if (disk_open(c->disk, name, DISK_READ, &file, NULL) < 0)
			continue;
		if (disk_pread(file, bytes, sizeof(bytes), 0) == 0 &&
		    format_segment_get(bytes, c->header_macs[KEYS_NEWEST], &h, NULL) == 0)
			s->age = before = KEYS_NEWEST;
		disk_close(file);
	}
}

int check_scan(struct check *c, struct err *err)
{
	int r = c->disk->ops->list(c->disk, "segments", take_name, c);

	if (r == -ENOENT) {
		check_say(c, &(struct check_finding){.weight = CHECK_DAMAGE,
						     .file = "segments",
						     .what = "the directory is missing"});
		return 0;
	}
	if (r < 0)
		return err_set(err, -r, "segments: %s", strerror(-r));
	if (c->segment_count)
		qsort(c->segments, c->segment_count, sizeof(*c->segments), by_id);
	if (c->keys[KEYS_PREVIOUS])
		find_ages(c);
	r = crew_run(c->crew, (unsigned)c->segment_count, scan_segment, c);
	if (r < 0)
		return err_set(err, -r, "segments: %s", strerror(-r));
	for (size_t i = 0; i < c->segment_count; i++) {
		c->result.records += c->segments[i].records;
		c->all_bytes += c->segments[i].len;
	}
	c->result.segments = c->segment_count;
	return 0;
}
