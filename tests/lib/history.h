/*
 * The history of a volume under test: what was done to it, step by step as the log has it, so that the
 * content after a crash can be compared with the content after each step.
 */
#ifndef TESTS_HISTORY_H
#define TESTS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

struct err;
struct history;
struct memdisk;
struct secret;

/* The seed in the environment's SEED, else always the same one; printed. */
uint64_t history_seed(void);

/* The next of a row of random numbers (SplitMix64). */
uint64_t history_random(uint64_t *state);

/* The number in the environment's @name, else @usual, or @sanitized in a build for a sanitizer. */
unsigned history_env(const char *name, unsigned usual, unsigned sanitized);

/* The data key of all tests; the caller frees. */
struct secret *history_key(void);

/* An empty history of an empty volume of @size bytes; never NULL. */
struct history *history_new(uint64_t size, uint32_t block_size, uint64_t seed);
void history_free(struct history *history); /* NULL is allowed */

/*
 * Do it and remember it, also when it fails: then any part of it may show. @off and @len in bytes.
 * Return what the store returned.
 */
int history_write(struct history *h, struct store *store, uint64_t off, size_t len,
		  struct err *err);
int history_discard(struct history *h, struct store *store, uint64_t off, uint64_t len,
		    struct err *err);
int history_flush(struct history *h, struct store *store, struct err *err);

/* One of the above, a checkpoint or a cleaning, at random; writes of at most @max_len bytes. */
int history_random_step(struct history *h, struct store *store, size_t max_len, struct err *err);

/*
 * After one that failed: look how far it got, from @least steps on, and forget what did not happen.
 * -EBADMSG: the volume is as after no step.
 */
int history_settle(struct history *h, struct store *store, size_t least, struct err *err);

size_t history_steps(const struct history *h);
size_t history_flushed(const struct history *h); /* steps that the last flush made durable */

/* Read the whole volume into @ret_bytes (its size). */
int history_read_all(const struct history *h, struct store *store, uint8_t *ret_bytes,
		     struct err *err);

/*
 * The largest k of @least or more for which the volume as in @bytes is what it was after k steps;
 * -1: there is none.
 */
int64_t history_match(const struct history *h, const uint8_t *bytes, size_t least);

/* Is each block of @bytes @len long at @off as the last step left it? */
bool history_is_last(const struct history *h, uint64_t off, const uint8_t *bytes, size_t len);

/* What the last step left in a range. */
void history_last(const struct history *h, uint64_t off, uint8_t *ret_bytes, size_t len);

/* @bytes is now what the volume holds, durably, and the history begins anew from there. */
void history_rebase(struct history *h, const uint8_t *bytes);

#endif
