/*
 * The disk in memory. A file is an inode with two contents: what processes see, and what is durable;
 * between them stands a list of operations that a crash keeps, loses or tears. Contents are sparse
 * mappings, so that allocating room costs nothing.
 */
#include "memdisk.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SECTOR	  512
#define NAME_LEN  40
#define NAMES_MAX 512
#define PASTS_MAX 16
#define POOL_MAX  64

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

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL); /* SplitMix64, Steele et al. 2014 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static void *need(void *p)
{
	if (!p || p == MAP_FAILED)
		abort();
	return p;
}

static void content_set_len(struct content *c, size_t len)
{
	if (len > MEMDISK_FILE_MAX)
		abort();
	if (len < c->top) {
		memset(c->p + len, 0, c->top - len);
		c->top = len;
	}
	c->len = len;
}

static void content_write(struct content *c, uint64_t off, const uint8_t *bytes, size_t len)
{
	if (off + len > c->len)
		content_set_len(c, off + len);
	memcpy(c->p + off, bytes, len);
	if (off + len > c->top)
		c->top = off + len;
}

static void content_copy(struct content *to, const struct content *from)
{
	content_set_len(to, 0);
	memcpy(to->p, from->p, from->top);
	to->top = from->top;
	to->len = from->len;
}

/* Mappings given back, all zero: a page that is cleared costs less than one that is faulted in. */
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *pool[POOL_MAX];
static size_t pool_count;

static uint8_t *map_room(void)
{
	uint8_t *p = NULL;

	pthread_mutex_lock(&pool_lock);
	if (pool_count)
		p = pool[--pool_count];
	pthread_mutex_unlock(&pool_lock);
	if (p)
		return p;
	return need(mmap(NULL, MEMDISK_FILE_MAX, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

static void content_free(struct content *c)
{
	content_set_len(c, 0);
	pthread_mutex_lock(&pool_lock);
	if (pool_count < POOL_MAX) {
		pool[pool_count++] = c->p;
		c->p = NULL;
	}
	pthread_mutex_unlock(&pool_lock);
	if (c->p)
		(void)munmap(c->p, MEMDISK_FILE_MAX); /* our own mapping */
}

static struct inode *inode_new(struct memdisk *m)
{
	struct inode *i = need(calloc(1, sizeof(*i)));

	i->now.p = map_room();
	i->durable.p = map_room();
	i->changes_end = &i->changes;
	i->next = m->inodes;
	m->inodes = i;
	return i;
}

static void changes_free(struct inode *i)
{
	struct change *c;

	while ((c = i->changes)) {
		i->changes = c->next;
		free(c);
	}
	i->changes_end = &i->changes;
}

static void change_add(struct inode *i, const struct change *what, const void *bytes)
{
	struct change *c = need(malloc(sizeof(*c) + (what->is_write ? what->len : 0)));

	*c = *what;
	c->next = NULL;
	if (what->is_write)
		memcpy(c->bytes, bytes, what->len);
	*i->changes_end = c;
	i->changes_end = &c->next;
}

static void change_apply(const struct change *c, struct content *to)
{
	if (c->is_write)
		content_write(to, c->off, c->bytes, c->len);
	else if (!c->grow || c->len > to->len)
		content_set_len(to, c->len);
}

static uint64_t used_locked(const struct memdisk *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->name_count; i++)
		sum += m->names[i].now ? m->names[i].now->now.len : 0;
	return sum;
}

/* Bytes by which a file of @len bytes may still grow. */
static uint64_t room_locked(const struct memdisk *m)
{
	uint64_t used = used_locked(m);

	if (!m->capacity)
		return UINT64_MAX / 2;
	return used < m->capacity ? m->capacity - used : 0;
}

static struct name *find_locked(struct memdisk *m, const char *text)
{
	for (size_t i = 0; i < m->name_count; i++)
		if (strcmp(m->names[i].text, text) == 0)
			return &m->names[i];
	return NULL;
}

static struct name *name_for_locked(struct memdisk *m, const char *text)
{
	struct name *n = find_locked(m, text);

	if (n)
		return n;
	if (m->name_count == NAMES_MAX)
		abort();
	n = &m->names[m->name_count++];
	memset(n, 0, sizeof(*n));
	(void)snprintf(n->text, sizeof(n->text), "%s", text);
	return n;
}

static void rename_locked(struct name *n, struct inode *to)
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

/*
 * Every operation begins here, with the lock held. 0: go on. 1: the power goes while it is under
 * way: begin it and fail. Else the error it fails with.
 */
static int begin_locked(struct memdisk *m, unsigned op)
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
	return (struct memdisk *)disk;
}

static int mem_open(struct disk *disk, const char *name, enum disk_open_mode mode,
		    struct disk_file **ret_file)
{
	struct memdisk *m = of(disk);
	struct memfile *f = need(calloc(1, sizeof(*f)));
	struct name *n;
	int r;

	pthread_mutex_lock(&m->lock);
	r = begin_locked(m, mode == DISK_CREATE ? MEMDISK_CREATE : MEMDISK_OPEN);
	n = find_locked(m, name);
	if (r >= 0 && mode == DISK_CREATE) {
		int begun = r;

		r = n && n->now ? -EEXIST : 0;
		if (r == 0)
			rename_locked(n = name_for_locked(m, name), inode_new(m));
		r = begun ? -EIO : r;
	} else if (r == 0 && (!n || !n->now)) {
		r = -ENOENT;
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
	if (next_random(&m->rng) % 4 == 0)
		return -EINTR;
	return (int64_t)(1 + next_random(&m->rng) % (len < m->short_max ? len : m->short_max));
}

static int64_t mem_pread(struct disk_file *file, void *buf, size_t len, uint64_t off)
{
	struct memdisk *m = of(file->disk);
	struct content *c = &((struct memfile *)file)->inode->now;
	int64_t r;

	pthread_mutex_lock(&m->lock);
	r = begin_locked(m, MEMDISK_PREAD);
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
	r = begun = begin_locked(m, MEMDISK_PWRITE);
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

		change_add(f->inode, &c, buf);
		content_write(&f->inode->now, off, buf, (size_t)r);
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
			change_apply(c, &i->durable);
			free(c);
		}
	}
	i->changes = doubtful;
	i->changes_end = doubtful ? end : &i->changes;
}

