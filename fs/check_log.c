/*
 * The log of a volume that is checked: what it has behind the checkpoint, and, where map pages are lost,
 * all of it. As in a replay the first place without a record ends the log of a mount, unless a flush
 * had covered it; but then it is reported, and the log goes on behind it.
 *
 * A mount's log is a chain of segments: each says which was sealed before it, the first says none. Up to
 * where a flush had covered a chain is known from its own records, from the root and from `flushed`.
 */
#include "check_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "blockmap.h"
#include "err.h"
#include "segment_internal.h"

#define ENTRIES	 FORMAT_PAGE_ENTRIES
#define WHAT_MAX 256

/* One chain, and how far its history goes. */
struct chain {
	struct check *check;
	struct check_reader *reader;
	struct check_segment *segment;
	size_t first, last; /* indices of its segments */
	uint64_t covered;   /* all before this seq had been flushed */
	bool ended;
};

static void say(struct chain *ch, const struct check_segment *s, uint64_t off, uint64_t len,
		const char *what)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(s->id, name);
	check_say(ch->check, &(struct check_finding){.weight = CHECK_DAMAGE,
						     .file = name,
						     .off = off,
						     .len = len,
						     .what = what});
}

static bool is_within(const struct check *c, const struct chain *ch, uint64_t seq)
{
	uint32_t id = format_seq_segment(seq);

	return id >= c->segments[ch->first].id &&
	       (ch->last + 1 == c->segment_count || id < c->segments[ch->last + 1].id);
}

/* The chain that begins at segment @first. */
static void find_chain(struct chain *ch, size_t first)
{
	struct check *c = ch->check;

	ch->first = ch->last = first;
	ch->ended = false;
	ch->covered = 0;
	while (ch->last + 1 < c->segment_count &&
	       (c->segments[ch->last + 1].previous || !c->segments[ch->last + 1].readable))
		ch->last++;
	for (size_t i = first; i <= ch->last; i++)
		if (c->segments[i].durable > ch->covered)
			ch->covered = c->segments[i].durable;
	if (c->flushed > ch->covered && is_within(c, ch, c->flushed))
		ch->covered = c->flushed;
	if (c->replay > ch->covered && is_within(c, ch, c->replay))
		ch->covered = c->replay;
	/* After a mount that ended well there is nothing to replay: all of its log is durable. */
	if (c->has_root && !c->replay && c->next_segment > c->segments[ch->last].id &&
	    (ch->last + 1 == c->segment_count || c->segments[ch->last + 1].id >= c->next_segment))
		ch->covered = format_seq((uint32_t)c->next_segment, 0);
}

static bool is_unknown(const struct check *c, uint64_t lba)
{
	uint64_t leaf = lba / ENTRIES;

	return c->unknown_leaves[leaf / 8] >> leaf % 8 & 1;
}

/* Put a range into the map, as far as the map does not know it yet. */
static void set(struct check *c, const struct format_record *record, uint64_t seq)
{
	bool behind = c->has_root && c->replay && record->seq >= c->replay;
	uint64_t lba = record->lba, end = record->lba + record->count;

	if (behind) {
		blockmap_set(c->map, lba, record->count, seq);
		return;
	}
	while (lba < end) { /* before the checkpoint: only leaves that it did not give */
		uint64_t n = ENTRIES - lba % ENTRIES;

		if (n > end - lba)
			n = end - lba;
		if (is_unknown(c, lba))
			blockmap_set(c->map, lba, n,
				     seq ? seq + (lba - record->lba) * (c->slot_len / FORMAT_UNIT)
					 : 0);
		lba += n;
	}
}

/* Are all blocks of a write right? Behind what was flushed the first that is not ends the log. */
static int is_whole(struct chain *ch, const struct format_record *record, uint64_t off)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < record->count; i++)
		r = check_read_slot(ch->check, ch->reader, record->lba + i,
				    off + FORMAT_RECORD_LEN + i * ch->check->slot_len);
	return r;
}

static int apply(void *arg, const struct format_record *record, uint64_t off)
{
	struct chain *ch = arg;
	struct check *c = ch->check;

	if (check_stopped(c))
		return 1;
	if (record->type == FORMAT_WRITE) {
		int r = record->seq < ch->covered ? 0 : is_whole(ch, record, off);

		if (r == -EBADMSG) {
			ch->ended = true;
			return 1;
		}
		if (r < 0)
			return r;
		set(c, record, record->seq + FORMAT_RECORD_LEN / FORMAT_UNIT);
	} else if (record->type == FORMAT_DISCARD) {
		uint64_t blocks = check_blocks(c);

		if (record->lba < blocks && record->count <= blocks - record->lba)
			set(c, record, 0);
	}
	return 0;
}

