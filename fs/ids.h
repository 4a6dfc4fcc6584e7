/* Ids as EC2 has them: "vol-" or "snap-" and 17 lower-case hex digits. */
#ifndef FS_IDS_H
#define FS_IDS_H

#include <stdbool.h>

struct err;

#define ID_LEN_DIGITS 17
#define ID_LEN	      24 /* bytes of the longest with its NUL, and one to spare */

bool id_is(const char *text, const char *prefix);

/* A new random one. -EIO. */
int id_new(const char *prefix, char ret_id[ID_LEN], struct err *err);

#endif
