/* The crew: every part once, whoever does it, with many callers at once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "crew.h"
#include "err.h"

#define CALLERS 6
#define JOBS	2000
#define PARTS	8

static struct crew *crew;

struct marks {
	atomic_uint times[PARTS];
	int fails_at; /* part, or -1 */
};

static int mark(void *arg, unsigned part)
{
	struct marks *m = arg;

	atomic_fetch_add(&m->times[part], 1);
	return (int)part == m->fails_at ? -EBADMSG : 0;
}

static void *call(void *arg)
{
	unsigned *wrong = arg;

	for (int i = 0; i < JOBS; i++) {
		struct marks m = {.fails_at = i % 3 == 0 ? i % PARTS : -1};
		unsigned parts = 1 + (unsigned)i % PARTS;
		int want = m.fails_at >= 0 && (unsigned)m.fails_at < parts ? -EBADMSG : 0;

		*wrong += crew_run(crew, parts, mark, &m) != want;
		for (unsigned p = 0; p < PARTS; p++)
			*wrong += atomic_load(&m.times[p]) != (p < parts);
	}
	return NULL;
}

static void each_part_is_done_once_and_a_failure_is_returned(void **state)
{
	pthread_t threads[CALLERS];
	unsigned wrong[CALLERS] = {0};
	struct err err;

	(void)state;
	assert_int_equal(crew_new(&crew, &err), 0);
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call, &wrong[i]), 0);
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(wrong[i], 0);
	}
	crew_free(crew);
}

/* A part whose own job's parts look who runs them. */
struct nest {
	struct crew *outer, *inner;
	pthread_t thread; /* of the outer part */
	atomic_uint strangers, parts;
};

static int inner_part(void *arg, unsigned part)
{
	struct nest *n = arg;

	(void)part;
	atomic_fetch_add(&n->parts, 1);
	if (!pthread_equal(pthread_self(), n->thread))
		atomic_fetch_add(&n->strangers, 1);
	return 0;
}

static int outer_part(void *arg, unsigned part)
{
	struct nest *n = arg, mine = {.inner = n->inner, .thread = pthread_self()};
	int r = crew_run(n->inner, 100, inner_part, &mine);

	(void)part;
	atomic_fetch_add(&n->parts, mine.parts);
	atomic_fetch_add(&n->strangers, mine.strangers);
	return r;
}

static void a_job_within_a_part_stays_with_its_thread(void **state)
{
	struct nest n = {0};
	struct err err;

	(void)state;
	assert_int_equal(crew_new(&n.outer, &err), 0);
	assert_int_equal(crew_new(&n.inner, &err), 0);
	assert_int_equal(crew_run(n.outer, 200, outer_part, &n), 0);
	assert_int_equal(n.parts, 200 * 100);
	assert_int_equal(n.strangers, 0);
	crew_free(n.outer);
	crew_free(n.inner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_part_is_done_once_and_a_failure_is_returned),
		cmocka_unit_test(a_job_within_a_part_stays_with_its_thread),
	};

	return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
