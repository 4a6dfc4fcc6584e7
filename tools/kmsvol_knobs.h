/* The options of `kmsvol mount` about the key: a profile, and each of its settings by itself. */
#ifndef TOOLS_KMSVOL_KNOBS_H
#define TOOLS_KMSVOL_KNOBS_H

#include <stdint.h>

struct err;
struct mount_options;

#define KNOB_UNSET UINT64_MAX

/* As given; begin with KNOBS_NONE. */
struct knobs {
	int profile, reaction, recover; /* -1: not given */
	uint64_t time_scale;		/* 0: not given */
	const char *check_interval;	/* NULL: not given */
	uint64_t grace_ms, kms_outage_grace_ms, recover_delay_ms,
		terminal_after_ms; /* KNOB_UNSET */
};

#define KNOBS_NONE                                                                                 \
	{                                                                                          \
		-1, -1, -1, 0, NULL, KNOB_UNSET, KNOB_UNSET, KNOB_UNSET, KNOB_UNSET                \
	}

extern const char *const knobs_reactions[], *const knobs_recoveries[];

/* The rows for a table of options; kmsvol_cmd.h and profile.h have to be included. */
#define KNOBS_OPTIONS(k)                                                                           \
	{"profile",    "NAME", CMD_CHOICE, &(k).profile, "behave as the storage of this service",  \
	 profile_names},                                                                           \
		{"time-scale",                                                                     \
		 "N",                                                                              \
		 CMD_COUNT,                                                                        \
		 &(k).time_scale,                                                                  \
		 "divide the profile's times by this; 1",                                          \
		 NULL},                                                                            \
		{"on-key-loss",                                                                    \
		 "REACTION",                                                                       \
		 CMD_CHOICE,                                                                       \
		 &(k).reaction,                                                                    \
		 "what I/O does without the key; hang",                                            \
		 knobs_reactions},                                                                 \
		{"check-interval",                                                                 \
		 "TIME",                                                                           \
		 CMD_TEXT,                                                                         \
		 &(k).check_interval,                                                              \
		 "how often KMS is asked, at least 100ms; 1m",                                     \
		 NULL},                                                                            \
		{"grace",                                                                          \
		 "TIME",                                                                           \
		 CMD_DURATION,                                                                     \
		 &(k).grace_ms,                                                                    \
		 "warn for so long before reacting; 0s",                                           \
		 NULL},                                                                            \
		{"kms-outage-grace",                                                               \
		 "TIME",                                                                           \
		 CMD_DURATION,                                                                     \
		 &(k).kms_outage_grace_ms,                                                         \
		 "an outage of KMS counts as loss after this; 15m",                                \
		 NULL},                                                                            \
		{"recover",	  "HOW", CMD_CHOICE, &(k).recover, "when the key is back; auto",   \
		 knobs_recoveries},                                                                \
		{"recover-delay",                                                                  \
		 "TIME",                                                                           \
		 CMD_DURATION,                                                                     \
		 &(k).recover_delay_ms,                                                            \
		 "wait before recovering; 0s",                                                     \
		 NULL},                                                                            \
	{                                                                                          \
		"terminal-after", "TIME", CMD_DURATION, &(k).terminal_after_ms,                    \
			"give up after so long without the key; 7d, 0s: never", NULL               \
	}

/*
 * Profile and settings into @options: what was given stands as it is, all else is the profile's, scaled.
 * -EINVAL: a sentence that begins with the option.
 */
int knobs_apply(const struct knobs *knobs, struct mount_options *options, struct err *err);

#endif
