/*
 * A volume whose files tests damage: closed or killed, with all that is needed to tell whether what a
 * reader is served is right.
 */
#ifndef TESTS_DAMAGED_H
#define TESTS_DAMAGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

struct err;
struct history;
struct memdisk;
struct secret;

#define DAMAGED_BS   4096u
#define DAMAGED_SIZE (2u << 20)

struct damaged {
	struct store_geometry geometry;
	struct secret *key;
	struct memdisk *disk;  /* closed or killed */
	struct memdisk *older; /* the same volume some checkpoints earlier */
	struct history *history;
	uint8_t *bytes;
	uint64_t rng;
	bool killed;
	unsigned refused, served, lost; /* how it went so far */
};

enum damaged_outcome {
	REFUSED, /* by open or by a read */
	SERVED,	 /* all of it, and right */
	LOST,	 /* right once, but without something that had been flushed */
};

/* For cmocka: *state is a struct damaged. */
int damaged_set_up_closed_gcm(void **state);
int damaged_set_up_killed_gcm(void **state);
int damaged_set_up_closed_xts(void **state);
int damaged_set_up_killed_xts(void **state);
int damaged_tear_down(void **state);

/* A random number below @below. */
uint64_t damaged_any(struct damaged *f, uint64_t below);

/* Fail the test with the sentence if @r is an error. */
void damaged_must(int r, const struct err *err);

/*
 * What a reader of @disk gets. @word: what the sentence of a refusal has to name; @what, for messages:
 * what was done to it. Fails when wrong bytes are served.
 */
enum damaged_outcome damaged_look(struct damaged *f, struct memdisk *disk, bool read_only,
				  const char *word, const char *what);

/* Flip a bit of byte @at of file @name, look, flip it back. Fails when flushed data is lost unsaid. */
void damaged_flip(struct damaged *f, const char *name, size_t at);

/* Each byte of a range; with DAMAGE_STEP= only some of them, others each time. */
void damaged_flip_range(struct damaged *f, const char *name, size_t from, size_t len);

/* Header, first bytes and last bytes of a record. */
void damaged_flip_record(struct damaged *f, const char *name, size_t off, size_t len);

#endif
