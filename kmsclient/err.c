/* Error sentences: set where first seen, prefixed on the way up. See err.h. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_clear(struct err *err)
{
	if (err)
		memset(err, 0, sizeof(*err));
}

int err_set(struct err *err, int num, const char *fmt, ...)
{
	if (err) {
		char msg[ERR_MSG_MAX]; /* the arguments may point into *err */
		va_list ap;

		va_start(ap, fmt);
		(void)vsnprintf(msg, sizeof(msg), fmt, ap); /* cut on purpose */
		va_end(ap);
		err_clear(err);
		err->num = num;
		memcpy(err->msg, msg, sizeof(msg));
	}
	return -num;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char prefix[ERR_MSG_MAX / 2];
	size_t n, keep;
	va_list ap;

	if (!err || !err->num)
		return -EIO;
	va_start(ap, fmt);
	(void)vsnprintf(prefix, sizeof(prefix) - 2, fmt, ap); /* cut on purpose */
	va_end(ap);
	strcat(prefix, ": ");
	n = strlen(prefix);
	keep = strnlen(err->msg, sizeof(err->msg) - n - 1); /* a sentence too long is cut */
	memmove(err->msg + n, err->msg, keep);
	memcpy(err->msg, prefix, n);
	err->msg[n + keep] = '\0';
	return -err->num;
}
