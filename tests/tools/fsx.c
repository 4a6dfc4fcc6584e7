/*
 * Random I/O on a volume's disk, each of whose results is compared with a model in memory, in the manner
 * of the fsx tools that file systems are tested with.
 *
 *   fsx DISK MODEL SEED OPERATIONS
 *
 * MODEL is a file as large as DISK that holds what DISK ought to hold; it is made, of zeros, when it is not
 * there, so that the runs before and after a remount are one test. First all of DISK is compared, then
 * OPERATIONS random ones follow: pread and preadv, private mappings, pwrite and pwritev, zero and
 * discard (fallocate), fsync and fdatasync, SEEK_DATA and SEEK_HOLE; then all is compared again. Exit 0
 * all was right, 1 not: the operation, the first wrong byte and the last operations are said. The same
 * SEED on the same MODEL does the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define IO_MAX	   (3 * 1024 * 1024) /* bytes: larger than any one request */
#define RANGE_MAX  (16ULL << 20)     /* bytes discarded or zeroed at once */
#define PIECES_MAX 5
#define HISTORY	   12 /* operations shown when one went wrong */

static struct {
	int fd;
	uint8_t *model;
	uint64_t size;
	uint64_t random;
	uint64_t number;
	char history[HISTORY][96];
	uint8_t *buf;
} t;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *fmt, ...)
{
	va_list ap;

	printf("fsx: operation %" PRIu64 ": ", t.number);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	for (uint64_t i = t.number >= HISTORY ? t.number - HISTORY + 1 : 0; i <= t.number; i++)
		printf("  %s\n", t.history[i % HISTORY]);
	exit(1);
}

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(t.history[t.number % HISTORY], sizeof(t.history[0]), fmt, ap);
	va_end(ap);
}

/* splitmix64, https://prng.di.unimi.it/splitmix64.c: public domain, one state word. */
static uint64_t rnd(void)
{
	uint64_t z = t.random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
	return n ? rnd() % n : 0;
}

/* Mostly small, often a whole number of sectors, blocks or pages, sometimes large. */
static uint64_t some_len(uint64_t most)
{
	static const uint64_t units[] = {1, 1, 512, 4096, 65536};
	uint64_t unit = units[below(5)];
	uint64_t len = below(8) ? 1 + below(20) * unit + below(unit == 1 ? 9000 : 1) : below(most);

	len = unit == 1 ? len : len / unit * unit;
	return len == 0 ? unit : len < most ? len : most;
}

static uint64_t some_off(uint64_t len)
{
	uint64_t off = below(t.size - len + 1);

	switch (below(4)) {
	case 0:
		return off / 4096 * 4096;
	case 1:
		return off / 512 * 512;
	case 2: /* near the end, where clamping is */
		return t.size - len - below(t.size - len < 10000 ? t.size - len + 1 : 10000);
	default:
		return off;
	}
}

static void compare(const uint8_t *got, uint64_t off, uint64_t len, const char *how)
{
	if (memcmp(got, t.model + off, len) == 0)
		return;
	for (uint64_t i = 0; i < len; i++)
		if (got[i] != t.model[off + i])
			fail("%s: byte %" PRIu64 " is %02x, ought to be %02x", how, off + i, got[i],
			     t.model[off + i]);
}

/* Cut [buf, buf + len) into some pieces. */
static int pieces(struct iovec iov[PIECES_MAX], uint8_t *buf, uint64_t len)
{
	int n = 0;

	while (len && n < PIECES_MAX - 1) {
		uint64_t part = 1 + below(len);

		iov[n++] = (struct iovec){buf, part};
		buf += part;
		len -= part;
	}
	if (len)
		iov[n++] = (struct iovec){buf, len};
	return n;
}

static void do_read(void)
{
	uint64_t len = some_len(IO_MAX), off = some_off(len);
	struct iovec iov[PIECES_MAX];
	int64_t n;

	memset(t.buf, 0xa5, len);
	if (below(2)) {
		say("pread %" PRIu64 " at %" PRIu64, len, off);
		n = pread(t.fd, t.buf, len, (off_t)off);
	} else {
		say("preadv %" PRIu64 " at %" PRIu64, len, off);
		n = preadv(t.fd, iov, pieces(iov, t.buf, len), (off_t)off);
	}
	if (n != (int64_t)len)
		fail("read gave %" PRId64 ": %s", n, n < 0 ? strerror(errno) : "short");
	compare(t.buf, off, len, "read");
}

static void do_read_end(void)
{
	uint64_t len = 1 + below(20000), over = below(20000);
	uint64_t off = t.size - (len > t.size ? t.size : len);
	int64_t n;

	say("pread over the end at %" PRIu64, off);
	n = pread(t.fd, t.buf, len + over, (off_t)off);
	if (n != (int64_t)(t.size - off))
		fail("read over the end gave %" PRId64, n);
	compare(t.buf, off, (uint64_t)n, "read over the end");
}

static void do_mapped(void)
{
	uint64_t len = some_len(IO_MAX), off = some_off(len) / 4096 * 4096;
	uint8_t *map;

	if (len > t.size - off)
		len = t.size - off;
	say("mapped read %" PRIu64 " at %" PRIu64, len, off);
	map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, t.fd, (off_t)off);
	if (map == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	compare(map, off, len, "mapped read");
	munmap(map, len);
}

