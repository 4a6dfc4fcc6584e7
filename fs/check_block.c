/*
 * The blocks of a volume that is checked. Each segment is read from front to back, many at once; when not
 * all blocks that the map has there were found right, the map is gone through, and each of them that
 * is damaged or missing is reported.
 */
#include "check_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "blockcrypt.h"
#include "blockmap.h"
#include "crew.h"
#include "disk.h"
#include "err.h"
#include "keys.h"
#include "mac.h"
#include "secret.h"
#include "segment_internal.h"

/* Readers. */

int check_reader_open(struct check *c, struct check_reader *reader, const struct check_segment *s)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(s->id, name);
	reader->check = c;
	reader->id = s->id;
	reader->age = s->age;
	reader->slots = malloc(STORE_IO_MAX / c->geometry->block_size * (size_t)c->slot_len);
	reader->plain = malloc(c->geometry->block_size);
	if (!reader->slots || !reader->plain)
		return -ENOMEM;
	return disk_open(c->disk, name, DISK_READ, &reader->file, NULL);
}

int check_reader_keys(struct check *c, struct check_reader *reader)
{
	uint8_t bytes[FORMAT_SEGMENT_LEN];
	struct format_segment h;
	int r;

	if (!c->data_key)
		return 0;
	r = disk_pread(reader->file, bytes, sizeof(bytes), 0);
	if (r < 0 || format_segment_get(bytes, NULL, &h, NULL) < 0)
		return r < 0 && r != -ENODATA ? r : -EBADMSG;
	r = secret_new(KEYS_SEGMENT_LEN, &reader->keys, NULL);
	if (r == 0)
		r = keys_segment(c->keys[reader->age], c->geometry->cipher, h.salt,
				 secret_bytes(reader->keys), &reader->mac, NULL);
	if (r == 0)
		r = blockcrypt_new(c->geometry->cipher, BLOCKCRYPT_DECRYPT, c->geometry->block_size,
				   &reader->crypt, NULL);
	return r < 0 ? r : blockcrypt_set_key(reader->crypt, secret_cbytes(reader->keys));
}

void check_reader_close(struct check_reader *reader)
{
	if (reader->plain)
		OPENSSL_cleanse(reader->plain, reader->check->geometry->block_size);
	free(reader->plain);
	free(reader->slots);
	blockcrypt_free(reader->crypt);
	mac_free(reader->mac);
	secret_free(reader->keys);
	disk_close(reader->file);
	memset(reader, 0, sizeof(*reader));
}

/* @count slots from @off on, as many as there are. A count. */
static int64_t read_slots(struct check *c, struct check_reader *reader, uint64_t off,
			  uint64_t count)
{
	int64_t n = disk_pread_some(reader->file, reader->slots, count * c->slot_len, off);

	return n < 0 ? n : n / c->slot_len;
}

/* Slot @i of those read is right. Without a key nothing can be said against it. */
static int judge_slot(struct check *c, struct check_reader *reader, uint64_t lba, uint64_t off,
		      uint64_t i)
{
	uint64_t seq = format_seq(reader->id, off + i * c->slot_len);

	if (!c->data_key)
		return 0;
	return blockcrypt_decrypt(reader->crypt, lba + i, seq, reader->slots + i * c->slot_len,
				  reader->plain);
}

int check_read_slot(struct check *c, struct check_reader *reader, uint64_t lba, uint64_t off)
{
	int64_t n = read_slots(c, reader, off, 1);

	if (n < 0)
		return (int)n;
	return n == 0 ? -EBADMSG : judge_slot(c, reader, lba, off, 0);
}

int check_tag(struct check *c, struct check_reader *reader, const struct format_record *record,
	      uint64_t off)
{
	uint8_t header[FORMAT_RECORD_LEN], tag[FORMAT_RECORD_TAG_LEN];
	int r = disk_pread(reader->file, tag, sizeof(tag), off + FORMAT_RECORD_LEN);

	(void)c;
	format_record_put(record, header);
	if (r < 0)
		return r == -ENODATA ? -EBADMSG : r;
	return mac_check(reader->mac, header, sizeof(header), tag, sizeof(tag));
}

/* From front to back. */

struct pass {
	struct check *check;
	struct check_segment *segment;
	struct check_reader reader;
};

static int verify_record(void *arg, const struct format_record *record, uint64_t off)
{
	struct pass *p = arg;
	struct check *c = p->check;
	uint64_t first = off + FORMAT_RECORD_LEN, unit = c->slot_len / FORMAT_UNIT;
	uint64_t seq = format_seq(p->segment->id, first);
	bool any = c->options->dead;
	int64_t n;

	if (check_stopped(c))
		return 1;
	if (record->type != FORMAT_WRITE)
		return 0;
	for (uint64_t i = 0; !any && i < record->count; i++)
		any = blockmap_get(c->map, record->lba + i) == seq + i * unit;
	n = any ? read_slots(c, &p->reader, first, record->count) : 0;
	if (n < 0)
		return (int)n;
	for (uint64_t i = 0; i < record->count && any; i++) {
		bool live = blockmap_get(c->map, record->lba + i) == seq + i * unit;
		bool right =
			i < (uint64_t)n && ((!live && !c->options->dead) ||
					    judge_slot(c, &p->reader, record->lba, first, i) == 0);

		if (live)
			p->segment->good += right;
		else if (c->options->dead && right)
			p->segment->dead++;
		else if (c->options->dead)
			p->segment->wrong++;
	}
	return 0;
}

