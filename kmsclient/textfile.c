/* Small files, written and read as a whole. See textfile.h. */
#include "textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			text += n, len -= (size_t)n;
	}
	return 0;
}

int textfile_replace(int dirfd, const char *name, const char *text, mode_t mode)
{
	return textfile_replace_bytes(dirfd, name, text, strlen(text), mode);
}

/* Write, fsync, rename, fsync the directory. */
int textfile_replace_bytes(int dirfd, const char *name, const void *bytes, size_t len, mode_t mode)
{
	char temporary[64];
	int fd, r;

	(void)snprintf(temporary, sizeof(temporary), "%s.new", name); /* our names are short */
	(void)unlinkat(dirfd, temporary, 0); /* one of an earlier crash, of whatever mode */
	fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = write_all(fd, bytes, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, temporary, 0); /* the first error is the one to tell */
	else if (fsync(dirfd) < 0)
		r = -errno;
	return r;
}

int textfile_read(int dirfd, const char *name, size_t max, char **ret_text)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char *text = malloc(max + 2);
	size_t len = 0;
	ssize_t n = 1;
	int r = fd < 0 ? -errno : text ? 0 : -ENOMEM;

	while (r == 0 && n != 0 && len <= max) {
		n = read(fd, text + len, max + 1 - len);
		if (n > 0)
			len += (size_t)n;
		else if (n < 0 && errno != EINTR)
			r = -errno;
	}
	if (fd >= 0)
		(void)close(fd); /* nothing was written */
	if (r == 0 && len > max)
		r = -EFBIG;
	if (r == 0 && memchr(text, 0, len))
		r = -EUCLEAN;
	if (r < 0) {
		free(text);
		return r;
	}
	text[len] = '\0';
	*ret_text = text;
	return 0;
}
