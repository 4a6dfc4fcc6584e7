/*
 * All that the store asks of the backing filesystem, behind one small table, so that tests can put a
 * disk there that fails or crashes. A disk is a directory, a volume's or another; names are relative
 * to it ("segments/1f").
 */
#ifndef FS_DISK_H
#define FS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;
struct disk_file;
struct err;

enum disk_open_mode {
	DISK_READ,   /* must exist */
	DISK_WRITE,  /* must exist; read and write */
	DISK_CREATE, /* must not exist; read and write */
};

/*
 * The table. Each returns 0 or a count, else a negative errno. pread and pwrite may be short, as the
 * system calls are; retrying is done above, once for all.
 */
struct disk_ops {
	int (*open)(struct disk *disk, const char *name, enum disk_open_mode mode,
		    struct disk_file **ret_file);
	void (*close)(struct disk_file *file);
	int64_t (*pread)(struct disk_file *file, void *buf, size_t len, uint64_t off);
	int64_t (*pwrite)(struct disk_file *file, const void *buf, size_t len, uint64_t off);
	int (*sync)(struct disk_file *file); /* fdatasync */
	void (*forget)(
		struct disk_file *file); /* read it from the disk next time, not from a cache */
	int (*allocate)(struct disk_file *file, uint64_t off, uint64_t len); /* posix_fallocate */
	int (*truncate)(struct disk_file *file, uint64_t len);
	int (*size)(struct disk_file *file, uint64_t *ret_len);
	int (*links)(struct disk_file *file, unsigned *ret_links); /* names that it has */
	int (*space)(struct disk *disk, uint64_t *ret_free, uint64_t *ret_all); /* bytes */
	int (*unlink)(struct disk *disk, const char *name);
	int (*rename)(struct disk *disk, const char *from, const char *to);
	/* Another name, in another directory or the same. -EXDEV, -EMLINK, -EPERM: not to be had. */
	int (*link)(struct disk *from, const char *name, struct disk *to, const char *new_name);
	/*
	 * Give a directory another place, where nothing or an empty directory may be. Both directories
	 * that it moves between need a sync. -EXDEV, -ENOTEMPTY, -EEXIST.
	 */
	int (*move)(struct disk *from, const char *name, struct disk *to, const char *new_name);
	int (*mkdir)(struct disk *disk, const char *name);
	int (*rmdir)(struct disk *disk, const char *name);
	/* A directory as a disk of its own, ended with disk_free(). */
	int (*open_dir)(struct disk *disk, const char *name, struct disk **ret_disk);
	int (*sync_dir)(struct disk *disk, const char *name); /* "." for the volume's own */
	int (*list)(struct disk *disk, const char *name, int (*fn)(const char *entry, void *arg),
		    void *arg);
	void (*free)(struct disk *disk);
};

struct disk {
	const struct disk_ops *ops;
};

struct disk_file {
	struct disk *disk;
};

/* The real thing: directory @dir. The caller owns *@ret_disk and ends it with disk_free(). */
int disk_open_dir(const char *dir, struct disk **ret_disk, struct err *err);
void disk_free(struct disk *disk); /* NULL is allowed */

/* As the table, with a sentence that names file, range and reason. NULL is allowed for close. */
int disk_open(struct disk *disk, const char *name, enum disk_open_mode mode,
	      struct disk_file **ret_file, struct err *err);
void disk_close(struct disk_file *file);

/* All of @len bytes. Read: -ENODATA when the file ends before. EINTR and short counts are seen to. */
int disk_pread(struct disk_file *file, void *buf, size_t len, uint64_t off);
int disk_pwrite(struct disk_file *file, const void *buf, size_t len, uint64_t off);

/* As many bytes as there are, up to @len; a count, 0 at the end, or a negative errno. */
int64_t disk_pread_some(struct disk_file *file, void *buf, size_t len, uint64_t off);

#endif