static void say_dead(struct check *c, const struct check_segment *s)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(s->id, name);
	check_say(c, &(struct check_finding){.weight = CHECK_NOTE,
					     .file = name,
					     .what = "blocks that the volume does not need any "
						     "more fail their check"});
}

static int verify_segment(void *arg, unsigned part)
{
	struct check *c = arg;
	struct check_segment *s = &c->segments[part];
	struct pass p = {.check = c, .segment = s};
	int r = 0;

	if (check_stopped(c))
		return 0;
	if (s->readable && (s->live || c->options->dead)) {
		r = check_reader_open(c, &p.reader, s);
		if (r == 0)
			r = check_reader_keys(c, &p.reader);
		if (r == 0)
			r = check_walk(&p.reader, s, FORMAT_SEGMENT_LEN, verify_record, &p);
		check_reader_close(&p.reader);
	}
	if (s->wrong)
		say_dead(c, s);
	pthread_mutex_lock(&c->lock);
	c->done_bytes += s->len;
	if (c->options->progress)
		c->options->progress(c->options->arg, c->done_bytes, c->all_bytes);
	pthread_mutex_unlock(&c->lock);
	return r == -EBADMSG || r == -EIO ? 0 : r; /* what was not found right is looked at anew */
}

/* Through the map. */

struct run {
	struct check *check;
	struct check_finding finding;
	char name[SEGMENT_NAME_MAX];
	uint32_t id;
	uint64_t next_off;
};

static void end_run(struct run *run)
{
	if (run->finding.count)
		check_say(run->check, &run->finding);
	run->check->result.damaged_blocks += run->finding.count;
	run->finding.count = 0;
}

static void add_to_run(struct run *run, uint64_t lba, uint64_t seq, const char *what, bool whole)
{
	struct check_finding *f = &run->finding;
	uint32_t len = run->check->slot_len;

	if (!f->count || format_seq_segment(seq) != run->id || lba != f->lba + f->count ||
	    f->what != what || (!whole && format_seq_off(seq) != run->next_off)) {
		end_run(run);
		run->id = format_seq_segment(seq);
		segment_name(run->id, run->name);
		*f = (struct check_finding){.weight = CHECK_DAMAGE,
					    .file = run->name,
					    .off = whole ? 0 : format_seq_off(seq),
					    .lba = lba,
					    .what = what};
	}
	f->count++;
	f->len += whole ? 0 : len;
	run->next_off = format_seq_off(seq) + len;
}

/* Which is why it cannot be read; NULL: it can. */
static const char *judge_block(struct check *c, struct check_reader *reader, uint64_t lba,
			       uint64_t seq, bool *ret_whole)
{
	struct check_segment *s = check_find(c, format_seq_segment(seq));
	uint64_t off = format_seq_off(seq);

	*ret_whole = !s || !s->readable;
	if (!s)
		return "the file is missing";
	if (!s->readable)
		return "its header is lost";
	if (off + c->slot_len > s->len)
		return "the file is cut short";
	if (s->good == s->live)
		return NULL;
	if (reader->id != s->id) {
		if (reader->check)
			check_reader_close(reader);
		if (check_reader_open(c, reader, s) < 0 || check_reader_keys(c, reader) < 0)
			return "the file cannot be read";
	}
	if (!c->data_key)
		return off + c->slot_len > s->end_off ? "no record stands there" : NULL;
	return check_read_slot(c, reader, lba, off) < 0 ? "the data is damaged: it fails its check"
							: NULL;
}

static void go_through_map(struct check *c, bool any)
{
	uint64_t blocks = check_blocks(c), lba = 0;
	struct check_reader reader = {.check = NULL};
	struct run run = {.check = c};

	while (any && (lba = blockmap_seek(c->map, lba, 0)) < blocks && !check_stopped(c)) {
		uint64_t seq = blockmap_get(c->map, lba);
		bool whole;
		const char *what = judge_block(c, &reader, lba, seq, &whole);

		if (what)
			add_to_run(&run, lba, seq, what, whole);
		lba++;
	}
	end_run(&run);
	if (reader.check)
		check_reader_close(&reader);
}

/* Count what the map has in each segment. True: in one that is not there, too. */
static bool count_live(struct check *c)
{
	uint64_t blocks = check_blocks(c);
	struct check_segment *s = NULL;
	bool missing = false;

	for (uint64_t lba = 0; (lba = blockmap_seek(c->map, lba, 0)) < blocks; lba++) {
		uint32_t id = format_seq_segment(blockmap_get(c->map, lba));

		if (!s || s->id != id)
			s = check_find(c, id);
		if (s)
			s->live++;
		missing |= !s || !s->readable;
		c->result.blocks++;
	}
	return missing;
}

int check_verify(struct check *c, struct err *err)
{
	bool any = count_live(c);
	int r = crew_run(c->crew, (unsigned)c->segment_count, verify_segment, c);

	if (r < 0)
		return err_set(err, -r, "segments: %s", strerror(-r));
	for (size_t i = 0; i < c->segment_count; i++) {
		any |= c->segments[i].good != c->segments[i].live;
		c->result.dead_blocks += c->segments[i].dead;
	}
	go_through_map(c, any);
	return 0;
}
