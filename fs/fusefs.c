/*
 * The two files as libfuse's low-level callbacks. They check and clamp; `disk` goes on to fuseio. The
 * session and its threads are in fuseloop.c.
 */
#include "fusefs_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "bytes.h"
#include "fuseio.h"
#include "secret.h"
#include "status.h"
#include "watch.h"

enum { INO_ROOT = FUSE_ROOT_ID, INO_DISK = FUSEFS_INO_DISK, INO_STATUS };

#define NAMES_SECONDS 3600.0 /* names never change */
#define ATTR_SECONDS  1.0

/* What one open of `status` shows. */
struct status_text {
	size_t len;
	char *text;
};

static struct fuseio *disk(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static uint64_t disk_size(fuse_req_t req)
{
	return fuseio_size(disk(req));
}

static int fill_stat(fuse_req_t req, fuse_ino_t ino, struct stat *st)
{
	const struct stat *base = &disk(req)->attr;

	if (ino == INO_DISK) {
		fuseio_stat(disk(req), st);
		return 0;
	}
	if (ino != INO_ROOT && ino != INO_STATUS)
		return -ENOENT;
	*st = (struct stat){
		.st_ino = ino,
		.st_mode = ino == INO_ROOT ? S_IFDIR | 0555 : S_IFREG | 0444,
		.st_nlink = ino == INO_ROOT ? 2 : 1,
		.st_uid = base->st_uid,
		.st_gid = base->st_gid,
		.st_blksize = base->st_blksize,
		.st_atim = base->st_atim,
		.st_mtim = base->st_mtim,
		.st_ctim = base->st_ctim,
	};
	return 0;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	unsigned off = FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_SPLICE_READ |
		       FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_READDIRPLUS | FUSE_CAP_POSIX_LOCKS |
		       FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_ATOMIC_O_TRUNC;

	(void)userdata;
	/* Every byte is transformed, so splicing only adds calls. Truncation comes as SETATTR, whose
	 * answer can say that the size stayed. */
	conn->want = (conn->want & ~off) | (conn->capable & FUSE_CAP_ASYNC_DIO);
	conn->max_write = FUSEIO_MAX;
	conn->max_read = FUSEIO_MAX; /* as in the mount option, or libfuse 3.14 ends the session */
	conn->max_readahead = 0;
	conn->max_background = 128;
	conn->congestion_threshold = 96;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {.attr_timeout = ATTR_SECONDS, .entry_timeout = NAMES_SECONDS};

	if (parent == INO_ROOT && strcmp(name, "disk") == 0)
		e.ino = INO_DISK;
	else if (parent == INO_ROOT && strcmp(name, "status") == 0)
		e.ino = INO_STATUS;
	if (!e.ino || fill_stat(req, e.ino, &e.attr) < 0)
		(void)fuse_reply_err(req, ENOENT);
	else
		(void)fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (fill_stat(req, ino, &st) < 0)
		(void)fuse_reply_err(req, ENOENT);
	else
		(void)fuse_reply_attr(req, &st, ATTR_SECONDS);
}

/* 0, or why @attr cannot become the attributes of the file with @old. */
static int refuse_attr(const struct stat *old, const struct stat *attr, int to_set, fuse_ino_t ino)
{
	if (((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != old->st_uid) ||
	    ((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != old->st_gid) ||
	    ((to_set & FUSE_SET_ATTR_MODE) && (attr->st_mode & 07777) != (old->st_mode & 07777)))
		return EPERM;
	if (!(to_set & FUSE_SET_ATTR_SIZE))
		return 0;
	if (ino != INO_DISK)
		return EPERM;
	return attr->st_size < 0 || attr->st_size > old->st_size ? EFBIG : 0;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct stat st;
	int num = -fill_stat(req, ino, &st);

	(void)fi;
	if (num == 0)
		num = refuse_attr(&st, attr, to_set, ino);
	if (num) {
		(void)fuse_reply_err(req, num);
		return;
	}
	if ((to_set & FUSE_SET_ATTR_SIZE) && attr->st_size < st.st_size) {
		struct fuseio_call call = {
			.op = FUSEIO_TRUNCATE,
			.off = (uint64_t)attr->st_size,
			.len = (uint64_t)(st.st_size - attr->st_size),
		};

		fuseio_submit(disk(req), req, &call);
		return;
	}
	/* Times are taken and not kept: they are those of the last write. */
	(void)fuse_reply_attr(req, &st, ATTR_SECONDS);
}

/*
 * libfuse 3.14 cannot say "parallel direct writes" in struct fuse_file_info, so the kernel's own
 * struct goes out. Without it the inode's lock makes writes wait for each other.
 */
static void reply_open(fuse_req_t req, uint64_t fh, uint32_t flags)
{
	struct fuse_open_out out = {.fh = fh, .open_flags = flags};
	struct iovec iov[2] = {{.iov_base = NULL}, {.iov_base = &out, .iov_len = sizeof(out)}};

	(void)fuse_reply_iov(req, &iov[1], 1);
}

static struct status_text *make_status(fuse_req_t req)
{
	struct fuseio *io = disk(req);
	struct status_text *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->text = io->status_text(io->status_arg);
	if (!s->text) {
		free(s);
		return NULL;
	}
	s->len = strlen(s->text);
	return s;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct status_text *s;

	if (ino == INO_DISK) {
		/* A loop device of mount --fs says O_NOATIME; what it is good for ends with a fence. */
		uint64_t fence = fi->flags & O_NOATIME ? atomic_load(&disk(req)->fence) : 0;

		reply_open(req, fence,
			   FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_NOFLUSH);
		return;
	}
	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		(void)fuse_reply_err(req, EACCES);
		return;
	}
	s = make_status(req);
	if (!s) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	fi->fh = (uintptr_t)s;
	fi->direct_io = 1;
	if (fuse_reply_open(req, fi) < 0) { /* interrupted: no release will come */
		free(s->text);
		free(s);
	}
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct status_text *s = (struct status_text *)(uintptr_t)fi->fh;

	if (ino == INO_STATUS && s) {
		free(s->text);
		free(s);
	}
	(void)fuse_reply_err(req, 0);
}

/*
 * From this thread's buffer and not from @text: as soon as the kernel has the answer, another thread may
 * release the file, while writev(2) is still on its way back here with the old pointer.
 */
static void reply_text(fuse_req_t req, const char *text, size_t len)
{
	uint8_t *copy = fuseio_buffer();

	memcpy(copy, text, len);
	(void)fuse_reply_buf(req, (const char *)copy, len);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct status_text *s = (struct status_text *)(uintptr_t)fi->fh;
	struct fuseio_call call = {.op = FUSEIO_READ, .off = (uint64_t)off, .fence = fi->fh};
	uint64_t end = ino == INO_DISK ? disk_size(req) : s->len;

	if (call.off >= end) {
		(void)fuse_reply_buf(req, NULL, 0);
		return;
	}
	call.len = end - call.off < size ? end - call.off : size;
	if (call.len > FUSEIO_MAX) { /* the kernel was told; do not overrun if it forgot */
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	if (ino != INO_DISK) {
		reply_text(req, s->text + call.off, call.len);
		return;
	}
	/* A read for the page cache, which only a private mapping makes, has no owner. If it waited,
	 * dropping cached pages would wait for it. */
	call.never_wait = fi->lock_owner == 0;
	fuseio_submit(disk(req), req, &call);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct fuseio_call call = {.op = FUSEIO_WRITE,
				   .off = (uint64_t)off,
				   .data = (const uint8_t *)buf,
				   .fence = fi->fh};

	if (ino != INO_DISK) {
		(void)fuse_reply_err(req, EBADF);
		return;
	}
	if (call.off >= disk_size(req)) {
		(void)fuse_reply_err(req, size ? ENOSPC : 0);
		return;
	}
	call.len = disk_size(req) - call.off < size ? disk_size(req) - call.off : size;
	fuseio_submit(disk(req), req, &call);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fuseio_call call = {.op = FUSEIO_FLUSH, .fence = fi->fh};

	(void)datasync;
	if (ino == INO_DISK)
		fuseio_submit(disk(req), req, &call);
	else
		(void)fuse_reply_err(req, 0);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
			 struct fuse_file_info *fi)
{
	struct fuseio_call call = {.op = FUSEIO_DISCARD, .off = (uint64_t)off, .fence = fi->fh};
	uint64_t size = disk_size(req), end = (uint64_t)off + (uint64_t)len;
	bool zero = mode & FALLOC_FL_ZERO_RANGE;

	if (ino != INO_DISK) {
		(void)fuse_reply_err(req, EBADF);
		return;
	}
	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) && mode != FALLOC_FL_ZERO_RANGE &&
	    mode != (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)) {
		(void)fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (zero && end > size) {
		(void)fuse_reply_err(req, ENOSPC);
		return;
	}
	if (call.off > size)
		call.off = size;
	call.len = (end < size ? end : size) - call.off;
	fuseio_submit(disk(req), req, &call);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct fuseio_call call = {.op = whence == SEEK_HOLE ? FUSEIO_SEEK_HOLE : FUSEIO_SEEK_DATA,
				   .off = (uint64_t)off};

	(void)fi;
	if (ino != INO_DISK || (whence != SEEK_DATA && whence != SEEK_HOLE))
		(void)fuse_reply_err(req, EINVAL);
	else if (off < 0 || call.off >= disk_size(req))
		(void)fuse_reply_err(req, ENXIO);
	else
		fuseio_submit(disk(req), req, &call);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	static const struct {
		const char *name;
		fuse_ino_t ino;
		mode_t mode;
	} entries[] = {{".", INO_ROOT, S_IFDIR},
		       {"..", INO_ROOT, S_IFDIR},
		       {"disk", INO_DISK, S_IFREG},
		       {"status", INO_STATUS, S_IFREG}};
	char bytes[512];
	size_t used = 0, room = size < sizeof(bytes) ? size : sizeof(bytes);

	(void)fi;
	if (ino != INO_ROOT) {
		(void)fuse_reply_err(req, ENOTDIR);
		return;
	}
	for (size_t i = (size_t)off; i < 4; i++) {
		struct stat st = {.st_ino = entries[i].ino, .st_mode = entries[i].mode};
		size_t n = fuse_add_direntry(req, bytes + used, room - used, entries[i].name, &st,
					     (off_t)i + 1);

		if (n > room - used)
			break;
		used += n;
	}
	(void)fuse_reply_buf(req, bytes, used);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct stat st;
	struct statvfs v = {.f_namemax = 255, .f_files = 2};
	uint64_t mapped;

	(void)ino;
	fuseio_stat(disk(req), &st);
	mapped = (uint64_t)st.st_blocks * 512;
	v.f_bsize = v.f_frsize = (unsigned long)st.st_blksize;
	v.f_blocks = (uint64_t)st.st_size / v.f_bsize;
	v.f_bfree = v.f_bavail =
		v.f_blocks - (mapped / v.f_bsize < v.f_blocks ? mapped / v.f_bsize : v.f_blocks);
	(void)fuse_reply_statfs(req, &v);
}

/* The directory is what it is. */
static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	(void)fuse_reply_err(req, EPERM);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	(void)parent, (void)name, (void)mode, (void)dev;
	(void)fuse_reply_err(req, EPERM);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	(void)fuse_reply_err(req, EPERM);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	(void)fuse_reply_err(req, EPERM);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	(void)parent, (void)name, (void)new_parent, (void)new_name, (void)flags;
	(void)fuse_reply_err(req, EPERM);
}

/* No flush: with direct I/O, close(2) has nothing to write (FOPEN_NOFLUSH). */
const struct fuse_lowlevel_ops fusefs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.readdir = op_readdir,
	.statfs = op_statfs,
	.create = op_create,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_unlink,
	.rename = op_rename,
};
