/* Profile and settings of a mount. See kmsvol_knobs.h. */
#include "kmsvol_knobs.h"

#include <errno.h>
#include <stddef.h>

#include "err.h"
#include "mount.h"
#include "profile.h"
#include "units.h"

/* In the order of enum keywatch_reaction. */
const char *const knobs_reactions[] = {"none", "read-only", "error", "hang", NULL};
const char *const knobs_recoveries[] = {"auto", "manual", NULL};

static int check_interval(const char *text, uint64_t *ret_ms, struct err *err)
{
	uint64_t ms;
	int r = units_parse_duration(text, &ms, err);

	if (r == 0 && ms < PROFILE_CHECK_INTERVAL_MIN_MS)
		r = err_set(err, EINVAL, "'%s' is below %dms; each check is a KMS call", text,
			    PROFILE_CHECK_INTERVAL_MIN_MS);
	if (r < 0)
		return err_prefix(err, "--check-interval");
	*ret_ms = ms;
	return 0;
}

static void take(uint64_t given_ms, uint64_t *ms)
{
	if (given_ms != KNOB_UNSET)
		*ms = given_ms;
}

int knobs_apply(const struct knobs *knobs, struct mount_options *options, struct err *err)
{
	int profile = knobs->profile >= 0 ? knobs->profile : PROFILE_DEFAULT;
	struct keywatch_config c =
		profile_config(profile, knobs->time_scale ? (uint32_t)knobs->time_scale : 1);

	if (knobs->check_interval &&
	    check_interval(knobs->check_interval, &c.check_interval_ms, err) < 0)
		return -EINVAL;
	if (knobs->reaction >= 0)
		c.reaction = (enum keywatch_reaction)knobs->reaction;
	if (knobs->recover >= 0)
		c.recover_manually = knobs->recover == 1;
	take(knobs->grace_ms, &c.grace_ms);
	take(knobs->kms_outage_grace_ms, &c.kms_outage_grace_ms);
	take(knobs->recover_delay_ms, &c.recover_delay_ms);
	take(knobs->terminal_after_ms, &c.terminal_after_ms);
	options->profile = profile_names[profile];
	options->watch = c;
	return 0;
}