/* Where the segment's first gap is that no flush had covered; UINT64_MAX: there is none. Says the others. */
static uint64_t first_torn(struct chain *ch)
{
	const struct check_segment *s = ch->segment;

	for (size_t i = 0; i < s->gap_count; i++) {
		if (format_seq(s->id, s->gaps[i].off) >= ch->covered)
			return s->gaps[i].off;
		say(ch, s, s->gaps[i].off, s->gaps[i].end - s->gaps[i].off,
		    "a record is damaged: which blocks it changed is not known, where the map does "
		    "not say");
	}
	return UINT64_MAX;
}

/* Is the end of this segment as it should be? */
static void look_at_end(struct chain *ch, size_t i)
{
	struct check *c = ch->check;
	struct check_segment *s = &c->segments[i];
	uint64_t end = format_seq(s->id, s->end_off);
	bool followed = i < ch->last && c->segments[i + 1].previous == s->id &&
			c->segments[i + 1].records; /* else it is a spare */
	char what[WHAT_MAX];

	if (s->sealed || !s->readable)
		return;
	if (followed && end < ch->covered)
		say(ch, s, s->end_off, 0, "its last records are damaged: it has no seal");
	else if (!followed && end < ch->covered && format_seq_segment(ch->covered) == s->id) {
		(void)snprintf(what, sizeof(what),
			       "the log ends here, but a flush had covered it up to %" PRIu64,
			       format_seq_off(ch->covered)); /* fits */
		say(ch, s, s->end_off, 0, what);
	}
}

/* Are segments missing in the part of the log that is still needed? */
static void look_for_missing(struct chain *ch, size_t i)
{
	struct check *c = ch->check;
	uint32_t id = c->segments[i].previous;
	char name[SEGMENT_NAME_MAX];

	if (!id || !c->has_root || !c->replay || id < format_seq_segment(c->replay) ||
	    check_find(c, id))
		return;
	segment_name(id, name);
	check_say(c, &(struct check_finding){.weight = CHECK_DAMAGE,
					     .file = name,
					     .what = "the file is missing, and the log goes on "
						     "behind it"});
}

static int apply_segment(struct chain *ch, size_t i)
{
	struct check *c = ch->check;
	struct check_segment *s = &c->segments[i];
	uint64_t end_off = s->end_off, torn;
	struct check_reader reader = {.check = c};
	int r;

	ch->segment = s;
	ch->reader = &reader;
	look_for_missing(ch, i);
	torn = first_torn(ch);
	look_at_end(ch, i);
	if (!s->readable ||
	    (!c->unknown && (!c->has_root || !c->replay || s->id < format_seq_segment(c->replay))))
		return 0;
	r = check_reader_open(c, &reader, s);
	if (r == 0)
		r = check_reader_keys(c, &reader);
	if (torn < end_off)
		s->end_off = torn;
	if (r == 0)
		r = check_walk(&reader, s, FORMAT_SEGMENT_LEN, apply, ch);
	s->end_off = end_off;
	ch->ended |= torn < end_off || (!s->sealed && format_seq(s->id, end_off) >= ch->covered);
	check_reader_close(&reader);
	return r;
}

/* The last mount ended well, and yet there is something newer: the roots are of an earlier time. */
static void look_for_newer(struct check *c)
{
	char what[WHAT_MAX], name[SEGMENT_NAME_MAX];

	if (!c->has_root || c->replay)
		return;
	for (size_t i = 0; i < c->segment_count; i++) {
		if (c->segments[i].id < c->next_segment || !c->segments[i].records)
			continue;
		segment_name(c->segments[i].id, name);
		(void)snprintf(what, sizeof(what),
			       "it is newer than root.0 and root.1, which are of an earlier time");
		check_say(c, &(struct check_finding){
				     .weight = CHECK_DAMAGE, .file = name, .what = what});
		c->has_root = false;
		c->unknown = true;
		memset(c->unknown_leaves, 0xff,
		       ((check_blocks(c) + ENTRIES - 1) / ENTRIES + 7) / 8);
	}
}

int check_apply_log(struct check *c, struct err *err)
{
	struct chain ch = {.check = c};
	int r = 0;

	look_for_newer(c);
	c->result.rebuilt = c->unknown;
	for (size_t i = 0; r == 0 && i < c->segment_count; i = ch.last + 1) {
		find_chain(&ch, i);
		for (size_t k = ch.first; r == 0 && k <= ch.last && !ch.ended; k++)
			r = apply_segment(&ch, k);
		if (check_stopped(c))
			r = -EINTR;
	}
	return r < 0 ? err_set(err, -r, r == -EINTR ? "interrupted" : "log: %s", strerror(-r)) : 0;
}
