/* "clock": set, offset, speed. See control.h. */
#include <errno.h>
#include <string.h>

#include "calendar.h"
#include "call.h"
#include "control_part.h"
#include "control_value.h"
#include "err.h"
#include "kms_json.h"

struct wish {
	const char *set;    /* from what it shows now */
	const char *offset; /* from real time: the same however often it is asked for */
	const char *speed;
};

static int move(struct calendar *c, const struct wish *w, struct err *err)
{
	int64_t real_ms = calendar_real_ms(), ms = calendar_at(c, real_ms);
	double speed = calendar_speed(c);
	int r = 0;

	if (w->set && strcmp(w->set, "reset") == 0) {
		ms = real_ms;
		speed = 1;
	} else if (w->set) {
		r = control_time(w->set, ms, &ms, err);
	}
	if (r == 0 && w->offset)
		r = control_time(w->offset, real_ms, &ms, err);
	if (r == 0 && w->speed)
		r = control_number(w->speed, 0, CALENDAR_SPEED_MAX, &speed, err);
	if (r < 0)
		return r;
	if (ms == real_ms && speed == 1)
		return calendar_reset(c, err);
	return calendar_set(c, real_ms, ms, speed, err);
}

int control_clock(struct control *control, const struct kms_json *v, struct err *err)
{
	static const char *const names[] = {"set", "offset", "speed", NULL};
	char rooms[3][CONTROL_WORD_MAX];
	struct wish w;
	int r = control_check_members(v, "it", names, err);

	r = r ? r : control_text(v, "set", rooms[0], &w.set, err);
	r = r ? r : control_text(v, "offset", rooms[1], &w.offset, err);
	r = r ? r : control_text(v, "speed", rooms[2], &w.speed, err);
	if (r == 0 && !w.set && !w.offset && !w.speed)
		return err_set(err, EINVAL, "no set, offset or speed");
	r = r ? r : move(control->kmsd->calendar, &w, err);
	return r ? r : control->tick(control->arg, err);
}

struct kms_json *control_clock_status(struct control *control)
{
	struct calendar *c = control->kmsd->calendar;
	int64_t real_ms = calendar_real_ms(), ms = calendar_at(c, real_ms);
	char now[CONTROL_TEXT_MAX], real[CONTROL_TEXT_MAX], offset[CONTROL_TEXT_MAX];
	struct kms_json *out = kms_json_new_object();

	control_time_text(ms, now);
	control_time_text(real_ms, real);
	control_duration_text(ms - real_ms, offset);
	if (out && (kms_json_set_str(out, "now", now) | kms_json_set_str(out, "real", real) |
		    kms_json_set_str(out, "offset", offset) |
		    kms_json_set_i64(out, "offset_ms", ms - real_ms) |
		    kms_json_set_double(out, "speed", calendar_speed(c)))) {
		kms_json_free(out);
		return NULL;
	}
	return out;
}
