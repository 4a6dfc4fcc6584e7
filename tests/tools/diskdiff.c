/*
 * Read all of a disk and compare it with what it has to be, block by block; flip bits.
 *
 *   diskdiff compare DISK IMAGE     prints "EQUAL REFUSED WRONG", counts of 4 KiB blocks; exit 1 when WRONG.
 *                                   A block is refused when its read fails with EIO or EBADMSG.
 *   diskdiff flip FILE BIT          invert one bit, counted from the start of the file
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096
#define RUN   (128 * 1024) /* read at once; block by block only where that fails */

static int fail(const char *what)
{
	fprintf(stderr, "diskdiff: '%s': %s\n", what, strerror(errno));
	return 2;
}

/* One read of a disk in regular blocks: 1 as expected, 0 not, -1 refused, -2 another error. */
static int check(int disk, off_t off, const uint8_t *want, size_t len)
{
	static uint8_t got[RUN];
	ssize_t n;

	memset(got, 0xa5, sizeof(got));
	n = pread(disk, got, len, off);
	if (n < 0)
		return errno == EIO || errno == EBADMSG ? -1 : -2;
	return n == (ssize_t)len && memcmp(got, want, len) == 0;
}

static int compare(const char *disk_path, const char *image_path)
{
	static uint8_t want[RUN];
	int disk = open(disk_path, O_RDONLY | O_CLOEXEC),
	    image = open(image_path, O_RDONLY | O_CLOEXEC);
	unsigned long equal = 0, refused = 0, wrong = 0;
	ssize_t n;

	if (disk < 0 || image < 0)
		return fail(disk < 0 ? disk_path : image_path);
	for (off_t off = 0; (n = pread(image, want, RUN, off)) > 0; off += n) {
		if (check(disk, off, want, (size_t)n) == 1) {
			equal += (unsigned long)n / BLOCK;
			continue;
		}
		for (off_t at = 0; at < n; at += BLOCK) {
			int r = check(disk, off + at, want + at, BLOCK);

			if (r == -2)
				return fail(disk_path);
			equal += r == 1;
			refused += r == -1;
			wrong += r == 0;
		}
	}
	printf("%lu %lu %lu\n", equal, refused, wrong);
	return wrong > 0;
}

static int flip(const char *path, unsigned long long bit)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	if (fd < 0 || pread(fd, &byte, 1, (off_t)(bit / 8)) != 1)
		return fail(path);
	byte ^= (uint8_t)(1 << bit % 8);
	if (pwrite(fd, &byte, 1, (off_t)(bit / 8)) != 1)
		return fail(path);
	return close(fd) < 0 ? fail(path) : 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "compare") == 0)
		return compare(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "flip") == 0)
		return flip(argv[2], strtoull(argv[3], NULL, 10));
	fputs("usage: diskdiff compare DISK IMAGE | diskdiff flip FILE BIT\n", stderr);
	return 2;
}
