/* "propagation": delay. See control.h. */
#include <errno.h>

#include "call.h"
#include "control_part.h"
#include "control_value.h"
#include "err.h"
#include "kms_json.h"
#include "lag.h"

int control_propagation(struct control *control, const struct kms_json *v, struct err *err)
{
	static const char *const names[] = {"delay", NULL};
	char room[CONTROL_WORD_MAX];
	const char *text;
	int64_t delay_ms;
	int r = control_check_members(v, "it", names, err);

	r = r ? r : control_text(v, "delay", room, &text, err);
	if (r == 0 && !text)
		return err_set(err, EINVAL, "no delay");
	r = r ? r : control_duration(text, LAG_DELAY_MAX_MS, &delay_ms, err);
	if (r == 0)
		lag_set_delay(control->kmsd->lag, delay_ms);
	return r;
}

struct kms_json *control_propagation_status(struct control *control)
{
	struct lag *lag = control->kmsd->lag;
	struct kms_json *out = kms_json_new_object();

	if (out && (kms_json_set_i64(out, "delay_ms", lag_delay(lag)) |
		    kms_json_set_u64(out, "under_way", lag_under_way(lag)))) {
		kms_json_free(out);
		return NULL;
	}
	return out;
}
