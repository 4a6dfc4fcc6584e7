/* Operations of the disk in memory on names and directories. See memdisk.c. */
#include "memdisk_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct memdisk *of(struct disk *disk)
{
	return ((struct view *)disk)->disk;
}

static struct name *find_locked(struct disk *disk, const char *path)
{
	struct name *n = memdisk_find_locked(of(disk), ((struct view *)disk)->dir, path);

	return n && n->now ? n : NULL;
}

/* A name for what is made; NULL: there is something, or no such directory. */
static int free_name_locked(struct disk *disk, const char *path, struct name **ret_name)
{
	if (find_locked(disk, path))
		return -EEXIST;
	*ret_name = memdisk_name_for_locked(of(disk), ((struct view *)disk)->dir, path);
	return *ret_name ? 0 : -ENOENT;
}

static bool is_empty_locked(const struct memdisk *m, const struct inode *dir)
{
	for (size_t i = 0; i < m->name_count; i++)
		if (m->names[i].dir == dir && m->names[i].now)
			return false;
	return true;
}

/* Take away the name of a file or, @is_dir, of an empty directory. */
static int take_away(struct disk *disk, const char *path, bool is_dir)
{
	struct memdisk *m = of(disk);
	struct name *n;
	int begun, r = 0;

	pthread_mutex_lock(&m->lock);
	begun = memdisk_begin_locked(m, MEMDISK_UNLINK);
	n = find_locked(disk, path);
	if (begun < 0)
		r = begun;
	else if (!n)
		r = -ENOENT;
	else if (n->now->is_dir != is_dir)
		r = is_dir ? -ENOTDIR : -EISDIR;
	else if (is_dir && !is_empty_locked(m, n->now))
		r = -ENOTEMPTY;
	if (r == 0)
		memdisk_set_locked(n, NULL);
	pthread_mutex_unlock(&m->lock);
	return begun == 1 ? -EIO : r;
}

int memdisk_op_unlink(struct disk *disk, const char *name)
{
	return take_away(disk, name, false);
}

int memdisk_op_rmdir(struct disk *disk, const char *name)
{
	return take_away(disk, name, true);
}

static int rename_between(struct disk *from, const char *name, struct disk *to,
			  const char *new_name, bool is_dir)
{
	struct memdisk *m = of(from);
	struct inode *there;
	struct name *n, *t;
	int begun, r = 0;

	pthread_mutex_lock(&m->lock);
	begun = memdisk_begin_locked(m, MEMDISK_RENAME);
	n = find_locked(from, name);
	t = find_locked(to, new_name);
	there = t ? t->now : NULL;
	if (begun < 0)
		r = begun;
	else if (!n || n->now->is_dir != is_dir)
		r = n ? -EINVAL : -ENOENT;
	else if (is_dir && there && (!there->is_dir || !is_empty_locked(m, there)))
		r = there->is_dir ? -ENOTEMPTY : -ENOTDIR;
	if (r == 0 && !t)
		r = free_name_locked(to, new_name, &t);
	if (r == 0) {
		struct inode *is = n->now;

		if (m->rename_count == RENAMES_MAX)
			abort();
		memdisk_set_locked(n, NULL);
		memdisk_set_locked(t, is);
		m->renames[m->rename_count++] = (struct renamed){n, t, is};
	}
	pthread_mutex_unlock(&m->lock);
	return begun == 1 ? -EIO : r;
}

int memdisk_op_rename(struct disk *disk, const char *from, const char *to)
{
	return rename_between(disk, from, disk, to, false);
}

int memdisk_op_move(struct disk *from, const char *name, struct disk *to, const char *new_name)
{
	return rename_between(from, name, to, new_name, true);
}

int memdisk_op_link(struct disk *from, const char *name, struct disk *to, const char *new_name)
{
	struct memdisk *m = of(from);
	struct name *n, *t;
	int begun, r;

	pthread_mutex_lock(&m->lock);
	begun = memdisk_begin_locked(m, MEMDISK_LINK);
	n = find_locked(from, name);
	r = begun < 0 ? begun : n ? free_name_locked(to, new_name, &t) : -ENOENT;
	if (r == 0)
		memdisk_set_locked(t, n->now);
	pthread_mutex_unlock(&m->lock);
	return begun == 1 ? -EIO : r;
}