static void do_write(void)
{
	uint64_t len = some_len(IO_MAX), off = some_off(len);
	struct iovec iov[PIECES_MAX];
	int64_t n;

	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t r = below(6) ? rnd() : 0;

		memcpy(t.buf + i, &r, len - i < 8 ? len - i : 8);
	}
	if (below(2)) {
		say("pwrite %" PRIu64 " at %" PRIu64, len, off);
		n = pwrite(t.fd, t.buf, len, (off_t)off);
	} else {
		say("pwritev %" PRIu64 " at %" PRIu64, len, off);
		n = pwritev(t.fd, iov, pieces(iov, t.buf, len), (off_t)off);
	}
	if (n != (int64_t)len)
		fail("write gave %" PRId64 ": %s", n, n < 0 ? strerror(errno) : "short");
	memcpy(t.model + off, t.buf, len);
}

static void do_clear(void)
{
	bool zero = below(2);
	uint64_t len = some_len(below(10) ? IO_MAX : RANGE_MAX < t.size ? RANGE_MAX : t.size);
	uint64_t off = some_off(len);
	int mode = (zero ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE) | FALLOC_FL_KEEP_SIZE;

	say("%s %" PRIu64 " at %" PRIu64, zero ? "zero" : "discard", len, off);
	if (fallocate(t.fd, mode, (off_t)off, (off_t)len) != 0)
		fail("fallocate: %s", strerror(errno));
	memset(t.model + off, 0, len);
}

static void do_sync(void)
{
	bool data = below(2);

	say("%s", data ? "fdatasync" : "fsync");
	if ((data ? fdatasync(t.fd) : fsync(t.fd)) != 0)
		fail("sync: %s", strerror(errno));
}

/* Between an offset and the data that SEEK_DATA finds behind it there may be zeros only. */
static void do_seek(void)
{
	uint64_t off = below(t.size);
	int64_t data = lseek(t.fd, (off_t)off, SEEK_DATA);
	int64_t hole = lseek(t.fd, (off_t)off, SEEK_HOLE);
	uint64_t end = data < 0 ? t.size : (uint64_t)data;

	say("seek from %" PRIu64 ": data %" PRId64 ", hole %" PRId64, off, data, hole);
	if (data < 0 && errno != ENXIO && hole >= 0)
		fail("SEEK_DATA: %s", strerror(errno));
	if (hole < (int64_t)off || hole > (int64_t)t.size || (data >= 0 && data < (int64_t)off))
		fail("seek went astray");
	for (uint64_t i = off; i < end; i++)
		if (t.model[i])
			fail("SEEK_DATA passed over data at %" PRIu64, i);
}

static void do_other(void)
{
	struct stat st;

	say("stat and a write over the end");
	if (fstat(t.fd, &st) != 0 || (uint64_t)st.st_size != t.size)
		fail("the size is not %" PRIu64 " any more", t.size);
	if (pwrite(t.fd, "x", 1, (off_t)t.size) != -1 || errno != ENOSPC)
		fail("a write behind the end was taken");
}

static void operation(void)
{
	uint64_t what = below(100);

	if (what < 30)
		do_read();
	else if (what < 33)
		do_read_end();
	else if (what < 40)
		do_mapped();
	else if (what < 75)
		do_write();
	else if (what < 87)
		do_clear();
	else if (what < 93)
		do_sync();
	else if (what < 98)
		do_seek();
	else
		do_other();
}

static void compare_all(void)
{
	say("compare all");
	for (uint64_t off = 0; off < t.size; off += IO_MAX) {
		uint64_t len = t.size - off < IO_MAX ? t.size - off : IO_MAX;

		if (pread(t.fd, t.buf, len, (off_t)off) != (int64_t)len)
			fail("read at %" PRIu64 ": %s", off, strerror(errno));
		compare(t.buf, off, len, "all");
	}
}

static void open_both(const char *disk, const char *model)
{
	struct stat st;
	int fd;

	t.fd = open(disk, O_RDWR);
	if (t.fd < 0 || fstat(t.fd, &st) != 0) {
		fprintf(stderr, "fsx: '%s': %s\n", disk, strerror(errno));
		exit(2);
	}
	t.size = (uint64_t)st.st_size;
	fd = open(model, O_RDWR | O_CREAT, 0600);
	if (fd >= 0 && ftruncate(fd, (off_t)t.size) == 0)
		t.model = mmap(NULL, t.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	t.buf = malloc(IO_MAX + 65536);
	if (!t.model || t.model == MAP_FAILED || !t.buf || t.size <= RANGE_MAX) {
		fprintf(stderr, "fsx: '%s': %s\n", model,
			t.size <= RANGE_MAX ? "DISK is too small" : strerror(errno));
		exit(2);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t operations;

	if (argc != 5) {
		fprintf(stderr, "usage: fsx DISK MODEL SEED OPERATIONS\n");
		return 2;
	}
	open_both(argv[1], argv[2]);
	t.random = strtoull(argv[3], NULL, 0);
	operations = strtoull(argv[4], NULL, 0);
	compare_all();
	for (t.number = 1; t.number <= operations; t.number++)
		operation();
	compare_all();
	printf("%" PRIu64 " operations\n", operations);
	return 0;
}
