/*
 * The disk in memory. A file is an inode with two contents: what processes see, and what is durable;
 * between them stands a list of operations that a crash keeps, loses or tears. Here are the
 * operations on files; memdisk_dir.c has those on directories, memdisk_file.c what both stand on,
 * memdisk_crash.c the crashes.
 */
#include "memdisk_internal.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t used_locked(const struct memdisk *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->name_count; i++) {
		struct inode *is = m->names[i].now;

		sum += is && !is->counted ? is->now.len : 0; /* one with two names counts once */
		if (is)
			is->counted = true;
	}
	for (size_t i = 0; i < m->name_count; i++)
		if (m->names[i].now)
			m->names[i].now->counted = false;
	return sum;
}

/* Bytes by which a file of @len bytes may still grow. */
static uint64_t room_locked(const struct memdisk *m)
{
	uint64_t used;

	if (!m->capacity)
		return UINT64_MAX / 2;
	used = used_locked(m);
	return used < m->capacity ? m->capacity - used : 0;
}

void memdisk_set_locked(struct name *n, struct inode *to)
{
	if (n->past_count == PASTS_MAX) { /* forget one at random enough */
		n->pasts[1] = n->now;
	} else {
		n->pasts[n->past_count++] = n->now;
	}
	n->now = to;
}

static unsigned index_of(unsigned op)
{
	return (unsigned)__builtin_ctz(op);
}

int memdisk_begin_locked(struct memdisk *m, unsigned op)
{
	m->counts[index_of(op)]++;
	if (m->off)
		return -EIO;
	if ((m->fail_ops & op) && m->fail_times && --m->fail_in == 0) {
		m->fail_times--;
		m->fail_in = 1;
		m->failed++;
		return -m->fail_num;
	}
	if ((op & MEMDISK_CHANGES) && m->power_off_in && --m->power_off_in == 0) {
		m->off = true;
		return 1;
	}
	return 0;
}

static struct memdisk *of(struct disk *disk)
{
	return ((struct view *)disk)->disk;
}

