/* Small files, replaced as a whole or read as a whole. A base helper, for all parts. */
#ifndef KMSCLIENT_TEXTFILE_H
#define KMSCLIENT_TEXTFILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Put @text into the file @name of the directory @dirfd, durably and at once: a crash leaves the old
 * content or the new one. @mode as for open(2). A negative errno, and then the old file is still
 * there. Not for two callers at once: the temporary file is NAME.new.
 */
int textfile_replace(int dirfd, const char *name, const char *text, mode_t mode);

/* The same for @len bytes of any kind. */
int textfile_replace_bytes(int dirfd, const char *name, const void *bytes, size_t len, mode_t mode);

/*
 * Read the file @name of the directory @dirfd. *@ret_text ends with a NUL and is the caller's. -EFBIG: more
 * than @max bytes; -EUCLEAN: a NUL in it; other negative errnos as of open(2) and read(2).
 */
int textfile_read(int dirfd, const char *name, size_t max, char **ret_text);

#endif