int memdisk_op_mkdir(struct disk *disk, const char *name)
{
	struct memdisk *m = of(disk);
	struct name *n;
	int begun, r;

	pthread_mutex_lock(&m->lock);
	begun = memdisk_begin_locked(m, MEMDISK_MKDIR);
	r = begun < 0 ? begun : free_name_locked(disk, name, &n);
	if (r == 0)
		memdisk_set_locked(n, memdisk_inode_new(m, true));
	pthread_mutex_unlock(&m->lock);
	return begun == 1 ? -EIO : r;
}

static struct inode *dir_locked(struct disk *disk, const char *name)
{
	struct name *n;

	if (strcmp(name, ".") == 0)
		return ((struct view *)disk)->dir;
	n = find_locked(disk, name);
	return n && n->now->is_dir ? n->now : NULL;
}

static struct disk *view_of(struct disk *disk, struct inode *dir)
{
	struct view *view = memdisk_need(calloc(1, sizeof(*view)));

	*view = (struct view){{disk->ops}, of(disk), dir};
	return &view->base;
}

int memdisk_op_open_dir(struct disk *disk, const char *name, struct disk **ret_disk)
{
	struct memdisk *m = of(disk);
	struct inode *dir;
	int r;

	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, MEMDISK_OPEN);
	dir = dir_locked(disk, name);
	if (r == 0 && !dir)
		r = -ENOENT;
	if (r == 0)
		*ret_disk = view_of(disk, dir);
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* A rename is durable with the directory that it led to. */
int memdisk_op_sync_dir(struct disk *disk, const char *name)
{
	struct memdisk *m = of(disk);
	struct inode *dir;
	size_t kept = 0;
	int r;

	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, MEMDISK_SYNC_DIR);
	dir = dir_locked(disk, name);
	if (r == 0 && !dir)
		r = -ENOENT;
	for (size_t i = 0; r == 0 && i < m->rename_count; i++) {
		if (m->renames[i].to->dir == dir)
			m->renames[i].from->past_count = 0;
		else
			m->renames[kept++] = m->renames[i];
	}
	if (r == 0)
		m->rename_count = kept;
	for (size_t i = 0; r == 0 && i < m->name_count; i++)
		if (m->names[i].dir == dir)
			m->names[i].past_count = 0;
	pthread_mutex_unlock(&m->lock);
	return r == 1 ? -EIO : r;
}

int memdisk_op_list(struct disk *disk, const char *name, int (*fn)(const char *entry, void *arg),
		    void *arg)
{
	struct memdisk *m = of(disk);
	struct inode *dir;
	int r;

	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, MEMDISK_LIST);
	dir = dir_locked(disk, name);
	if (r == 0 && !dir)
		r = -ENOENT;
	for (size_t i = 0; r == 0 && i < m->name_count; i++)
		if (m->names[i].now && m->names[i].dir == dir)
			r = fn(m->names[i].text, arg);
	pthread_mutex_unlock(&m->lock);
	return r;
}

struct disk *memdisk_dir(struct memdisk *disk, const char *path)
{
	struct inode *dir = disk->root.dir;
	struct disk *view;

	pthread_mutex_lock(&disk->lock);
	while (*path) {
		size_t len = strcspn(path, "/");
		char part[NAME_LEN] = "";
		struct name *n;

		memcpy(part, path, len < NAME_LEN ? len : NAME_LEN - 1);
		n = memdisk_entry_for_locked(disk, dir, part);
		if (!n->now)
			n->now = memdisk_inode_new(disk, true);
		dir = n->now;
		path += len + (path[len] == '/');
	}
	view = view_of(&disk->root.base, dir);
	pthread_mutex_unlock(&disk->lock);
	return view;
}
