/* The copy loop between two images in memory: any order and streams, holes, errors of either end, stopping. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "err.h"
#include "history.h"

#define MIB	(1u << 20)
#define SIZE	(70u * MIB + 12345)
#define FAIL_AT (40u * MIB)

struct end {
	uint8_t *bytes;
	uint64_t size;
	uint64_t at; /* a stream's position */
	bool stream;
	bool fails;
	atomic_bool wrong; /* called out of order or past the end */
	atomic_uint under_way;
	atomic_uint most; /* calls at once */
	atomic_uint_least64_t zeroed;
};

static void enter(struct end *e)
{
	unsigned now = atomic_fetch_add(&e->under_way, 1) + 1;

	if (now > atomic_load(&e->most))
		atomic_store(&e->most, now);
}

static int place(struct end *e, uint64_t off, uint64_t len)
{
	if ((e->stream && e->at != off) || off + len > e->size)
		atomic_store(&e->wrong, true);
	if (e->stream)
		e->at = off + len;
	return e->fails && off >= FAIL_AT ? -EBADMSG : 0;
}

static int64_t end_read(void *arg, uint64_t off, size_t len, uint8_t *buf, struct err *err)
{
	struct end *e = arg;
	size_t n = e->size - off < len ? e->size - off : len;

	enter(e);
	if (place(e, off, n) < 0)
		return err_set(err, EBADMSG, "the source is damaged");
	memcpy(buf, e->bytes + off, n);
	atomic_fetch_sub(&e->under_way, 1);
	return (int64_t)n;
}

/* Runs of 64 KiB that are zero are its holes. */
static int end_find(void *arg, uint64_t off, uint64_t *ret_from, uint64_t *ret_to, struct err *err)
{
	static const uint8_t zeros[COPY_GRAIN];
	struct end *e = arg;
	uint64_t from = off;

	(void)err;
	while (from < e->size &&
	       memcmp(e->bytes + from, zeros,
		      e->size - from < COPY_GRAIN ? e->size - from : COPY_GRAIN) == 0)
		from += COPY_GRAIN - from % COPY_GRAIN;
	*ret_from = from < e->size ? from : e->size;
	*ret_to = *ret_from + 3 * MIB < e->size ? *ret_from + 3 * MIB : e->size;
	return 0;
}

static int end_write(void *arg, uint64_t off, size_t len, const uint8_t *buf, struct err *err)
{
	struct end *e = arg;

	enter(e);
	if (place(e, off, len) < 0)
		return err_set(err, EBADMSG, "the target is full");
	memcpy(e->bytes + off, buf, len);
	atomic_fetch_sub(&e->under_way, 1);
	return 0;
}

static int end_zero(void *arg, uint64_t off, uint64_t len, struct err *err)
{
	struct end *e = arg;

	(void)err;
	(void)place(e, off, len);
	memset(e->bytes + off, 0, len);
	atomic_fetch_add(&e->zeroed, len);
	return 0;
}

static struct copy_source from(struct end *e)
{
	return (struct copy_source){.arg = e,
				    .in_order = e->stream,
				    .read = end_read,
				    .find = e->stream ? NULL : end_find};
}

static struct copy_target to(struct end *e)
{
	return (struct copy_target){
		.arg = e, .in_order = e->stream, .write = end_write, .zero = end_zero};
}

struct pair {
	struct end a, b;
};

/* An image with data, large and small holes and zeros that are no whole grain. */
static struct pair *make(uint64_t size)
{
	struct pair *p = calloc(1, sizeof(*p));
	uint64_t seed = history_seed();

	p->a.size = p->b.size = size;
	p->a.bytes = calloc(1, size + 1);
	p->b.bytes = malloc(size + 1);
	memset(p->b.bytes, 0xee, size + 1);
	for (uint64_t off = 0; off < size;) {
		uint64_t n = history_random(&seed) % (5 * MIB);

		n = size - off < n ? size - off : n;
		if (history_random(&seed) % 2)
			for (uint64_t i = 0; i < n; i++)
				p->a.bytes[off + i] = (uint8_t)((off + i) * 7 >> 3 | 1);
		off += n;
	}
	return p;
}

static void drop(struct pair *p)
{
	free(p->a.bytes);
	free(p->b.bytes);
	free(p);
}

