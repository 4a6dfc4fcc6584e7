/* The data directory. See datadir.h. */
#include "datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"
#include "store.h"
#include "textfile.h"

#define LOCK_NAME     "lock"
#define DATABASE_NAME "kmsd.sqlite" /* store.c's */

/* Files of ours that can be there before the database, or without it when it was lost: that store.c tells. */
static bool ours(const char *name)
{
	static const char *const names[] = {
		".",
		"..",
		LOCK_NAME,
		"root-key",
		"root-key.new",
		DATADIR_CREDENTIALS,
		DATADIR_CREDENTIALS ".new",
		"lost+found", /* a new file system's */
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Nothing is put into a directory that holds something, but not our database. */
static int check_ours(int dir_fd, struct err *err)
{
	int fd, r = 0;
	DIR *dir;

	if (faccessat(dir_fd, DATABASE_NAME, F_OK, 0) == 0)
		return 0;
	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		r = err_set(err, errno, "cannot read it: %s", strerror(errno));
		if (fd >= 0)
			(void)close(fd); /* only read */
		return r;
	}
	for (struct dirent *e; r == 0 && (e = readdir(dir));)
		if (!ours(e->d_name))
			r = err_set(err, ENOTEMPTY,
				    "it holds '%s' but no '" DATABASE_NAME
				    "', so it is not one of kmsd; name an empty or a new one",
				    e->d_name);
	(void)closedir(dir); /* only read */
	return r;
}

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
	r = check_ours(fd, err);
	r = r ? r : lock(fd, err);
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
	int r = textfile_replace_bytes(dir_fd, name, text->bytes, text->len, 0600);

	return r < 0 ? err_set(err, -r, "'%s': %s", name, strerror(-r)) : 0;
}
