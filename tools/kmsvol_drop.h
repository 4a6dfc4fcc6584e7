/*
 * The kernel's cached data of a file system, dropped as far as that goes: clean pages that nobody has mapped.
 * Needs root.
 */
#ifndef TOOLS_KMSVOL_DROP_H
#define TOOLS_KMSVOL_DROP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Of every file below @dir, until @until_ms (monotonic). False: not all of them. Reads the tree, and so
 * from the disk.
 */
bool drop_tree(int dir, uint64_t until_ms);

/*
 * Of every file at or below the path @dir that some process has open, also deleted ones. Opens nothing and reads
 * nothing from the disk.
 */
void drop_open(const char *dir);

/* Of the block device itself: what the file system keeps its structures in. */
void drop_device(const char *device);

#endif
