/*
 * The copy loop. The image is cut into pieces. With two ends that take any order all of it is one job for
 * the crew: each part takes the next piece, reads it, writes it, and comes back, until there is none; so
 * nobody waits for anybody, and a piece stays in one processor's cache. When one end is a stream, a batch
 * of pieces is a job: part 0 moves a whole batch through it, one piece after the other, while the other
 * parts do the other end's work for the batch before (or behind) it; so both go on at once.
 */
#include "copy.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crew.h"
#include "err.h"

#define BATCH 12 /* pieces */

struct piece {
	uint64_t off;
	uint64_t len; /* at most COPY_PIECE, but for a hole */
	bool hole;
	uint8_t *buf;
	size_t used; /* bytes of buf that have to be wiped */
};

struct batch {
	struct piece pieces[BATCH];
	unsigned count;
};

struct copy {
	const struct copy_source *source;
	const struct copy_target *target;
	const struct copy_options *options;
	struct crew *crew;
	uint32_t piece_len; /* COPY_PIECE, or COPY_CHUNK where parts take pieces themselves */
	uint8_t *memory;    /* of all pieces */
	struct batch batches[2];
	struct batch *reading, *writing; /* what the parts work on; NULL: nothing to do there */
	atomic_uint_least64_t data_bytes;
	pthread_mutex_t lock;	       /* guards the rest where parts take pieces themselves */
	uint64_t off;		       /* what is before it has been planned or read */
	uint64_t found_from, found_to; /* the data that source->find() gave last */
	bool ended;
	bool said;
	struct err *err;
};