static int mem_sync(struct disk_file *file)
{
	struct memdisk *m = of(file->disk);
	struct inode *i = ((struct memfile *)file)->inode;
	int r;

	pthread_mutex_lock(&m->lock);
	r = begin_locked(m, MEMDISK_SYNC);
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
	r = begin_locked(m, op);
	if (r >= 0 && len > f->inode->now.len && len - f->inode->now.len > room_locked(m))
		r = -ENOSPC;
	if (r >= 0) {
		change_add(f->inode, &c, NULL);
		change_apply(&c, &f->inode->now);
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
	r = begin_locked(m, MEMDISK_SIZE);
	*ret_len = ((struct memfile *)file)->inode->now.len;
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int mem_unlink(struct disk *disk, const char *name)
{
	struct memdisk *m = of(disk);
	struct name *n;
	int r;

	pthread_mutex_lock(&m->lock);
	r = begin_locked(m, MEMDISK_UNLINK);
	n = find_locked(m, name);
	if (r >= 0 && (!n || !n->now))
		r = -ENOENT;
	if (r >= 0)
		rename_locked(n, NULL);
	pthread_mutex_unlock(&m->lock);
	return r == 1 ? -EIO : r;
}

static int mem_rename(struct disk *disk, const char *from, const char *to)
{
	struct memdisk *m = of(disk);
	struct name *n;
	int r;

	pthread_mutex_lock(&m->lock);
	r = begin_locked(m, MEMDISK_RENAME);
	n = find_locked(m, from);
	if (r >= 0 && (!n || !n->now))
		r = -ENOENT;
	if (r >= 0) {
		struct inode *i = n->now;

		if (m->rename_count == RENAMES_MAX)
			abort();
		rename_locked(n, NULL);
		rename_locked(name_for_locked(m, to), i);
		m->renames[m->rename_count++] =
			(struct renamed){find_locked(m, from), find_locked(m, to), i};
	}
	pthread_mutex_unlock(&m->lock);
	return r == 1 ? -EIO : r;
}

static int mem_mkdir(struct disk *disk, const char *name)
{
	struct memdisk *m = of(disk);
	int r;

	(void)name; /* "segments" is the only one */
	pthread_mutex_lock(&m->lock);
	r = begin_locked(m, MEMDISK_MKDIR);
	if (r == 0 && m->has_segments)
		r = -EEXIST;
	if (r >= 0)
		m->has_segments = true;
	pthread_mutex_unlock(&m->lock);
	return r == 1 ? -EIO : r;
}

static bool is_in(const char *name, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, ".") == 0)
		return !strchr(name, '/');
	return strncmp(name, dir, len) == 0 && name[len] == '/';
}

