/* The raw image of export and import. See kmsvol_image.h. */
#include "kmsvol_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"

#define LOOK_MS 100 /* between two looks whether we shall end */

/* Set what the kind of file behind the descriptor says. */
static int look(struct image *image, struct err *err)
{
	struct copy_fd *end = &image->end;
	uint64_t size = IMAGE_UNKNOWN;
	struct stat st;
	int r = fstat(end->fd, &st);

	if (r == 0 && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		r = -1;
	} else if (r == 0 && S_ISREG(st.st_mode)) {
		size = (uint64_t)st.st_size;
	} else if (r == 0 && S_ISBLK(st.st_mode)) {
		r = ioctl(end->fd, BLKGETSIZE64, &size);
	} else if (r == 0) {
		end->stream = true;
	}
	if (r < 0)
		return err_set(err, errno, "'%s': %s", image->name, strerror(errno));
	end->size_bytes = size;
	return 0;
}

bool image_is_stream(const char *name)
{
	struct stat st;

	return strcmp(name, "-") == 0 || (stat(name, &st) == 0 && !S_ISREG(st.st_mode) &&
					  !S_ISBLK(st.st_mode) && !S_ISDIR(st.st_mode));
}

int image_open(const char *name, struct image *ret_image, struct err *err)
{
	struct image image = {.name = name, .end.fd = STDIN_FILENO};
	bool standard = strcmp(name, "-") == 0;
	int r;

	if (!standard)
		image.end.fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (image.end.fd < 0)
		return err_set(err, errno, "'%s': %s", name, strerror(errno));
	r = look(&image, err);
	/* A file on standard input is read from where it stands, as by any other program. */
	if (r == 0 && standard && !image.end.stream && lseek(image.end.fd, 0, SEEK_CUR) != 0)
		image.end.stream = true;
	if (r < 0) {
		image_close(&image);
		return r;
	}
	if (image.end.stream)
		image.end.size_bytes = IMAGE_UNKNOWN;
	*ret_image = image;
	return 0;
}

bool image_is_empty_stream(const struct image *image)
{
	struct pollfd fd = {.fd = image->end.fd, .events = POLLIN};
	int bytes = 1;

	if (!image->end.stream)
		return false;
	/* Until something comes, or the end, as of a command that failed. */
	while (poll(&fd, 1, LOOK_MS) == 0)
		if (atomic_load(image->end.stop))
			return false;
	return fd.revents && ioctl(image->end.fd, FIONREAD, &bytes) == 0 && bytes == 0;
}

/* A file of @size holes beside the place where it will be shown. */
static int make_new(struct image *image, uint64_t size, struct err *err)
{
	AUTO(freep) char *copy = strdup(image->name);

	if (!copy || asprintf(&image->temporary, "%s/.kmsvol-export-XXXXXX", dirname(copy)) < 0) {
		image->temporary = NULL;
		return err_set(err, ENOMEM, "'%s': out of memory", image->name);
	}
	image->end.zeros = true;
	image->end.fd = mkostemp(image->temporary, O_CLOEXEC); /* of mode 0600 */
	if (image->end.fd < 0) {
		freep(&image->temporary);
		image->temporary = NULL;
		return err_set(err, errno, "'%s': %s", image->name, strerror(errno));
	}
	if (ftruncate(image->end.fd, (off_t)size) < 0)
		return err_set(err, errno, "'%s': cannot make it %" PRIu64 " bytes long: %s",
			       image->name, size, strerror(errno));
	return 0;
}

/* A device or a pipe that is there already. */
static int open_there(struct image *image, uint64_t size, struct err *err)
{
	int r;

	image->end.fd = open(image->name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (image->end.fd < 0)
		return err_set(err, errno, "'%s': %s", image->name, strerror(errno));
	r = look(image, err);
	if (r == 0 && !image->end.stream && image->end.size_bytes < size)
		r = err_set(err, ENOSPC, "'%s': it has %" PRIu64 " bytes, and the image %" PRIu64,
			    image->name, image->end.size_bytes, size);
	return r;
}

int image_create(const char *name, uint64_t size_bytes, struct image *ret_image, struct err *err)
{
	struct image image = {.name = name, .end.fd = -1};
	struct stat st;
	int r;

	if (strcmp(name, "-") == 0) {
		image.end.fd = STDOUT_FILENO;
		image.end.stream = true;
		r = 0;
	} else if (stat(name, &st) == 0 && !S_ISREG(st.st_mode)) {
		r = open_there(&image, size_bytes, err);
	} else {
		r = make_new(&image, size_bytes, err);
	}
	if (r < 0) {
		image_close(&image);
		return r;
	}
	*ret_image = image;
	return 0;
}

/* The new name is durable with its directory. */
static int sync_name(const char *name)
{
	AUTO(freep) char *copy = strdup(name);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		(void)close(fd); /* only synced */
	return r;
}

int image_finish(struct image *image, struct err *err)
{
	int r = 0;

	if (!image->end.stream && fsync(image->end.fd) < 0)
		r = -errno;
	if (r == 0 && image->temporary) {
		r = rename(image->temporary, image->name) < 0 ? -errno : 0;
		if (r == 0) {
			freep(&image->temporary);
			image->temporary = NULL;
			r = sync_name(image->name);
		}
	}
	return r < 0 ? err_set(err, -r, "'%s': %s", image->name, strerror(-r)) : 0;
}

void image_close(struct image *image)
{
	if (image->temporary)
		(void)unlink(image->temporary); /* the first error has been told */
	free(image->temporary);
	image->temporary = NULL;
	if (image->end.fd > STDERR_FILENO)
		(void)close(image->end.fd); /* what matters was synced */
	image->end.fd = -1;
}