static bool is_zero(const uint8_t *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static bool stopped(const struct copy *c)
{
	return c->options && c->options->stop && atomic_load(c->options->stop);
}

/* Keep the first error. Returns @r. */
static int keep(struct copy *c, int r, const struct err *err)
{
	if (r >= 0)
		return r;
	pthread_mutex_lock(&c->lock);
	if (!c->said && c->err)
		*c->err = *err;
	c->said = true;
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* Bytes from @at on that are all zero, or all not to be left out, in steps of COPY_GRAIN. */
static size_t run_length(const struct piece *p, size_t at, bool *ret_zero)
{
	size_t end = at;

	while (end < p->len) {
		size_t n = p->len - end < COPY_GRAIN ? p->len - end : COPY_GRAIN;
		bool zero = is_zero(p->buf + end, n);

		if (end == at)
			*ret_zero = zero;
		else if (zero != *ret_zero)
			break;
		end += n;
	}
	return end - at;
}

static int put_zeros(const struct copy *c, uint64_t off, uint64_t len, struct err *err)
{
	return c->target->zero ? c->target->zero(c->target->arg, off, len, err) : 0;
}

static int write_piece(struct copy *c, const struct piece *p, struct err *err)
{
	size_t n;
	int r = 0;

	if (p->hole)
		return put_zeros(c, p->off, p->len, err);
	for (size_t at = 0; r == 0 && at < p->len; at += n) {
		bool zero = false;

		n = run_length(p, at, &zero);
		if (zero) {
			r = put_zeros(c, p->off + at, n, err);
		} else {
			r = c->target->write(c->target->arg, p->off + at, n, p->buf + at, err);
			atomic_fetch_add(&c->data_bytes, n);
		}
	}
	return r;
}

/* Up to @len bytes at @off of the source into the buffer of a piece; how many there were. */
static int64_t fill(struct copy *c, struct piece *p, uint64_t off, size_t len, struct err *err)
{
	if (p->used < len)
		p->used = len;
	return c->source->read(c->source->arg, off, len, p->buf, err);
}

/* Fill a piece whose place is known. */
static int read_piece(struct copy *c, struct piece *p, struct err *err)
{
	int64_t n;

	if (p->hole)
		return 0;
	n = fill(c, p, p->off, p->len, err);
	if (n < 0)
		return (int)n;
	if ((uint64_t)n < p->len)
		return err_set(err, EIO, "the image became shorter while it was read");
	return 0;
}

/* The next pieces of a stream. */
static int read_batch(struct copy *c, struct batch *b, struct err *err)
{
	for (b->count = 0; b->count < BATCH && !c->ended && !stopped(c); b->count++) {
		struct piece *p = &b->pieces[b->count];
		int64_t n = fill(c, p, c->off, COPY_PIECE, err);

		if (n < 0)
			return (int)n;
		p->off = c->off;
		p->len = (uint64_t)n;
		p->hole = false;
		c->off += p->len;
		c->ended = n < COPY_PIECE;
		if (n == 0)
			break;
	}
	return 0;
}

/* Lay out the next piece of a source that takes any order; of no length when there is none. */
static int plan_piece(struct copy *c, struct piece *p, struct err *err)
{
	p->off = c->off;
	p->len = 0;
	if (c->off >= c->found_to) {
		int r = c->source->find(c->source->arg, c->off, &c->found_from, &c->found_to, err);

		if (r < 0)
			return r;
	}
	p->hole = c->off < c->found_from;
	p->len = (p->hole ? c->found_from : c->found_to) - c->off;
	if (!p->hole && p->len > c->piece_len - p->off % c->piece_len)
		p->len = c->piece_len - p->off % c->piece_len; /* holes are found at its grain */
	c->off += p->len;
	c->ended = p->len == 0; /* neither hole nor data */
	return 0;
}

static int plan_batch(struct copy *c, struct batch *b, struct err *err)
{
	for (b->count = 0; b->count < BATCH && !c->ended; b->count++) {
		int r = plan_piece(c, &b->pieces[b->count], err);

		if (r < 0)
			return r;
		if (c->ended)
			break;
	}
	return 0;
}

static int write_batch(struct copy *c, struct batch *b, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < b->count && !stopped(c); i++)
		r = write_piece(c, &b->pieces[i], err);
	return r;
}

/* Parts of a job: 0 is the stream's, the others a piece each. */
static int part_with_stream(void *arg, unsigned part)
{
	struct copy *c = arg;
	struct batch *b = c->source->in_order ? c->writing : c->reading;
	struct err err;
	int r = 0;

	if (part == 0 && c->source->in_order)
		r = read_batch(c, c->reading, &err);
	else if (part == 0)
		r = write_batch(c, c->writing, &err);
	else if (!stopped(c) && c->source->in_order)
		r = write_piece(c, &b->pieces[part - 1], &err);
	else if (!stopped(c))
		r = read_piece(c, &b->pieces[part - 1], &err);
	return keep(c, r, &err);
}

/* Done with its last piece, a part takes the next; of no length when none is wanted. */
static int next_piece(struct copy *c, struct piece *p, struct err *err)
{
	bool done = p->len > 0;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	p->len = 0;
	if (done && c->options && c->options->progress) {
		uint64_t reached = c->off;

		for (unsigned i = 0; i < BATCH; i++) /* what others still have */
			if (c->batches[0].pieces[i].len && c->batches[0].pieces[i].off < reached)
				reached = c->batches[0].pieces[i].off;
		c->options->progress(c->options->arg, reached);
	}
	if (!c->ended && !c->said && !stopped(c))
		r = plan_piece(c, p, err);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int part_without(void *arg, unsigned part)
{
	struct copy *c = arg;
	struct piece *p = &c->batches[0].pieces[part];
	struct err err;
	int r;

	while ((r = next_piece(c, p, &err)) == 0 && p->len) {
		r = read_piece(c, p, &err);
		if (r == 0)
			r = write_piece(c, p, &err);
		if (r < 0)
			break;
	}
	return keep(c, r, &err);
}

static int copy_without_stream(struct copy *c, struct err *err)
{
	int r = crew_run(c->crew, BATCH, part_without, c);

	return r == 0 && stopped(c) ? err_set(err, EINTR, "interrupted") : r;
}

static int copy_batches(struct copy *c, struct err *err)
{
	int r = 0;

	c->reading = &c->batches[0];
	c->writing = &c->batches[1];
	do {
		struct batch *swap = c->reading;
		unsigned other, parts;

		if (!c->source->in_order && plan_batch(c, c->reading, err) < 0)
			return -err->num;
		other = c->source->in_order ? c->writing->count : c->reading->count;
		r = crew_run(c->crew, other + 1, part_with_stream, c);
		parts = c->reading->count;
		c->reading = c->writing;
		c->writing = swap;
		c->reading->count = 0;
		if (r == 0 && stopped(c))
			r = err_set(err, EINTR, "interrupted");
		if (r == 0 && c->options && c->options->progress)
			c->options->progress(c->options->arg,
					     parts ? c->writing->pieces[0].off : c->off);
		if (parts == 0)
			break;
	} while (r == 0);
	return r;
}

/* Give back the memory of the pieces, without what was in it. */
static void free_memory(struct copy *c)
{
	for (size_t i = 0; c->memory && i < 2 * BATCH; i++) {
		struct piece *p = &c->batches[i / BATCH].pieces[i % BATCH];

		OPENSSL_cleanse(p->buf, p->used);
	}
	free(c->memory);
}

int copy_run(const struct copy_source *source, const struct copy_target *target,
	     const struct copy_options *options, struct copy_result *ret_result, struct err *err)
{
	bool stream = source->in_order || target->in_order;
	struct err own = {0};
	struct copy c = {.source = source,
			 .target = target,
			 .options = options,
			 .piece_len = stream ? COPY_PIECE : COPY_CHUNK,
			 .lock = PTHREAD_MUTEX_INITIALIZER,
			 .err = err ? err : &own};
	int r = crew_new(&c.crew, c.err);

	if (r < 0)
		return r;
	c.memory = malloc(2 * BATCH * (size_t)c.piece_len);
	for (size_t i = 0; c.memory && i < 2 * BATCH; i++)
		c.batches[i / BATCH].pieces[i % BATCH].buf = c.memory + i * c.piece_len;
	if (!c.memory)
		r = err_set(c.err, ENOMEM, "copy: out of memory");
	else
		r = stream ? copy_batches(&c, c.err) : copy_without_stream(&c, c.err);
	crew_free(c.crew);
	free_memory(&c);
	if (r < 0)
		return r;
	ret_result->size_bytes = c.off;
	ret_result->data_bytes = atomic_load(&c.data_bytes);
	return 0;
}
