/* The table of profiles. See profile.h. */
#include "profile.h"

#include <stddef.h>

#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define DAY    (24 * 60 * MINUTE)

const char *const profile_names[] = {"default",	  "ebs",    "aurora", "dynamodb",
				     "read-only", "strict", NULL};

/* In the order of profile_names. */
static const struct keywatch_config configs[] = {
	{
		.reaction = KEYWATCH_HANG,
		.check_interval_ms = MINUTE,
		.kms_outage_grace_ms = 15 * MINUTE,
		.terminal_after_ms = 7 * DAY,
	},
	{
		/* "EC2 is using the plaintext data key": KMS Developer Guide, unusable KMS keys. */
		.reaction = KEYWATCH_NONE,
		.check_interval_ms = MINUTE,
		.kms_outage_grace_ms = 15 * MINUTE,
	},
	{
		/* Seen: 5 to 10 minutes from disable-key to the state, over 30 from enable-key back. */
		.reaction = KEYWATCH_HANG,
		.check_interval_ms = MINUTE,
		.grace_ms = 7 * MINUTE,
		.kms_outage_grace_ms = 15 * MINUTE,
		.recover_delay_ms = 30 * MINUTE,
		.terminal_after_ms = 7 * DAY,
	},
	{
		/* The data key is cached for up to 5 minutes: DynamoDB Developer Guide. */
		.reaction = KEYWATCH_ERROR,
		.check_interval_ms = 5 * MINUTE,
		.kms_outage_grace_ms = 15 * MINUTE,
		.terminal_after_ms = 7 * DAY,
	},
	{
		.reaction = KEYWATCH_READ_ONLY_IO,
		.check_interval_ms = MINUTE,
		.kms_outage_grace_ms = 15 * MINUTE,
	},
	{
		.reaction = KEYWATCH_ERROR,
		.check_interval_ms = SECOND,
		.kms_outage_grace_ms = 10 * SECOND,
		.terminal_after_ms = 7 * DAY,
	},
};

static void divide(uint64_t *ms, uint32_t by, uint64_t at_least)
{
	if (*ms == 0)
		return; /* 0 is "none" or "never" */
	*ms /= by;
	if (*ms < at_least)
		*ms = at_least;
}

struct keywatch_config profile_config(int index, uint32_t time_scale)
{
	struct keywatch_config c = configs[index];

	divide(&c.check_interval_ms, time_scale, PROFILE_CHECK_INTERVAL_MIN_MS);
	divide(&c.grace_ms, time_scale, 1);
	divide(&c.kms_outage_grace_ms, time_scale, 1);
	divide(&c.recover_delay_ms, time_scale, 1);
	divide(&c.terminal_after_ms, time_scale, 1);
	c.time_scale = time_scale;
	return c;
}
