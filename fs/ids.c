/* Ids. See ids.h. */
#include "ids.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "bytes.h"
#include "err.h"

bool id_is(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 && strlen(text) == n + ID_LEN_DIGITS &&
	       strspn(text + n, "0123456789abcdef") == ID_LEN_DIGITS;
}

int id_new(const char *prefix, char ret_id[ID_LEN], struct err *err)
{
	uint8_t bytes[(ID_LEN_DIGITS + 1) / 2];
	char hex[2 * sizeof(bytes) + 1];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return err_set(err, EIO, "no random bytes from the kernel");
	bytes_to_hex(bytes, sizeof(bytes), hex);
	hex[ID_LEN_DIGITS] = '\0';
	(void)snprintf(ret_id, ID_LEN, "%s%s", prefix, hex); /* fits */
	return 0;
}
