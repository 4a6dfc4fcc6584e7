/* The inside of the disk in memory, shared by the memdisk*.c and nobody else. See memdisk.h. */
#ifndef TESTS_MEMDISK_INTERNAL_H
#define TESTS_MEMDISK_INTERNAL_H

#include <pthread.h>

#include "memdisk.h"

#define NAME_LEN  40
#define NAMES_MAX 512
#define PASTS_MAX 16

#define RENAMES_MAX 64
#define OPS	    13

struct content {
	uint8_t *p; /* MEMDISK_FILE_MAX bytes of mapping, zero behind top */
	size_t len;
	size_t top; /* nothing but zeros from here on */
};

struct change {
	struct change *next;
	bool is_write; /* else: the size becomes at least len (grow) or exactly len */
	bool grow;
	bool doubtful; /* a sync of it failed */
	uint64_t off;
	size_t len;
	uint8_t bytes[];
};

struct inode {
	struct inode *next;
	struct content now, durable;
	struct change *changes, **changes_end;
};

struct name {
	char text[NAME_LEN];
	struct inode *now;		/* NULL: unlinked */
	struct inode *pasts[PASTS_MAX]; /* what it may be after a crash, beside now */
	unsigned past_count;
};

/* A rename not durable yet: after a crash the file has one of the two names. */
struct renamed {
	struct name *from, *to;
	struct inode *inode;
};

struct memdisk {
	struct disk base;
	pthread_mutex_t lock; /* guards all below */
	struct inode *inodes;
	struct name names[NAMES_MAX];
	size_t name_count;
	struct renamed renames[RENAMES_MAX];
	size_t rename_count;
	bool has_segments;
	uint64_t counts[OPS];
	uint64_t power_off_in; /* 0: not to happen */
	bool off;
	unsigned fail_ops;
	uint64_t fail_in, fail_times, failed;
	int fail_num;
	size_t short_max;
	uint64_t rng;
	uint64_t capacity;
};

struct memfile {
	struct disk_file base;
	struct inode *inode;
	bool writable;
};

/* SplitMix64, Steele et al. 2014. */
uint64_t memdisk_random(uint64_t *state);

/* @p, or the end of the test where it is NULL: without memory there is nothing to test. */
void *memdisk_need(void *p);

void memdisk_content_set_len(struct content *c, size_t len);
void memdisk_content_write(struct content *c, uint64_t off, const uint8_t *bytes, size_t len);
void memdisk_content_copy(struct content *to, const struct content *from);
void memdisk_content_free(struct content *c);

/* An empty file, which lives as long as the disk. */
struct inode *memdisk_inode_new(struct memdisk *m);
void memdisk_changes_free(struct inode *i);

/* Remember a change that is not durable; @bytes are a write's. */
void memdisk_change_add(struct inode *i, const struct change *what, const void *bytes);
void memdisk_change_apply(const struct change *c, struct content *to);

/* The name's entry; NULL when there never was one, or a new one. */
struct name *memdisk_find_locked(struct memdisk *m, const char *text);
struct name *memdisk_name_for_locked(struct memdisk *m, const char *text);

#endif
