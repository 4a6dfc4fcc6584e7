/* Times in JSON. See jsontime.h. */
#include "jsontime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "err.h"
#include "kms_json.h"

int jsontime_set(struct kms_json *obj, const char *name, uint64_t wall_ms)
{
	char text[CLOCK_ISO_LEN];

	if (!wall_ms)
		return kms_json_set_null(obj, name);
	clock_iso(wall_ms, text);
	return kms_json_set_str(obj, name, text);
}

int jsontime_get(const struct kms_json *obj, const char *name, uint64_t *ret_wall_ms,
		 struct err *err)
{
	char back[CLOCK_ISO_LEN];
	struct tm tm = {0};
	const char *text, *dot;
	uint64_t ms;

	if (kms_json_has(obj, name) && !kms_json_get(obj, name)) {
		*ret_wall_ms = 0;
		return 0;
	}
	if (kms_json_str(obj, name, &text, err) < 0) {
		err->num = EUCLEAN;
		return -EUCLEAN;
	}
	dot = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	ms = dot && *dot == '.' ? (uint64_t)timegm(&tm) * 1000 + strtoul(dot + 1, NULL, 10) % 1000
				: 0;
	clock_iso(ms, back);
	if (strcmp(back, text) != 0 ||
	    !*text) /* the one way to write it: strptime() forgives much */
		return err_set(err, EUCLEAN, "member '%s' is no time like '%s'", name,
			       "2026-01-31T23:59:59.000Z");
	*ret_wall_ms = ms;
	return 0;
}
