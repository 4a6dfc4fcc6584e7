/*
 * kmsvol scenario run: what was asked for is checked here, and handed to the engine (engine.bash), which this
 * process becomes.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kmsvol_cmd.h"
#include "kmsvol_scenario.h"
#include "profile.h"
#include "secret.h"

static const char help[] =
	"Run a scenario: NAME of 'kmsvol scenario list', or a file of yours (docs/scenarios.md), "
	"which is a shell script.\n"
	"It has a kmsd of its own in a private directory, and leaves nothing behind but the "
	"report. Exit code 0: all was\n"
	"as expected, 1: it was not.\n\n"
	"With --against real-aws it uses AWS, with the credentials of the environment, and the "
	"keys named by --key-id\n"
	"and --key-id-b, which it disables and enables, and neither makes nor deletes.";

enum against { KMSD, REAL_AWS };
static const char *const against_names[] = {"kmsd", "real-aws", NULL};

struct run {
	const char *report, *profile, *key_a, *key_b;
	uint64_t time_scale;
	int against;
	bool confirmed, as_json, keep;
};

static int check_real_aws(const struct run *run, const char *name, const struct scenario_head *head,
			  struct err *err)
{
	if (run->against == KMSD)
		return run->key_a || run->key_b || run->confirmed
			       ? err_set(err, EINVAL,
					 "--key-id, --key-id-b and --confirm-disable-key belong to "
					 "--against real-aws")
			       : 0;
	if (strncmp(head->real_aws, "yes", 3) != 0 && strncmp(head->real_aws, "partly", 6) != 0)
		return err_set(err, EINVAL, "--against real-aws: '%s' is not possible there: %s",
			       name,
			       strncmp(head->real_aws, "no, ", 4) == 0
				       ? head->real_aws + 4
				       : "its head does not say that it is");
	if (!run->key_a)
		return err_set(err, EINVAL,
			       "--against real-aws: --key-id is needed: no key is made there");
	if (!run->key_b && strstr(head->needs, "two-keys"))
		return err_set(err, EINVAL,
			       "--against real-aws: '%s' needs a second key: --key-id-b", name);
	if (run->key_b && strcmp(run->key_a, run->key_b) == 0)
		return err_set(err, EINVAL, "--key-id-b: the same key as --key-id");
	if (!run->confirmed)
		return err_set(err, EINVAL,
			       "--against real-aws: key '%s' will be disabled for minutes, for "
			       "whoever uses it: "
			       "--confirm-disable-key says that this is meant",
			       run->key_a);
	return 0;
}

static int check_profile(const char *profile, struct err *err)
{
	for (size_t i = 0; profile_names[i]; i++)
		if (strcmp(profile, profile_names[i]) == 0)
			return 0;
	return err_set(err, EINVAL, "--profile: '%s' is none of kmsvol mount's", profile);
}

static int set(const char *name, const char *value, struct err *err)
{
	char whole[64];

	(void)snprintf(whole, sizeof(whole), "KMSVOL_SCENARIO_%s", name);
	return setenv(whole, value ? value : "", 1) < 0
		       ? err_set(err, errno, "environment: %s", strerror(errno))
		       : 0;
}

/* The last part of the path, without the ending. */
static void name_of(const char *path, char name[NAME_MAX + 1])
{
	size_t len;

	(void)snprintf(name, NAME_MAX + 1, "%s", strrchr(path, '/') + 1); /* it is absolute */
	len = strlen(name);
	if (len > strlen(SCENARIO_ENDING) &&
	    strcmp(name + len - strlen(SCENARIO_ENDING), SCENARIO_ENDING) == 0)
		name[len - strlen(SCENARIO_ENDING)] = '\0';
}

static int hand_over(const struct run *run, const char *path, const char *name,
		     const struct scenario_head *head, struct err *err)
{
	AUTO(freep) char *dir = NULL, *engine = NULL;
	char scale[24] = "", exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int r = scenario_dir(&dir, err);

	if (r < 0)
		return r;
	if (n < 0)
		return err_set(err, errno, "'/proc/self/exe': %s", strerror(errno));
	exe[n] = '\0';
	if (run->time_scale)
		(void)snprintf(scale, sizeof(scale), "%llu", (unsigned long long)run->time_scale);
	if (set("PROGRAM", exe, err) < 0 || set("DIR", dir, err) < 0 ||
	    set("FILE", path, err) < 0 || set("NAME", name, err) < 0 ||
	    set("REPORT", run->report, err) < 0 ||
	    set("PROFILE", run->profile ? run->profile : head->profile, err) < 0 ||
	    set("TIME_SCALE", *scale ? scale : head->time_scale, err) < 0 ||
	    set("NEEDS", head->needs, err) < 0 || set("TITLE", head->title, err) < 0 ||
	    set("AGAINST", against_names[run->against], err) < 0 ||
	    set("KEY_A", run->key_a, err) < 0 || set("KEY_B", run->key_b, err) < 0 ||
	    set("JSON", run->as_json ? "yes" : "", err) < 0 ||
	    set("KEEP", run->keep ? "yes" : "", err) < 0)
		return -err->num;
	if (asprintf(&engine, "%s/engine.bash", dir) < 0) {
		engine = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	(void)execlp("bash", "bash", "--noprofile", "--norc", engine, (char *)NULL);
	return err_set(err, errno, "bash, which runs scenarios: %s", strerror(errno));
}

int scenario_run_cmd(int argc, char **argv)
{
	AUTO(freep) char *path = NULL;
	struct run run = {0};
	const struct cmd_option options[] = {
		{"report", "DIR", CMD_TEXT, &run.report,
		 "where the report goes; kmsvol-report-NAME", NULL},
		{"profile", "NAME", CMD_TEXT, &run.profile,
		 "mount with this one, not the scenario's", NULL},
		{"time-scale", "N", CMD_COUNT, &run.time_scale,
		 "the profile's times divided by N, not by the scenario's", NULL},
		{"against", "WHAT", CMD_CHOICE, &run.against, "where KMS is; kmsd", against_names},
		{"key-id", "KEY-ID", CMD_TEXT, &run.key_a,
		 "real-aws: the KMS key to use, and to disable", NULL},
		{"key-id-b", "KEY-ID", CMD_TEXT, &run.key_b,
		 "real-aws: a second one, where the scenario wants two", NULL},
		{"confirm-disable-key", NULL, CMD_FLAG, &run.confirmed,
		 "real-aws: yes, the key may be disabled", NULL},
		{"json", NULL, CMD_FLAG, &run.as_json,
		 "print the report as JSON, and progress on standard error", NULL},
		{"keep", NULL, CMD_FLAG, &run.keep,
		 "keep the files of volumes and kmsd, and say where", NULL},
	};
	const struct cmd cmd = {"scenario run", "NAME",	 1,
				help,		options, sizeof(options) / sizeof(*options)};
	struct scenario_head head;
	char name[NAME_MAX + 1];
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (scenario_file(argv[first], &path, &err) < 0 ||
	    scenario_head_load(path, &head, &err) < 0)
		return cmd_fail(&err);
	name_of(path, name);
	if ((run.profile && check_profile(run.profile, &err) < 0) ||
	    check_real_aws(&run, name, &head, &err) < 0) {
		(void)err_prefix(&err, "scenario run");
		return cmd_wrong(&err);
	}
	(void)hand_over(&run, path, name, &head, &err); /* comes back with what failed, or not */
	return cmd_fail(&err);
}