static int mem_sync_dir(struct disk *disk, const char *dir)
{
	struct memdisk *m = of(disk);
	int r;

	pthread_mutex_lock(&m->lock);
	r = begin_locked(m, MEMDISK_SYNC_DIR);
	for (size_t i = 0; r == 0 && i < m->name_count; i++)
		if (is_in(m->names[i].text, dir))
			m->names[i].past_count = 0;
	if (r == 0 && strcmp(dir, ".") != 0)
		m->rename_count = 0; /* all are in there */
	pthread_mutex_unlock(&m->lock);
	return r == 1 ? -EIO : r;
}

static int mem_list(struct disk *disk, const char *dir, int (*fn)(const char *entry, void *arg),
		    void *arg)
{
	struct memdisk *m = of(disk);
	int r;

	pthread_mutex_lock(&m->lock);
	r = begin_locked(m, MEMDISK_LIST);
	if (r == 0 && !m->has_segments)
		r = -ENOENT;
	for (size_t i = 0; r == 0 && i < m->name_count; i++)
		if (m->names[i].now && is_in(m->names[i].text, dir))
			r = fn(m->names[i].text + strlen(dir) + 1, arg);
	pthread_mutex_unlock(&m->lock);
	return r;
}

static void mem_free(struct disk *disk)
{
	memdisk_free(of(disk));
}

static const struct disk_ops mem_ops = {
	.open = mem_open,
	.close = mem_close,
	.pread = mem_pread,
	.pwrite = mem_pwrite,
	.sync = mem_sync,
	.allocate = mem_allocate,
	.truncate = mem_truncate,
	.size = mem_size,
	.unlink = mem_unlink,
	.rename = mem_rename,
	.mkdir = mem_mkdir,
	.sync_dir = mem_sync_dir,
	.list = mem_list,
	.free = mem_free,
};

struct memdisk *memdisk_new(void)
{
	struct memdisk *m = need(calloc(1, sizeof(*m)));

	/* Tests open thousands of stores: keep what malloc once got. Only makes them faster. */
	(void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 512 << 20);
	m->base.ops = &mem_ops;
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
		changes_free(i);
		content_free(&i->now);
		content_free(&i->durable);
		free(i);
	}
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

struct disk *memdisk_disk(struct memdisk *disk)
{
	return &disk->base;
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

/* Crashes. */

/* A write of which some sectors are there, some not, and one may be garbage. */
static void tear(const struct change *c, struct content *to, uint64_t *rng)
{
	uint64_t first = c->off / SECTOR, last = (c->off + c->len - 1) / SECTOR;
	uint64_t garbled = first + next_random(rng) % (last - first + 1);
	bool garble = next_random(rng) % 4 == 0;

	for (uint64_t s = first; s <= last; s++) {
		uint64_t from = s * SECTOR > c->off ? s * SECTOR : c->off;
		uint64_t end =
			(s + 1) * SECTOR < c->off + c->len ? (s + 1) * SECTOR : c->off + c->len;

		if (garble && s == garbled) {
			uint8_t bytes[SECTOR];

			for (size_t i = 0; i < sizeof(bytes); i++)
				bytes[i] = (uint8_t)next_random(rng);
			content_write(to, from, bytes, end - from);
		} else if (next_random(rng) % 2) {
			content_write(to, from, c->bytes + (from - c->off), end - from);
		}
	}
}

static void crash_inode(const struct inode *from, struct inode *to, uint64_t *rng)
{
	static const unsigned keeps[] = {0, 30, 50, 80, 95, 100};
	unsigned keep = keeps[next_random(rng) % 6]; /* percent */

	content_copy(&to->now, &from->durable);
	for (const struct change *c = from->changes; c; c = c->next) {
		if (next_random(rng) % 100 < keep)
			change_apply(c, &to->now);
		else if (c->is_write && next_random(rng) % 2)
			tear(c, &to->now, rng);
	}
	content_copy(&to->durable, &to->now);
}

static void kill_inode(const struct inode *from, struct inode *to)
{
	content_copy(&to->now, &from->now);
	content_copy(&to->durable, &from->durable);
	for (const struct change *c = from->changes; c; c = c->next)
		change_add(to, c, c->bytes);
}

/* Which file, if any, each name is after a crash. */
static void pick_names(const struct memdisk *m, const struct inode **ret_is, uint64_t *rng)
{
	for (size_t i = 0; i < m->name_count; i++) {
		const struct name *n = &m->names[i];
		unsigned pick = (unsigned)(next_random(rng) % (n->past_count + 1));

		ret_is[i] = pick == n->past_count ? n->now : n->pasts[pick];
	}
	for (size_t i = 0; i < m->rename_count; i++) { /* never both names, never neither */
		const struct renamed *r = &m->renames[i];
		size_t from = (size_t)(r->from - m->names), to = (size_t)(r->to - m->names);

		if (next_random(rng) % 2) {
			ret_is[from] = r->inode;
			ret_is[to] = ret_is[to] == r->inode ? NULL : ret_is[to];
		} else {
			ret_is[from] = ret_is[from] == r->inode ? NULL : ret_is[from];
			ret_is[to] = ret_is[to] ? ret_is[to] : r->inode;
		}
	}
}

struct memdisk *memdisk_crash(struct memdisk *disk, uint64_t seed)
{
	struct memdisk *to = memdisk_new();
	const struct inode *picked[NAMES_MAX];
	uint64_t rng = seed;

