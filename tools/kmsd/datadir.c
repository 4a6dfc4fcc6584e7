/* The data directory. See datadir.h. */
#include "datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"
#include "store.h"

#define LOCK_NAME "lock"

/* The descriptor stays open: the lock lives as long as the process, however that ends. */
static int lock(int dir_fd, struct err *err)
{
	int fd = openat(dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int num;

	if (fd < 0)
		return err_set(err, errno, "'" LOCK_NAME "': %s", strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	num = errno;
	(void)close(fd); /* nothing was written */
	if (num == EWOULDBLOCK)
		return err_set(err, EBUSY, "another kmsd is running on it");
	return err_set(err, num, "cannot lock it: %s", strerror(num));
}

int datadir_open(const char *path, int *ret_fd, struct err *err)
{
	int fd, r;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "cannot make it: %s", strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "cannot open it: %s", strerror(errno));
	r = lock(fd, err);
	if (r < 0) {
		(void)close(fd); /* nothing was written */
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int datadir_add_credentials(struct buf *text, const char *profile, const struct access_key *key)
{
	int r = buf_printf(text, "[%s]\naws_access_key_id = %s\naws_secret_access_key = ", profile,
			   key->id);

	r = r ? r : buf_append(text, secret_cbytes(key->secret), secret_len(key->secret));
	return r ? r : buf_append(text, "\n", 1);
}

int datadir_write(int dir_fd, const char *name, const struct buf *text, struct err *err)
{
	char temp[64];
	int fd, r = 0;

	(void)snprintf(temp, sizeof(temp), "%s.new", name); /* ours are short */
	fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, errno, "'%s': %s", temp, strerror(errno));
	if (write(fd, text->bytes, text->len) != (ssize_t)text->len || fsync(fd) < 0)
		r = -(errno ? errno : EIO);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(dir_fd, temp, dir_fd, name) < 0)
		r = -errno;
	return r < 0 ? err_set(err, -r, "'%s': %s", name, strerror(-r)) : 0;
}