struct seen {
	uint64_t off;
	atomic_bool stop;
	uint64_t stop_at;
};

static void see(void *arg, uint64_t off)
{
	struct seen *seen = arg;

	assert_true(off >= seen->off && off <= SIZE);
	seen->off = off;
	if (off >= seen->stop_at)
		atomic_store(&seen->stop, true);
}

static void copies(bool a_stream, bool b_stream, uint64_t size)
{
	struct pair *p = make(size);
	struct copy_source source;
	struct copy_target target;
	struct seen seen = {.stop_at = UINT64_MAX};
	struct copy_options options = {.stop = &seen.stop, .progress = see, .arg = &seen};
	struct copy_result result;
	struct err err;

	p->a.stream = a_stream;
	p->b.stream = b_stream;
	source = from(&p->a);
	target = to(&p->b);
	assert_int_equal(copy_run(&source, &target, &options, &result, &err), 0);
	assert_memory_equal(p->a.bytes, p->b.bytes, size);
	assert_int_equal(p->b.bytes[size], 0xee);
	assert_int_equal(result.size_bytes, size);
	assert_int_equal(result.data_bytes + p->b.zeroed, size);
	assert_int_equal(seen.off, size);
	assert_true(!a_stream || p->a.most == 1);
	assert_false(p->a.wrong || p->b.wrong);
	assert_true(!b_stream || p->b.most <= 1);
	drop(p);
}

static void any_order_is_copied_with_its_holes(void **state)
{
	(void)state;
	copies(false, false, SIZE);
}

static void a_stream_is_read_in_order_by_one(void **state)
{
	(void)state;
	copies(true, false, SIZE);
}

static void a_stream_is_written_in_order_by_one(void **state)
{
	(void)state;
	copies(false, true, SIZE);
}

static void sizes_at_the_edges_are_copied(void **state)
{
	const uint64_t sizes[] = {0, 1, MIB - 1, MIB, MIB + 1, 12 * MIB, 24 * MIB, 24 * MIB + 1};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (unsigned streams = 0; streams < 3; streams++)
			copies(streams == 1, streams == 2, sizes[i]);
}

static void an_error_of_either_end_is_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct pair *p = make(SIZE);
		struct copy_source source;
		struct copy_target target;
		struct copy_result result = {.size_bytes = 77};
		struct err err;

		memset(p->a.bytes, 1, SIZE);
		p->a.fails = i % 2 == 0;
		p->b.fails = i % 2 == 1;
		p->a.stream = i / 2 == 1;
		p->b.stream = i / 2 == 2;
		source = from(&p->a);
		target = to(&p->b);
		assert_int_equal(copy_run(&source, &target, NULL, &result, &err), -EBADMSG);
		assert_string_equal(err.msg,
				    i % 2 ? "the target is full" : "the source is damaged");
		p->a.at = p->b.at = 0;
		assert_int_equal(copy_run(&source, &target, NULL, &result, NULL), -EBADMSG);
		assert_int_equal(result.size_bytes, 77);
		drop(p);
	}
}

static void it_stops_when_told(void **state)
{
	(void)state;
	for (unsigned streams = 0; streams < 3; streams++) {
		struct pair *p = make(SIZE);
		struct copy_source source;
		struct copy_target target;
		struct seen seen = {.stop_at = 20 * MIB};
		struct copy_options options = {.stop = &seen.stop, .progress = see, .arg = &seen};
		struct copy_result result;
		struct err err;

		memset(p->a.bytes, 1, SIZE);
		p->a.stream = streams == 1;
		p->b.stream = streams == 2;
		source = from(&p->a);
		target = to(&p->b);
		assert_int_equal(copy_run(&source, &target, &options, &result, &err), -EINTR);
		assert_string_equal(err.msg, "interrupted");
		assert_int_equal(p->b.bytes[SIZE - 1], 0xee);
		drop(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_is_copied_with_its_holes),
		cmocka_unit_test(a_stream_is_read_in_order_by_one),
		cmocka_unit_test(a_stream_is_written_in_order_by_one),
		cmocka_unit_test(sizes_at_the_edges_are_copied),
		cmocka_unit_test(an_error_of_either_end_is_told),
		cmocka_unit_test(it_stops_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
