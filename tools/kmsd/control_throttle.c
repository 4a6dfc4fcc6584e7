/* "throttle": mode, factor. See control.h. */
#include <errno.h>
#include <string.h>

#include "call.h"
#include "control_part.h"
#include "control_value.h"
#include "err.h"
#include "kms_json.h"
#include "throttle.h"

int control_throttle(struct control *control, const struct kms_json *v, struct err *err)
{
	static const char *const names[] = {"mode", "factor", NULL};
	char rooms[2][CONTROL_WORD_MAX];
	const char *mode, *text;
	double factor = 1;
	int r = control_check_members(v, "it", names, err);

	r = r ? r : control_text(v, "mode", rooms[0], &mode, err);
	r = r ? r : control_text(v, "factor", rooms[1], &text, err);
	if (r == 0 && text)
		r = control_number(text, THROTTLE_FACTOR_MIN, THROTTLE_FACTOR_MAX, &factor, err);
	if (r < 0)
		return r;
	if (!mode && !text)
		return err_set(err, EINVAL, "no mode or factor");
	if (mode && strcmp(mode, "quotas") != 0 && strcmp(mode, "off") != 0)
		return err_set(err, EINVAL, "'%s' is neither quotas nor off", mode);
	if (mode && strcmp(mode, "off") == 0) {
		if (text)
			return err_set(err, EINVAL, "off has no factor");
		factor = 0;
	}
	throttle_set(control->kmsd->throttle, factor);
	return 0;
}

struct kms_json *control_throttle_status(struct control *control)
{
	const struct throttle *t = control->kmsd->throttle;
	double factor = throttle_factor(t);
	struct kms_json *out = kms_json_new_object();

	if (out && (kms_json_set_str(out, "mode", factor > 0 ? "quotas" : "off") |
		    kms_json_set_double(out, "factor", factor > 0 ? factor : 1) |
		    kms_json_set_u64(out, "throttled", throttle_refused(t)))) {
		kms_json_free(out);
		return NULL;
	}
	return out;
}
