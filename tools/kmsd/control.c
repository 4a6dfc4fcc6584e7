/* The parts of control, and requests taken apart. See control.h. */
#include "control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_part.h"
#include "err.h"
#include "kms_json.h"

static const struct {
	const char *name;
	int (*apply)(struct control *control, const struct kms_json *v, struct err *err);
	struct kms_json *(*status)(struct control *control);
} parts[] = {
	{"clock", control_clock, control_clock_status},
	{"propagation", control_propagation, control_propagation_status},
	{"throttle", control_throttle, control_throttle_status},
	{"fault", control_fault, control_fault_status},
};

#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

/* An option of the command line is one member of one part; of an object NAME=VALUE,... */
static const struct {
	struct control_option option;
	const char *part, *member;
	bool object;
} options[] = {
	{{"clock-offset", "MOVE", "the clock differs so much from real time, as +7d; 0: not"},
	 "clock",
	 "offset",
	 false},
	{{"clock-speed", "N", "let it go N times as fast as real time"}, "clock", "speed", false},
	{{"propagation-delay", "DURATION", "states, policies and grants count so much later"},
	 "propagation",
	 "delay",
	 false},
	{{"throttle", "quotas|off", "refuse what is above AWS's request quotas"},
	 "throttle",
	 "mode",
	 false},
	{{"throttle-factor", "F", "the same, with quotas multiplied by F"},
	 "throttle",
	 "factor",
	 false},
	{{"fault", "NAME=VAL,..", "a fault, as of kmsd control fault add"}, "fault", "add", true},
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

int control_new(struct kmsd *kmsd, int (*tick)(void *arg, struct err *err), void *arg,
		struct control **ret_control, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ENOMEM, "control");
	c->kmsd = kmsd;
	c->tick = tick;
	c->arg = arg;
	(void)pthread_mutex_init(&c->lock, NULL); /* cannot fail with these attributes */
	*ret_control = c;
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	(void)pthread_mutex_destroy(&control->lock); /* nobody holds it */
	free(control);
}

int control_text(const struct kms_json *obj, const char *name, char room[CONTROL_WORD_MAX],
		 const char **ret, struct err *err)
{
	const struct kms_json *v = kms_json_get(obj, name);
	enum kms_json_type type = v ? kms_json_type(v) : KMS_JSON_NULL;

	*ret = NULL;
	if (!v)
		return 0;
	if (type == KMS_JSON_STRING) {
		*ret = kms_json_string_value(v);
		if (strlen(*ret) != kms_json_string_len(v) || strlen(*ret) >= CONTROL_WORD_MAX)
			return err_set(err, EINVAL, "%s: too long, or with a NUL in it", name);
		return 0;
	}
	if (type == KMS_JSON_INT)
		(void)snprintf(room, CONTROL_WORD_MAX, "%lld",
			       (long long)kms_json_int_value(v)); /* fits */
	else if (type == KMS_JSON_DOUBLE)
		(void)snprintf(room, CONTROL_WORD_MAX, "%.17g",
			       kms_json_double_value(v)); /* fits */
	else
		return err_set(err, EINVAL, "%s: neither a text nor a number", name);
	*ret = room;
	return 0;
}

struct known {
	const char *what;
	const char *const *names;
	struct err *err;
};

static int check_member(const char *name, struct kms_json *value, void *arg)
{
	const struct known *known = arg;

	(void)value;
	for (const char *const *n = known->names; *n; n++)
		if (strcmp(*n, name) == 0)
			return 0;
	return err_set(known->err, EINVAL, "%s has no member '%.64s'", known->what, name);
}

int control_check_members(const struct kms_json *obj, const char *what, const char *const *names,
			  struct err *err)
{
	struct known known = {what, names, err};

	if (kms_json_type(obj) != KMS_JSON_OBJECT)
		return err_set(err, EINVAL, "%s is no object", what);
	return kms_json_each(obj, check_member, &known);
}

static int apply_locked(struct control *control, const struct kms_json *request, struct err *err)
{
	const char *names[PART_COUNT + 1] = {0};
	int r;

	for (size_t i = 0; i < PART_COUNT; i++)
		names[i] = parts[i].name;
	r = control_check_members(request, "the request", names, err);
	for (size_t i = 0; i < PART_COUNT && r == 0; i++) {
		const struct kms_json *v = kms_json_get(request, parts[i].name);

		if (v && (r = parts[i].apply(control, v, err)) < 0)
			return err_prefix(err, "%s", parts[i].name);
	}
	return r;
}

int control_apply(struct control *control, const struct kms_json *request, struct err *err)
{
	int r;

	pthread_mutex_lock(&control->lock);
	r = apply_locked(control, request, err);
	pthread_mutex_unlock(&control->lock);
	return r;
}

struct kms_json *control_status(struct control *control)
{
	struct kms_json *v = kms_json_new_object();
	int r = v ? 0 : -ENOMEM;

	for (size_t i = 0; i < PART_COUNT && r == 0; i++)
		r = kms_json_set(v, parts[i].name, parts[i].status(control));
	if (r == 0)
		return v;
	kms_json_free(v);
	return NULL;
}

/* "kind=error,percent=50" */
static int split_object(const char *text, struct kms_json *obj, struct err *err)
{
	while (*text) {
		char name[CONTROL_WORD_MAX], value[CONTROL_WORD_MAX];
		size_t n = strcspn(text, "=,"), len;

		if (text[n] != '=' || n == 0 || n >= sizeof(name))
			return err_set(err, EINVAL, "not NAME=VALUE,...");
		(void)snprintf(name, sizeof(name), "%.*s", (int)n, text); /* fits */
		text += n + 1;
		len = strcspn(text, ",");
		if (len >= sizeof(value))
			return err_set(err, EINVAL, "%s: too long", name);
		(void)snprintf(value, sizeof(value), "%.*s", (int)len, text); /* fits */
		if (kms_json_set_str(obj, name, value) < 0)
			return err_set(err, ENOMEM, "%s", name);
		text += len + (text[len] == ',');
	}
	return 0;
}

static int fill_option(struct kms_json *request, size_t i, const char *value, struct err *err)
{
	struct kms_json *part = kms_json_new_object();
	struct kms_json *inner = options[i].object ? kms_json_new_object() : NULL;
	int r = part && (inner || !options[i].object) ? 0 : err_set(err, ENOMEM, "option");

	if (r == 0 && inner)
		r = split_object(value, inner, err);
	if (r < 0) {
		kms_json_free(inner);
		kms_json_free(part);
		return r;
	}
	r = inner ? kms_json_set(part, options[i].member, inner)
		  : kms_json_set_str(part, options[i].member, value);
	return r | kms_json_set(request, options[i].part, part) ? err_set(err, ENOMEM, "option")
								: 0;
}

int control_option(const char *name, const char *value, struct kms_json **ret_request,
		   struct err *err)
{
	struct kms_json *request;
	size_t i = 0;
	int r;

	while (i < OPTION_COUNT && strcmp(options[i].option.name, name) != 0)
		i++;
	if (i == OPTION_COUNT)
		return err_set(err, ENOENT, "'%s' is no option", name);
	request = kms_json_new_object();
	r = request ? fill_option(request, i, value, err) : err_set(err, ENOMEM, "option");
	if (r < 0)
		kms_json_free(request);
	else
		*ret_request = request;
	return r;
}

const struct control_option *control_options(size_t *ret_count)
{
	static struct control_option list[OPTION_COUNT];

	for (size_t i = 0; i < OPTION_COUNT; i++)
		list[i] = options[i].option;
	*ret_count = OPTION_COUNT;
	return list;
}
