/* See newdir.h. */
#include "newdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "disk.h"
#include "err.h"
#include "mountinfo.h"
#include "secret.h"
#include "voldir.h"

struct newdir {
	char *parent_dir, *name, *partial; /* owned, as is all below */
	struct disk *parent, *disk;
	int fd; /* of the partial one, a lock; -1 */
	bool begun;
};

static bool is_empty_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = d != NULL;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			empty = false;
	if (d)
		(void)closedir(d); /* only read */
	return empty;
}

static int set_place(struct newdir *n, const char *dir, const char *source_dir, struct err *err)
{
	AUTO(freep) char *path = strdup(dir);
	AUTO(freep) char *above = strdup(dir);
	struct stat st;

	if (!path || !above)
		return err_set(err, ENOMEM, "out of memory");
	n->name = strdup(basename(path));
	n->parent_dir = realpath(dirname(above), NULL);
	if (!n->parent_dir)
		return err_set(err, errno, "'%s': %s", above, strerror(errno));
	if (!n->name || asprintf(&n->partial, "%s" VOLDIR_PARTIAL, n->name) < 0) {
		n->partial = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (voldir_is_partial(n->name))
		return err_set(err, EINVAL,
			       "names in '" VOLDIR_PARTIAL "' are those of unfinished ones");
	if (mountinfo_is_within(n->parent_dir, source_dir))
		return err_set(err, EINVAL, "it may not be inside the snapshot");
	if (lstat(dir, &st) == 0 && !(S_ISDIR(st.st_mode) && is_empty_dir(dir)))
		return err_set(err, EEXIST, "it exists and is not an empty directory");
	return disk_open_dir(n->parent_dir, &n->parent, err);
}

int newdir_new(const char *dir, const char *source_dir, struct newdir **ret_newdir, struct err *err)
{
	struct newdir *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return err_set(err, ENOMEM, "out of memory");
	n->fd = -1;
	r = set_place(n, dir, source_dir, err);
	if (r < 0) {
		newdir_free(n);
		return r;
	}
	*ret_newdir = n;
	return 0;
}

int newdir_begin(struct newdir *newdir, struct disk **ret_disk, struct err *err)
{
	struct newdir *n = newdir;
	AUTO(freep) char *path = NULL;
	int fd, r;

	if (asprintf(&path, "%s/%s", n->parent_dir, n->partial) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		bool free_of_others = flock(fd, LOCK_EX | LOCK_NB) == 0;

		(void)close(fd); /* only read */
		if (!free_of_others)
			return err_set(err, EBUSY, "another process is making it");
	}
	r = voldir_clear(n->parent, n->partial, err);
	n->begun = r == 0; /* in part, perhaps, from here on */
	if (r == 0)
		r = voldir_make(n->parent, n->partial, &n->disk, err);
	if (r == -EEXIST)
		n->begun = false; /* another was faster */
	if (r < 0)
		return r;
	n->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (n->fd < 0 || flock(n->fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, errno, "'%s': %s", n->partial, strerror(errno));
	*ret_disk = n->disk;
	return 0;
}

void newdir_undo(struct newdir *newdir)
{
	struct newdir *n = newdir;
	struct err ignored; /* there is an error to tell already, and the next one clears it */

	disk_free(n->disk);
	n->disk = NULL;
	if (n->begun)
		(void)voldir_remove(n->parent, n->partial, &ignored);
	n->begun = false;
	if (n->fd >= 0)
		(void)close(n->fd); /* a lock */
	n->fd = -1;
}

int newdir_finish(struct newdir *newdir, struct err *err)
{
	struct newdir *n = newdir;
	int r = voldir_finish(n->disk, n->parent, n->partial, n->parent, n->name, err);

	if (r == 0)
		n->begun = false;
	return r;
}

void newdir_free(struct newdir *newdir)
{
	if (!newdir)
		return;
	newdir_undo(newdir);
	disk_free(newdir->parent);
	free(newdir->parent_dir);
	free(newdir->name);
	free(newdir->partial);
	free(newdir);
}
