/* The ends of a copy. See copy_ends.h. */
#include "copy_ends.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "store.h"

#define LOOK_MS 100 /* how often who waits for a stream looks whether to stop */

/* A store. */

static int64_t store_end_read(void *arg, uint64_t off, size_t len, uint8_t *buf, struct err *err)
{
	struct copy_store *end = arg;
	int r = store_read(end->store, off, len, buf, err);

	return r < 0 ? r : (int64_t)len;
}

/* The next data; holes smaller than a grain are taken along, so that fragments make few pieces. */
static int store_end_find(void *arg, uint64_t off, uint64_t *ret_from, uint64_t *ret_to,
			  struct err *err)
{
	struct copy_store *end = arg;
	uint64_t from = end->size_bytes, to = end->size_bytes, next;

	(void)err; /* the map is in memory */
	if (store_seek(end->store, off, false, &from) == 0) {
		(void)store_seek(end->store, from, true, &to); /* there is always an end */
		while (to < end->size_bytes && to - from < COPY_PIECE &&
		       store_seek(end->store, to, false, &next) == 0 && next - to < COPY_GRAIN)
			(void)store_seek(end->store, next, true, &to);
	}
	*ret_from = from;
	*ret_to = to;
	return 0;
}

static int store_end_check(const struct copy_store *end, uint64_t off, uint64_t len,
			   struct err *err)
{
	if (off <= end->size_bytes && len <= end->size_bytes - off)
		return 0;
	return err_set(err, ENOSPC, "the image is larger than the volume's %" PRIu64 " bytes",
		       end->size_bytes);
}

static int store_end_write(void *arg, uint64_t off, size_t len, const uint8_t *buf, struct err *err)
{
	struct copy_store *end = arg;
	int r = store_end_check(end, off, len, err);

	return r < 0 ? r : store_write(end->store, off, len, buf, err);
}

static int store_end_zero(void *arg, uint64_t off, uint64_t len, struct err *err)
{
	struct copy_store *end = arg;
	int r = store_end_check(end, off, len, err);

	return r < 0 ? r : store_discard(end->store, off, len, err);
}

struct copy_source copy_from_store(struct copy_store *end)
{
	return (struct copy_source){.arg = end, .read = store_end_read, .find = store_end_find};
}

struct copy_target copy_to_store(struct copy_store *end)
{
	return (struct copy_target){.arg = end, .write = store_end_write, .zero = store_end_zero};
}

/* A descriptor. */

static bool stopped(const struct copy_fd *end)
{
	return end->stop && atomic_load(end->stop);
}

/* One read(2) of a stream, waited for in a way that can be stopped. */
static ssize_t read_stream(const struct copy_fd *end, uint8_t *buf, size_t len)
{
	struct pollfd p = {.fd = end->fd, .events = POLLIN};

	while (poll(&p, 1, LOOK_MS) <= 0)
		if (stopped(end)) {
			errno = ECANCELED;
			return -1;
		}
	return read(end->fd, buf, len);
}

static int64_t fd_read(void *arg, uint64_t off, size_t len, uint8_t *buf, struct err *err)
{
	struct copy_fd *end = arg;
	size_t done = 0;

	while (done < len) {
		ssize_t n = end->stream
				    ? read_stream(end, buf + done, len - done)
				    : pread(end->fd, buf + done, len - done, (off_t)(off + done));

		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (errno == ECANCELED)
			return err_set(err, EINTR, "interrupted");
		else if (errno != EINTR && errno != EAGAIN)
			return err_set(err, errno, "read at %" PRIu64 ": %s", off + done,
				       strerror(errno));
	}
	return (int64_t)done;
}

static int fd_find(void *arg, uint64_t off, uint64_t *ret_from, uint64_t *ret_to, struct err *err)
{
	struct copy_fd *end = arg;
	off_t from, to;

	(void)err; /* what does not know holes is all data; reading shows what is wrong */
	*ret_from = off < end->size_bytes ? off : end->size_bytes;
	*ret_to = end->size_bytes;
	if (off >= end->size_bytes)
		return 0;
	from = lseek(end->fd, (off_t)off, SEEK_DATA);
	if (from < 0 && errno == ENXIO)
		*ret_from = end->size_bytes;
	if (from < 0 || (uint64_t)from >= end->size_bytes)
		return 0;
	*ret_from = (uint64_t)from;
	to = lseek(end->fd, from, SEEK_HOLE);
	if (to > from && (uint64_t)to < end->size_bytes)
		*ret_to = (uint64_t)to;
	return 0;
}

static int fd_write(void *arg, uint64_t off, size_t len, const uint8_t *buf, struct err *err)
{
	struct copy_fd *end = arg;
	size_t done = 0;

	while (done < len) {
		ssize_t n = end->stream
				    ? write(end->fd, buf + done, len - done)
				    : pwrite(end->fd, buf + done, len - done, (off_t)(off + done));

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			(void)poll(&(struct pollfd){.fd = end->fd, .events = POLLOUT}, 1, LOOK_MS);
		else if (errno != EINTR)
			return err_set(err, errno, "write at %" PRIu64 ": %s", off + done,
				       strerror(errno));
		if (stopped(end))
			return err_set(err, EINTR, "interrupted");
	}
	return 0;
}

static int fd_zero(void *arg, uint64_t off, uint64_t len, struct err *err)
{
	static const uint8_t zeros[COPY_GRAIN];
	struct copy_fd *end = arg;
	int r = 0;

	if (end->zeros)
		return 0;
	for (uint64_t done = 0; r == 0 && done < len; done += COPY_GRAIN)
		r = fd_write(arg, off + done,
			     len - done < COPY_GRAIN ? (size_t)(len - done) : COPY_GRAIN, zeros,
			     err);
	return r;
}

struct copy_source copy_from_fd(struct copy_fd *end)
{
	return (struct copy_source){.arg = end,
				    .in_order = end->stream,
				    .read = fd_read,
				    .find = end->stream ? NULL : fd_find};
}

struct copy_target copy_to_fd(struct copy_fd *end)
{
	return (struct copy_target){
		.arg = end, .in_order = end->stream, .write = fd_write, .zero = fd_zero};
}