	pthread_mutex_lock(&disk->lock);
	to->has_segments = disk->has_segments;
	pick_names(disk, picked, &rng);
	for (size_t i = 0; i < disk->name_count; i++) {
		const struct name *n = &disk->names[i];
		const struct inode *is = picked[i];

		if (!is)
			continue;
		name_for_locked(to, n->text)->now = inode_new(to);
		crash_inode(is, find_locked(to, n->text)->now, &rng);
	}
	pthread_mutex_unlock(&disk->lock);
	return to;
}

/* The renames that are not durable: the copy of the file stands under both names' pasts. */
static void kill_renames(const struct memdisk *m, struct memdisk *to)
{
	for (size_t i = 0; i < m->rename_count; i++) {
		const struct renamed *r = &m->renames[i];
		struct name *from = find_locked(to, r->from->text);
		struct name *at = find_locked(to, r->to->text);

		if (r->to->now == r->inode)
			to->renames[to->rename_count++] = (struct renamed){from, at, at->now};
		from->past_count = 0; /* the pair says it all */
		at->past_count = 0;
	}
}

struct memdisk *memdisk_kill(struct memdisk *disk)
{
	struct memdisk *to = memdisk_new();

	pthread_mutex_lock(&disk->lock);
	to->has_segments = disk->has_segments;
	for (size_t i = 0; i < disk->name_count; i++) {
		const struct name *n = &disk->names[i];
		struct name *copy = name_for_locked(to, n->text);

		if (n->now) {
			copy->now = inode_new(to);
			kill_inode(n->now, copy->now);
		}
		for (unsigned k = 0; k < n->past_count; k++) {
			copy->pasts[k] = n->pasts[k] ? inode_new(to) : NULL;
			if (n->pasts[k])
				kill_inode(n->pasts[k], copy->pasts[k]);
		}
		copy->past_count = n->past_count;
	}
	kill_renames(disk, to);
	pthread_mutex_unlock(&disk->lock);
	return to;
}

/* Behind the store's back; the test is alone then. */

uint8_t *memdisk_bytes(struct memdisk *disk, const char *name, size_t *ret_len)
{
	struct name *n = find_locked(disk, name);

	if (!n || !n->now)
		return NULL;
	if (ret_len)
		*ret_len = n->now->now.len;
	n->now->now.top = n->now->now.len; /* anything may be put there */
	return n->now->now.p;
}

void memdisk_cut(struct memdisk *disk, const char *name, size_t len)
{
	content_set_len(&find_locked(disk, name)->now->now, len);
}

void memdisk_put(struct memdisk *disk, const char *name, const void *bytes, size_t len)
{
	struct name *n = name_for_locked(disk, name);

	if (!n->now)
		n->now = inode_new(disk);
	content_set_len(&n->now->now, 0);
	content_write(&n->now->now, 0, bytes, len);
}

void memdisk_remove(struct memdisk *disk, const char *name)
{
	find_locked(disk, name)->now = NULL;
}

void memdisk_swap(struct memdisk *disk, const char *a, const char *b)
{
	struct name *x = find_locked(disk, a), *y = find_locked(disk, b);
	struct inode *i = x->now;

	x->now = y->now;
	y->now = i;
}

const char *memdisk_name(struct memdisk *disk, size_t i)
{
	for (size_t k = 0; k < disk->name_count; k++)
		if (disk->names[k].now && i-- == 0)
			return disk->names[k].text;
	return NULL;
}