static int mem_open(struct disk *disk, const char *name, enum disk_open_mode mode,
		    struct disk_file **ret_file)
{
	struct memdisk *m = of(disk);
	struct inode *dir = ((struct view *)disk)->dir;
	struct memfile *f = memdisk_need(calloc(1, sizeof(*f)));
	struct name *n;
	int r;

	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, mode == DISK_CREATE ? MEMDISK_CREATE : MEMDISK_OPEN);
	n = memdisk_find_locked(m, dir, name);
	if (r >= 0 && mode == DISK_CREATE) {
		int begun = r;

		r = n && n->now ? -EEXIST : 0;
		if (r == 0 && (n = memdisk_name_for_locked(m, dir, name)))
			memdisk_set_locked(n, memdisk_inode_new(m, false));
		r = begun ? -EIO : n ? r : -ENOENT;
	} else if (r == 0 && (!n || !n->now || n->now->is_dir)) {
		r = n && n->now ? -EUCLEAN : -ENOENT;
	}
	if (r == 0) {
		f->base.disk = disk;
		f->inode = n->now;
		f->writable = mode != DISK_READ;
		*ret_file = &f->base;
	} else {
		free(f);
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static void mem_close(struct disk_file *file)
{
	free(file);
}

/* Cut a length short, or fail with EINTR, when that is asked for. */
static int64_t shorten_locked(struct memdisk *m, size_t len)
{
	if (!m->short_max || !len)
		return (int64_t)len;
	if (memdisk_random(&m->rng) % 4 == 0)
		return -EINTR;
	return (int64_t)(1 + memdisk_random(&m->rng) % (len < m->short_max ? len : m->short_max));
}

static int64_t mem_pread(struct disk_file *file, void *buf, size_t len, uint64_t off)
{
	struct memdisk *m = of(file->disk);
	struct content *c = &((struct memfile *)file)->inode->now;
	int64_t r;

	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, MEMDISK_PREAD);
	if (r == 0 && off < c->len) {
		r = shorten_locked(m, len < c->len - off ? len : c->len - off);
		if (r > 0)
			memcpy(buf, c->p + off, (size_t)r);
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int64_t mem_pwrite(struct disk_file *file, const void *buf, size_t len, uint64_t off)
{
	struct memdisk *m = of(file->disk);
	struct memfile *f = (struct memfile *)file;
	int64_t r, begun;

	if (!f->writable)
		return -EBADF;
	pthread_mutex_lock(&m->lock);
	r = begun = memdisk_begin_locked(m, MEMDISK_PWRITE);
	if (r >= 0)
		r = shorten_locked(m, len);
	if (r > 0 && off + (uint64_t)r > f->inode->now.len) {
		uint64_t room = room_locked(m);
		uint64_t grow = off + (uint64_t)r - f->inode->now.len;

		if (grow > room)
			r = grow - room < (uint64_t)r ? r - (int64_t)(grow - room) : -ENOSPC;
	}
	if (r > 0) {
		struct change c = {.is_write = true, .off = off, .len = (size_t)r};

		memdisk_change_add(f->inode, &c, buf);
		memdisk_content_write(&f->inode->now, off, buf, (size_t)r);
		r = begun == 1 ? -EIO : r;
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* What is not in doubt becomes durable. */
static void sync_locked(struct inode *i)
{
	struct change *c, *next, *doubtful = NULL, **end = &doubtful;

	for (c = i->changes; c; c = next) {
		next = c->next;
		if (c->doubtful) {
			c->next = NULL;
			*end = c;
			end = &c->next;
		} else {
			memdisk_change_apply(c, &i->durable);
			free(c);
		}
	}
	i->changes = doubtful;
	i->changes_end = doubtful ? end : &i->changes;
}

/* There is no cache that knows more than the disk: a failed sync is in doubt by itself. */
static void mem_forget(struct disk_file *file)
{
	(void)file;
}

static int mem_sync(struct disk_file *file)
{
	struct memdisk *m = of(file->disk);
	struct inode *i = ((struct memfile *)file)->inode;
	int r;

	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, MEMDISK_SYNC);
	if (r == 0)
		sync_locked(i);
	else if (r < 0 && !m->off)
		for (struct change *c = i->changes; c; c = c->next)
			c->doubtful = true;
	pthread_mutex_unlock(&m->lock);
	return r == 1 ? -EIO : r;
}

static int resize(struct disk_file *file, unsigned op, uint64_t len)
{
	struct memdisk *m = of(file->disk);
	struct memfile *f = (struct memfile *)file;
	struct change c = {.grow = op == MEMDISK_ALLOCATE, .len = len};
	int r;

	if (!f->writable)
		return -EBADF;
	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, op);
	if (r >= 0 && len > f->inode->now.len && len - f->inode->now.len > room_locked(m))
		r = -ENOSPC;
	if (r >= 0) {
		memdisk_change_add(f->inode, &c, NULL);
		memdisk_change_apply(&c, &f->inode->now);
	}
	pthread_mutex_unlock(&m->lock);
	return r == 1 ? -EIO : r;
}

static int mem_allocate(struct disk_file *file, uint64_t off, uint64_t len)
{
	return resize(file, MEMDISK_ALLOCATE, off + len);
}

static int mem_truncate(struct disk_file *file, uint64_t len)
{
	return resize(file, MEMDISK_TRUNCATE, len);
}

static int mem_size(struct disk_file *file, uint64_t *ret_len)
{
	struct memdisk *m = of(file->disk);
	int r;

	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, MEMDISK_SIZE);
	*ret_len = ((struct memfile *)file)->inode->now.len;
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int mem_links(struct disk_file *file, unsigned *ret_links)
{
	struct memdisk *m = of(file->disk);
	const struct inode *is = ((struct memfile *)file)->inode;
	unsigned count = 0;
	int r;

	pthread_mutex_lock(&m->lock);
	r = memdisk_begin_locked(m, MEMDISK_SIZE);
	for (size_t i = 0; i < m->name_count; i++)
		count += m->names[i].now == is;
	if (r == 0)
		*ret_links = count;
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int mem_space(struct disk *disk, uint64_t *ret_free, uint64_t *ret_all)
{
	struct memdisk *m = of(disk);

	pthread_mutex_lock(&m->lock);
	*ret_free = room_locked(m);
	*ret_all = m->capacity ? m->capacity : UINT64_MAX / 2;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void mem_free(struct disk *disk)
{
	struct view *view = (struct view *)disk;

	if (view == &view->disk->root)
		memdisk_free(view->disk);
	else
		free(view);
}

static const struct disk_ops mem_ops = {
	.open = mem_open,
	.close = mem_close,
	.pread = mem_pread,
	.pwrite = mem_pwrite,
	.sync = mem_sync,
	.forget = mem_forget,
	.allocate = mem_allocate,
	.truncate = mem_truncate,
	.size = mem_size,
	.links = mem_links,
	.space = mem_space,
	.unlink = memdisk_op_unlink,
	.rename = memdisk_op_rename,
	.link = memdisk_op_link,
	.move = memdisk_op_move,
	.mkdir = memdisk_op_mkdir,
	.rmdir = memdisk_op_rmdir,
	.open_dir = memdisk_op_open_dir,
	.sync_dir = memdisk_op_sync_dir,
	.list = memdisk_op_list,
	.free = mem_free,
};

struct memdisk *memdisk_new(void)
{
	struct memdisk *m = memdisk_need(calloc(1, sizeof(*m)));

	/* Tests open thousands of stores: keep what malloc once got. Only makes them faster. */
	(void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 512 << 20);
	m->root = (struct view){{&mem_ops}, m, memdisk_inode_new(m, true)};
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void memdisk_free(struct memdisk *disk)
{
	struct inode *i;

	if (!disk)
		return;
	while ((i = disk->inodes)) {
		disk->inodes = i->next;
		memdisk_changes_free(i);
		memdisk_content_free(&i->now);
		memdisk_content_free(&i->durable);
		free(i);
	}
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

struct disk *memdisk_disk(struct memdisk *disk)
{
	return &disk->root.base;
}

uint64_t memdisk_count(struct memdisk *disk, unsigned ops)
{
	uint64_t sum = 0;

	pthread_mutex_lock(&disk->lock);
	for (unsigned i = 0; i < OPS; i++)
		sum += ops & 1u << i ? disk->counts[i] : 0;
	pthread_mutex_unlock(&disk->lock);
	return sum;
}

void memdisk_power_off_at(struct memdisk *disk, uint64_t nth)
{
	pthread_mutex_lock(&disk->lock);
	disk->power_off_in = nth;
	disk->off |= nth == 0;
	pthread_mutex_unlock(&disk->lock);
}

bool memdisk_is_off(struct memdisk *disk)
{
	bool off;

	pthread_mutex_lock(&disk->lock);
	off = disk->off;
	pthread_mutex_unlock(&disk->lock);
	return off;
}

void memdisk_fail(struct memdisk *disk, unsigned ops, uint64_t nth, uint64_t times, int num)
{
	pthread_mutex_lock(&disk->lock);
	disk->fail_ops = ops;
	disk->fail_in = nth;
	disk->fail_times = times;
	disk->fail_num = num;
	disk->failed = 0;
	pthread_mutex_unlock(&disk->lock);
}

uint64_t memdisk_failed(struct memdisk *disk)
{
	uint64_t n;

	pthread_mutex_lock(&disk->lock);
	n = disk->failed;
	pthread_mutex_unlock(&disk->lock);
	return n;
}

void memdisk_short(struct memdisk *disk, size_t max, uint64_t seed)
{
	pthread_mutex_lock(&disk->lock);
	disk->short_max = max;
	disk->rng = seed;
	pthread_mutex_unlock(&disk->lock);
}

void memdisk_capacity(struct memdisk *disk, uint64_t bytes)
{
	pthread_mutex_lock(&disk->lock);
	disk->capacity = bytes;
	pthread_mutex_unlock(&disk->lock);
}

uint64_t memdisk_used(struct memdisk *disk)
{
	uint64_t n;

	pthread_mutex_lock(&disk->lock);
	n = used_locked(disk);
	pthread_mutex_unlock(&disk->lock);
	return n;
}
