/* Packed entries. See packed.h. */
#include "packed.h"

#include <stdlib.h>
#include <string.h>

#define WORDS (FORMAT_PAGE_ENTRIES / 64)
#define STEP  16 /* entries by which the room grows */

struct packed {
	uint64_t bits[WORDS];
	uint32_t room;
	uint32_t zero;
	uint64_t values[];
};

struct packed *packed_make(struct packed *old, const uint64_t entries[FORMAT_PAGE_ENTRIES],
			   unsigned count)
{
	uint32_t room = (count + STEP - 1) / STEP * STEP;
	struct packed *p = old;
	unsigned n = 0;

	if (!p || p->room != room) {
		p = realloc(old, sizeof(*p) + room * sizeof(uint64_t));
		if (!p)
			return NULL;
	}
	memset(p, 0, sizeof(*p));
	p->room = room;
	for (unsigned i = 0; i < FORMAT_PAGE_ENTRIES; i++) {
		if (!entries[i])
			continue;
		p->bits[i / 64] |= 1ULL << i % 64;
		p->values[n++] = entries[i];
	}
	return p;
}

void packed_free(struct packed *packed)
{
	free(packed);
}

/* How many entries before @i are not zero. */
static unsigned rank_of(const struct packed *p, unsigned i)
{
	unsigned rank = 0;

	for (unsigned w = 0; w < i / 64; w++)
		rank += (unsigned)__builtin_popcountll(p->bits[w]);
	return rank + (unsigned)__builtin_popcountll(p->bits[i / 64] & ((1ULL << i % 64) - 1));
}

uint64_t packed_get(const struct packed *packed, unsigned i)
{
	return packed->bits[i / 64] >> i % 64 & 1 ? packed->values[rank_of(packed, i)] : 0;
}

void packed_replace(struct packed *packed, unsigned i, uint64_t value)
{
	packed->values[rank_of(packed, i)] = value;
}

void packed_expand(const struct packed *packed, uint64_t ret_entries[FORMAT_PAGE_ENTRIES])
{
	const uint64_t *value = packed->values;

	memset(ret_entries, 0, FORMAT_PAGE_ENTRIES * sizeof(uint64_t));
	for (unsigned w = 0; w < WORDS; w++)
		for (uint64_t bits = packed->bits[w]; bits; bits &= bits - 1)
			ret_entries[w * 64 + (unsigned)__builtin_ctzll(bits)] = *value++;
}
