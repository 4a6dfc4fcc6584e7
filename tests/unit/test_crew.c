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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_part_is_done_once_and_a_failure_is_returned),
	};

	return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
