/*
 * A disk in memory for tests: it remembers what was written, what was synced and which names are
 * durable, so that it can be cut off at any operation and give a disk that a power cut could have
 * left, and it fails when told to. Every random choice comes from a seed.
 */
#ifndef TESTS_MEMDISK_H
#define TESTS_MEMDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk.h"

struct memdisk;

#define MEMDISK_FILE_MAX (64u << 20) /* bytes */

/* Kinds of operations, as bits. */
enum memdisk_op {
	MEMDISK_OPEN = 1 << 0, /* of a file that exists */
	MEMDISK_CREATE = 1 << 1,
	MEMDISK_PREAD = 1 << 2,
	MEMDISK_PWRITE = 1 << 3,
	MEMDISK_SYNC = 1 << 4,
	MEMDISK_ALLOCATE = 1 << 5,
	MEMDISK_TRUNCATE = 1 << 6,
	MEMDISK_SIZE = 1 << 7,
	MEMDISK_UNLINK = 1 << 8, /* and rmdir */
	MEMDISK_MKDIR = 1 << 9,
	MEMDISK_SYNC_DIR = 1 << 10,
	MEMDISK_LIST = 1 << 11,
	MEMDISK_RENAME = 1 << 12, /* of a file, and a move of a directory */
	MEMDISK_LINK = 1 << 13,
};

#define MEMDISK_CHANGES                                                                            \
	(MEMDISK_CREATE | MEMDISK_PWRITE | MEMDISK_SYNC | MEMDISK_ALLOCATE | MEMDISK_TRUNCATE |    \
	 MEMDISK_UNLINK | MEMDISK_RENAME | MEMDISK_LINK | MEMDISK_MKDIR | MEMDISK_SYNC_DIR)
#define MEMDISK_ALL 0x3fffu

/* An empty disk; never NULL (it aborts without memory). */
struct memdisk *memdisk_new(void);
void memdisk_free(struct memdisk *disk); /* NULL is allowed; all its files must be closed */
struct disk *memdisk_disk(struct memdisk *disk);

/* Its directory @path, made durably where it is not there; ended with disk_free(). */
struct disk *memdisk_dir(struct memdisk *disk, const char *path);

/* Operations of these kinds so far. */
uint64_t memdisk_count(struct memdisk *disk, unsigned ops);

/*
 * The power goes at the @nth changing operation from now on (from 1): that one is begun and not
 * acknowledged, all after it do nothing; each returns -EIO. 0: now.
 */
void memdisk_power_off_at(struct memdisk *disk, uint64_t nth);
bool memdisk_is_off(struct memdisk *disk);

/*
 * A new disk in a state that a power cut here could leave: every operation not synced is there, or
 * not, or (a write) torn between 512-byte sectors, one of which may hold garbage in the bytes that
 * were being written; names not followed by a sync of their directory are as before or as now.
 */
struct memdisk *memdisk_crash(struct memdisk *disk, uint64_t seed);

/* A new disk as a killed process leaves it: everything done is there, and no more durable. */
struct memdisk *memdisk_kill(struct memdisk *disk);

/*
 * The @nth operation of these kinds from now on (from 1), and @times - 1 more behind it, fail with
 * @num. A failed sync leaves what it should have synced in doubt for ever, as Linux does, though
 * later syncs succeed. One fault at a time; @times 0 takes it away.
 */
void memdisk_fail(struct memdisk *disk, unsigned ops, uint64_t nth, uint64_t times, int num);
uint64_t memdisk_failed(struct memdisk *disk); /* how often the fault has struck */

/* Reads and writes do at most @max bytes, at random, and every few return EINTR. 0: whole ones. */
void memdisk_short(struct memdisk *disk, size_t max, uint64_t seed);

/* No more than @bytes in all files together; 0: no limit. */
void memdisk_capacity(struct memdisk *disk, uint64_t bytes);
uint64_t memdisk_used(struct memdisk *disk);

/* Behind the back of who uses it. The bytes of a file (NULL: no such), valid while it stands. */
uint8_t *memdisk_bytes(struct memdisk *disk, const char *name, size_t *ret_len);
void memdisk_cut(struct memdisk *disk, const char *name, size_t len);
void memdisk_put(struct memdisk *disk, const char *name, const void *bytes, size_t len);
void memdisk_remove(struct memdisk *disk, const char *name);
void memdisk_swap(struct memdisk *disk, const char *a, const char *b);

/* Path of file @i of those there are, in the order of their names' making; NULL behind the last. */
const char *memdisk_name(struct memdisk *disk, size_t i);

#endif
