/* Cleaning while many write and discard: nobody undoes what another did, now or after a replay. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "cleaner_rig.h"

#define WRITERS	   3
#define OWN_BLOCKS 24u /* of each writer, spread over the volume */

struct racer {
	struct store *store;
	const atomic_bool *stop;
	unsigned number; /* the last one discards what it wrote */
	uint32_t rounds;
	const char *wrong;
};

static uint64_t block_of(const struct racer *r, uint32_t i)
{
	return (uint64_t)(i * WRITERS + r->number) * BS;
}

static void fill(uint8_t *block, uint32_t round, uint32_t i)
{
	uint32_t words[2] = {round, i};

	for (size_t at = 0; at < BS; at += sizeof(words))
		memcpy(block + at, words, sizeof(words));
}

/* Write own block @i once more; it is as it was written last before. */
static const char *write_again(const struct racer *r, uint32_t round, uint32_t i)
{
	bool discards = r->number == WRITERS - 1;
	uint8_t block[BS], want[BS] = {0};
	struct err err;
	uint64_t hole;

	if (discards &&
	    (store_seek(r->store, block_of(r, i), true, &hole) < 0 || hole != block_of(r, i)))
		return "a discarded block is back";
	if (round > 1 && !discards)
		fill(want, round - 1, i);
	if (store_read(r->store, block_of(r, i), BS, block, &err) < 0)
		return "a read failed";
	if (memcmp(block, want, BS) != 0)
		return "a block is not what was written last";
	fill(block, round, i);
	if (store_write(r->store, block_of(r, i), BS, block, &err) < 0)
		return "a write failed";
	if (discards && store_discard(r->store, block_of(r, i), BS, &err) < 0)
		return "a discard failed";
	return NULL;
}

static void *race(void *arg)
{
	struct racer *r = arg;

	while (!atomic_load(r->stop) && !r->wrong) {
		r->rounds++;
		for (uint32_t i = 0; i < OWN_BLOCKS && !r->wrong; i++)
			r->wrong = write_again(r, r->rounds, i);
	}
	return NULL;
}

static void check_racers(struct fixture *f, const struct racer *racers, const char *when)
{
	uint8_t block[BS], want[BS];
	struct err err;

	for (unsigned n = 0; n < WRITERS - 1; n++) {
		for (uint32_t i = 0; i < OWN_BLOCKS; i++) {
			must(store_read(f->store, block_of(&racers[n], i), BS, block, &err), &err);
			fill(want, racers[n].rounds, i);
			if (memcmp(block, want, BS) != 0)
				fail_msg("%s: block %u of writer %u is an older one", when, i, n);
		}
	}
	/* What was discarded is a hole, not a block of zeros. */
	assert_int_equal(stats_of(f).mapped_bytes, (WRITERS - 1) * OWN_BLOCKS * BS);
}

static void writers_and_cleaner_do_not_undo_each_other(void **state)
{
	struct fixture *f = *state;
	struct racer racers[WRITERS];
	pthread_t threads[WRITERS];
	atomic_bool stop = false;
	struct err err;

	for (unsigned n = 0; n < WRITERS; n++) {
		racers[n] = (struct racer){f->store, &stop, n, 0, NULL};
		assert_int_equal(pthread_create(&threads[n], NULL, race, &racers[n]), 0);
	}
	while (stats_of(f).moved_bytes < history_env("CLEAN_MOVES", 2000, 200) * BS)
		must(store_clean(f->store, &err), &err);
	stop = true;
	for (unsigned n = 0; n < WRITERS; n++)
		pthread_join(threads[n], NULL);
	for (unsigned n = 0; n < WRITERS; n++)
		if (racers[n].wrong)
			fail_msg("%s", racers[n].wrong);
	check_racers(f, racers, "at the end");
	go_on_with(f, memdisk_kill(f->disk)); /* the log tells the same */
	check_racers(f, racers, "replayed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writers_and_cleaner_do_not_undo_each_other),
	};

	return cmocka_run_group_tests_name("cleaner_race", tests, NULL, NULL);
}
