/* Loop devices (loop(4)), by their ioctls: needs root. */
#ifndef TOOLS_KMSVOL_LOOP_H
#define TOOLS_KMSVOL_LOOP_H

#include <stdbool.h>

struct err;

/*
 * Make the file @path a block device with direct I/O and sectors of 4096 bytes. The caller owns
 * *@ret_fd, the open device, and frees *@ret_device ("/dev/loop0"). The device frees itself when
 * its last user closes it (autoclear): so keep the fd until something else has it open.
 */
int loop_attach(const char *path, bool read_only, int *ret_fd, char **ret_device, struct err *err);

/* @path, the file of @device, has grown: so does the device. */
int loop_grow(const char *device, const char *path, struct err *err);

/*
 * Wait until @device is no loop device of @path any more, at most @timeout_ms. -EBUSY: it still
 * is.
 */
int loop_wait_gone(const char *device, const char *path, unsigned timeout_ms, struct err *err);

#endif
