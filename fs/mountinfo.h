/* The mounts of this process's name space: /proc/self/mountinfo (proc(5)), read and unescaped. */
#ifndef FS_MOUNTINFO_H
#define FS_MOUNTINFO_H

#include <stdbool.h>

struct err;

/* What our own mounts are called; their source is the volume's directory, as realpath(3) has it. */
#define MOUNTINFO_FSTYPE "fuse.kmsvol"

struct mountinfo_entry {
	unsigned major, minor; /* st_dev of the files on it */
	const char *mountpoint;
	const char *fstype;
	const char *source;
};

/*
 * Call @fn for each mount, later ones (which lie on top) last, until it returns nonzero, which is
 * then returned; else 0. The entry's strings live until @fn returns. -EIO, -ENOMEM.
 */
int mountinfo_each(int (*fn)(const struct mountinfo_entry *entry, void *arg), void *arg,
		   struct err *err);

/* Is @path @dir itself or below it? Both absolute and without links; only names are compared. */
bool mountinfo_is_within(const char *path, const char *dir);

/* Undo the octal escapes of mountinfo (space, tab, newline, backslash) in place. */
void mountinfo_unescape(char *text);

#endif
