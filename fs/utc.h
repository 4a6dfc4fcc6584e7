/* Times in our JSON files: "2026-01-31T23:59:59Z". */
#ifndef FS_UTC_H
#define FS_UTC_H

#include <stdint.h>

#define UTC_LEN	    40 /* bytes, with the NUL */
#define UTC_EXAMPLE "2026-01-31T23:59:59Z"

/* Seconds since 1970 to text and back. -EINVAL: not such a time, or not the one way to write it. */
int utc_format(int64_t seconds, char ret_text[UTC_LEN]);
int utc_parse(const char *text, int64_t *ret_seconds);

#endif
