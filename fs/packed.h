/*
 * The entries of one map leaf in the memory that those which are not zero need: a bit for each, and these
 * in order. Plain values; who shares one has a lock.
 */
#ifndef FS_PACKED_H
#define FS_PACKED_H

#include <stdint.h>

#include "format.h"

struct packed;

/*
 * @entries of which @count are not zero, in @old's room where that fits (NULL: none). NULL: out of memory, and
 * @old is as it was. Free with packed_free().
 */
struct packed *packed_make(struct packed *old, const uint64_t entries[FORMAT_PAGE_ENTRIES],
			   unsigned count);
void packed_free(struct packed *packed); /* NULL is allowed */

uint64_t packed_get(const struct packed *packed, unsigned i);

/* Give entry @i, which is not zero, another value that is not. */
void packed_replace(struct packed *packed, unsigned i, uint64_t value);

void packed_expand(const struct packed *packed, uint64_t ret_entries[FORMAT_PAGE_ENTRIES]);

#endif
