/* Times as text. See utc.h. */
#include "utc.h"

#include <errno.h>
#include <string.h>
#include <time.h>

int utc_format(int64_t seconds, char ret_text[UTC_LEN])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(ret_text, UTC_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return -EINVAL;
	return 0;
}

int utc_parse(const char *text, int64_t *ret_seconds)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	int64_t seconds = (int64_t)timegm(&tm);
	char back[UTC_LEN];

	/* It must be the one way to write this time: strptime() forgives much. */
	if (!end || *end || utc_format(seconds, back) < 0 || strcmp(back, text) != 0)
		return -EINVAL;
	*ret_seconds = seconds;
	return 0;
}
