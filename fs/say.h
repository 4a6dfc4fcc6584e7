/* Where the daemon's sentences go: stderr in the foreground, else syslog
 * (and stderr as long as that is not /dev/null). For main and what it runs;
 * the store and the volume return their errors. */
#ifndef FS_SAY_H
#define FS_SAY_H

#include <stdbool.h>

/* Prefix every line with "kmsvol: volume 'NAME': ". @name is copied. Not thread-safe; first. */
void say_open(const char *name, bool to_syslog);

/* From any thread. */
void say_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
