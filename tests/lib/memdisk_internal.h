/* The inside of the disk in memory, shared by the memdisk*.c and nobody else. See memdisk.h. */
#ifndef TESTS_MEMDISK_INTERNAL_H
#define TESTS_MEMDISK_INTERNAL_H

#include <pthread.h>

#include "memdisk.h"

#define NAME_LEN  40
#define NAMES_MAX 512
#define PASTS_MAX 16

#define RENAMES_MAX 64
#define PATH_LEN    160
#define OPS	    14

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

/* A file, or a directory, which has no content but the names that name it. */
struct inode {
	struct inode *next;
	bool is_dir;
	struct content now, durable;
	struct change *changes, **changes_end;
	struct inode *copy; /* on the disk that is being made of this one */
	bool counted;	    /* by used_locked() */
};

struct name {
	struct inode *dir; /* where it stands */
	char text[NAME_LEN];
	char path[PATH_LEN];		/* by memdisk_name() */
	struct inode *now;		/* NULL: unlinked */
	struct inode *pasts[PASTS_MAX]; /* what it may be after a crash, beside now */
	unsigned past_count;
};

/* A rename not durable yet: after a crash the file has one of the two names. */
struct renamed {
	struct name *from, *to;
	struct inode *inode;
};

/* A directory as users have it. */
struct view {
	struct disk base;
	struct memdisk *disk;
	struct inode *dir;
};

struct memdisk {
	struct view root;
	pthread_mutex_t lock; /* guards all below */
	struct inode *inodes;
	struct name names[NAMES_MAX];
	size_t name_count;
	struct renamed renames[RENAMES_MAX];
	size_t rename_count;
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

/* An empty file or directory, which lives as long as the disk. */
struct inode *memdisk_inode_new(struct memdisk *m, bool is_dir);
void memdisk_changes_free(struct inode *i);

/* Remember a change that is not durable; @bytes are a write's. */
void memdisk_change_add(struct inode *i, const struct change *what, const void *bytes);
void memdisk_change_apply(const struct change *c, struct content *to);

/* One name in one directory: NULL when there never was one, or a new entry. */
struct name *memdisk_entry_locked(struct memdisk *m, const struct inode *dir, const char *text);
struct name *memdisk_entry_for_locked(struct memdisk *m, struct inode *dir, const char *text);

/*
 * The entry of a path from @dir on; NULL when there never was one, or a new one. Both NULL when a
 * directory on the way is not there.
 */
struct name *memdisk_find_locked(struct memdisk *m, struct inode *dir, const char *path);
struct name *memdisk_name_for_locked(struct memdisk *m, struct inode *dir, const char *path);

/*
 * Every operation begins here, with the lock held. 0: go on. 1: the power goes while it is under
 * way: begin it and fail. Else the error it fails with.
 */
int memdisk_begin_locked(struct memdisk *m, unsigned op);

/* The name is @to's from now on (NULL: nothing's); what it was, it may be again after a crash. */
void memdisk_set_locked(struct name *n, struct inode *to);

/* The operations of memdisk_dir.c, as in struct disk_ops. */
int memdisk_op_unlink(struct disk *disk, const char *name);
int memdisk_op_rename(struct disk *disk, const char *from, const char *to);
int memdisk_op_link(struct disk *from, const char *name, struct disk *to, const char *new_name);
int memdisk_op_move(struct disk *from, const char *name, struct disk *to, const char *new_name);
int memdisk_op_mkdir(struct disk *disk, const char *name);
int memdisk_op_rmdir(struct disk *disk, const char *name);
int memdisk_op_open_dir(struct disk *disk, const char *name, struct disk **ret_disk);
int memdisk_op_sync_dir(struct disk *disk, const char *name);
int memdisk_op_list(struct disk *disk, const char *name, int (*fn)(const char *entry, void *arg),
		    void *arg);

#endif
