/* Loop devices. See kmsvol_loop.h. */
#include "kmsvol_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"

#define SECTOR	    4096 /* bytes; with 512 the kernel would read, modify, write our blocks */
#define TRIES	    64	 /* another process may take the free device first */
#define POLL_MS	    20
#define PATH_SUFFIX " (deleted)"

static int configure(const char *device, int file, bool read_only, int *ret_fd)
{
	struct loop_config config = {.fd = (__u32)file, .block_size = SECTOR};
	int fd = open(device, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	config.info.lo_flags =
		LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO | (read_only ? LO_FLAGS_READ_ONLY : 0);
	if (ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
		int num = errno;

		close(fd);
		return -num;
	}
	*ret_fd = fd;
	return 0;
}

int loop_attach(const char *path, bool read_only, int *ret_fd, char **ret_device, struct err *err)
{
	/* O_NOATIME tells the daemon that it is a device, whose file system it may have to fence off. */
	int file = open(path, (read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_NOATIME | O_CLOEXEC);
	int control, r = -EBUSY;
	char device[32] = "/dev/loop-control";

	if (file < 0)
		return err_set(err, errno, "'%s': %s", path, strerror(errno));
	control = open(device, O_RDWR | O_CLOEXEC);
	if (control < 0)
		r = -errno;
	for (int i = 0; control >= 0 && r == -EBUSY && i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0) {
			r = -errno;
			break;
		}
		(void)snprintf(device, sizeof(device), "/dev/loop%d", number);
		r = configure(device, file, read_only, ret_fd);
	}
	if (control >= 0)
		close(control);
	close(file);
	if (r < 0)
		return err_set(err, -r, "'%s': cannot make it a loop device: %s: %s", path, device,
			       strerror(-r));
	*ret_device = strdup(device);
	if (!*ret_device) {
		close(*ret_fd); /* and with it the device frees itself */
		return err_set(err, ENOMEM, "'%s': out of memory", path);
	}
	return 0;
}

int loop_grow(const char *device, const char *path, struct err *err)
{
	int fd = open(device, O_RDWR | O_CLOEXEC), r = 0;
	struct stat st;

	if (fd < 0)
		return err_set(err, errno, "'%s': %s", device, strerror(errno));
	/* The kernel learns the file's size when it is asked for. */
	if (stat(path, &st) < 0 || ioctl(fd, LOOP_SET_CAPACITY, 0) < 0)
		r = err_set(err, errno, "'%s': cannot give it the size of '%s': %s", device, path,
			    strerror(errno));
	close(fd);
	return r;
}

/* The device is there and shows @path. */
static bool attached(const char *device, const char *path)
{
	AUTO(freep) char *name = NULL;
	char backing[4200];
	FILE *f;

	if (asprintf(&name, "/sys/block/%s/loop/backing_file", device + strlen("/dev/")) < 0) {
		name = NULL;
		return true;
	}
	f = fopen(name, "re");
	if (!f)
		return false;
	if (!fgets(backing, sizeof(backing), f))
		backing[0] = '\0';
	fclose(f);
	backing[strcspn(backing, "\n")] = '\0';
	size_t n = strlen(path);
	return strncmp(backing, path, n) == 0 &&
	       (!backing[n] || strcmp(backing + n, PATH_SUFFIX) == 0);
}

int loop_wait_gone(const char *device, const char *path, unsigned timeout_ms, struct err *err)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

	for (unsigned waited = 0; attached(device, path); waited += POLL_MS) {
		if (waited >= timeout_ms)
			return err_set(err, EBUSY, "'%s' still shows '%s': something has it open",
				       device, path);
		(void)nanosleep(&pause, NULL); /* sysfs tells no event */
	}
	return 0;
}
