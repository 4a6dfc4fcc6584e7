/*
 * The raw image that export writes and import reads: a file, a block device, or a pipe. A new file comes
 * into being whole: it is written under another name beside its place and renamed at the end.
 */
#ifndef TOOLS_KMSVOL_IMAGE_H
#define TOOLS_KMSVOL_IMAGE_H

#include "copy_ends.h"

struct err;

#define IMAGE_UNKNOWN UINT64_MAX /* size_bytes of a stream */

struct image {
	struct copy_fd end;
	const char *name; /* as the user gave it; "-" is a standard stream */
	char *temporary;  /* to be renamed to name; NULL: written in place. Owned */
};

/* Would @name be written as a stream? */
bool image_is_stream(const char *name);

/* To read @name. -EISDIR, ... Sentences name it. Give it to image_close(). */
int image_open(const char *name, struct image *ret_image, struct err *err);

/* Is it a stream without a byte? Waits for its first one, its end, or *end.stop (false). */
bool image_is_empty_stream(const struct image *image);

/* To write @size_bytes to @name, with a mode that lets nobody else read what was secret. */
int image_create(const char *name, uint64_t size_bytes, struct image *ret_image, struct err *err);

/* All is written: make it durable and show it under its name. Then image_close() all the same. */
int image_finish(struct image *image, struct err *err);

/* Close; what is not finished is removed. */
void image_close(struct image *image);

#endif
