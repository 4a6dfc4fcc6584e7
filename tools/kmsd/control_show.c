/* Lines of text for what control answers. See control_show.h. */
#include "control_show.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "control_value.h"
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

static void show_propagation(const struct kms_json *v)
{
	char length[CONTROL_TEXT_MAX];

	control_duration_text((int64_t)number(v, "delay_ms"), length);
	if (number(v, "delay_ms") > 0)
		printf("propagation  %s, %.0f changes under way\n", length, number(v, "under_way"));
	else
		printf("propagation  at once\n");
}

static void show_throttle(const struct kms_json *v)
{
	if (strcmp(text(v, "mode"), "off") == 0)
		printf("throttle     off\n");
	else
		printf("throttle     AWS's quotas times %g, %.0f requests refused so far\n",
		       number(v, "factor"), number(v, "throttled"));
}

static void show_fault(const struct kms_json *v)
{
	char length[CONTROL_TEXT_MAX];

	printf("fault %-6.0f %s", number(v, "id"), text(v, "kind"));
	if (kms_json_get(v, "exception"))
		printf(" %s", text(v, "exception"));
	if (kms_json_get(v, "delay_ms")) {
		control_duration_text((int64_t)number(v, "delay_ms"), length);
		printf(" %s", length);
	}
	printf(", %s", kms_json_get(v, "operation") ? text(v, "operation") : "any operation");
	if (kms_json_get(v, "key"))
		printf(" of key %s", text(v, "key"));
	if (number(v, "percent") < 100)
		printf(", %g %%", number(v, "percent"));
	if (kms_json_get(v, "count_left"))
		printf(", %.0f more", number(v, "count_left"));
	if (kms_json_get(v, "left_ms")) {
		control_duration_text((int64_t)number(v, "left_ms"), length);
		printf(", for %s", length);
	}
	printf("; met %.0f\n", number(v, "hits"));
}

static void show_faults(const struct kms_json *v)
{
	for (size_t i = 0; i < kms_json_count(v); i++)
		show_fault(kms_json_at(v, i));
	if (kms_json_count(v) == 0)
		printf("fault        none\n");
}

static const struct {
	const char *name;
	void (*show)(const struct kms_json *v);
} parts[] = {
	{"clock", show_clock},
	{"propagation", show_propagation},
	{"throttle", show_throttle},
	{"fault", show_faults},
};

void control_show(const struct kms_json *status, const char *part)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct kms_json *v = kms_json_get(status, parts[i].name);

		if (v && (!part || strcmp(part, parts[i].name) == 0))
			parts[i].show(v);
	}
}
