/* Lines of text for what control answers. See control_show.h. */
#include "control_show.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "kms_json.h"

static const char *text(const struct kms_json *v, const char *name)
{
	const struct kms_json *m = kms_json_get(v, name);

	return m ? kms_json_string_value(m) : "";
}

static double number(const struct kms_json *v, const char *name)
{
	const struct kms_json *m = kms_json_get(v, name);

	return m ? kms_json_double_value(m) : 0;
}

static void show_clock(const struct kms_json *v)
{
	const char *offset = text(v, "offset");
	double speed = number(v, "speed");

	printf("clock        %s", text(v, "now"));
	if (strcmp(offset, "0s") == 0 && speed == 1)
		printf(", real time\n");
	else
		printf(", %s %s real time, speed %g\n", offset + (*offset == '-'),
		       *offset == '-' ? "behind" : "ahead of", speed);
}

static const struct {
	const char *name;
	void (*show)(const struct kms_json *v);
} parts[] = {
	{"clock", show_clock},
};

void control_show(const struct kms_json *status, const char *part)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct kms_json *v = kms_json_get(status, parts[i].name);

		if (v && (!part || strcmp(part, parts[i].name) == 0))
			parts[i].show(v);
	}
}
